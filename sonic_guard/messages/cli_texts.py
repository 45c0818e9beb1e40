"""Texts of the command line: its help, its tables, and what it has written."""

from collections.abc import Mapping

from ..history.run_record import Outcome
from ..optimizations import Text

# ---- help

DESCRIPTION = Text(
    "Plans talking-head videos with Sonic that fit the graphics card.",
    "为 Sonic 数字人视频制定放得进显卡的方案。",
)
USAGE = Text("usage: ", "用法：")
OPTIONS = Text("options", "选项")
COMMANDS = Text("commands", "命令")
STEPS = Text("steps", "步骤")

HELP: Mapping[str, Text] = {
    "help": Text("show this help and exit", "显示此帮助并退出"),
    "lang": Text("language of every text: en or zh (default: en)", "所有文字的语言：en 或 zh（默认 en）"),
    "measure.sonic": Text("folder of the ComfyUI_Sonic pack", "ComfyUI_Sonic 节点包的文件夹"),
    "json": Text("print JSON instead of tables", "输出 JSON 而不是表格"),
    "sonic": Text(
        "folder of the ComfyUI_Sonic pack, or of a relative's", "ComfyUI_Sonic（或其同类模型）节点包的文件夹"
    ),
    "plan": Text(
        "from a portrait and a voice to settings that fit a card",
        "由人像与语音得出放得进显卡的设置",
    ),
    "plan.image": Text("the portrait: any picture file", "人像：任意图片文件"),
    "plan.audio": Text("the voice: any sound or video file", "语音：任意音频或视频文件"),
    "plan.track": Text(
        "audio track of a file that has several (default: 1)",
        "文件含多条音轨时选用第几条（默认 1）",
    ),
    "plan.preset": Text(
        "fast, hd, minimal or one of your own (default: fast)",
        "fast、hd、minimal 或自定义预设（默认 fast）",
    ),
    "plan.preset-dir": Text("folder of your own presets", "自定义预设的文件夹"),
    "plan.gpu": Text(
        '"RTX 3060 12GB", a number of GiB, or auto: this machine',
        "“RTX 3060 12GB”、以 GiB 为单位的数字，或 auto（本机）",
    ),
    "plan.reserve": Text("part of the memory to keep free (default: 0.10)", "预留的显存比例（默认 0.10）"),
    "plan.policy": Text("lossless_first or article", "lossless_first 或 article"),
    "plan.optimize": Text(
        "only these memory optimizations, where the run does not fit without: {names}, or {all} (default: {all}, as "
        "Sonic Talking Head does)",
        "放不下时只允许启用这些显存优化：{names}；{all} 表示全部优化（默认 {all}，与“Sonic 数字人”节点相同）",
    ),
    "plan.stock": Text(
        "plan for Sonic's own nodes alone, without memory optimizations",
        "只用 Sonic 自己的节点，不启用显存优化",
    ),
    "plan.aspect": Text("crop: original, 1:1, 9:16, 16:9 or none", "裁剪：original、1:1、9:16、16:9 或 none"),
    "plan.face": Text("which face, 0 is the largest", "第几张人脸，0 为最大的一张"),
    "plan.face-box": Text(
        "x1,y1,x2,y2 in pixels instead of face detection",
        "以像素为单位的 x1,y1,x2,y2，代替人脸检测",
    ),
    "plan.workflow": Text("write a ComfyUI workflow to this file", "把 ComfyUI 工作流写入此文件"),
    "plan.chart": Text("write a chart of VRAM by stage to this file", "把各阶段显存图写入此文件"),
    "finish": Text(
        "finish a video: what is wrong with lips, light and size; a file instead of a step: all of it",
        "视频后期：修正口型、亮度与尺寸；直接给出文件则执行全部步骤",
    ),
    "finish.all": Text("everything that a preset includes, in one go", "一次完成预设包含的全部步骤"),
    "finish.all.preset": Text(
        "fast: brightness pulses and lips; hd: also jitter, and full HD (default: hd)",
        "fast：亮度闪烁与口型；hd：另含去抖动与全高清（默认 hd）",
    ),
    "finish.all.model": Text(
        "upscale model, .safetensors or .pth (default: none, resized by Lanczos)",
        "放大模型，.safetensors 或 .pth（默认不用模型，以 Lanczos 缩放）",
    ),
    "finish.all.height": Text("another height of the result in pixels", "改用其他输出高度（像素）"),
    "finish.input": Text("the video", "视频文件"),
    "finish.out": Text("the file to write: .mp4, .mov or .mkv", "输出文件：.mp4、.mov 或 .mkv"),
    "finish.overwrite": Text("replace the file to write if it exists", "输出文件已存在时覆盖"),
    "finish.format": Text(
        "h264, ffv1 (lossless, .mkv) or prores (for editing, .mov) (default: h264)",
        "h264、ffv1（无损，.mkv）或 prores（剪辑用，.mov）（默认 h264）",
    ),
    "finish.crf": Text(
        "quality of the H.264 encoder, 1 to 51: lower is better and larger (default: 18)",
        "H.264 编码质量，1 到 51：越小越好、文件越大（默认 18）",
    ),
    "finish.smooth": Text(
        "remove the brightness pulse of Sonic's videos, and jitter",
        "消除 Sonic 视频的亮度闪烁与抖动",
    ),
    "finish.smooth.strength": Text(
        "how much of the jitter to remove, 0 to 1 (default: 1)", "消除抖动的强度，0 到 1（默认 1）"
    ),
    "finish.smooth.no-deflicker": Text("leave brightness pulses in", "保留亮度闪烁"),
    "finish.interpolate": Text(
        "twice the frame rate, by optical flow, without a graphics card", "用光流把帧率加倍，无需显卡"
    ),
    "finish.upscale": Text("enlarge a video with an upscale model", "用放大模型放大视频"),
    "finish.model": Text("upscale model: .safetensors or .pth", "放大模型：.safetensors 或 .pth"),
    "finish.height": Text("height of the result in pixels (default: 1080)", "输出高度（像素，默认 1080）"),
    "finish.factor": Text("by how much to enlarge, instead of --height", "放大倍数，代替 --height"),
    "finish.device": Text(
        "auto, cpu, cuda or cuda:1 (default: auto, another card than Sonic's if there is one)",
        "auto、cpu、cuda 或 cuda:1（默认 auto：优先使用 Sonic 以外的显卡）",
    ),
    "finish.tile": Text(
        "side of a tile in pixels of the source (default: as large as fits)",
        "分块边长（源像素，默认为放得下的最大值）",
    ),
    "leases": Text(
        "which processes use or wait for the graphics cards of this machine",
        "本机有哪些进程正在使用或等待显卡",
    ),
    "finish.lipsync": Text(
        "measure by how much the sound is late or early, and correct it by moving the sound",
        "测量声音早或晚多少，并通过移动声音修正",
    ),
    "finish.lipsync.out": Text(
        "write the corrected video to this file; without it, only measure",
        "把修正后的视频写入此文件；不给则只测量",
    ),
    "finish.lipsync.max-correction": Text(
        "farthest that the sound is moved, in milliseconds, 0 to 500 (default: 50)",
        "声音最多移动多少毫秒，0 到 500（默认 50）",
    ),
    "farm": Text("many jobs on many cards", "在多张显卡上完成大量任务"),
    "farm.run": Text(
        "make the videos of a job file on several ComfyUI servers",
        "在多个 ComfyUI 服务器上制作任务文件中的视频",
    ),
    "farm.resume": Text("go on with a farm that was stopped", "继续已停止的农场"),
    "farm.status": Text("how far a farm is, and what has failed", "查看农场的进度与失败的任务"),
    "farm.cancel": Text("take what is left off the servers", "从服务器上移除剩余任务"),
    "run.jobs": Text(
        "a CSV or JSON file with the columns image and audio, or a folder with pictures and sounds of the same names",
        "含 image 与 audio 列的 CSV 或 JSON 文件，或图片与音频同名的文件夹",
    ),
    "run.out": Text(
        "folder of the videos and of the farm's journal, or s3://bucket/folder for the videos",
        "视频与农场日志所在的文件夹；或存放视频的 s3://bucket/folder",
    ),
    "run.journal": Text(
        "another database for the journal, such as postgresql://HOST/NAME; its password comes from the environment",
        "日志使用其他数据库，例如 postgresql://HOST/NAME；密码来自环境变量",
    ),
    "run.local": Text(
        "with the ComfyUI of this machine: the servers that run, else one that is started for each card (the default)",
        "使用本机的 ComfyUI：正在运行的服务器，没有则为每张显卡启动一个（默认）",
    ),
    "run.servers": Text("addresses of running ComfyUI servers", "正在运行的 ComfyUI 服务器地址"),
    "run.comfyui": Text("folder of a ComfyUI to start, once a card", "要启动的 ComfyUI 文件夹，每张显卡一个"),
    "run.comfyui-python": Text(
        "its Python (default: that of a venv in or next to it)",
        "它的 Python（默认为其中或旁边 venv 的 Python）",
    ),
    "run.comfyui-args": Text("further options for it, in quotes", "传给它的其他选项，加引号"),
    "run.packs": Text(
        "what it loads; needed: Sonic, this pack, and those that --comfyui-args names with --whitelist-custom-nodes; "
        "all: every pack (default: needed)",
        "它加载的节点包；needed：Sonic、本节点包，以及 --comfyui-args 中用 --whitelist-custom-nodes 指定的；all：全部"
        "（默认 needed）",
    ),
    "run.cards": Text(
        "numbers of the cards, such as 0,1 (default: all that NVML lists)",
        "显卡编号，例如 0,1（默认为 NVML 列出的全部）",
    ),
    "run.cpu-servers": Text("this many servers on the CPU instead", "改为在 CPU 上启动这么多服务器"),
    "run.scheduler": Text(
        "a running Dask scheduler, whose workers are bound to servers by SONIC_GUARD_SERVER",
        "正在运行的 Dask 调度器，其工作进程由 SONIC_GUARD_SERVER 绑定到服务器",
    ),
    "run.root": Text(
        "another folder, or s3://bucket/folder, below which the job file may name files; may be given several times",
        "任务文件可引用的其他文件夹或 s3://bucket/folder；可多次给出",
    ),
    "run.finish": Text(
        "what is done to the videos of jobs that do not say, on the CPU: none, fast, hd (default: none)",
        "对未指明的任务，在 CPU 上对视频做什么后期处理：none、fast、hd（默认 none）",
    ),
    "run.parts": Text(
        "auto: a video that takes longer than an even share is made in parts on several cards; off: on one (default: "
        "auto)",
        "auto：耗时超过平均份额的视频分段在多张显卡上制作；off：只用一张（默认 auto）",
    ),
    "run.cpu-workers": Text(
        "processes of this machine that join parts and finish videos (default: 1)",
        "本机用于合并分段与后期处理的进程数（默认 1）",
    ),
    "run.tls-ca": Text("PEM file of the cluster's authority, for tls://", "tls:// 所用集群 CA 的 PEM 文件"),
    "run.tls-cert": Text("PEM file of this client's certificate", "本客户端证书的 PEM 文件"),
    "run.tls-key": Text("PEM file of its key", "其密钥的 PEM 文件"),
    "run.checkpoint": Text("name of the SVD checkpoint on the servers", "服务器上 SVD 检查点的名称"),
    "run.sonic-unet": Text("name of Sonic's weights on the servers", "服务器上 Sonic 权重的名称"),
    "resume.out": Text(
        "where the farm's videos are: a folder, or s3://bucket/folder",
        "农场视频所在的位置：文件夹，或 s3://bucket/folder",
    ),
    "resume.retry": Text("also what has failed, was refused or cancelled", "同时重试失败、放不下或已取消的任务"),
    "farm.simulate": Text(
        "how long jobs of realistic lengths would take on mixed cards, with failures; needs none of them",
        "模拟：在多种显卡上完成长短各异的任务需要多久，包括故障；无需真实显卡",
    ),
    "simulate.cards": Text("cards of the farm (default: 1000)", "显卡数量（默认 1000）"),
    "simulate.jobs": Text("videos that are asked for (default: 100000)", "视频任务数量（默认 100000）"),
    "simulate.seed": Text(
        "of the random numbers; the same seed gives the same farm (default: 0)",
        "随机数种子；种子相同则结果相同（默认 0）",
    ),
    "simulate.calm": Text(
        "without failures, and with every run as long as predicted", "没有故障，每次运行都与预测一样长"
    ),
    "estimate": Text("the memory a run needs, stage by stage", "一次运行各阶段所需的显存"),
    "estimate.width": Text("width of the frames in pixels", "画面宽度（像素）"),
    "estimate.height": Text("height of the frames in pixels", "画面高度（像素）"),
    "estimate.duration": Text("seconds of sound", "音频秒数"),
    "estimate.min-resolution": Text("shorter side to scale to (default: as given)", "缩放后的短边（默认不缩放）"),
    "estimate.fps": Text("sets the window (default: 25)", "决定窗口长度（默认 25）"),
    "estimate.relative": Text("whose network runs (default: sonic)", "由谁的网络运行（默认 sonic）"),
    "estimate.dtype": Text("number format (default: fp16)", "数据类型（默认 fp16）"),
    "estimate.steps": Text("denoising steps (default: 25)", "去噪步数（默认 25）"),
    "estimate.no-interframe": Text("without frame interpolation", "不插帧"),
    "estimate.optimize": Text(
        "memory optimizations that are enabled: {names}, or {all}, as Sonic Talking Head runs with all of them "
        "(default: none, the stock wrapper)",
        "已启用的显存优化：{names}；{all} 表示“Sonic 数字人”启用全部优化（默认不启用，即原版 Sonic）",
    ),
    "estimate.weights": Text("Sonic's checkpoint: count its parameters", "Sonic 的权重文件：统计其参数量"),
    "trace": Text(
        "derive the model's constants from a Sonic checkout, without a GPU",
        "由 Sonic 的源码得出模型常数，无需显卡",
    ),
    "trace.comfyui": Text(
        "folder of ComfyUI (default: two levels above --sonic)",
        "ComfyUI 的文件夹（默认为 --sonic 的上两级）",
    ),
    "trace.out": Text("write the constants to this file", "把常数写入此文件"),
    "trace.check": Text(
        "only compare the shipped model with a few traced runs",
        "只把现有模型与几次形状追踪相比较",
    ),
    "measure": Text("measure the wrapper's classes on a CUDA card", "在 CUDA 显卡上实测 Sonic 封装"),
    "measure.out": Text("table to write or to continue", "要写入或续写的表"),
    "measure.squeeze": Text(
        "instead search the least memory under which each case ends",
        "改为查找每项能够完成的最小显存",
    ),
    "measure.limit": Text("seconds after which no case is begun", "超过此秒数后不再开始新的测量"),
    "measure.markdown": Text("also write the table as Markdown to this file", "另以 Markdown 写入此文件"),
    "measure.overhead": Text(
        "write the overhead the table shows, as memory/overhead.json",
        "写出表中得出的开销，格式同 memory/overhead.json",
    ),
    "history": Text("earlier runs, and the calibration of the next prediction", "以往的运行，以及对下次预测的校准"),
    "history.db": Text("file or database URL (default: SONIC_GUARD_DB)", "文件或数据库 URL（默认 SONIC_GUARD_DB）"),
    "history.card": Text("only the runs on this card, named as in the table", "只看此显卡上的运行，名称与表中相同"),
    "history.limit": Text(
        "only so many of the newest runs (default: 200 shown, all to --csv)",
        "只取最近的若干次（默认显示 200 次，--csv 为全部）",
    ),
    "history.csv": Text("write the runs to this file, for a spreadsheet", "把运行记录写入此表格文件"),
    "history.delete-card": Text(
        "delete all runs on this card, and show nothing",
        "删除此显卡上的全部运行记录，不显示表格",
    ),
}
"""By command and option; those of several commands by the option alone."""

# ---- the plan

STAGE = Text("stage", "阶段")
NEEDED = Text("needed", "需要")
OF_BUDGET = Text("of {budget}", "占 {budget}")
STOCK_COLUMN = Text("Sonic alone", "仅用 Sonic")
TENSORS = Text("tensors", "张量")
WITH_OVERHEAD = Text("with overhead", "含开销")
IF_ROOM = Text("{stage}: up to {most} if there is room.", "{stage}：显存充足时最多用到 {most}。")
STOCK_FITS = Text(
    "Sonic's own nodes alone, at {size} px: {peak} in {stage}. It fits, too.",
    "仅用 Sonic 自己的节点，{size} 像素：{stage}阶段 {peak}，也放得下。",
)
STOCK_SMALLER = Text(
    "Sonic's own nodes alone, at {size} px: {peak} in {stage}. On this card they would end at {smaller} px, {fps:g} "
    "fps.",
    "仅用 Sonic 自己的节点，{size} 像素：{stage}阶段 {peak}。在此显卡上只能做到 {smaller} 像素、每秒 {fps:g} 帧。",
)
STOCK_NEVER = Text(
    "Sonic's own nodes alone, at {size} px: {peak} in {stage}. They fit on this card at no size.",
    "仅用 Sonic 自己的节点，{size} 像素：{stage}阶段 {peak}。在此显卡上任何尺寸都放不下。",
)
WROTE_CHART = Text("Chart: {path}", "图表：{path}")
WROTE_WORKFLOW = Text(
    "Workflow: {path}. Put {image} and {audio} into ComfyUI's input folder, drag the workflow into ComfyUI, and run "
    "it.",
    "工作流：{path}。把 {image} 和 {audio} 放入 ComfyUI 的 input 文件夹，将工作流拖入 ComfyUI 并运行。",
)
NOT_AS_IT_IS = Text("Nothing fits, so the workflow will not run as it is.", "没有放得下的设置，该工作流无法直接运行。")

# ---- the chart

PLANNED = Text("planned, {size}", "方案，{size}")
STOCK_BAR = Text("Sonic alone, {size}", "仅用 Sonic，{size}")
REQUESTED = Text("requested, {size}", "所求，{size}")
OVERHEAD = Text("overhead", "开销")
ASSUMED = Text(" (partly assumed)", "（部分为假设）")
BUDGET = Text("budget {size}", "预算 {size}")
AXIS = Text("GiB of VRAM", "显存（GiB）")

# ---- an estimate

FRAMES = Text(
    "{size} px, {latent} latent frames → {frames} frames, window {window}, {dtype}",
    "{size} 像素，{latent} 个潜变量帧 → {frames} 帧，窗口 {window}，{dtype}",
)
PEAK = Text("peak {peak} in {stage}, overhead included", "峰值 {peak}（{stage}阶段，含开销）")
HOST_MEMORY = Text("host memory {size}", "内存 {size}")
ARTICLE = Text("(the article's formula: {size:.1f} GB)", "（文章公式：{size:.1f} GB）")

# ---- a check of the model

JOB = Text("job", "任务")
TRACED = Text("traced", "追踪")
MODEL = Text("model", "模型")
APART = Text("apart", "相差")
SQUEEZED = Text("the needs of {found} cases are known.", "已得出 {found} 项的最小需求。")
MEASURED = Text(
    "{measured} cases measured, {left} left, {given_up} given up.",
    "已测 {measured} 项，剩余 {left} 项，放弃 {given_up} 项。",
)

# ---- the history

STARTED = Text("started (UTC)", "开始（UTC）")
SIZE = Text("frames", "画面")
PREDICTED = Text("predicted", "预测")
ACTUAL = Text("actual", "实测")
OFF = Text("off", "误差")
OUTCOME = Text("outcome", "结果")
OUTCOMES: Mapping[Outcome, Text] = {
    Outcome.RUNNING: Text("running", "运行中"),
    Outcome.DONE: Text("done", "完成"),
    Outcome.OUT_OF_MEMORY: Text("out of memory", "显存不足"),
    Outcome.INTERRUPTED: Text("interrupted", "已取消"),
    Outcome.ERROR: Text("error", "出错"),
    Outcome.KILLED: Text("killed", "被终止"),
}
NO_LEASES = Text("No process uses leases.", "没有进程使用显存租约。")
CARD = Text("card", "显卡")
PROCESS = Text("process", "进程")
STATE = Text("state", "状态")
LEASED = Text("leased", "租用")
IN_USE = Text("in use", "已用")
WHAT = Text("what", "内容")
NO_RUNS = Text("No runs.", "没有运行记录。")
UNREADABLE = Text("{count} more cannot be read by this version.", "另有 {count} 条无法由此版本读取。")
OLDER = Text("Older runs are not shown; --limit shows more of them.", "未显示更早的运行；用 --limit 可显示更多。")
DELETED = Text("Runs deleted: {count}.", "已删除 {count} 次运行。")
NOT_CALIBRATED = Text("not calibrated yet; predictions are from the model only.", "尚未校准；预测仅来自模型。")
CALIBRATED = Text(
    "calibrated from {runs} jobs: median error {model:.1%} by the model only{corrected}{bound}.",
    "由 {runs} 项任务校准：仅用模型的误差中位数 {model:.1%}{corrected}{bound}。",
)
CORRECTED = Text(", {error:.1%} corrected", "，校准后 {error:.1%}")
UPPER_BOUND = Text(
    "; 95 of 100 runs stay below {factor:.2f} times the prediction (context apart)",
    "；100 次运行中有 95 次低于预测的 {factor:.2f} 倍（上下文另计）",
)
NO_UPPER_BOUND = Text("; no upper bound yet", "；尚无上界")

# ---- errors of the command line itself

UNKNOWN_OPTIMIZATION = Text(
    "--optimize: unknown {unknown}; known are {known}.",
    "--optimize：未知的 {unknown}；可用的有 {known}。",
)
UNKNOWN_ASPECT = Text(
    "--aspect: there is no {aspect}; choose one of {known}.",
    "--aspect：没有 {aspect}；请选择 {known} 之一。",
)
NO_PRESET_DIR = Text("--preset-dir: there is no folder {folder}.", "--preset-dir：没有文件夹 {folder}。")
NO_BF16 = Text(
    "--dtype: this pack's own code computes latents in fp16, whatever its network does. Choose fp16 or fp32.",
    "--dtype：该节点包自身的代码以 fp16 计算潜变量，与网络的格式无关。请选择 fp16 或 fp32。",
)
WRONG_LIMIT = Text(
    "--limit: expected 1 to {most} runs, got {limit}.",
    "--limit：应为 1 到 {most} 次，得到的是 {limit}。",
)
NO_TRACING = Text(
    "this copy of the pack has no tracing tools; use a clone of its repository.",
    "此节点包不含追踪工具；请使用其仓库的克隆。",
)
NO_DATABASE = Text(
    "history: needs SQLAlchemy and Alembic, which ComfyUI brings: {error}.",
    "history：需要 ComfyUI 自带的 SQLAlchemy 与 Alembic：{error}。",
)
STOPPED = Text("stopped.", "已停止。")
STOPPED_FINISH = Text(
    "stopped. The same command goes on with what is done so far.", "已停止。再次运行同样的命令，会从已完成的部分继续。"
)
NO_OUTPUT = Text("output: {error}.", "输出：{error}。")
NO_TEXT_NAME = Text(
    "{path}: it would name a file whose name is no text. Rename that file.",
    "{path}：其中的文件名不是文本。请重命名该文件。",
)

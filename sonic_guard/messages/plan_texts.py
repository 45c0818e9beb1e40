"""Texts about a plan: verdicts, reasons for changes, report lines, hard limits and assumptions."""

from collections.abc import Mapping

from ..memory.hard_limits import LimitKind
from ..optimizations import NAMES, Text
from ..planning.capacity import Verdict
from .catalogue import Counted

# ---- words

ON = Text("on", "开")
OFF = Text("off", "关")
SEMICOLON = Text("; ", "；")

FRAME_COUNT = Counted(Text("{number} frame", "{number} 帧"), Text("{number} frames", "{number} 帧"))
STEP_COUNT = Counted(Text("{number} step", "{number} 步"), Text("{number} steps", "{number} 步"))

VERDICTS: Mapping[Verdict, Text] = {
    Verdict.SAFE: Text("Fits", "放得下"),
    Verdict.TIGHT: Text("Tight", "显存紧张"),
    Verdict.FAIL: Text("Will run out of memory", "显存会不足"),
}

STAGES: Mapping[str, Text] = {
    "load": Text("load", "加载"),
    "predata": Text("predata", "预处理"),
    "denoise": Text("denoise", "去噪"),
    "decode": Text("decode", "解码"),
    "interpolate": Text("interpolate", "插帧"),
}

WILL_FAIL_AT_LIMIT = Text("Will fail at a hard limit", "会因硬性限制而失败")
"""Instead of a verdict, where a hard limit is all that stops the run."""

UNKNOWN = Text("Not known yet", "尚无法判断")
"""Instead of a verdict, where it would rest on a picture, a sound or a setting that is not known."""


# ---- verdict and headroom

HEADLINE = Text("{verdict}: {headroom}", "{verdict}：{headroom}")
DECISIVE_STAGE = Text("{stage}, {headroom}", "{stage}阶段，{headroom}")
HEADROOM = Text("{size} headroom", "余量 {size}")
INTO_RESERVE = Text("{size} of the reserve used", "占用预留 {size}")
OVER_BUDGET = Text("{size} over budget", "超出预算 {size}")
SHORT_OF_HOST_RAM = Text("; the frames do not fit into host memory (RAM)", "；内存放不下全部画面")

# ---- reasons for a change; those of the optimizations are in `OPTIMIZATIONS`

REASONS: Mapping[str, Text] = {
    "dtype": Text(
        "Half precision needs half the memory of fp32. The difference is not visible.",
        "半精度所需显存为 fp32 的一半，肉眼看不出差别。",
    ),
    "split": Text(
        "The whole audio needs more memory than the budget. Parts of this length fit.",
        "整段音频所需显存超出预算；按此长度分段后，每段都放得下。",
    ),
    "interpolate": Text(
        "Frame interpolation needs the whole clip on the GPU. Without it the video has 12.5 fps.",
        "插帧时整段视频都在显存中；关闭后视频为每秒 12.5 帧。",
    ),
    "min_resolution": Text(
        "The largest resolution that fits. Memory grows with width × height.",
        "放得下的最大分辨率。显存随宽 × 高增长。",
    ),
    "steps": Text(
        "Set by the policy “article”. Steps change the run time, not the memory.",
        "由 article 策略设定。步数只影响时间，不影响显存。",
    ),
}

OPTIMIZATION_NAMES = NAMES

CHANGE = Text(
    "{name}: {before} → {after} ({stage} {old} → {new}). {why}",
    "{name}：{before} → {after}（{stage} {old} → {new}）。{why}",
)

LOSSES: Mapping[str, Text] = {
    "min_resolution": Text("Made smaller: {before} → {after} px", "画面已缩小：{before} → {after} 像素"),
    "interpolate": Text("Half the frame rate", "帧率减半"),
}
"""Changes that a viewer of the video sees, instead of a verdict."""

CLEARS_LIMIT = Text(" It clears a hard limit: {limits}.", "可避开硬性限制：{limits}。")

# ---- where nothing fits

REFUSAL = Text(
    "{headline}. No change of settings makes it fit on {card}. {advice}",
    "{headline}。在 {card} 上没有可行的设置。{advice}",
)
AUDIO_TOO_SHORT = Text(
    "{headline}. No other setting helps: add silence to the audio, as Preflight does.",
    "{headline}。更改其他设置无法解决：请给音频补静音（“预检”会自动完成）。",
)
UNCHANGED = Text(
    "{headline} on {card}. No setting was changed. Set on_risk to “downgrade” to search for settings that fit.",
    "{headline}（{card}）。未改动任何设置。将 on_risk 设为 downgrade 可自动寻找放得下的设置。",
)
ARTICLE_EXHAUSTED = Text(
    "{headline} on {card}. The policy “article” has no further changes. “lossless_first” tries more.",
    "{headline}（{card}）。article 策略没有更多可改的设置。lossless_first 策略会尝试更多。",
)
RESCUE = Text(
    "The optimizations of Sonic Low VRAM, or mode “auto” of Sonic Talking Head, make it fit: {size} px, {fps:g} fps, "
    "{dtype}.",
    "启用“Sonic 低显存”的优化，或将“Sonic 数字人”的 mode 设为 auto 后放得下：{size} 像素，每秒 {fps:g} 帧，{dtype}。",
)
ATTEMPT = Text(
    "The closest that was tried: {size} px, {fps:g} fps, {dtype}, peak {peak}.",
    "最接近的尝试：{size} 像素，每秒 {fps:g} 帧，{dtype}，峰值 {peak}。",
)
SMALLEST_CARD = Text(
    "The smallest common card on which it fits is the {card}.", "常见显卡中，放得下的最小一款是 {card}。"
)
NO_GPU = Text("CPU (no GPU found)", "CPU（未检测到 GPU）")
NO_CARD = Text("It fits on no common card.", "常见显卡都放不下。")
LONGEST_AUDIO = Text(" Up to {minutes:.1f} min of audio would fit.", " 音频不超过 {minutes:.1f} 分钟时可以放下。")

# ---- the report

FRAMES = Text(
    "{size} px, {sound:.2f} s of audio → {frames} at {fps:g} fps ({seconds:.2f} s), {steps}, {dtype}",
    "{size} 像素，音频 {sound:.2f} 秒 → {frames}，每秒 {fps:g} 帧（{seconds:.2f} 秒），{steps}，{dtype}",
)
FACE = Text(
    "face {ratio:.0%} of the image's side → expand_ratio {margin:g}, crop {width}×{height}",
    "人脸占图片边长的 {ratio:.0%} → expand_ratio {margin:g}，裁剪 {width}×{height}",
)
BUDGET = Text(
    "budget {budget} on {card}, predicted peak {peak} with overhead",
    "预算 {budget}（{card}），预测峰值 {peak}（含开销）",
)
STAGE = Text("{stage}: {size}", "{stage}：{size}")
STAGE_UPTO = Text("{stage}: {size}, up to {most} if there is room", "{stage}：{size}，显存有余时可达 {most}")
STOCK = Text("no memory optimization: stock Sonic", "未启用显存优化：原版 Sonic")
ENABLED = Text("enabled: {enabled}", "已启用：{enabled}")
NONE_ENABLED = Text("enabled: none; available: {available}", "未启用；可用：{available}")
PARTS = Text("in {parts} parts", "分 {parts} 段")
FRAME = Text(
    "{size} · {frames} · {seconds:.2f} s · {dtype} · {steps}",
    "{size} · {frames} · {seconds:.2f} 秒 · {dtype} · {steps}",
)

PREVIEW = Text("Preview: {frames}", "预览：{frames}")
CROP = Text("{picture} px picture, {video} px video", "图片 {picture} 像素，视频 {video} 像素")

# ---- notes

SMALL_CROP = Text(
    "The crop has fewer pixels than the video and is enlarged. A larger image gives a sharper video.",
    "裁剪部分的像素少于视频，将被放大。换用更大的图片会更清晰。",
)
WITH_LOW_VRAM = Text(
    "With Sonic Low VRAM in the graph these settings would fit: {size} px, {fps:g} fps, {dtype}.",
    "在工作流中加入“Sonic 低显存”后放得下的设置：{size} 像素，每秒 {fps:g} 帧，{dtype}。",
)
PADDED = Text(
    "The audio has {sound:.2f} s, and Sonic needs {least:.2f} s. Silence was added.",
    "音频只有 {sound:.2f} 秒，而 Sonic 至少需要 {least:.2f} 秒，已补静音。",
)
WINDOW_FPS = Text(
    "fps sets the window length, not the playback speed: play the video at {fps:g} fps.",
    "fps 只决定窗口长度，不决定播放速度：请以每秒 {fps:g} 帧播放。",
)
OVERHEAD = Text(
    "Of the overhead, {share:.0%} of the tensors for what the allocator cannot reuse is an assumption; the rest was "
    "measured on an H200.",
    "开销中，分配器无法重用的部分（张量的 {share:.0%}）为假设值，其余在 H200 上实测。",
)

# ---- what a preview has to assume

ASSUMPTIONS: Mapping[str, Text] = {
    "picture": Text("a square picture is assumed", "按正方形图片计算"),
    "sound": Text("{value} s of audio are assumed", "音频按 {value} 秒计算"),
    "face": Text(
        "face unknown: a face in the center of the image is assumed",
        "人脸位置未知：按人脸位于图片中央计算",
    ),
    "no face": Text(
        "no face is found in the image: SONIC_PreData will probably stop the run",
        "图片中未找到人脸：SONIC_PreData 很可能会中止运行",
    ),
    "short": Text(
        "the audio has {value} s, and Sonic needs {least:.2f} s: silence is added",
        "音频只有 {value} 秒，而 Sonic 至少需要 {least:.2f} 秒：将补静音",
    ),
    "claimed": Text(
        "the audio is too long to be decoded for a preview: {value} s are assumed, as its header says",
        "音频过长，预览时不解码：按文件头所示的 {value} 秒计算",
    ),
    "silence": Text(
        "silence is not trimmed in this preview: the audio is too long, or not from a file",
        "此预览未切除静音：音频过长，或并非来自文件",
    ),
    "value": Text("{value} is assumed for {name}", "{name} 按 {value} 计算"),
    "default": Text("{name} is not set: its default {value} is assumed", "{name} 未设置：按默认值 {value} 计算"),
}
"""Part of a sentence."""
ASSUMED_BECAUSE = Text("{why}: {assumption}", "{why}：{assumption}")
CAUSES: Mapping[str, Text] = {
    "run": Text("it is known only when the graph runs", "运行时才能确定"),
    "node": Text("the node {source} is not known", "不认识节点 {source}"),
    "beyond": Text("the graph is too large to be sent as a whole", "工作流过大，未能全部发送"),
    "nothing": Text("nothing is connected", "没有连接"),
    "nothing picture": Text("no picture is chosen yet", "尚未选择图片"),
    "nothing sound": Text("no sound is chosen yet", "尚未选择音频"),
    "lost": Text("there is no file {source} in the input folder", "输入文件夹中没有文件 {source}"),
    "outside": Text(
        "{source} is outside the input folder and is not read beforehand", "{source} 不在输入文件夹中，无法预先读取"
    ),
}
"""Why a value is not known before the run; the first part of a sentence. Some have a text for a kind of value."""

# ---- where a prediction comes from

RISK_MODEL = Text("from the model alone", "仅依据模型")
RISK_FEW_RUNS = Counted(
    Text("from the model and {number} run on this card", "依据模型与此显卡上的 {number} 次运行"),
    Text("from the model and {number} runs on this card", "依据模型与此显卡上的 {number} 次运行"),
)
RISK_KNOWN = Counted(
    Text(
        "risk {percent:.3g} %, from {number} run on this card", "风险 {percent:.3g} %，依据此显卡上的 {number} 次运行"
    ),
    Text(
        "risk {percent:.3g} %, from {number} runs on this card", "风险 {percent:.3g} %，依据此显卡上的 {number} 次运行"
    ),
)

# ---- hard limits

LIMIT_NAMES: Mapping[LimitKind, Text] = {
    LimitKind.SHORT_SOUND: Text(
        "the audio has {figure:.2f} s, less than {least:.2f} s",
        "音频仅 {figure:.2f} 秒，少于 {least:.2f} 秒",
    ),
    LimitKind.ATTENTION_BATCH: Text(
        "the attention batch is {figure:,}, more than {most:,}",
        "注意力批量为 {figure:,}，超过 {most:,}",
    ),
    LimitKind.MPS_INDEX: Text(
        "an attention layer has {figure:,} scores, more than 2**31",
        "单个注意力层有 {figure:,} 个分数，超过 2**31",
    ),
}
"""Part of a sentence."""

LIMITS: Mapping[LimitKind, Text] = {
    LimitKind.SHORT_SOUND: Text(
        "Audio too short: {figure:.2f} s; the Sonic wrapper needs at least {least:.2f} s, and stops with “mat1 and "
        "mat2 shapes cannot be multiplied” otherwise. Add silence; Preflight does it.",
        "音频过短：{figure:.2f} 秒；Sonic 封装至少需要 {least:.2f} 秒，否则会以 “mat1 and mat2 shapes cannot be "
        "multiplied” 中止。请补静音（“预检”会自动完成）。",
    ),
    LimitKind.ATTENTION_BATCH: Text(
        "Attention batch too large: temporal attention runs with batch {figure:,}, more than {most:,}; CUDA stops with "
        "“invalid argument” or “invalid configuration argument” (seen on an H200). Use a smaller "
        "min_resolution{cleared_by}.",
        "注意力批量过大：时间注意力的批量为 {figure:,}，超过 {most:,}；CUDA 会以 “invalid argument” 或 “invalid "
        "configuration argument” 中止（已在 H200 上证实）。请减小 min_resolution{cleared_by}。",
    ),
    LimitKind.MPS_INDEX: Text(
        "MPS index range exceeded: spatial attention makes {figure:,} scores, more than 2**31; Apple GPUs stop with "
        "“Can't be indexed using 32-bit iterator” (not yet confirmed on a Mac). Use a smaller min_resolution or "
        "fps{cleared_by}.",
        "超出 MPS 索引范围：空间注意力产生 {figure:,} 个分数，超过 2**31；Apple 显卡会以 “Can't be indexed using "
        "32-bit iterator” 中止（尚未在 Mac 上证实）。请减小 min_resolution 或 fps{cleared_by}。",
    ),
}
"""What is exceeded, and what to do about it."""
CLEARED_BY = Text(", or enable {optimizations}", "，或启用 {optimizations}")

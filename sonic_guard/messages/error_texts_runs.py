"""Errors of files, weights, Sonic's wrapper, long videos and the history; see `error_messages`."""

from ..optimizations import Text

PLAIN_FILES = (
    Text("there is no such file. Check the path.", "没有这个文件。请检查路径。"),
    Text("this is a link that leads in a circle. Choose the file itself.", "这是循环的链接。请直接选择文件。"),
    Text(
        "this is a link to a file that is not there. Choose the file itself.", "链接指向的文件不存在。请直接选择文件。"
    ),
    Text("no file has so long a name. Check the path.", "文件名过长。请检查路径。"),
    Text("this is not the name of a file. Check the path.", "这不是有效的文件名。请检查路径。"),
    Text(
        "it may not be read. Change its permissions, or those of its folder.",
        "没有读取权限。请更改文件或其文件夹的权限。",
    ),
    Text("cannot be read ({why}).", "无法读取（{why}）。"),
    Text("this is a folder, not {what}.", "这是文件夹，不是{what}。"),
    Text("a pipe cannot be read twice: save it to a file.", "管道无法读取两次：请先保存为文件。"),
    Text("this is a socket, not {what}.", "这是套接字，不是{what}。"),
    Text("this is a device, not {what}.", "这是设备，不是{what}。"),
    Text("a picture", "图片"),
    Text("a sound file", "音频文件"),
    Text("a video", "视频"),
    Text("a preset", "预设"),
    Text("a checkpoint", "模型权重"),
    Text("a settings file", "设置文件"),
)

WRITTEN_FILES = (
    Text(
        "there is a file of that name. Choose another name, or move the file away.",
        "已有同名文件。请换一个名称，或移走该文件。",
    ),
    Text(
        "there is no space left on this disk. Free some, or choose a folder on another one, and run again.",
        "磁盘空间不足。请腾出空间，或选择其他磁盘上的文件夹，然后重新运行。",
    ),
    Text(
        "the folder or the file is write-protected. Choose another folder, or change its permissions.",
        "文件夹或文件不可写。请选择其他文件夹，或更改权限。",
    ),
    Text("there is no folder {name}. Create it, or choose another.", "没有文件夹 {name}。请创建，或另选一个。"),
    Text(
        "could not be written ({why}). Try another folder or format.",
        "无法写入（{why}）。请换一个文件夹或格式。",
    ),
    Text(
        "{prefix} names no file in ComfyUI's output folder that can be written; ComfyUI's log says why. Use one such "
        "as video/sonic.",
        "{prefix} 不是 ComfyUI 输出文件夹中可写入的文件名；原因见 ComfyUI 日志。请使用 video/sonic 这样的名称。",
    ),
)

WEIGHTS = (
    Text("Download it again.", "请重新下载。"),
    Text("Choose the file with the weights.", "请选择含有权重的文件。"),
    Text("Choose the checkpoint.", "请选择模型权重文件。"),
    Text("Load it in torch and save it again.", "请用 torch 加载后重新保存。"),
    Text(
        "If it is an older checkpoint, load it in torch and save it again.",
        "如果是旧版权重，请用 torch 加载后重新保存。",
    ),
    Text("its header claims {bytes} bytes.", "文件头声称有 {bytes} 字节。"),
    Text("it is cut off inside its header.", "文件头不完整。"),
    Text("its header is not a list of tensors.", "文件头不是张量列表。"),
    Text(
        "its header describes {described} bytes of data, and there are {present}.",
        "文件头描述了 {described} 字节数据，实际有 {present} 字节。",
    ),
    Text("its tensors overlap, or leave gaps.", "张量之间有重叠或空隙。"),
    Text("{dtype} is an unknown number format.", "{dtype} 是未知的数值格式。"),
    Text("the shape of a tensor is not that of its {bytes} bytes.", "有张量的形状与其 {bytes} 字节不符。"),
    Text("it is a zip with two members of one name.", "zip 中有两个同名成员。"),
    Text("it is a zip that is cut off.", "zip 不完整。"),
    Text("it is a zip that is cut off or broken ({why}).", "zip 不完整或已损坏（{why}）。"),
    Text("it is a zip whose members overlap.", "zip 的成员相互重叠。"),
    Text("it is a zip, but not one that torch.save wrote.", "这是 zip，但不是由 torch.save 写入的。"),
    Text("it is a compressed zip.", "这是压缩过的 zip。"),
    Text("its description claims {bytes} bytes.", "张量描述声称有 {bytes} 字节。"),
    Text("the description of its tensors makes no sense ({why}).", "张量描述无法解析（{why}）。"),
    Text("storage {key} should have {bytes} bytes.", "存储 {key} 应有 {bytes} 字节。"),
    Text("there are no tensors in it.", "其中没有张量。"),
    Text(
        "is neither safetensors nor a checkpoint of torch 1.6 or later.",
        "既不是 safetensors，也不是 torch 1.6 及以后版本的权重。",
    ),
)

WRAPPER = (
    Text(
        "The node pack {pack} is installed, but ComfyUI could not import it: {reason}. With ComfyUI's Python, install "
        "or update the package that is at fault ({folder}/requirements.txt names those it needs), and restart ComfyUI.",
        "节点包 {pack} 已安装，但 ComfyUI 无法导入：{reason}。请用 ComfyUI 的 Python 安装或更新出错的包（所需的包见 "
        "{folder}/requirements.txt），然后重启 ComfyUI。",
    ),
    Text("ComfyUI's log says why, where it starts", "原因见 ComfyUI 日志的启动部分"),
    Text(
        "Sonic's node {name} is missing. Install the node pack ComfyUI_Sonic (ComfyUI Manager finds it), look for its "
        "errors where ComfyUI starts, and restart ComfyUI.",
        "缺少 Sonic 的节点 {name}。请安装节点包 ComfyUI_Sonic（可在 ComfyUI Manager 中找到），查看 ComfyUI 启动时它的"
        "报错，然后重启 ComfyUI。",
    ),
    Text(
        "Sonic's node {name} is not a node as the known ComfyUI_Sonic has it. {advice}",
        "Sonic 的节点 {name} 与已知的 ComfyUI_Sonic 不同。{advice}",
    ),
    Text("Sonic's node {name} has no {missing} any more. {advice}", "Sonic 的节点 {name} 已没有 {missing}。{advice}"),
    Text(
        "Update this pack, or report it with the version of ComfyUI_Sonic.",
        "请更新本节点包，或反馈问题并注明 ComfyUI_Sonic 的版本。",
    ),
    Text(
        "this file of Sonic's cannot be read ({why}). Check its permissions.",
        "无法读取 Sonic 的这个文件（{why}）。请检查权限。",
    ),
    Text(
        "frames of {width}×{height} are not what the known wrapper makes.",
        "已知的封装不会生成 {width}×{height} 的画面。",
    ),
    Text(
        "this wrapper's objects have another shape than the known ones ({why}).",
        "此封装的对象结构与已知的不同（{why}）。",
    ),
    Text(
        "the model on `model` is not that of a Sonic wrapper known here ({reason}). Connect the model of SONICTLoader; "
        "if it is connected, report the wrapper's version.",
        "`model` 上的模型不属于已知的 Sonic 封装（{reason}）。请连接 SONICTLoader 的模型；若已连接，请反馈封装的版本。",
    ),
    Text(
        "what {title} needs is not predicted yet. Sonic Low VRAM runs it with every memory optimization.",
        "暂不预测 {title} 的显存需求。“Sonic 低显存”会以全部显存优化运行它。",
    ),
    Text("it has no {name}", "它没有 {name}"),
    Text("its pipeline has no {name}", "它的 pipeline 没有 {name}"),
    Text("its RIFE has no inference()", "它的 RIFE 没有 inference()"),
    Text("its process() takes no {names}", "它的 process() 没有参数 {names}"),
    Text("its pipeline takes no {names}", "它的 pipeline 没有参数 {names}"),
    Text(
        "this Sonic wrapper does not support {optimizations} with its network or on this device. Switch it off, and "
        "report the wrapper's version.",
        "此 Sonic 封装的网络或当前设备不支持 {optimizations}。请将其关闭，并反馈封装的版本。",
    ),
    Text(
        "a small network of this Sonic wrapper could not be tested ({why}). Take Sonic Low VRAM out of the graph, and "
        "report the wrapper's version.",
        "无法测试此 Sonic 封装的小型网络（{why}）。请从工作流中移除“Sonic 低显存”，并反馈封装的版本。",
    ),
    Text(
        "{decoded} latent frames were decoded, not {expected}; this Sonic wrapper decodes in a way that is not known "
        "here. Update this pack, or report it with the wrapper's version; Sonic Low VRAM does not need this if "
        "streaming_decode is off.",
        "解码了 {decoded} 个潜变量帧，应为 {expected} 个；此 Sonic 封装的解码方式未知。请更新本节点包，或反馈问题并"
        "注明封装的版本；关闭 streaming_decode 后，“Sonic 低显存”不受影响。",
    ),
)

RUNS = (
    Text(
        "Sonic made {made} frames from {latent} latent ones; {expected} were expected. Its node pack may have changed: "
        "update this pack, or report it with the pack's version.",
        "Sonic 由 {latent} 个潜变量帧生成了 {made} 帧，应为 {expected} 帧。它的节点包可能有变动：请更新本节点包，或"
        "反馈问题并注明该节点包的版本。",
    ),
    Text(
        "Sonic's network made NaN while denoising, in {dtype}. {advice}",
        "Sonic 的网络在去噪时产生 NaN（{dtype}）。{advice}",
    ),
    Text("Load Sonic with dtype bf16 or fp32.", "请以 bf16 或 fp32 加载 Sonic。"),
    Text("Check its weights.", "请检查权重。"),
    Text(
        "The GPU ran out of memory in part {part} of {parts}, with every memory optimization enabled.{kept} Close "
        "other programs that use the GPU and run again. If that does not help, {ways}. ({why})",
        "第 {part} 段（共 {parts} 段）显存不足，此时所有显存优化都已启用。{kept}请关闭其他占用 GPU 的程序后重新运行。"
        "若仍不足：{ways}。（{why}）",
    ),
    Text(" The {count} before it are kept and not made again.", "之前的 {count} 段已保留，不会重新生成。"),
    Text("lower min_resolution", "减小 min_resolution"),
    Text("lower min_resolution, or {others}", "减小 min_resolution，或{others}"),
    Text("choose parts shorter than {seconds} s", "将分段缩短到 {seconds} 秒以内"),
    Text(
        "the finished file had {frames} frames and {sound} s of sound, but {expected} frames, {seconds} s, were "
        "expected. The parts may have been changed meanwhile. The file is removed and the parts are kept: run again, "
        "and damaged parts are made again.",
        "完成的文件有 {frames} 帧画面、{sound} 秒音频，应为 {expected} 帧、{seconds} 秒。分段可能在此期间被改动。该文件"
        "已删除，分段仍保留：重新运行即可，损坏的分段会重新生成。",
    ),
    Text(
        "another run is making the same video right now, in this ComfyUI or another one. Wait until it is finished, or "
        "cancel it there and run again: finished parts are kept. For another version of the video change the seed.",
        "另一个运行正在生成同一个视频（在本 ComfyUI 或另一个中）。请等它完成，或在那里取消后重新运行："
        "已完成的分段会保留。若要另一个版本的视频，请更改种子。",
    ),
    Text(
        "another run is making a video of this name right now. Choose another name, or wait for it.",
        "另一个运行正在生成同名的视频。请换一个名称，或等它完成。",
    ),
    Text(
        "a ComfyUI that makes a long video hangs. Close that one.",
        "有一个正在生成视频的 ComfyUI 没有响应。请关闭它。",
    ),
    Text("in use", "正在使用"),
    Text("a run is using it", "有运行正在使用"),
    Text("what has this name is no folder. Move it away, and run again.", "同名的不是文件夹。请移走后重新运行。"),
    Text("it has changed since it was written.", "写入后被改动过。"),
    Text("it has changed since it was written, and is removed. Run again.", "写入后被改动过，已删除。请重新运行。"),
)

HISTORY = (
    Text("{name} is being changed by another program. Try again.", "{name} 正被另一个程序改动。请重试。"),
    Text("{name} names no file.", "{name} 不是文件名。"),
    Text("there is no file {name}.", "没有文件 {name}。"),
    Text("{name} holds no history of runs.", "{name} 中没有运行历史。"),
    Text("its lock, {lock}, cannot be taken: {why}", "无法取得它的锁 {lock}：{why}"),
    Text("Another program holds it. Close that, or try again.", "另一个程序正在占用。请关闭该程序，或重试。"),
    Text("database is locked.", "数据库被占用。"),
    Text("database or disk is full.", "数据库或磁盘已满。"),
    Text("disk I/O error.", "磁盘读写错误。"),
    Text("attempt to write a readonly database.", "数据库为只读。"),
    Text("unable to open database file.", "无法打开数据库文件。"),
    Text("file is not a database.", "文件不是数据库。"),
    Text("The disk is full. Free some space.", "磁盘已满。请腾出空间。"),
    Text("Its disk is full or failing.", "磁盘已满或有故障。"),
    Text(
        "Make it and its folder writable, or name another location ({variable}).",
        "请使文件及其文件夹可写，或指定其他位置（{variable}）。",
    ),
    Text(
        "what names the database is not a URL as SQLAlchemy reads it.",
        "数据库的位置不是 SQLAlchemy 可识别的 URL。",
    ),
    Text("{name} needs a driver that is not installed: {why}.", "{name} 所需的驱动未安装：{why}。"),
    Text(
        "which one? Name its file, user/sonic_guard/history.db in ComfyUI's folder, or set {variable}.",
        "未指定运行历史。请指定文件（ComfyUI 目录下的 user/sonic_guard/history.db），或设置 {variable}。",
    ),
    Text(
        "this database (revision {revision}) is from a newer version of Sonic Guard. Update the pack, or keep this "
        "version's history elsewhere (SONIC_GUARD_DB).",
        "此数据库（修订 {revision}）来自更新版本的 Sonic Guard。请更新节点包，或将本版本的历史存到"
        "别处（SONIC_GUARD_DB）。",
    ),
    Text("the database's table {table} is damaged: {why}.", "数据库的表 {table} 已损坏：{why}。"),
    Text(
        "needs SQLAlchemy and alembic, which come with ComfyUI: {why}.",
        "需要 ComfyUI 自带的 SQLAlchemy 和 alembic：{why}。",
    ),
    Text(
        "needs SQLAlchemy and Alembic, which ComfyUI brings: {why}.",
        "需要 ComfyUI 自带的 SQLAlchemy 和 Alembic：{why}。",
    ),
)

LEASES = (
    Text(
        "this folder is another user's. Set {variable} to a folder of your own.",
        "此文件夹属于其他用户。请把 {variable} 设为您自己的文件夹。",
    ),
    Text(
        "another process has held the ledger of leases for {seconds} s. It hangs: end it.",
        "另一个进程占用显存租约账本已达 {seconds} 秒。它已停止响应，请结束该进程。",
    ),
    Text("the ledger of leases cannot be used: {why}", "显存租约账本无法使用：{why}"),
    Text(
        "the run needs {needed} GiB of {usable} GiB. Choose a smaller size.",
        "运行需要 {needed} GiB，可用 {usable} GiB。请选择较小的尺寸。",
    ),
    Text(
        "{runs} other runs and {foreign} GiB of other programs have left no room for {seconds} s. Run again later, or "
        "close them.",
        "{runs} 个其他运行与其他程序占用的 {foreign} GiB 使显存不足已达 {seconds} 秒。请稍后再运行，或关闭它们。",
    ),
)

ERRORS = (*PLAIN_FILES, *WRITTEN_FILES, *WEIGHTS, *WRAPPER, *RUNS, *HISTORY, *LEASES)

"""Errors of a farm that runs: its job file, journal, servers and cluster; see `error_messages`."""

from ..optimizations import Text

JOB_FILE = (
    Text("there is no job in it.", "其中没有任务。"),
    Text("a job file has at most {most} MiB.", "任务文件最大为 {most} MiB。"),
    Text("{count} jobs are more than {most}.", "{count} 个任务，超过 {most} 个。"),
    Text("this is no text: it has a zero byte.", "这不是文本：含有零字节。"),
    Text("this is no text in UTF-8 (byte {byte}).", "这不是 UTF-8 文本（第 {byte} 字节）。"),
    Text("Save it in UTF-8.", "请以 UTF-8 保存。"),
    Text("the first line names the columns, and {names} is missing.", "首行应为列名，缺少 {names}。"),
    Text("there are two columns {name}.", "有两列都叫 {name}。"),
    Text(
        'expected a list of objects, or {{"jobs": [objects]}}.',
        '应为对象的列表，或 {{"jobs": [对象]}}。',
    ),
    Text("this is no CSV ({why}).", "这不是 CSV（{why}）。"),
    Text("{count} cells are more than columns.", "有 {count} 个单元格，多于列数。"),
    Text("this is no JSON ({why}).", "这不是 JSON（{why}）。"),
    Text("{name} has {count} picture of its name beside it.", "{name} 旁边同名图片的数量为 {count}，应为一张。"),
    Text("a file's name is missing.", "缺少文件名。"),
    Text("a name of {length} characters is not one of a file.", "{length} 个字符的名称不是文件名。"),
    Text("{name} is a URL.", "{name} 是网址。"),
    Text("Nothing is fetched: copy the file beside the job file.", "不会下载任何内容：请将文件复制到任务文件旁边。"),
    Text("{name} is not a file below the job file's folder.", "{name} 不是任务文件所在文件夹之下的文件。"),
    Text("{name} leads out of its folder.", "{name} 指向其文件夹之外。"),
    Text("{name} has {size} bytes; 1 to {most} are taken.", "{name} 有 {size} 字节；只接受 1 到 {most} 字节。"),
)
SETTINGS = (
    Text("no such setting.", "没有这个设置。"),
    Text("Known: {names}.", "可用的有：{names}。"),
    Text("{name} is no name of 1 to {most} characters.", "{name} 不是 1 到 {most} 个字符的名称。"),
    Text("{name} is no plain file name.", "{name} 不是普通的文件名。"),
    Text("Use letters, digits, spaces, _ and -.", "请使用字母、数字、空格、_ 和 -。"),
    Text("{name} is used by another job.", "{name} 已被其他任务使用。"),
    Text("{name} is another job's in this folder.", "{name} 是此文件夹中其他任务的名称。"),
    Text("Choose another name or folder.", "请选择其他名称或文件夹。"),
    Text("expected {kind} from {low} to {high}, got {value}.", "应为 {low} 到 {high} 的 {kind}，实际为 {value}。"),
    Text("expected a number from 0 to {high}, got {value}.", "应为 0 到 {high} 的数值，实际为 {value}。"),
    Text("a whole number", "整数"),
    Text("this job was planned by another version of this pack.", "此任务由本节点包的其他版本规划。"),
    Text("Start the farm again.", "请重新启动农场。"),
    Text("Start it again.", "请重新启动。"),
    Text("the file has been changed since the farm began.", "农场开始后该文件已被修改。"),
)
JOURNAL = (
    Text("another client has just taken this farm over.", "另一个客户端刚刚接管了此农场。"),
    Text("there is no farm of that name in it.", "其中没有该名称的农场。"),
    Text("there is no farm in this folder.", "此文件夹中没有农场。"),
    Text("Begin one with `sonic-guard farm run`.", "请用 `sonic-guard farm run` 开始。"),
    Text(
        "it is of version {version}, and this pack writes version {own}.",
        "其版本为 {version}，而本节点包写入版本 {own}。",
    ),
    Text("another client has taken this farm over; this one ends.", "另一个客户端已接管此农场；本客户端退出。"),
    Text("task {task} is not {states}.", "任务 {task} 的状态不是 {states}。"),
    Text("the database needs a driver that is not installed: {why}.", "数据库需要未安装的驱动：{why}。"),
    Text(
        "another client drives this farm (process {pid} on {machine}).",
        "另一个客户端正在运行此农场（{machine} 上的进程 {pid}）。",
    ),
    Text("the database cannot be used ({why}).", "数据库无法使用（{why}）。"),
    Text("this farm was begun by another version of this pack.", "此农场由本节点包的其他版本开始。"),
)
PARTS = (
    Text(
        "part {number}: this server would now make the video in {own} parts, and {count} were asked for. Its memory is "
        "in use, or its pack is of another version.",
        "第 {number} 段：此服务器现在会把视频分成 {own} 段，而要求的是 {count} 段。其显存正被占用，或节点包版本不同。",
    ),
    Text(
        "its parts were cut differently. Use servers with one version of this pack.",
        "各分段的切分不一致。请使用节点包版本相同的服务器。",
    ),
    Text("this is not a whole part of a video. It is made again.", "这不是完整的视频分段。将重新生成。"),
)
SERVERS = (
    Text("expected an address such as http://127.0.0.1:8188.", "应为 http://127.0.0.1:8188 这样的地址。"),
    Text("an address holds no password.", "地址中不得包含密码。"),
    Text("Set the environment variable {name}.", "请设置环境变量 {name}。"),
    Text("its answer is not that of a ComfyUI ({why}).", "其响应不是 ComfyUI 的响应（{why}）。"),
    Text("its history is not that of a ComfyUI ({why}).", "其历史不是 ComfyUI 的历史（{why}）。"),
    Text("the finished video is not there (status {status}).", "完成的视频不在那里（状态 {status}）。"),
    Text("{path} is answered with status {status}.", "{path} 返回状态 {status}。"),
    Text("{path} is answered with what is no JSON.", "{path} 的响应不是 JSON。"),
    Text("{path} is answered with what is no object.", "{path} 的响应不是对象。"),
    Text("{path} is answered with more than {most} MiB.", "{path} 的响应超过 {most} MiB。"),
    Text("a video has at most {most} GiB.", "视频最大为 {most} GiB。"),
    Text("there is none.", "没有服务器。"),
    Text("Name their addresses, or a ComfyUI to start.", "请给出其地址，或要启动的 ComfyUI。"),
    Text("none can be used for {minutes} minutes.", "{minutes} 分钟内没有可用的服务器。"),
    Text("Their logs say why.", "原因见其日志。"),
    Text("there is no ComfyUI in this folder.", "此文件夹中没有 ComfyUI。"),
    Text("no Python for it is found beside it.", "在其旁边未找到对应的 Python。"),
    Text("Name it with --comfyui-python.", "请用 --comfyui-python 指定。"),
    Text("it ends again and again: {why}.", "它接连退出：{why}。"),
)
CLUSTER = (
    Text(
        "expected an address such as tcp://127.0.0.1:8786 or tls://HOST:8786.",
        "应为 tcp://127.0.0.1:8786 或 tls://HOST:8786 这样的地址。",
    ),
    Text(
        "tcp:// leaves this machine without encryption, and whoever reaches a Dask scheduler runs programs on its "
        "workers.",
        "tcp:// 未加密地离开本机，而能连上 Dask 调度器的人都能在其工作进程上运行程序。",
    ),
    Text(
        "Use tls:// with --tls-ca, --tls-cert and --tls-key.",
        "请使用 tls://，并给出 --tls-ca、--tls-cert 和 --tls-key。",
    ),
    Text("tls:// needs --tls-ca, --tls-cert and --tls-key.", "tls:// 需要 --tls-ca、--tls-cert 和 --tls-key。"),
)

REASONS = (
    Text("it does not answer ({why})", "无响应（{why}）"),
    Text("the server does not answer ({why})", "服务器无响应（{why}）"),
    Text("there is no server ({why})", "没有服务器（{why}）"),
    Text("the server has been restarted", "服务器已重新启动"),
    Text("it was interrupted on the server", "已在服务器上被中断"),
    Text("the server's answer names no video", "服务器的响应中没有视频"),
    Text("the video has {frames} frames, and {wanted} were expected", "视频有 {frames} 帧，应为 {wanted} 帧"),
    Text("this server lacks {packs} (nodes {nodes}).", "此服务器缺少 {packs}（节点 {nodes}）。"),
    Text(
        "Install what is missing, or see in its log why it is not loaded, and start it again.",
        "请安装所缺内容，或在其日志中查看未能加载的原因，然后重新启动它。",
    ),
    Text("another worker is bound to {server}", "另一个工作进程已绑定到 {server}"),
    Text("the server has made another part", "服务器制作了另一个分段"),
    Text("no card of the farm holds its parts as they are cut", "农场中没有显卡能容纳已切分的各段"),
    Text("its file is gone or damaged", "其文件已丢失或损坏"),
    Text("the file is damaged, and is made again.", "文件已损坏，将重新生成。"),
    Text(
        "its nanny lets it start no process; start it with --no-nanny",
        "它的 nanny 不允许启动进程；请用 --no-nanny 启动",
    ),
    Text("the process of the call has died (exit code {code})", "调用进程已退出（退出码 {code}）"),
    Text("the worker {name} is gone", "工作进程 {name} 已离开"),
    Text("the scheduler was lost ({why})", "失去调度器（{why}）"),
    Text("the client that started it is gone", "启动它的客户端已退出"),
    Text("the worker does not write to this farm's folder of outputs", "工作进程没有写入此农场的输出文件夹"),
    Text("cancelled", "已取消"),
)
"""Why a server is not used, or an attempt has ended: shown in a line, behind what it is about."""

ERRORS = (*REASONS, *JOB_FILE, *SETTINGS, *JOURNAL, *PARTS, *SERVERS, *CLUSTER)

"""Errors of a page's requests, the graphs in them, and the command line; see `error_messages`."""

from ..optimizations import Text

GRAPHS = (
    Text("expected an object of nodes by id.", "应为以节点 id 为键的对象。"),
    Text(
        "{count} nodes are more than {most}. Send what is upstream of the node only.",
        "有 {count} 个节点，超过 {most} 个。请只发送该节点的上游部分。",
    ),
    Text("node {id} is not an object with class_type and inputs.", "节点 {id} 不是含有 class_type 和 inputs 的对象。"),
    Text("the inputs of node {id} are not an object.", "节点 {id} 的 inputs 不是对象。"),
    Text("{name} is missing or not a text.", "{name} 缺失，或不是文本。"),
    Text("the links run in a circle through node {id}.", "连线在节点 {id} 处形成循环。"),
    Text("more than {most} of this pack's nodes are upstream.", "上游有超过 {most} 个本节点包的节点。"),
    Text("there is no node {id} in the graph.", "工作流中没有节点 {id}。"),
    Text("there is nothing to predict for a {kind}.", "{kind} 没有可预测的内容。"),
    Text("expected {expected}, got {value}.", "应为：{expected}；实际为：{value}。"),
    Text("a number", "数值"),
    Text("true or false", "true 或 false"),
    Text("a text of at most {most} characters", "不超过 {most} 个字符的文本"),
    Text("a link to a {kind}", "{kind} 的连线"),
    Text("picture", "图片"),
    Text("voice", "语音"),
    Text("Sonic model", "Sonic 模型"),
    Text(
        "{title}'s model does not run in {node}. Connect the model of {loader}.",
        "{title} 的模型无法在 {node} 中运行。请连接 {loader} 的模型。",
    ),
    Text("model of Load Upscale Model", "“加载放大模型”的模型"),
    Text("plan", "计划"),
    Text("{width}×{height} pixels is not a possible size.", "{width}×{height} 像素不是可能的尺寸。"),
    Text("with these settings nothing is left of the sound.", "按这些设置，音频没有剩余内容。"),
    Text("these settings are not possible: {why}.", "这些设置不可行：{why}。"),
    Text("expected x, y, width and height.", "应为 x、y、width 和 height。"),
    Text(
        "{node} takes no picture of {width}×{height} pixels.",
        "{node} 不接受 {width}×{height} 像素的图片。",
    ),
    Text(
        "{name} has several frames, and {node} takes one picture. Put Preflight (Sonic Guard) in between, which "
        "takes the first, or save one frame as PNG.",
        "{name} 有多帧，而 {node} 只接受一张图片。请在中间加入“预检 (Sonic Guard)”（只取第一帧），或将其中一帧"
        "保存为 PNG。",
    ),
    Text("the number is too large, or none.", "数值过大，或不是数值。"),
)

INPUT_FILES = (
    Text("expected the name of a file in the input folder.", "应为输入文件夹中的文件名。"),
    Text("a name is missing. Choose a file of the input folder.", "缺少文件名。请选择输入文件夹中的文件。"),
    Text(
        "a name of {length} characters is not one of a file in the input folder.",
        "{length} 个字符的名称不是输入文件夹中的文件。",
    ),
    Text("{name} is not a file in the input folder.", "{name} 不是输入文件夹中的文件。"),
    Text("{name} leads out of the input folder.", "{name} 超出了输入文件夹。"),
    Text("there is no {name} in the input folder.", "输入文件夹中没有 {name}。"),
    Text("{name} cannot be read: {why}.", "{name} 无法读取：{why}。"),
)

REQUESTS = (
    Text("Only pages of this server are answered.", "只响应本服务器的页面。"),
    Text(
        "This server is not known by that name. Open ComfyUI as localhost or by its IP address.",
        "本服务器没有这个名称。请以 localhost 或 IP 地址打开 ComfyUI。",
    ),
    Text("The history cannot be used; ComfyUI's log says why.", "运行历史无法使用；原因见 ComfyUI 日志。"),
    Text("The request is nested too deeply.", "请求嵌套过深。"),
    Text("Expected a body of type application/json.", "请求正文的类型应为 application/json。"),
    Text("More than {most} KiB.", "超过 {most} KiB。"),
    Text("The body is not a JSON object.", "请求正文不是 JSON 对象。"),
    Text("The body is not JSON: {why}.", "请求正文不是 JSON：{why}。"),
    Text("The body cannot be unpacked.", "请求正文无法解压。"),
    Text("Too many pages watch already.", "正在查看的页面过多。"),
    Text("expected a text.", "应为文本。"),
    Text("expected 1 to {most} printable characters.", "应为 1 到 {most} 个可显示的字符。"),
    Text("expected a whole number from 1 to {most}.", "应为 1 到 {most} 的整数。"),
    Text("expected a number from 0 to {most}.", "应为 0 到 {most} 的数值。"),
    Text("choose one of {options}.", "可选：{options}。"),
    Text(
        'expected {{"ids": [numbers]}}, {{"card": "name"}} or {{"all": true}}.',
        '应为 {{"ids": [数值]}}、{{"card": "名称"}} 或 {{"all": true}}。',
    ),
    Text("there is no run of such a number.", "没有这个编号的运行。"),
)

COMMANDS = (
    Text("{file} has no suffix; end it in .png, .svg or .pdf.", "{file} 没有扩展名；请以 .png、.svg 或 .pdf 结尾。"),
    Text(
        "drawing needs matplotlib; install it with `pip install matplotlib`.",
        "绘图需要 matplotlib；请用 `pip install matplotlib` 安装。",
    ),
    Text("cannot write {file}: {why}", "无法写入 {file}：{why}"),
    Text("expected 1 to {most} runs, got {value}.", "应为 1 到 {most} 次运行，实际为 {value}。"),
    Text(
        "this copy of the pack has no tracing tools; use a clone of its repository.",
        "此节点包中没有追踪工具；请使用代码仓库的克隆。",
    ),
    Text(
        "it would name a file whose name is no text. Rename that file.",
        "其中会写入一个无法表示为文本的文件名。请重命名该文件。",
    ),
    Text(
        "printing needs rich; install it with `pip install rich`, or use --json.",
        "输出表格需要 rich；请用 `pip install rich` 安装，或使用 --json。",
    ),
)

ERRORS = (*GRAPHS, *INPUT_FILES, *REQUESTS, *COMMANDS)

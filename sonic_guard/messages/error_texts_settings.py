"""Errors about the values of inputs: settings, cards, presets, and what is linked to a node; see `error_messages`."""

from ..optimizations import Text

VALUES = (
    Text("there is no {value}; choose one of {options}.", "没有 {value}；可选：{options}。"),
    Text("expected true or false, got {value}.", "应为 true 或 false，实际为 {value}。"),
    Text("expected a text, got {value}.", "应为文本，实际为 {value}。"),
    Text("expected a whole number, got {value}.", "应为整数，实际为 {value}。"),
    Text("expected a whole number from 0 on, got {value}.", "应为不小于 0 的整数，实际为 {value}。"),
    Text("expected a number, got {value}.", "应为数值，实际为 {value}。"),
    Text("{value} is outside {least} … {most}.", "{value} 超出 {least} … {most} 的范围。"),
    Text(
        "{value} is not usable. Use a number, or 0 for the preset's.",
        "{value} 无效。请填数值；0 表示采用预设的值。",
    ),
    Text("{value} is no length. Use 0, or a number of seconds.", "{value} 不是有效的时长。请填 0 或秒数。"),
    Text(
        "{value} s of sound is too short for a single frame; Sonic needs at least {least} s. Use a longer sound or a "
        "larger duration.",
        "{value} 秒音频不足一帧；Sonic 至少需要 {least} 秒。请使用更长的音频，或增大 duration。",
    ),
    Text("{value} makes frames of {size}; use 128 or more.", "{value} 会得到 {size} 的画面；请用 128 或更大的值。"),
    Text("{value} is too small for a frame; use 128 or more.", "{value} 过小；请用 128 或更大的值。"),
    Text(
        "{value} s is too short, because {overlap} s of every part overlap its neighbours. Use at least {least} s.",
        "{value} 秒过短：每段有 {overlap} 秒与相邻分段重叠。请至少用 {least} 秒。",
    ),
    Text("unknown {unknown}; known are {known}.", "未知的 {unknown}；可用的有 {known}。"),
    Text("{shown} … (and {left} more)", "{shown}……（另有 {left} 个）"),
    Text("a value ({kind}) that cannot be shown", "无法显示的值（{kind}）"),
)

LINKS = (
    Text(
        "expected a plan, got {value}. Connect the output plan of Preflight.",
        "需要计划，实际是 {value}。请连接“预检”的 plan 输出。",
    ),
    Text(
        "nothing is connected. Connect a portrait and a voice, or a plan.",
        "没有连接。请连接人像和语音，或连接计划。",
    ),
    Text(
        "expected what Image Only Checkpoint Loader gives there, got {value}. Connect its output.",
        "需要“Checkpoint加载器（仅图像）”的输出，实际是 {value}。请连接该节点的输出。",
    ),
    Text(
        "its number format is not fp16, bf16 or fp32 ({why}). Load it in one of these.",
        "数据类型不是 fp16、bf16 或 fp32（{why}）。请以其中一种加载。",
    ),
)

CARDS = (
    Text(
        "{value} is not a usable amount. Give GiB from {least} to {most}, such as 12.",
        "{value} 不是有效的大小。请填 {least} 到 {most} 的 GiB 数值，例如 12。",
    ),
    Text(
        "expected a card's name or a number of GiB, got {value}.",
        "应为显卡名称或 GiB 数值，实际为 {value}。",
    ),
    Text("{index} is not a GPU. Count from 0.", "{index} 不是 GPU。请从 0 数起。"),
    Text(
        "there is no GPU {index} that this program can use. Use 'auto', or name a card.",
        "没有可供本程序使用的 GPU {index}。请用 'auto'，或指定显卡。",
    ),
    Text(
        "there is no GPU {index}; torch sees {count}. Count from 0.",
        "没有 GPU {index}；torch 检测到 {count} 个。请从 0 数起。",
    ),
    Text("GPU {index} does not answer: {why}", "GPU {index} 没有响应：{why}"),
    Text("{card} with {bytes} bytes is not a usable card.", "{card}（{bytes} 字节）不是可用的显卡。"),
    Text("{card} cannot have less than nothing free.", "{card} 的空闲显存不能为负。"),
    Text(
        "{value} is too long for a card's name. A number of GiB works too, such as 12.",
        "{value} 过长，不是显卡名称。也可以填 GiB 数值，例如 12。",
    ),
    Text("{value} is not in the catalogue.", "显卡表中没有 {value}。"),
    Text("Close: {names}.", "相近的有：{names}。"),
    Text(
        "A number works too: the card's memory in GiB, such as 12.",
        "也可以填数值：显存的 GiB 数，例如 12。",
    ),
    Text(
        "{value} cannot run Sonic. Sonic's wrapper runs on CUDA or ROCm (NVIDIA, AMD), on MPS (Apple) or on the CPU "
        "only, not on GPUs of {maker}.",
        "{value} 无法运行 Sonic。Sonic 封装只能在 CUDA 或 ROCm（NVIDIA、AMD）、MPS（Apple）或 CPU 上运行，"
        "不支持 {maker} 的 GPU。",
    ),
    Text("{value} comes in several sizes. Say which: {titles}.", "{value} 有多种显存大小。请指明：{titles}。"),
    Text("there is no {card} with {size} GB. It comes as: {titles}.", "没有 {size} GB 的 {card}。现有：{titles}。"),
    Text("{first}GB or {others}GB", "{first}GB、{others}GB"),
    Text("{value} does not exist; {card} has {slices} slices.", "{value} 不存在；{card} 的切片数为 {slices}。"),
    Text("no", "0"),
    Text(
        "{value} is not usable. Give a part from 0 up to, but not including, 0.9.",
        "{value} 无效。请填 0 到 0.9（不含）之间的比例。",
    ),
)

PRESETS = (
    Text(
        "{name} is not a preset's name. Use up to 64 of a-z, 0-9, _ and -.",
        "{name} 不是有效的预设名称。请使用最多 64 个字符：a-z、0-9、_ 和 -。",
    ),
    Text("there is no {name}. There are: {names}.", "没有 {name}。现有：{names}。"),
    Text("is longer than {most} kB; that is not a preset.", "超过 {most} kB，不是预设。"),
    Text("{name} differs from the file's name. Make it {stem}.", "{name} 与文件名不同。请改为 {stem}。"),
    Text("unknown key. Known are: {keys}.", "未知的键。可用的有：{keys}。"),
    Text("is missing.", "缺失。"),
    Text("{value} is not allowed.", "不允许 {value}。"),
    Text("Invalid JSON: {why}.", "不是有效的 JSON：{why}。"),
    Text("Input should be an object.", "应为 JSON 对象。"),
    Text("Where editors find this schema.", "编辑器查找此 schema 的位置。"),
    Text("The file's name without .json.", "不含 .json 的文件名。"),
    Text("Shown in the menu: an object with en and zh.", "菜单中显示的名称：含 en 和 zh 的对象。"),
    Text("What the preset is good for: an object with en and zh.", "预设的用途：含 en 和 zh 的对象。"),
    Text("Shorter side in pixels: 128 to 2048 in steps of 64.", "短边像素数：128 到 2048，步长 64。"),
    Text("Denoising steps: 1 to 1024; 20 to 30 is useful.", "去噪步数：1 到 1024；常用 20 到 30。"),
    Text('Seconds of sound: 1 to 360000, or "auto" for all of it.', '音频秒数：1 到 360000；"auto" 为全部。'),
    Text("Strength of motion: 0.5 to 2.0.", "动作幅度：0.5 到 2.0。"),
    Text(
        'Margin around the face, in parts of its box: 0.1 to 1.0, or "auto".',
        '人脸周围的边距，以人脸框为单位：0.1 到 1.0，或 "auto"。',
    ),
    Text(
        "Window length: 5 to 120; only 25 keeps sound and picture in step.",
        "窗口长度：5 到 120；只有 25 能使声音与画面同步。",
    ),
    Text("Number format: fp16, bf16 or fp32.", "数据类型：fp16、bf16 或 fp32。"),
    Text(
        "Frame interpolation, which doubles the frame rate: true or false.",
        "插帧，帧率加倍：true 或 false。",
    ),
)

ERRORS = (*VALUES, *LINKS, *CARDS, *PRESETS)

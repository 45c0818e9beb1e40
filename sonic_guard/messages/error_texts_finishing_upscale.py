"""Errors about upscaling; see `error_messages`."""

from ..optimizations import Text

MODELS = (
    Text(
        "no architecture that spandrel knows has these weights. Use another upscale model, such as Real-ESRGAN.",
        "spandrel 不认识这些权重对应的网络结构。请改用其他放大模型，例如 Real-ESRGAN。",
    ),
    Text(
        "{name} is not in models/upscale_models. Put it there and press R, or choose another one.",
        "{name} 不在 models/upscale_models 中。请放入后按 R 刷新，或另选一个。",
    ),
    Text(
        "upscale models are read from files whose names end in {suffixes}.",
        "放大模型的文件名应以 {suffixes} 结尾。",
    ),
    Text(
        "cannot be read as an upscale model ({reason}). Download it again; names of models end in .safetensors or "
        ".pth.",
        "无法作为放大模型读取（{reason}）。请重新下载；模型文件名以 .safetensors 或 .pth 结尾。",
    ),
    Text(
        "expected an UPSCALE_MODEL, got {kind}. Connect Load Upscale Model.",
        "需要 UPSCALE_MODEL，实际是 {kind}。请连接“加载放大模型”节点。",
    ),
    Text(
        "{architecture} needs more than a picture. Use a model that enlarges single pictures.",
        "{architecture} 除图像外还需要其他输入。请使用放大单张图像的模型。",
    ),
    Text(
        "it takes {inputs} channels and gives {outputs}. Use a model for RGB pictures.",
        "它输入 {inputs} 个通道、输出 {outputs} 个通道。请使用用于 RGB 图像的模型。",
    ),
    Text(
        "the package spandrel, which reads upscale models, does not import here ({error}). ComfyUI brings it; "
        "elsewhere: pip install spandrel",
        "读取放大模型所需的 spandrel 包无法导入（{error}）。ComfyUI 自带它；在其他环境请运行：pip install spandrel",
    ),
    Text(
        "the result is no picture but infinite or NaN, in fp32 as well. The model file is damaged; download it again.",
        "结果不是图像，而是无穷大或 NaN，使用 fp32 也一样。模型文件已损坏；请重新下载。",
    ),
)
MEMORY = (
    Text(
        "{model} does not fit into the {free} GiB that are free on {device}, even in small tiles. Use the device cpu, "
        "or a smaller model.",
        "{device} 上空闲的 {free} GiB 放不下 {model}，最小的分块也不行。请将设备设为 cpu，或使用更小的模型。",
    ),
    Text(
        "{model} ran out of memory on {device} in the smallest tiles. Use the device cpu, or a smaller model.",
        "{model} 使用最小的分块仍在 {device} 上耗尽了显存。请将设备设为 cpu，或使用更小的模型。",
    ),
    Text(
        "{name} does not answer ({error}) Use another device, such as cpu.",
        "{name} 没有响应（{error}）请使用其他设备，例如 cpu。",
    ),
    Text(
        "{name} is no device. Use auto, cpu, cuda or cuda:1.",
        "{name} 不是设备。请使用 auto、cpu、cuda 或 cuda:1。",
    ),
    Text(
        "there is no {name} here that torch can use. Use auto or cpu.",
        "这里没有 torch 可用的 {name}。请使用 auto 或 cpu。",
    ),
    Text("{value} is no number of pixels.", "{value} 不是像素数。"),
    Text("{tile} is outside {least} … {most} pixels.", "{tile} 超出 {least} … {most} 像素的范围。"),
)
SIZES = (
    Text("give a height or a factor, one of the two.", "请只给出高度或倍数之一。"),
    Text(
        "{value} is no size. Use a height such as 1080, or a factor such as 2.",
        "{value} 不是有效的尺寸。请使用 1080 这样的高度，或 2 这样的倍数。",
    ),
    Text(
        "{wide}×{high} is more than {most} pixels a side, which no encoder takes. Choose less.",
        "{wide}×{high} 的边长超过 {most} 像素，没有编码器支持。请选择更小的尺寸。",
    ),
)

ERRORS = (*MODELS, *MEMORY, *SIZES)

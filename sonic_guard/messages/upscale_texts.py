"""Texts about upscaling and interpolation."""

from ..optimizations import Text

PLANNED = Text(
    "{model} (×{scale}) on {device} in {dtype}: {tiles}, about {memory}.",
    "{model}（×{scale}），{device}，{dtype}：{tiles}，约 {memory}。",
)
WHOLE = Text("whole frames", "整帧处理")
EXACT = Text(
    "{tiles} tiles of {side} pixels a frame, whose borders cannot be seen",
    "每帧 {tiles} 块，边长 {side} 像素，接缝不可见",
)
BLENDED = Text("{tiles} tiles of {side} pixels a frame, blended", "每帧 {tiles} 块，边长 {side} 像素，接缝融合")
TIME = Text("About {seconds:.2g} s a frame.", "每帧约 {seconds:.2g} 秒。")
MEASURED = Text("Memory used: {memory}.", "实际占用：{memory}。")
HALVED = Text("Memory did not suffice: the tiles were made smaller {count} times.", "显存不足：分块缩小了 {count} 次。")
WIDENED = Text(
    "{dtype} overflowed in this model; the rest was made in fp32.", "此模型在 {dtype} 下溢出；其余部分使用 fp32。"
)
RESIZED = Text("The model did not run: the video is not enlarged.", "模型没有运行：视频没有放大。")
BEYOND = Text(
    "The model enlarges ×{scale} only; the rest of ×{ratio:.2g} is interpolated.",
    "模型只放大 ×{scale}；×{ratio:.2g} 中的其余部分由插值完成。",
)
TWICE_THE_IMAGES = Text(
    "There are twice as many pictures. Save them with twice the frame rate.", "画面数量加倍。请以两倍的帧率保存。"
)

# ---- on the node, before it runs
FITS = Text("Fits: about {memory} on {device}", "可以运行：{device} 上约 {memory}")
FITS_IN_TIME = Text(
    "Fits: about {memory} on {device}, {seconds:.2g} s a frame",
    "可以运行：{device} 上约 {memory}，每帧 {seconds:.2g} 秒",
)
FITS_IN_ALL = Text(
    "Fits: about {memory} on {device}, about {time} in all", "可以运行：{device} 上约 {memory}，共约 {time}"
)
NO_MODEL = Text("No upscale model runs", "不运行放大模型")
NOT_KNOWN = Text(
    "Memory not known: the graph does not tell the video's size or the model", "显存未知：工作流未给出视频尺寸或模型"
)

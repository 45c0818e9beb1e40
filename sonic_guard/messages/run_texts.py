"""Texts about a run: the report of Sonic Low VRAM, and progress and report of a long video."""

from collections.abc import Mapping

from ..long_video.rendering import Preparing
from ..optimizations import Text
from .catalogue import Counted

# ---- Sonic Low VRAM

ENABLED = Text("Enabled: {optimizations}.", "已启用：{optimizations}。")
NOTHING_ENABLED = Text("No optimization is enabled from the start.", "初始不启用任何优化。")
ENABLED_WHEN_NEEDED = Text(
    "When sampling begins, as many of these are enabled as are needed to fit, in this order: {optimizations}. If "
    "memory still runs out, the remaining ones are enabled one by one.",
    "采样开始时按此顺序启用，直到放得下为止：{optimizations}。若显存仍不足，再逐项启用其余各项。",
)
OVERLAPPED = Text(
    "Decoded in groups that overlap: the frames next to the seams are not those of stock Sonic.",
    "分组重叠解码：接缝附近的画面与原版 Sonic 不同。",
)
UNSUPPORTED = Text(
    "This Sonic wrapper's network does not support {optimizations}; the model runs without.",
    "当前 Sonic 封装的网络不支持 {optimizations}，未启用。",
)
UNCHANGED = Text("The model is passed on unchanged. {reason}", "模型原样输出。{reason}")

# ---- progress of a long video

PART = Text("part {part} of {parts}", "第 {part} 段，共 {parts} 段")
TIME_LEFT = Text("about {time} left", "约剩 {time}")
PART_KEPT = Text("Part {part} was finished by an earlier run.", "第 {part} 段已由先前的运行完成。")
FALLBACK_ENABLED = Text(
    "Part {part} ran out of memory; retrying with {optimization}.",
    "第 {part} 段显存不足；启用“{optimization}”后重试。",
)
PREPARING: Mapping[Preparing, Text] = {
    Preparing.MODELS: Text("Reading the models", "正在读取模型"),
    Preparing.PICTURE: Text("Encoding the portrait", "正在编码人像"),
}
ENCODING_AUDIO = Text("Encoding the audio: {share:.0%}", "正在编码音频：{share:.0%}")
WRITING_VIDEO = Text("Writing the video: {share:.0%}", "正在写入视频：{share:.0%}")

# ---- report of a long video

VIDEO = Text(
    "{width}×{height}, {frames} at {fps:g} fps, {time}; {size}",
    "{width}×{height}，{frames}，每秒 {fps:g} 帧，{time}；{size}",
)
PREVIEW = Text(
    "A preview in {steps} steps. Set preview_s to 0 for the whole video of {seconds:.1f} s.",
    "预览版，{steps} 步。将 preview_s 设为 0 可生成完整视频（{seconds:.1f} 秒）。",
)
ONE_PASS = Text("Made in one pass.", "一次完成。")
IN_PARTS = Text(
    "Made in {parts} parts of at most {longest:.0f} s.",
    "分 {parts} 段完成，每段不超过 {longest:.0f} 秒。",
)
PARTS_KEPT = Counted(
    Text("{number} of them was finished by an earlier run.", "其中 {number} 段由先前的运行完成。"),
    Text("{number} of them were finished by an earlier run.", "其中 {number} 段由先前的运行完成。"),
)
FALLBACKS_ENABLED = Text(
    "Memory ran out during the run; enabled as a fallback: {optimizations}.",
    "运行中显存不足，已作为回退启用：{optimizations}。",
)

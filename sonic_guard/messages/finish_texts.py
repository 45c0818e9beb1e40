"""Texts about finishing a video: progress and report."""

from collections.abc import Mapping

from ..media.footage import Trait
from ..optimizations import Text

UNCHANGED = Text(
    "Nothing had to be changed: pictures and sound are those of the source, bit for bit.",
    "无需改动：画面和声音与源文件逐位相同。",
)
CHANGED = Text("{changed} of {frames} pictures were changed.", "{frames} 帧中改动了 {changed} 帧。")
ENLARGED = Text("Enlarged to {height} px with {model}.", "已用 {model} 放大到 {height} 像素高。")
RESIZED = Text(
    "Resized to {height} px without an upscale model. With one, such as Real-ESRGAN, it becomes sharper.",
    "未使用放大模型，已缩放到 {height} 像素高。使用 Real-ESRGAN 等放大模型会更清晰。",
)
KEPT = Text("{kept} pictures were made by an earlier run.", "其中 {kept} 帧由先前的运行完成。")
SOUND_ENCODED = Text(
    "The sound ({codecs}) does not go into this kind of file, and was encoded again.",
    "此类文件不能存放原来的声音编码（{codecs}），声音已重新编码。",
)
TRAITS: Mapping[Trait, Text] = {
    Trait.DEEP: Text(
        "The source has more than 8 bits a channel; the result has 8.", "源视频每通道超过 8 位；结果为 8 位。"
    ),
    Trait.CUT_OFF: Text(
        "! The source ends before the length that it states: it is damaged or was cut off.",
        "! 源视频短于其声明的时长：文件已损坏或不完整。",
    ),
    Trait.ALPHA: Text("The source is transparent; the result is not.", "源视频带透明通道；结果不带。"),
}

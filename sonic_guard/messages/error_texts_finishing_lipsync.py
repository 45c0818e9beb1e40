"""Errors about lip sync; see `error_messages`."""

from ..optimizations import Text

ERRORS = (
    Text(
        "{value} is not between 0 and {most}. Start from {default}.",
        "{value} 不在 0 与 {most} 之间。可先用 {default}。",
    ),
    Text(
        "{value} is not a frame rate. Give the number of pictures a second, such as 25.",
        "{value} 不是帧率。请填写每秒的画面数，例如 25。",
    ),
    Text(
        "pictures have no sound of their own. Connect the sound that belongs to them to audio.",
        "图像本身没有声音。请把对应的声音连接到 audio。",
    ),
    Text(
        "a VIDEO has its own sound. Disconnect audio, or connect pictures to video.",
        "VIDEO 自带声音。请断开 audio，或把图像连接到 video。",
    ),
    Text(
        "there is no sound here, because a VIDEO came in. Its sound is in the output video.",
        "输入的是 VIDEO，因此这里没有声音。声音在 video 输出中。",
    ),
    Text("there is nothing to write without --out.", "没有 --out 就没有要写的文件。"),
)

"""Texts about how long a run takes, in every language."""

from collections.abc import Mapping

from ..optimizations import Text
from ..planning.pace import TimeSource

ABOUT: Mapping[str, Text] = {
    "s": Text("about {time:g} s", "约 {time:g} 秒"),
    "min": Text("about {time:g} min", "约 {time:g} 分钟"),
    "h": Text("about {time:g} h", "约 {time:g} 小时"),
}
BETWEEN: Mapping[str, Text] = {
    "s": Text("{low:g} to {high:g} s", "{low:g} 至 {high:g} 秒"),
    "min": Text("{low:g} to {high:g} min", "{low:g} 至 {high:g} 分钟"),
    "h": Text("{low:g} to {high:g} h", "{low:g} 至 {high:g} 小时"),
}
TIME: Mapping[TimeSource, Text] = {
    TimeSource.MEASURED: Text("{time} of denoising", "去噪：{time}"),
    TimeSource.ESTIMATED: Text("{time} of denoising, not yet seen on this card", "去噪：{time}（尚未在此显卡上实测）"),
    TimeSource.RELATIVE: Text(
        "denoising takes {relative:g} times as long as 512 px, 10 s", "去噪时长是 512 像素、10 秒的 {relative:g} 倍"
    ),
}
AS_LONG = Text("denoising takes as long as 512 px, 10 s", "去噪时长与 512 像素、10 秒相同")

"""Texts of the one sentence that says what would help most."""

from collections.abc import Mapping

from ..optimizations import Text
from ..planning.advice import LOW_VRAM, Where
from ..planning.planner import SPLIT

COMMA = Text(", ", "，")
AND = Text(" and ", "，")

# ---- one setting

SETTING = Text("{name} {value}", "{name} 设为 {value}")
SETTING_ON_NODE = Text("{name} {value} on {node}", "{node} 的 {name} 设为 {value}")
SPECIAL_SETTINGS: Mapping[str, Text] = {
    SPLIT: Text("parts of {value} s", "按 {value} 秒分段"),
    LOW_VRAM: Text("Sonic Low VRAM", "加入“Sonic 低显存”"),
}
"""Changes that are not a value in a field of the same name."""

# ---- sentences

ONE_CHANGE = Text("{settings} reduces the peak to {size}.", "{settings}，峰值可降到 {size}。")
ALL_CHANGES = Text("{settings} together reduce the peak to {size}.", "{settings}，合起来峰值可降到 {size}。")
ONE_CLEARS_LIMIT = Text(
    "{settings} clears the hard limit; the peak is then {size}.",
    "{settings}，可避开硬性限制，此时峰值为 {size}。",
)
ALL_CLEAR_LIMIT = Text(
    "{settings} together clear the hard limit; the peak is then {size}.",
    "{settings}，合起来可避开硬性限制，此时峰值为 {size}。",
)
KEEPS = Text("{settings} keeps {size} px at {fps:g} fps.", "{settings}，可保持 {size} 像素、每秒 {fps:g} 帧。")
ALL_KEEP = Text(
    "{settings} together keep {size} px at {fps:g} fps.", "{settings}，合起来可保持 {size} 像素、每秒 {fps:g} 帧。"
)
ALLOWS = Text("{settings} makes it {size} px at {fps:g} fps.", "{settings}，可达到 {size} 像素、每秒 {fps:g} 帧。")
ALL_ALLOW = Text(
    "{settings} together make it {size} px at {fps:g} fps.", "{settings}，合起来可达到 {size} 像素、每秒 {fps:g} 帧。"
)
ALSO_FITS = Text("{settings} also fits, with a peak of {size}.", "{settings} 也放得下（峰值 {size}）。")
BY_PLANNER: Mapping[Where, Text] = {
    Where.ON_RISK: Text(
        "on_risk “downgrade” makes it fit: {settings}, peak {size}.",
        "将 on_risk 设为 downgrade 即可放下：{settings}，峰值 {size}。",
    ),
    Where.POLICY: Text(
        "policy “lossless_first” makes it fit: {settings}, peak {size}.",
        "将 policy 设为 lossless_first 即可放下：{settings}，峰值 {size}。",
    ),
}
"""Where a planning node in the graph would make the changes."""

# ---- the button that does it

USE_LOW_VRAM = Text("Use Sonic Low VRAM", "使用“Sonic 低显存”")
"""It is added to the graph, or one that is bypassed runs again."""
APPLY = Text("Apply", "应用")

"""Texts about smoothing a video."""

from ..optimizations import Text

PULSES = Text(
    "Brightness pulses removed from {frames}, at most {largest:+.1%}.",
    "消除了 {frames}的亮度闪烁，最大 {largest:+.1%}。",
)
NO_PULSES = Text("No brightness pulses found.", "未发现亮度闪烁。")
JITTER = Text("Jitter removed with strength {strength:g}.", "以强度 {strength:g} 消除了抖动。")

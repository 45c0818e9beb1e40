"""Texts about lip sync."""

from collections.abc import Mapping

from ..finishing.lip_sync.confidence import Reason
from ..optimizations import Text

LATE = Text(
    "The sound is {offset:.0f} ms late (confidence {confidence:.0%}).",
    "声音晚了 {offset:.0f} 毫秒（置信度 {confidence:.0%}）。",
)
EARLY = Text(
    "The sound is {offset:.0f} ms early (confidence {confidence:.0%}).",
    "声音早了 {offset:.0f} 毫秒（置信度 {confidence:.0%}）。",
)
IN_SYNC = Text(
    "Sound and lips are together: {offset:+.0f} ms, which nobody sees (confidence {confidence:.0%}).",
    "声音与口型一致：{offset:+.0f} 毫秒，肉眼无法察觉（置信度 {confidence:.0%}）。",
)
DRIFTS = Text(
    "It drifts: {drift:+.0f} ppm, {minute:+.0f} ms a minute; the offset is that in the middle. The frame rate or the "
    "speed of the sound is wrong; moving the sound does not mend that.",
    "偏移会漂移：{drift:+.0f} ppm，每分钟 {minute:+.0f} 毫秒；上面是中间处的偏移。"
    "帧率或声音速度有误，移动声音无法修正。",
)
MOVED_LATER = Text("The sound was moved {applied:.0f} ms later.", "声音已后移 {applied:.0f} 毫秒。")
MOVED_EARLIER = Text("The sound was moved {applied:.0f} ms earlier.", "声音已前移 {applied:.0f} 毫秒。")
LEFT = Text(
    "That is the limit; {left:+.0f} ms are left. Raise max_correction_ms (--max-correction) if this is right.",
    "已达上限，还剩 {left:+.0f} 毫秒。若测量无误，请调高 max_correction_ms（--max-correction）。",
)
NOT_MOVED = Text("The sound was not moved.", "声音未移动。")
COPIED = Text("The pictures are those of the source, bit for bit.", "画面与源文件逐位相同。")
ENCODED = Text(
    "The pictures had to be encoded again: those of this kind of file cannot be copied.",
    "画面已重新编码：此类文件的画面无法直接复制。",
)
NOT_ASKED = Text("Give --out FILE to write a corrected video.", "如需写出修正后的视频，请用 --out FILE 指定文件。")
SAMPLED = Text(
    "Measured in {measured} of {total}, spread evenly over the video.",
    "在视频中均匀取样，共测量 {measured}（全长 {total}）。",
)
ABSTAINED = Text("No offset: {reason}", "无法给出偏移：{reason}")
REASONS: Mapping[Reason, Text] = {
    Reason.NO_SOUND: Text("there is no sound.", "没有声音。"),
    Reason.SILENCE: Text("the sound is silent.", "声音为静音。"),
    Reason.NO_FACE: Text(
        "no face is seen for long enough. It has to be at least as large as a fingernail in the picture, and upright.",
        "看到人脸的时间不够。人脸在画面中不能太小，并应保持竖直。",
    ),
    Reason.TOO_SHORT: Text(
        "there is too little speech with a visible mouth. Some seconds are needed.",
        "能看到嘴且有人说话的时间太短，至少需要几秒。",
    ),
    Reason.STILL_MOUTH: Text("the mouth hardly moves, or is covered.", "嘴几乎不动，或被遮住。"),
    Reason.STEADY_SOUND: Text(
        "the sound does not rise and fall as speech does; it may be music or noise.",
        "声音不像语音那样起伏，可能是音乐或噪声。",
    ),
    Reason.NO_MATCH: Text(
        "the mouth does not match the sound. It may be somebody else's voice, music, a covered mouth, or an offset of "
        "more than half a second.",
        "口型与声音对不上：可能是别人的声音、音乐、嘴被遮住，或偏移超过半秒。",
    ),
}
"""Why there is no offset."""

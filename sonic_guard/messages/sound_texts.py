"""Texts about the sound of a run: silence, and the tracks of a file."""

from collections.abc import Mapping

from ..media.audio import Refusal
from ..optimizations import Text
from .catalogue import Counted

SILENT = Text(
    "The audio is silent (below {threshold:g} dBFS): the mouth in the video will not speak.",
    "音频没有声音（低于 {threshold:g} dBFS）：视频中的人物不会开口说话。",
)
SILENT_TRACK = Text(
    "Audio track {track} of {tracks} is silent (below {threshold:g} dBFS): the mouth in the video will not speak.",
    "第 {track} 条音轨（共 {tracks} 条）没有声音（低于 {threshold:g} dBFS）：视频中的人物不会开口说话。",
)
VOICE_TRACKS = Counted(
    Text("Track {tracks} has sound.", "第 {tracks} 条音轨有声音。"),
    Text("Tracks {tracks} have sound.", "第 {tracks} 条音轨有声音。"),
)
NAMED_TRACK = Text("{number} ({title})", "{number}（{title}）")
COMMA = Text(", ", "、")
CHOOSE_IN_GRAPH = Text(
    "Take it with Load Voice (Sonic Guard), where you choose the track.",
    "请用“加载人声 (Sonic Guard)”读取，并在其中选择音轨。",
)
CHOOSE_ON_COMMAND_LINE = Text("Choose it with --track {number}.", "请用 --track {number} 选择。")
REFUSALS: Mapping[Refusal, Text] = {
    Refusal.OLD_TAGS: Text("it has tags in an old 8-bit encoding", "它的标签使用旧的 8 位编码"),
    Refusal.DAMAGED: Text("a part of it is damaged", "文件有一部分已损坏"),
    Refusal.EIGHT_BITS: Text("its samples have 8 bits", "它的采样位深为 8 位"),
}
"""Part of a sentence."""
REFUSED = Text(
    "ComfyUI's Load Audio will not read {name}: {refusal}. Load Voice (Sonic Guard) does, or convert it to WAV.",
    "ComfyUI 的“加载音频”无法读取 {name}：{refusal}。请改用“加载人声 (Sonic Guard)”，或转换为 WAV。",
)

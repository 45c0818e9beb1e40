"""What the user reads about levers and long videos, in English and Chinese; as in `words`, nothing is decided here."""

from collections.abc import Iterable

from ..devices.card_catalogue import GIB
from ..job import Job
from ..long_video.rendering import EncodingAudio, Event, FallbackEnabled, Joining, LongVideo, PartKept
from ..optimizations import ESCALATION_ORDER, Optimization
from ..planning.selection import Switches
from .plan_messages import LANGUAGES

_TEXT: dict[str, tuple[str, str]] = {
    "enabled": ("Enabled: {optimizations}.", "已启用：{optimizations}。"),
    "nothing enabled": ("Nothing is enabled before it is needed.", "需要之前不启用任何手段。"),
    "when needed": (
        "When the run begins, as many as it takes of: {optimizations}. The others follow if memory runs out all the same.",
        "运行开始时按需启用：{optimizations}。若显存仍不足，再逐项启用其余各项。",
    ),
    "not exact": (
        "fp8_weights changes pixels, a little; every other optimization gives the stock frames.",
        "fp8_weights 会轻微改变画面；其余手段得到的画面与原版相同。",
    ),
    "unsupported": (
        "This Sonic wrapper's network cannot bear {optimizations}; the model does without.",
        "当前 Sonic 封装的网络不支持 {optimizations}；已略过。",
    ),
    "passed": ("The model passes as it is. {reason}", "模型原样通过。{reason}"),
    "no dtype": (
        "Link weight_dtype of SONICTLoader to SONIC_PreData: this model does not tell its own.",
        "请把 SONICTLoader 的 weight_dtype 连到 SONIC_PreData：无法得知此模型的数值精度。",
    ),
    "part": ("part {part} of {parts}", "第 {part} 段，共 {parts} 段"),
    "left": ("about {time} left", "约剩 {time}"),
    "kept": ("Part {part} is there from an earlier run.", "第 {part} 段已由先前的运行完成。"),
    "fallback enabled": (
        "Part {part} ran out of memory; once more with {optimization}.",
        "第 {part} 段显存不足；启用 {optimization} 后重试。",
    ),
    "listening": ("Sonic hears the voice: {share:.0%}", "Sonic 正在聆听语音：{share:.0%}"),
    "joining": ("Writing the video: {share:.0%}", "正在写出视频：{share:.0%}"),
    "video": (
        "{width}×{height}, {frames} frames at {fps:g} a second, {time}; {size}",
        "{width}×{height}，{frames} 帧，每秒 {fps:g} 帧，{time}；{size}",
    ),
    "one pass": ("Made in one pass.", "一次完成。"),
    "in parts": (
        "Made in {parts} parts of at most {longest:.0f} s.",
        "分 {parts} 段完成，每段不超过 {longest:.0f} 秒。",
    ),
    "resumed": ("{kept} of them were there from an earlier run.", "其中 {kept} 段来自先前的运行。"),
    "survived": (
        "Memory ran out on the way, and these optimizations were enabled: {optimizations}.",
        "途中显存不足，已启用：{optimizations}。",
    ),
}


def optimization_report(switches: Switches, unsupported: frozenset[Optimization], reason: str, lang: str = "en") -> str:
    """What Sonic Low VRAM does with the model. `reason` says why it does nothing."""
    if reason:
        return _text("passed", lang, reason=reason)
    lines = [
        _text("enabled", lang, optimizations=_names(switches.on)) if switches.on else _text("nothing enabled", lang)
    ]
    if switches.auto:
        lines.append(_text("when needed", lang, optimizations=_names(switches.auto)))
    if Optimization.FP8_WEIGHTS in switches.on | switches.auto:
        lines.append(_text("not exact", lang))
    if unsupported:
        lines.append(_text("unsupported", lang, optimizations=_names(unsupported)))
    return "\n".join(lines)


def no_dtype_text(lang: str = "en") -> str:
    """What to do where Sonic Low VRAM cannot tell a model's number format."""
    return _text("no dtype", lang)


def event_text(event: Event, lang: str = "en") -> str:
    """How far a long video is, or what has happened to it, in a line."""
    if isinstance(event, PartKept):
        return _text("kept", lang, part=event.part + 1)
    if isinstance(event, FallbackEnabled):
        return _text("fallback enabled", lang, part=event.part + 1, optimization=event.optimization)
    if isinstance(event, EncodingAudio):
        return _text("listening", lang, share=event.share)
    if isinstance(event, Joining):
        return _text("joining", lang, share=event.share)
    pieces = [f"{event.share:.0%}"]
    if event.parts > 1:
        pieces.insert(0, _text("part", lang, part=event.part + 1, parts=event.parts))
    if event.seconds_left is not None:
        pieces.append(_text("left", lang, time=clock(event.seconds_left)))
    return " · ".join(pieces)


def long_report(video: LongVideo, job: Job, optimizations: frozenset[Optimization], lang: str = "en") -> str:
    """What was made, how, and what happened on the way; `job` is that of the longest part."""
    info, size = video.info, job.frame_size
    lines = [
        video.path.name,  # and not its folder: the report stays in the history, which every page gets
        _text(
            "video", lang, width=size.width, height=size.height, frames=info.frames, fps=float(info.rate),
            time=clock(info.seconds), size=f"{video.path.stat().st_size / GIB * 1024:.1f} MiB",
        ),
        _text("in parts" if video.parts > 1 else "one pass", lang, parts=video.parts, longest=job.duration_s),
    ]  # fmt: skip
    if video.kept:
        lines.append(_text("resumed", lang, kept=video.kept))
    if optimizations:
        lines.append(_text("enabled", lang, optimizations=_names(optimizations)))
    if video.optimizations:
        lines.append(_text("survived", lang, optimizations=" + ".join(video.optimizations)))
    return "\n".join(lines)


def clock(seconds: float) -> str:
    """Seconds as 1:02:03, or 2:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _names(optimizations: Iterable[Optimization]) -> str:
    return " + ".join(optimization for optimization in ESCALATION_ORDER if optimization in set(optimizations))


def _text(key: str, lang: str, **values: object) -> str:
    return _TEXT[key][LANGUAGES.index(lang)].format(**values)

"""What the user reads about levers and long videos, in English and Chinese; as in `words`, nothing is decided here."""

from collections.abc import Iterable

from ..job import Job, Lever
from ..long_video.rendering import Event, Joining, LeverPulled, Listening, LongVideo, PartKept
from ..planning.selection import LADDER, Switches
from ..devices.card_catalogue import GIB
from .plan_messages import LANGUAGES

_TEXT: dict[str, tuple[str, str]] = {
    "pulled": ("Pulled: {levers}.", "已启用：{levers}。"),
    "nothing pulled": ("Nothing is pulled before it is needed.", "需要之前不启用任何手段。"),
    "when needed": (
        "When the run begins, as many as it takes of: {levers}. The others follow if memory runs out all the same.",
        "运行开始时按需启用：{levers}。若显存仍不足，再逐项启用其余各项。",
    ),
    "not exact": (
        "fp8 changes pixels, a little; every other lever gives the stock frames.",
        "fp8 会轻微改变画面；其余手段得到的画面与原版相同。",
    ),
    "strange": (
        "This Sonic wrapper's network cannot bear {levers}; the model does without.",
        "当前 Sonic 封装的网络不支持 {levers}；已略过。",
    ),
    "passed": ("The model passes as it is. {reason}", "模型原样通过。{reason}"),
    "no dtype": (
        "Link weight_dtype of SONICTLoader to SONIC_PreData: this model does not tell its own.",
        "请把 SONICTLoader 的 weight_dtype 连到 SONIC_PreData：无法得知此模型的数值精度。",
    ),
    "part": ("part {part} of {parts}", "第 {part} 段，共 {parts} 段"),
    "left": ("about {time} left", "约剩 {time}"),
    "kept": ("Part {part} is there from an earlier run.", "第 {part} 段已由先前的运行完成。"),
    "lever pulled": (
        "Part {part} ran out of memory; once more with {lever}.",
        "第 {part} 段显存不足；启用 {lever} 后重试。",
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
        "Memory ran out on the way, and these levers were pulled: {levers}.",
        "途中显存不足，已启用：{levers}。",
    ),
}


def lever_report(switches: Switches, strange: frozenset[Lever], reason: str, lang: str = "en") -> str:
    """What Sonic Low VRAM does with the model. `reason` says why it does nothing."""
    if reason:
        return _say("passed", lang, reason=reason)
    lines = [_say("pulled", lang, levers=_names(switches.on)) if switches.on else _say("nothing pulled", lang)]
    if switches.auto:
        lines.append(_say("when needed", lang, levers=_names(switches.auto)))
    if Lever.FP8 in switches.on | switches.auto:
        lines.append(_say("not exact", lang))
    if strange:
        lines.append(_say("strange", lang, levers=_names(strange)))
    return "\n".join(lines)


def no_dtype_text(lang: str = "en") -> str:
    """What to do where Sonic Low VRAM cannot tell a model's number format."""
    return _say("no dtype", lang)


def event_text(event: Event, lang: str = "en") -> str:
    """How far a long video is, or what has happened to it, in a line."""
    if isinstance(event, PartKept):
        return _say("kept", lang, part=event.part + 1)
    if isinstance(event, LeverPulled):
        return _say("lever pulled", lang, part=event.part + 1, lever=event.lever)
    if isinstance(event, Listening):
        return _say("listening", lang, share=event.share)
    if isinstance(event, Joining):
        return _say("joining", lang, share=event.share)
    pieces = [f"{event.share:.0%}"]
    if event.parts > 1:
        pieces.insert(0, _say("part", lang, part=event.part + 1, parts=event.parts))
    if event.seconds_left is not None:
        pieces.append(_say("left", lang, time=clock(event.seconds_left)))
    return " · ".join(pieces)


def long_report(video: LongVideo, job: Job, levers: frozenset[Lever], lang: str = "en") -> str:
    """What was made, how, and what happened on the way; `job` is that of the longest part."""
    info, size = video.info, job.frame_size
    lines = [
        video.path.name,  # and not its folder: the report stays in the history, which every page gets
        _say(
            "video", lang, width=size.width, height=size.height, frames=info.frames, fps=float(info.rate),
            time=clock(info.seconds), size=f"{video.path.stat().st_size / GIB * 1024:.1f} MiB",
        ),
        _say("in parts" if video.parts > 1 else "one pass", lang, parts=video.parts, longest=job.duration_s),
    ]  # fmt: skip
    if video.kept:
        lines.append(_say("resumed", lang, kept=video.kept))
    if levers:
        lines.append(_say("pulled", lang, levers=_names(levers)))
    if video.levers:
        lines.append(_say("survived", lang, levers=" + ".join(video.levers)))
    return "\n".join(lines)


def clock(seconds: float) -> str:
    """Seconds as 1:02:03, or 2:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _names(levers: Iterable[Lever]) -> str:
    return " + ".join(lever for lever in LADDER if lever in set(levers))


def _say(key: str, lang: str, **values: object) -> str:
    return _TEXT[key][LANGUAGES.index(lang)].format(**values)

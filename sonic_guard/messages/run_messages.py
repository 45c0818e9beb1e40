"""Sentences about a run: the report of Sonic Low VRAM, and progress and report of a long video."""

from pathlib import Path

from ..devices.card_catalogue import GIB
from ..long_video.rendering import EncodingAudio, Event, FallbackEnabled, Joining, LongVideo, PartKept, Preparing
from ..media.video_file import VideoInfo
from ..operations.talking_head import TalkingHead
from ..optimizations import Optimization
from ..planning.selection import Switches
from . import run_texts as texts
from .catalogue import clock, count, fill
from .plan_messages import change_line, frame_count, optimization_names, padding_lines


def optimization_report(
    switches: Switches, unsupported: frozenset[Optimization], reason: str, lang: str = "en", *, overlapped: bool = False
) -> str:
    """What Sonic Low VRAM does with the model, a line each. A `reason` says why it does nothing."""
    if reason:
        return fill(texts.UNCHANGED, lang, reason=reason)
    lines = [
        fill(texts.ENABLED, lang, optimizations=optimization_names(switches.on, lang))
        if switches.on
        else fill(texts.NOTHING_ENABLED, lang)
    ]
    if switches.auto:
        lines.append(fill(texts.ENABLED_WHEN_NEEDED, lang, optimizations=optimization_names(switches.auto, lang)))
    if overlapped:
        lines.append(fill(texts.OVERLAPPED, lang))
    if unsupported:
        lines.append(fill(texts.UNSUPPORTED, lang, optimizations=optimization_names(unsupported, lang)))
    return "\n".join(lines)


def event_text(event: Event, lang: str = "en") -> str:
    """Progress of a long video, or what has happened to it, in a line."""
    if isinstance(event, PartKept):
        return fill(texts.PART_KEPT, lang, part=event.part + 1)
    if isinstance(event, FallbackEnabled):
        name = optimization_names([event.optimization], lang)
        return fill(texts.FALLBACK_ENABLED, lang, part=event.part + 1, optimization=name)
    if isinstance(event, Preparing):
        return fill(texts.PREPARING[event], lang)
    if isinstance(event, EncodingAudio):
        return fill(texts.ENCODING_AUDIO, lang, share=event.share)
    if isinstance(event, Joining):
        return fill(texts.WRITING_VIDEO, lang, share=event.share)
    progress = progress_text(event.share, event.seconds_left, lang)
    if event.parts > 1:
        return " · ".join([fill(texts.PART, lang, part=event.part + 1, parts=event.parts), progress])
    return progress


def progress_text(share: float, seconds_left: float | None, lang: str = "en") -> str:
    """How much of long work is done, 0 … 1, and the time left as far as it is known."""
    left = [] if seconds_left is None or share >= 1 else [fill(texts.TIME_LEFT, lang, time=clock(seconds_left))]
    return " · ".join([f"{share:.0%}", *left])


def file_lines(path: Path, size: tuple[int, int], info: VideoInfo, lang: str = "en") -> list[str]:
    """A finished video: its name, without its folder, because every page can read ComfyUI's history; and what it is."""
    return [
        path.name,
        fill(
            texts.VIDEO, lang, width=size[0], height=size[1],
            frames=frame_count(info.frames, lang), fps=float(info.rate),
            time=clock(info.seconds), size=f"{path.stat().st_size / GIB * 1024:.1f} MiB",
        ),
    ]  # fmt: skip


def video_report(video: LongVideo, planned: TalkingHead, lang: str = "en") -> str:
    """The finished video, how it was made, what was changed for it, and what happened during the run."""
    info, job, size = video.info, planned.part, planned.part.frame_size
    optimizations = job.optimizations
    lines = [
        *file_lines(video.path, (size.width, size.height), info, lang),
        fill(texts.IN_PARTS, lang, parts=video.parts, longest=job.duration_s)
        if video.parts > 1
        else fill(texts.ONE_PASS, lang),
    ]  # fmt: skip
    lines += padding_lines(planned.preflight.sound_s, lang)
    lines += [change_line(change, lang) for change in planned.preflight.plan.changes]
    if planned.is_preview:
        whole = planned.preflight.requested
        lines.append(fill(texts.PREVIEW, lang, steps=job.steps, seconds=whole.output_s))
    if video.kept:
        lines.append(count(texts.PARTS_KEPT, lang, video.kept))
    if optimizations:
        lines.append(fill(texts.ENABLED, lang, optimizations=optimization_names(optimizations, lang)))
    if video.optimizations:
        lines.append(fill(texts.FALLBACKS_ENABLED, lang, optimizations=optimization_names(video.optimizations, lang)))
    return "\n".join(lines)

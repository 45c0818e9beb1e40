"""Measures a video file, in bounded memory whatever its length: of a long one, stretches that are spread evenly."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from av.audio.frame import AudioFrame
from av.container import InputContainer
from av.error import FFmpegError, InvalidDataError

from ...errors import AudioError
from ...media.audio import MAX_RATE, MIN_RATE, Sound
from ...media.audio_file import READABLE_FORMATS, open_sound, samples_of
from ...media.cancellation import Check, nothing
from ...media.containers import opened
from ...media.footage import Footage, open_footage, shots
from .correlation import REACH_S, Observation
from .measurement import LipSync, measure, observe
from .mouth import TimedFrame
from .offset import MAX_DRIFT

STRETCH_S, STRETCHES = 20.0, 13
"""Length and number of the stretches of a longer one; one is in its middle, from where drift is followed."""
WHOLE_S = STRETCH_S * STRETCHES
"""Films up to this length are measured as a whole. More seconds add no precision."""
MARGIN_S = REACH_S + 0.5
"""Sound before and after a stretch that is read with it, and as much more as the fastest drift moves it."""

Notify = Callable[[float], None]
"""Receives the share that is done, 0 … 1."""


class Observed(NamedTuple):
    """What was looked at in a file."""

    footage: Footage
    observations: list[Observation]
    measured_s: float
    """Seconds of the film that were looked at."""


@dataclass(frozen=True, eq=False)
class FilmSync:
    """What was measured in a file."""

    found: LipSync
    footage: Footage
    measured_s: float
    """Seconds of the film that were looked at."""

    @property
    def is_sampled(self) -> bool:
        """Whether only parts of the film were looked at."""
        return self.measured_s < self.footage.seconds - 1e-6


def measure_film(path: Path, check: Check = nothing, notify: Notify = lambda share: None) -> FilmSync:
    """The offset between sound and mouth in the video `path`; of its audio tracks, the first.

    Args:
        path: any video that is read here.
        check: called for each picture; its exceptions propagate.
        notify: receives the progress.

    Raises `FootageError` for a video that cannot be read, `AudioError` for NaN in its sound, `FaceError` if the
    detector cannot be loaded.
    """
    footage, observations, measured_s = observe_film(path, check, notify)
    return FilmSync(measure(observations), footage, measured_s)


def observe_film(path: Path, check: Check = nothing, notify: Notify = lambda share: None) -> Observed:
    """What `measure_film` measures the offset in; the arguments and errors are the same."""
    footage = open_footage(path, check)
    stretches = stretches_of(footage.seconds)
    measured_s = sum(end - begin for begin, end in stretches)
    done_s = 0.0
    observations: list[Observation] = []
    for begin_s, end_s in stretches:

        def progress(time_s: float, before_s: float = done_s, begin_s: float = begin_s) -> None:
            check()
            notify(min(1.0, (before_s + time_s - begin_s) / measured_s))

        observations.append(_observed(footage, begin_s, end_s, progress))
        done_s += end_s - begin_s
    return Observed(footage, observations, measured_s)


def stretches_of(seconds: float) -> list[tuple[float, float]]:
    """Begin and end of what is measured of a film, in seconds: all of it, or evenly spread stretches."""
    if seconds <= WHOLE_S:
        return [(0.0, seconds)]
    return [(begin, begin + STRETCH_S) for begin in np.linspace(0, seconds - STRETCH_S, STRETCHES).tolist()]


def _observed(footage: Footage, begin_s: float, end_s: float, progress: Callable[[float], None]) -> Observation:
    """A stretch of the film; times are seconds since its first picture."""
    first_s = float(footage.moments[0] * footage.time_base)
    sound, sound_start_s = None, 0.0
    if footage.audio_tracks:
        margin_s = MARGIN_S + MAX_DRIFT * max(abs(at_s - footage.seconds / 2) for at_s in (begin_s, end_s))
        begin, end = first_s + begin_s - margin_s, first_s + end_s + margin_s
        sound, sound_start_s = sound_between(footage.path, begin, end, lambda: progress(begin_s))
    timed = takewhile(lambda each: each.time_s < end_s, _timed(footage, begin_s, first_s, progress))
    return observe(timed, sound, sound_start_s - first_s)


def _timed(footage: Footage, begin_s: float, first_s: float, progress: Callable[[float], None]) -> Iterator[TimedFrame]:
    times_s = np.array([float(moment * footage.time_base) - first_s for moment in footage.moments])
    start = min(int(np.searchsorted(times_s, begin_s - 1e-9)), len(times_s) - 1)
    for moment, picture in shots(footage, start):
        time_s = float(moment * footage.time_base) - first_s
        progress(time_s)
        yield TimedFrame(time_s, picture)


def sound_between(path: Path, begin_s: float, end_s: float, check: Check = nothing) -> tuple[Sound, float]:
    """The first audio track of a file from `begin_s` to `end_s` on the file's clock, mono, and when it begins.

    Each sample is where its packet's time says. Seconds without sound are silent. Packets that cannot be decoded are
    left out. Raises `AudioError` if there is no sound that is read here.
    """
    parts: list[tuple[float, np.ndarray]] = []
    rate = 0
    with opened(path, AudioError, "a video", check) as source, open_sound(source, source) as container:
        stream = container.streams.audio[0]
        if begin_s > MARGIN_S and stream.time_base:
            container.seek(int((begin_s - 1) / stream.time_base), stream=stream)
        for frame in _decoded(container, stream, check):
            rate = rate or frame.sample_rate
            time_s = float(frame.pts * frame.time_base) if frame.pts is not None and frame.time_base else 0.0
            if time_s >= end_s:
                break
            if time_s + frame.samples / rate > begin_s and frame.sample_rate == rate:
                parts.append((time_s, samples_of(frame).mean(axis=1).astype(np.float32)))
    if not MIN_RATE <= rate <= MAX_RATE or not parts:
        return Sound(np.zeros((1, 0), np.float32), 8000), begin_s
    start_s = parts[0][0]
    length = max(round((time_s - start_s) * rate) + len(part) for time_s, part in parts)
    mono = np.zeros(min(length, round((end_s - begin_s + 2) * rate)), np.float32)
    for time_s, part in parts:
        at = round((time_s - start_s) * rate)
        room = mono[at : at + len(part)] if at >= 0 else mono[:0]
        room[:] = part[: len(room)]
    return Sound(mono[None], rate), start_s


def _decoded(container: InputContainer, stream: Any, check: Check) -> Iterator[AudioFrame]:
    """The frames of a sound, up to where it is torn."""
    for packet in container.demux(stream):
        check()
        try:
            frames = packet.decode()
        except InvalidDataError:
            continue
        except FFmpegError:
            return  # torn: what came before counts
        yield from (
            frame for frame in frames if isinstance(frame, AudioFrame) and frame.format.name in READABLE_FORMATS
        )

"""Measures the offset between sound and mouth."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ...media.audio import Sound
from ...media.cancellation import Check, nothing
from ...media.picture import Rgb
from .confidence import CONFIDENT, Reason, confidence, doubt, obstacle
from .correlation import LAGS_S, SEARCH_S, Observation, motion
from .mouth import TimedFrame, read_mouth
from .offset import find_offset
from .speech import read_speech

NATURAL_LEAD_S = 0.011
"""By how much the visible mouth is ahead of the sound where both were recorded together; it is no offset.

The mean over eleven films of ten people in the GRID corpus, recorded in a studio; standard error 5 ms."""


@dataclass(frozen=True, eq=False)
class LipSync:
    """What was measured."""

    offset_ms: float | None
    """By how much the sound is late; negative: early. In the middle of the film, if it drifts. None: abstained."""
    drift_ppm: float | None
    """Microseconds that the sound gets later in a second; 0 if none is certain. None: abstained."""
    confidence: float
    """0 … 1: the probability that the offset is right within 20 ms."""
    reason: Reason | None
    """Why there is no offset."""
    lags_ms: np.ndarray
    """float64 [L], within the search."""
    correlation: np.ndarray
    """float64 [L]: how well mouth and sound agree if the sound is that late; zeros if nothing could be correlated."""
    seconds: float
    """Of a visible mouth that were measured."""

    @property
    def abstained(self) -> bool:
        """Whether there is no offset."""
        return self.reason is not None


def observe(
    frames: Iterable[TimedFrame], sound: Sound | None, sound_start_s: float = 0.0, check: Check = nothing
) -> Observation:
    """What is correlated of a stretch of film: some numbers a frame. The frames are taken one by one and not kept.

    Args:
        frames: in the order they are shown.
        sound: of the stretch, best with `correlation.REACH_S` more at both ends; None without one.
        sound_start_s: when its first sample is heard, on the clock of the frames.
        check: called for each frame; its exceptions propagate.

    Raises `AudioError` for NaN in the sound, `FaceError` if the detector cannot be loaded.
    """
    empty = np.zeros((1, 0), np.float32)
    speech = read_speech(sound or Sound(empty, 8000), sound_start_s)
    return Observation(read_mouth(frames, check), speech)


def measure(observations: Sequence[Observation]) -> LipSync:
    """The offset in what was observed."""
    moving = motion(observations)
    inside = np.abs(LAGS_S) <= SEARCH_S + 1e-9
    lags_ms = LAGS_S[inside] * 1e3
    seconds = moving.seconds
    reason = obstacle(observations, moving)
    if reason is not None:
        return LipSync(None, None, 0.0, reason, lags_ms, np.zeros(len(lags_ms)), seconds)
    found = find_offset(moving, observations)
    curve = np.interp(LAGS_S[inside] + NATURAL_LEAD_S, LAGS_S, found.curve)
    sure = confidence(found, seconds)
    if sure < CONFIDENT:
        return LipSync(None, None, sure, doubt(observations, moving), lags_ms, curve, seconds)
    offset_ms = (found.offset_s - NATURAL_LEAD_S) * 1e3
    return LipSync(offset_ms, found.drift * 1e6, sure, None, lags_ms, curve, seconds)


def measure_clip(
    frames: Iterable[Rgb], fps: float, sound: Sound | None, sound_start_s: float = 0.0, check: Check = nothing
) -> LipSync:
    """The offset in a clip of `fps` pictures a second, uint8 [H, W, 3], and its sound. Raises as `observe` does."""
    return measure([observe(_timed(frames, fps), sound, sound_start_s, check)])


def _timed(frames: Iterable[Rgb], fps: float) -> Iterator[TimedFrame]:
    for number, frame in enumerate(frames):
        yield TimedFrame(number / fps, frame)

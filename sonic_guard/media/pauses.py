"""The best moment in a stretch of sound to cut it: its longest silence."""

from typing import Any

from .audio import Sound
from .pydub_audio import load_pydub, to_segment
from .silence import THRESHOLD_DBFS

SHORTEST_MS = 100
"""Shorter silences are part of a word: the closed mouth of a p or t."""
BELOW_SPEECH_DB = 16.0
"""How far below the loudness of its stretch sound counts as silent: recordings have a noise of their own."""
_STEP_MS = 10


def longest_pause(sound: Sound, start_s: float, stop_s: float) -> float:
    """The middle, in seconds, of the longest silence between `start_s` and `stop_s`.

    Of equal ones that nearest to the middle of the stretch; where there is none, the quietest tenth of a second.
    The stretch is cut to the sound; of one that is over before a tenth of a second, the middle.
    """
    rate = sound.sample_rate
    begin, end = max(0, round(start_s * rate)), min(sound.samples, round(stop_s * rate))
    if end - begin < SHORTEST_MS * rate // 1000:
        return (start_s + stop_s) / 2
    stretch = sound.waveform[:, begin:end]
    segment = to_segment(stretch, rate)
    middle = len(segment) / 2
    threshold: Any = max(THRESHOLD_DBFS, segment.dBFS - BELOW_SPEECH_DB)
    silences = load_pydub().detect_silence(segment, SHORTEST_MS, threshold, _STEP_MS)
    if not silences:
        starts = range(0, len(segment) - SHORTEST_MS + 1, _STEP_MS)
        quietest = min(starts, key=lambda at: (segment[at : at + SHORTEST_MS].rms, abs(at - middle)))
        silences = [[quietest, quietest + SHORTEST_MS]]
    first, last = max(silences, key=lambda silence: (silence[1] - silence[0], -abs(sum(silence) / 2 - middle)))
    return begin / rate + (first + last) / 2000

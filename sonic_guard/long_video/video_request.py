"""The request for a long video: everything that determines its content."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import Any

from ..job import LATENT_FPS, Job
from ..media.audio import Sound
from ..media.pauses import longest_pause
from ..media.video_writer import Encoding
from ..resume.manifest import content_key
from .part_plan import Part, Pause, part_sound, plan_parts

_NO_INFLUENCE = ("optimizations", "chunk_size", "to_file", "expand_ratio", "duration_s", "relative")
"""Fields of a job that do not change a part's pictures, or that are determined by its sound or always the same."""


@dataclass(frozen=True, eq=False)
class VideoRequest:
    """A long video as requested."""

    job: Job
    """The whole video. Its optimizations do not affect the keys: they give the same frames."""
    picture: Any
    """Sonic's input picture, an array or tensor."""
    sound: Sound
    weights: str
    """Digest of the networks' weights, from `manifest.weights_key`."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Other settings that change the pixels (seed, ip_audio_scale …), as JSON values."""
    encoding: Encoding = field(default_factory=Encoding)
    longest: int | None = None
    """Most latent frames in a part; None makes the video in one pass."""

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """The parts, cut at pauses of the voice. Raises `JobError` if `longest` is too short."""
        return plan_parts(self.job, self.longest, pause_in(self.sound))

    @property
    def fps(self) -> Fraction:
        """Frames per second of the video, exactly."""
        return Fraction(self.job.output_fps)

    @cached_property
    def key(self) -> str:
        """Digest of everything that determines the video, except where it is cut into parts."""
        return content_key(self._appearance, self.sound)

    @cached_property
    def part_keys(self) -> tuple[str, ...]:
        """For every part, the digest of everything that determines its pixels."""
        return tuple(content_key(self._appearance, part_sound(self.sound, part), _cut(part)) for part in self.parts)

    @cached_property
    def _appearance(self) -> str:
        job = {name: value for name, value in asdict(self.job).items() if name not in _NO_INFLUENCE}
        encoding = [self.encoding.format, self.encoding.options]  # only the options that this format uses
        return content_key(self.picture, job, dict(self.settings), self.weights, encoding)


def pause_in(sound: Sound) -> Pause:
    """Finds where to cut `sound`: the latent frame, between two given ones, at which the voice pauses longest."""

    def pause(low: int, high: int) -> int:
        at_s = longest_pause(sound, low / LATENT_FPS, high / LATENT_FPS)
        return min(high, max(low, round(at_s * LATENT_FPS)))

    return pause


def _cut(part: Part) -> dict[str, int]:
    """How the part's frames are sorted, independent of its position in the video."""
    return {name: value for name, value in asdict(part).items() if name not in ("index", "start", "stop")}

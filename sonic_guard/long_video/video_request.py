"""What a long video is to be: everything that decides how it looks, in one noun."""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import Any

from ..job import LATENT_FPS, Job
from ..media.audio import Sound
from ..media.pauses import longest_pause
from ..media.video_writer import Encoding
from ..optimizations import EXACT
from .manifest import content_key
from .part_plan import Part, part_sound, plan_parts

_NO_INFLUENCE = ("optimizations", "chunk_size", "to_file", "expand_ratio", "duration_s")
"""Fields of a job that change no picture of a part, or that its sound already tells."""


@dataclass(frozen=True, eq=False)
class Order:
    """A long video as it is asked for."""

    job: Job
    """The whole run. Its levers do not count for the keys: they give the same frames."""
    picture: Any
    """Array or tensor: the picture that Sonic gets."""
    sound: Sound
    weights: str
    """Identity of the networks, such as `manifest.weights_key` gives."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """What else changes the pixels (seed, ip_audio_scale …), as JSON has it."""
    encoding: Encoding = field(default_factory=Encoding)
    longest: int | None = None
    """Latent frames a part may have; None makes the whole in one pass."""

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """The runs of Sonic it takes, cut where the voice pauses. Raises `JobError` if `longest` is too short."""

        def pause(low: int, high: int) -> int:
            at_s = longest_pause(self.sound, low / LATENT_FPS, high / LATENT_FPS)
            return min(high, max(low, round(at_s * LATENT_FPS)))

        return plan_parts(self.job, self.longest, pause)

    @property
    def fps(self) -> Fraction:
        """Frames of the video a second, exactly."""
        return Fraction(self.job.output_fps)

    @cached_property
    def key(self) -> str:
        """Digest of all that decides how the video looks, but for where it is cut."""
        return content_key(self._looks, self.sound)

    @cached_property
    def part_keys(self) -> tuple[str, ...]:
        """Of every part, the digest of all that decides its pixels. Parts that look the same have the same."""
        return tuple(content_key(self._looks, part_sound(self.sound, part), _cut(part)) for part in self.parts)

    def part_key(self, part: Part, optimizations: Collection[str] = ()) -> str:
        """The key of `part` made with `optimizations` pulled on the way: another one where they change pixels."""
        inexact = sorted(set(optimizations) - EXACT)
        exact = self.part_keys[part.index]
        return content_key(exact, inexact) if inexact else exact

    @cached_property
    def _looks(self) -> str:
        job = {name: value for name, value in asdict(self.job).items() if name not in _NO_INFLUENCE}
        encoding = [self.encoding.format, self.encoding.options]  # what the format has no use for does not count
        return content_key(self.picture, job, dict(self.settings), self.weights, encoding)


def _cut(part: Part) -> dict[str, int]:
    """What becomes of the part's frames, wherever it lies in the whole."""
    return {name: value for name, value in asdict(part).items() if name not in ("index", "start", "stop")}

"""What a job needs on each card of a farm, as the placement takes it.

The pixels are the job's own on every card: what does not fit is made with memory optimizations that give the same
frames and in parts, never smaller. A job for which that is not enough is refused.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple

from ..devices.budget import RESERVE, Budget, budget_for
from ..devices.card_catalogue import GIB, Card, card_of_device, menu_cards
from ..errors import JobError
from ..history.history_cache import CardHistory
from ..media import audio_file, picture
from ..media.face import Face, find_faces
from ..operations.face_box import Portrait
from ..operations.preflight import Overrides, PreflightRequest
from ..operations.preset_files import load_preset
from ..operations.run_settings import dtype_on
from ..operations.talking_head import TalkingHead, TalkingHeadRequest, plan_talking_head
from ..optimizations import Mode
from ..planning.capabilities import GraphCapabilities
from ..planning.capacity import Capacity
from ..planning.pace import Pace
from ..planning.selection import read_switches
from .comfyui_client import Facts
from .forecast import CardModel, run_s
from .jobs import FarmJob, JobSettings
from .placement import Option


class Options(NamedTuple):
    """The ways to make a job."""

    options: tuple[Option, ...]
    """From the fewest optimizations to the most; empty where it fits none of the cards."""
    modes: tuple[Mode, ...]
    """Sonic Talking Head's mode for each."""
    frames: int
    """Frames of the finished video."""
    refusal: str = ""
    """Why there are no options: what it needs, and the card that would hold it."""


class _Media(NamedTuple):
    size: tuple[int, int]
    faces: tuple[Face, ...]
    sound_s: float


@dataclass
class JobPlanner:
    """Plans jobs for a set of card models. Portraits, voices and equal plans are looked at once."""

    budgets: Mapping[str, Budget]
    """By the name of the card model, as in `Option.seconds_by_card`."""
    refuse: Callable[[int, Card | None], str]
    """Words a refusal: the bytes that are needed, and the smallest card that has them."""
    known: Mapping[str, CardHistory] = field(default_factory=lambda: MappingProxyType({}))
    """What the park's history tells of the card models (`history.card_models`)."""
    _media: dict[tuple[Any, ...], _Media] = field(default_factory=dict)
    _plans: dict[tuple[Any, ...], Options] = field(default_factory=dict)

    def options(self, job: FarmJob) -> Options:
        """The ways to make `job`. Raises `SonicGuardError` for a portrait or a voice that cannot be used."""
        media = self._read(job)
        key = (media, _planned_settings(job.settings))
        if key not in self._plans:
            self._plans[key] = self._plan(job.settings, media)
        return self._plans[key]

    def plan_on(self, job: FarmJob, mode: Mode, card: str) -> TalkingHead:
        """The plan of `job` on a card model, which says where the video is cut. Raises as `options`."""
        known = self.known.get(card, CardHistory())
        return _planned(job.settings, self._read(job), mode, self.budgets[card], known.pace)

    def dtype(self, settings: JobSettings, card: str) -> str:
        """Number format of the network on a card."""
        return str(dtype_on(self.budgets[card], load_preset(settings.preset).dtype))

    def _read(self, job: FarmJob) -> _Media:
        key = (job.image_digest, job.audio_digest, job.settings.track, job.settings.cut_silence)
        if key not in self._media:
            size, faces = _portrait(job)
            self._media[key] = _Media(size, faces, _sound_s(job))
        return self._media[key]

    def _plan(self, settings: JobSettings, media: _Media) -> Options:
        options, modes, frames = [], [], 0
        for mode in _modes(settings):
            sizes, seconds = {}, {}
            for card, budget in self.budgets.items():
                known = self.known.get(card, CardHistory())
                planned = _planned(settings, media, mode, budget, known.pace)
                frames = planned.whole.output_frames
                if planned.preflight.plan.fits:
                    model = CardModel(budget, known.pace, known.calibration)
                    sizes[card] = model.needed_bytes(planned.preflight.estimate)
                    seconds[card] = run_s(planned.planned, model, [part.latent_frames for part in planned.parts])
            if sizes:
                options.append(Option(min(sizes.values()), seconds, size_by_card=sizes))
                modes.append(mode)
        refusal = "" if options else self._refusal(settings, media)
        return Options(tuple(options), tuple(modes), frames, refusal)

    def _refusal(self, settings: JobSettings, media: _Media) -> str:
        mode = _modes(settings)[-1]
        needed = 0
        for card in sorted(menu_cards(), key=lambda each: each.memory_gib):
            planned = _planned(settings, media, mode, budget_for(card.title))
            needed = planned.preflight.estimate.peak_bytes
            if planned.preflight.plan.fits:
                return self.refuse(needed, card)
        return self.refuse(needed, None)


def card_budget(facts: Facts) -> Budget:
    """The budget of a server's idle card: of the catalogue where it is known there, else by its memory."""
    name = facts.device_name.partition(" ")[2].partition(" : ")[0] if ":" in facts.device_name else facts.device_name
    if facts.device == "cpu":
        title = f"CPU {facts.total_bytes / GIB:.0f} GiB"
        return Budget(title, facts.total_bytes, facts.total_bytes, device="cpu", bf16=False)
    card = card_of_device(name, facts.total_bytes)
    if card is not None:
        known = budget_for(card.title, reserve=RESERVE)
        return Budget(
            card.title, facts.total_bytes, facts.total_bytes, source="catalogue", device=facts.device, bf16=card.bf16,
            speed=known.speed,
        )  # fmt: skip
    title = f"{name or 'GPU'} {facts.total_bytes / GIB:.0f} GiB"
    return Budget(title, facts.total_bytes, facts.total_bytes, device=facts.device)


def widgets(settings: JobSettings, mode: Mode, prefix: str) -> dict[str, object]:
    """The widgets of Sonic Talking Head for a job. It stops where it would have to change the pixels."""
    names = (
        "preset", "aspect", "face_index", "face_box", "margin", "min_resolution", "inference_steps", "seconds",
        "dynamic_scale", "cut_silence", "seed", "part_s", "format", "crf", "encoder_preset",
    )  # fmt: skip
    return {
        **{name: getattr(settings, name) for name in names},
        "target_card": "auto", "on_risk": "stop", "policy": "lossless_first", "reserve": RESERVE, "preview_s": 0.0,
        "mode": str(mode), "filename_prefix": prefix, "language": "en", "finish": "off",
    }  # fmt: skip


def _portrait(job: FarmJob) -> tuple[tuple[int, int], tuple[Face, ...]]:
    rgb = picture.load(job.image)
    height, width = rgb.shape[:2]
    needs_faces = job.settings.aspect != "none" and not job.settings.face_box
    return (width, height), tuple(find_faces(rgb)) if needs_faces else ()


def _sound_s(job: FarmJob) -> float:
    if not job.settings.cut_silence:
        return audio_file.probe(job.audio, track=job.settings.track).duration_s
    from ..media.silence import cut_silence

    return cut_silence(audio_file.load(job.audio, track=job.settings.track)).duration_s


def _modes(settings: JobSettings) -> tuple[Mode, ...]:
    asked = Mode(settings.mode)
    return (asked, Mode.LEAST_MEMORY) if asked is Mode.AUTO else (asked,)


def _planned_settings(settings: JobSettings) -> tuple[Any, ...]:
    """What of the settings decides memory and time."""
    without = {"seed", "crf", "encoder_preset", "format", "track", "cut_silence"}
    return tuple(value for name, value in vars(settings).items() if name not in without)


def _planned(settings: JobSettings, media: _Media, mode: Mode, budget: Budget, pace: Pace | None = None) -> TalkingHead:
    run = PreflightRequest(
        Portrait(media.size, lambda: media.faces),
        media.sound_s,
        _preset(settings.preset),
        Capacity(budget),
        on_risk="stop",
        aspect=settings.aspect,
        face_index=settings.face_index,
        face_box=settings.face_box,
        capabilities=GraphCapabilities(read_switches(mode), to_file=True),
        overrides=Overrides(
            settings.min_resolution, settings.inference_steps, settings.seconds, settings.margin,
            settings.dynamic_scale,
        ),
        pace=pace,
    )  # fmt: skip
    return plan_talking_head(TalkingHeadRequest(run, settings.part_s))


@lru_cache(maxsize=64)
def _preset(name: str) -> Any:
    return load_preset(name)


def settings_of(values: Mapping[str, Any]) -> JobSettings:
    """The settings as the journal has them. Raises `JobError` for those of another version of this pack."""
    try:
        return JobSettings(**values)
    except TypeError as error:
        raise JobError(
            "settings: this job was planned by another version of this pack. Start the farm again."
        ) from error

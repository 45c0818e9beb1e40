"""Inputs that several nodes share, so that they read and behave the same everywhere."""

from collections.abc import Iterable
from typing import Any, TypeVar

from comfy_api.latest import io

from ...sonic_guard.devices.budget import Budget, budget_for
from ...sonic_guard.devices.card_catalogue import all_cards
from ...sonic_guard.errors import SonicGuardError, brief
from ...sonic_guard.job import Dtype, Job
from ...sonic_guard.media.crop import Aspect
from ...sonic_guard.media.picture import size_of
from ...sonic_guard.messages.plan_messages import LANGUAGES
from ...sonic_guard.planning.planner import Policy
from ...sonic_guard.planning.presets import Preset, list_presets, load_preset
from . import host

CATEGORY = "Sonic Guard"
Word = TypeVar("Word", bound=str)
SIZES = tuple(f"{size} GiB" for size in (4, 6, 8, 10, 12, 16, 24, 32))


def target_card() -> io.Combo.Input:
    """The card to plan for."""
    return io.Combo.Input(
        "target_card",
        options=["auto", *SIZES, *(card.title for card in all_cards())],
        default="auto",
        tooltip="The card to plan for. auto: this machine's, with what is free right now.",
    )


def preset() -> io.Combo.Input:
    """Built-in and user presets."""
    return io.Combo.Input(
        "preset",
        options=list(list_presets(host.user_presets())),
        default="fast",
        tooltip="What you would like. Your own presets: user/sonic_guard/presets/NAME.json in ComfyUI's folder.",
    )


def read_preset(name: str) -> Preset:
    """The preset called `name`, built in or the user's."""
    return load_preset(name, host.user_presets())


def preset_text(name: str) -> str:
    """The settings of the preset called `name` as text; empty where the name comes over a link and is not known yet."""
    return read_preset(name).model_dump_json() if name else ""


def policy() -> io.Combo.Input:
    """How to make a wish fit."""
    return io.Combo.Input(
        "policy",
        options=[str(policy) for policy in Policy],
        default=str(Policy.LOSSLESS_FIRST),
        tooltip="lossless_first: keep every pixel while anything else helps. article: at most 768 px and 20 steps "
        "when less than 8 GiB are free; then levers and parts.",
    )


def aspect() -> io.Combo.Input:
    """Shape of the crop."""
    return io.Combo.Input(
        "aspect",
        options=[str(aspect) for aspect in Aspect],
        default=str(Aspect.ORIGINAL),
        tooltip="Shape of the crop around the face. none: use the whole picture.",
    )


def face_index() -> io.Int.Input:
    """Which face."""
    return io.Int.Input("face_index", default=0, min=0, max=99, tooltip="Which face: 0 is the largest, 1 the next …")


def face_box() -> io.String.Input:
    """A manual face box."""
    return io.String.Input(
        "face_box",
        default="",
        tooltip="x1, y1, x2, y2 in pixels, instead of looking for a face. Leave empty to look.",
    )


def reserve() -> io.Float.Input:
    """Memory to leave alone."""
    return io.Float.Input(
        "reserve",
        default=0.10,
        min=0.0,
        max=0.5,
        step=0.01,
        tooltip="Part of the free memory to leave alone, for the desktop and what no model predicts.",
    )


def language() -> io.Combo.Input:
    """Language of the report."""
    return io.Combo.Input("language", options=list(LANGUAGES), default="en", tooltip="Language of the report.")


def cut_silence() -> io.Boolean.Input:
    """Whether to cut silence."""
    return io.Boolean.Input(
        "cut_silence", default=False, tooltip="Cut silence at the beginning and the end (0.1 s of it stays)."
    )


def run_settings() -> list[io.Input]:
    """The settings of a run that decide its memory, as Sonic's own nodes call them."""
    return [
        io.Int.Input(
            "min_resolution",
            default=512,
            min=128,
            max=2048,
            step=64,
            tooltip="The shorter side of the video in pixels.",
        ),
        io.Float.Input(
            "duration", default=10.0, min=0.08, max=360000.0, step=0.01, tooltip="Seconds of sound Sonic will hear."
        ),
        io.Float.Input(
            "fps", default=25.0, min=5.0, max=120.0, step=0.5, tooltip="Sets the window of frames, not the speed."
        ),
        io.Combo.Input(
            "dtype",
            options=[str(dtype) for dtype in Dtype],
            default="fp16",
            tooltip="Number format of the network.",
        ),
        io.Boolean.Input("use_interframe", default=True, tooltip="Frame interpolation: 25 frames a second, not 12.5."),
    ]


def one_of(name: str, value: str, options: Iterable[Word]) -> Word:
    """The option that `value` is. ComfyUI checks no value that comes over a link, and 0.3.64 none at all.

    Raises `SonicGuardError` for a value that is none.
    """
    words = tuple(options)
    if not isinstance(value, str) or value not in words:
        raise SonicGuardError(f"{name}: there is no {brief(value)}; choose one of {', '.join(words)}.")
    return words[words.index(value)]


def job_from(
    image: Any, budget: Budget, min_resolution: int, duration: float, fps: float, dtype: str, use_interframe: bool,
    steps: int = 25,
) -> Job:  # fmt: skip
    """The run that `run_settings` and a picture describe, on the card of `budget`."""
    width, height = size_of(image)
    return Job(
        width,
        height,
        duration,
        min_resolution=min_resolution,
        fps=fps,
        dtype=one_of("dtype", dtype, Dtype),
        steps=steps,
        interpolate=use_interframe,
        vae_dtype=Dtype.BF16 if budget.bf16 else Dtype.FP32,
    )


class TargetCard(io.ComfyNode):
    """A node with a `target_card`: beside the menu's entries it takes any card or number of GiB."""

    @classmethod
    def validate_inputs(cls, target_card: str | None = None) -> bool | str:
        """Stands in for the host's check against the menu, so that a workflow may say "20 GiB"."""
        if target_card in (None, "auto"):
            return True
        try:
            budget_for(target_card)
        except SonicGuardError as error:
            return str(error)
        return True

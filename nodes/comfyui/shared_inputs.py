"""Inputs that several nodes share, so that they read and behave the same everywhere."""

from typing import Any, TypeVar

from comfy_api.latest import io

from ...sonic_guard.devices.budget import budget_for
from ...sonic_guard.devices.card_catalogue import menu_cards
from ...sonic_guard.errors import SonicGuardError, brief
from ...sonic_guard.job import Dtype
from ...sonic_guard.media import audio as media_audio
from ...sonic_guard.media import silence
from ...sonic_guard.media.crop import Aspect
from ...sonic_guard.messages.catalogue import LANGUAGES
from ...sonic_guard.messages.error_messages import error_text
from ...sonic_guard.operations.input_values import flag, one_of
from ...sonic_guard.operations.preflight import PlannedRun
from ...sonic_guard.operations.preset_files import list_presets, load_preset
from ...sonic_guard.optimizations import Mode
from ...sonic_guard.planning.planner import Policy
from ...sonic_guard.planning.presets import Preset
from ...sonic_guard.relatives import ADAPTERS, MODEL_TYPES, Relative
from . import host
from .languages import AUTO, interface_language, language_for

CATEGORY = "Sonic Guard"
MODEL = io.Custom(ADAPTERS[Relative.SONIC].model_type)
"""The wrapper's model."""
ANY_MODEL = io.Custom(MODEL_TYPES)
"""The wrapper's model, or a relative's: ComfyUI links types that have one in common."""
PLAN = io.Custom("SONIC_PLAN")
"""A `PlannedRun`: one link from Preflight to the nodes that run the plan."""
SIZES = tuple(f"{size} GiB" for size in (4, 6, 8, 10, 12, 16, 24, 32))


Rare = TypeVar("Rare", bound=io.Input)


def advanced(slot: Rare) -> Rare:
    """An input that is rarely needed: the page folds it away.

    Older versions of ComfyUI show it. They have no argument for it, and most inputs none for anything else that is new.
    """
    slot.extra_dict["advanced"] = True
    return slot


def target_card() -> io.Combo.Input:
    """The card to plan for."""
    return io.Combo.Input(
        "target_card",
        options=["auto", *SIZES, *(card.title for card in menu_cards())],
        default="auto",
        tooltip="The graphics card to plan for. auto: the card in the settings, else the one that Preflight plans for, "
        "else the card of this machine with the memory that is free now.",
    )


def preset() -> io.Combo.Input:
    """Built-in and user presets."""
    return io.Combo.Input(
        "preset",
        options=list(list_presets(host.user_presets())),
        default="fast",
        tooltip="The requested settings. Your own presets: user/sonic_guard/presets/NAME.json in ComfyUI's folder.",
    )


def read_preset(name: str) -> Preset:
    """The preset called `name`, built in or the user's."""
    return load_preset(name, host.user_presets())


def preset_text(name: str) -> str:
    """The settings of the preset called `name` as text; empty if the name comes over a link and is not known yet."""
    return read_preset(name).model_dump_json() if name else ""


def policy() -> io.Combo.Input:
    """How to change settings that do not fit."""
    return advanced(
        io.Combo.Input(
            "policy",
            options=[str(policy) for policy in Policy],
            default=str(Policy.LOSSLESS_FIRST),
            tooltip="lossless_first: reduce the image quality only if nothing else is enough. article: at most 768 px "
            "and 20 steps if less than 8 GiB are free; then memory optimizations and parts.",
        )
    )


def mode() -> io.Combo.Input:
    """All memory optimizations together."""
    return io.Combo.Input(
        "mode",
        options=list(map(str, Mode)),
        default=str(Mode.AUTO),
        tooltip="Memory optimizations. auto: as many as the run needs. least_memory: all of them; slower. off: none.",
    )


def overlapped_decode() -> io.Boolean.Input:
    """Whether the groups of frames that the VAE decodes together overlap."""
    return advanced(
        io.Boolean.Input(
            "overlapped_decode",
            default=False,
            optional=True,
            tooltip="Decodes the frames in groups that overlap, against the pulse of brightness about once a second. "
            "Changes the frames next to the seams; decoding takes 1.75 times as long.",
        )
    )


def aspect() -> io.Combo.Input:
    """Aspect ratio of the crop."""
    return io.Combo.Input(
        "aspect",
        options=[str(aspect) for aspect in Aspect],
        default=str(Aspect.ORIGINAL),
        tooltip="Aspect ratio of the crop around the face. none: use the whole image.",
    )


def face_index() -> io.Int.Input:
    """Which face."""
    return io.Int.Input("face_index", default=0, min=0, max=99, tooltip="Which face to use: 0 is the largest.")


def face_box() -> io.String.Input:
    """A face box set by hand."""
    return io.String.Input(
        "face_box",
        default="",
        tooltip="Face box as x1, y1, x2, y2 in pixels. Leave empty to detect the face.",
    )


def reserve() -> io.Float.Input:
    """Share of the memory that is not planned for."""
    return advanced(
        io.Float.Input(
            "reserve",
            default=0.10,
            min=0.0,
            max=0.5,
            step=0.01,
            tooltip="Share of the free memory that is not planned for: for the desktop and for errors of the "
            "prediction.",
        )
    )


def language() -> io.Combo.Input:
    """Language of the report."""
    return advanced(
        io.Combo.Input(
            "language",
            options=[AUTO, *LANGUAGES],
            default=AUTO,
            tooltip="Language of reports and errors. auto: that of ComfyUI's interface.",
        )
    )


def cut_silence() -> io.Boolean.Input:
    """Whether to cut silence."""
    return advanced(
        io.Boolean.Input(
            "cut_silence",
            default=False,
            tooltip="Trim silence at the beginning and the end; 0.1 s of it is kept.",
        )
    )


def run_settings() -> list[io.Input]:
    """The settings of a run that decide its memory, with the names of Sonic's own nodes."""
    return [
        io.Int.Input(
            "min_resolution",
            default=512,
            min=128,
            max=2048,
            step=64,
            tooltip="Shorter side of the video in pixels.",
        ),
        io.Float.Input(
            "duration", default=10.0, min=0.08, max=360000.0, step=0.01, tooltip="Seconds of audio that Sonic receives."
        ),
        io.Float.Input(
            "fps",
            default=25.0,
            min=5.0,
            max=120.0,
            step=0.5,
            tooltip="Sets the window length in frames, not the playback speed.",
        ),
        io.Combo.Input(
            "dtype",
            options=[str(dtype) for dtype in Dtype],
            default="fp16",
            tooltip="Data type (precision) of the network.",
        ),
        io.Boolean.Input("use_interframe", default=True, tooltip="Frame interpolation: 25 fps, without it 12.5 fps."),
    ]


def read_language(value: Any) -> str:
    """The language of a report, one of `LANGUAGES`. Raises `SonicGuardError` for a value that is not in the menu."""
    return language_for(one_of("language", value, (AUTO, *LANGUAGES)))


def read_plan(value: Any) -> PlannedRun:
    """The plan at an input. Raises `SonicGuardError` for anything else."""
    if not isinstance(value, PlannedRun):
        raise SonicGuardError(f"plan: expected a plan, got {brief(value)}. Connect the output plan of Preflight.")
    return value


def read_sound(audio: Any, cut_silence: Any) -> media_audio.Sound:
    """The sound at an input, without the silence at its ends if that is to be cut.

    Raises `AudioError` for what is no sound, `SonicGuardError` for a `cut_silence` that is neither true nor false.
    """
    cuts, sound = flag("cut_silence", cut_silence), media_audio.from_dict(audio)
    return silence.cut_silence(sound) if cuts else sound


def schema(**fields: Any) -> io.Schema:
    """A node's schema, without the fields that an older ComfyUI does not know."""
    return io.Schema(**{name: value for name, value in fields.items() if name in io.Schema.__dataclass_fields__})


class TargetCard(io.ComfyNode):
    """A node with a `target_card`: besides the menu's entries it takes any card or number of GiB."""

    @classmethod
    def fingerprint_inputs(cls, target_card: Any = None, **_: Any) -> str:
        """The card that is planned for, which a setting or another node may name."""
        return str(host.target_of(target_card))

    @classmethod
    def validate_inputs(cls, target_card: str | None = None) -> bool | str:
        """Whether it is "auto", a card or a number of GiB; else what is wrong with it. None comes over a link.

        Replaces ComfyUI's check against the menu, which lists an error once for each input that is named here.
        """
        if target_card in (None, "auto"):
            return True
        try:
            budget_for(target_card)
        except SonicGuardError as error:
            return error_text(error, interface_language())
        return True

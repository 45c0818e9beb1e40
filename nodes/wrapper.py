"""Sonic's own nodes, called as ComfyUI would call them."""

import inspect
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from ..sonic_guard.errors import FaceError, WrapperError
from ..sonic_guard.long.manifest import content_key, file_digest
from ..sonic_guard.media.audio import Sound
from ..sonic_guard.media.output import discard
from ..sonic_guard.wrapper_job import PREDATA, SAMPLER
from . import host

_PREDATA_INPUTS = (
    *("clip_vision", "vae", "audio", "image", "weight_dtype", "min_resolution", "duration", "expand_ratio"),
)
_SAMPLER_INPUTS = ("model", "data_dict", "seed", "inference_steps", "dynamic_scale", "fps")


_HEARING = ("audio2token.pth", "audio2bucket.pth", "whisper-tiny/*")
"""Files of the networks that SONIC_PreData loads anew for every sound, in ComfyUI's models/sonic."""


WAV_BYTES = (1 << 32) - (1 << 20)
"""Of the samples in a WAV file, and a second of silence more or less."""


class Wrapper(NamedTuple):
    """The work of Sonic's nodes. Their inputs are given by name."""

    predata: Callable[..., tuple[Any, ...]]
    sample: Callable[..., tuple[Any, ...]]


def find_wrapper() -> Wrapper:
    """The nodes that are installed. Raises `WrapperError` where they are missing, or are not as known here."""
    return Wrapper(_tidy(_work_of(PREDATA, _PREDATA_INPUTS)), _work_of(SAMPLER, _SAMPLER_INPUTS))


def longest_sound_s(sound: Sound) -> float:
    """Seconds of `sound` that SONIC_PreData can be given at a time: it writes a WAV, whose size is a 32-bit number."""
    return WAV_BYTES / (sound.channels * sound.sample_rate * sound.waveform.itemsize)


def hearing_key() -> str:
    """Identity of the networks that hear the voice, which no model in the graph shows; no file counts as nothing."""
    folder = host.models_folder() / "sonic"
    files = sorted(path for pattern in _HEARING for path in folder.glob(pattern) if path.is_file())
    return content_key([[path.relative_to(folder).as_posix(), file_digest(path)] for path in files])


def _tidy(work: Callable[..., tuple[Any, ...]]) -> Callable[..., tuple[Any, ...]]:
    """SONIC_PreData's work without what it leaves in ComfyUI's input folder, and with words where it finds no face."""

    def predata(**inputs: Any) -> tuple[Any, ...]:
        before = set(_sounds_left())
        try:
            return work(**inputs)
        except UnboundLocalError as error:
            if "bbox" not in str(error):
                raise
            raise FaceError(
                "image: Sonic's own detector finds no face in this picture. Crop it around the face with Face Box or "
                "Preflight, or take a picture that shows the face larger and from the front."
            ) from error
        finally:
            for left in set(_sounds_left()) - before:
                discard(left)

    return predata


def _sounds_left() -> Iterable[Path]:
    """The sounds that SONIC_PreData has written for itself. It takes none away: a long video has hundreds."""
    return host.input_folder().glob("audio_*_temp.wav")


def _work_of(name: str, inputs: Collection[str]) -> Callable[..., tuple[Any, ...]]:
    kind = host.node_classes().get(name)
    if kind is None:
        raise WrapperError(
            f"Sonic's node {name} is missing. Install the node pack ComfyUI_Sonic (ComfyUI Manager finds it), look "
            "for its errors where ComfyUI starts, and restart ComfyUI."
        )
    work = getattr(kind(), str(getattr(kind, "FUNCTION", "")), None)
    if work is None or inspect.iscoroutinefunction(work):
        raise WrapperError(f"Sonic's node {name} is not a node as the known ComfyUI_Sonic has it. {_ADVICE}")
    takes = inspect.signature(inspect.unwrap(work)).parameters
    missing = [each for each in inputs if each not in takes]
    if missing and not any(each.kind is inspect.Parameter.VAR_KEYWORD for each in takes.values()):
        raise WrapperError(f"Sonic's node {name} has no {', '.join(missing)} any more. {_ADVICE}")
    return work


_ADVICE = "Update this pack, or report it with the version of ComfyUI_Sonic."

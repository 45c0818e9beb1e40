"""Sonic's own nodes, called as ComfyUI would call them."""

import inspect
import logging
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, NamedTuple

from ...sonic_guard.comfy.sonic_objects import PREDATA, SAMPLER
from ...sonic_guard.errors import WrapperError
from ...sonic_guard.media.audio import Sound
from ...sonic_guard.plain_files import shown
from ...sonic_guard.resume.manifest import content_key, file_digest
from . import host
from .predata_files import tidies_up
from .sonic_pack import check_import
from .torchaudio_save import saves_sound_here

log = logging.getLogger(__name__)

_PREDATA_INPUTS = (
    *("clip_vision", "vae", "audio", "image", "weight_dtype", "min_resolution", "duration", "expand_ratio"),
)
_SAMPLER_INPUTS = ("model", "data_dict", "seed", "inference_steps", "dynamic_scale", "fps")
_MODELS = (
    *("audio2token.pth", "audio2bucket.pth", "yoloface_v5m.pt"),
    *("whisper-tiny/*.json", "whisper-tiny/*.safetensors", "whisper-tiny/*.bin"),
)
"""Files of the networks that SONIC_PreData loads for every sound, in ComfyUI's models/sonic."""
_CODE = ("*.py", "*.yaml", "*.json")
"""The wrapper's code and settings, such as its guidance scales."""
WAV_BYTES = (1 << 32) - (1 << 20)
"""Most bytes of samples in a WAV file; the limit is 32 bits, less a margin for headers and rounding."""


class Wrapper(NamedTuple):
    """The functions of Sonic's nodes. They take the nodes' inputs by name."""

    predata: Callable[..., tuple[Any, ...]]
    sample: Callable[..., tuple[Any, ...]]


def find_wrapper() -> Wrapper:
    """The nodes that are installed. Raises `WrapperError` where they are missing, or differ from the known ones."""
    predata = _function_of(PREDATA, _PREDATA_INPUTS)
    return Wrapper(
        tidies_up(saves_sound_here(predata)),  # here, too: the service may not be running
        _function_of(SAMPLER, _SAMPLER_INPUTS),
    )


def longest_sound_s(sound: Sound) -> float:
    """Seconds of `sound` that SONIC_PreData can take at a time.

    It writes a WAV, whose size is a 32-bit number unless this pack writes it; not every fork lets it do so.
    """
    return WAV_BYTES / (sound.channels * sound.sample_rate * sound.waveform.itemsize)


def files_key() -> str:
    """Digest of the files that Sonic's nodes read by themselves: a change of them shows in no input.

    These are the networks for the voice and the face, settings and code. Missing files are ignored. Raises
    `WrapperError` for a file that cannot be read.
    """
    models, code = host.models_folder() / "sonic", Path(inspect.getfile(host.node_classes()[PREDATA])).parent
    found = {path: path.relative_to(models) for pattern in _MODELS for path in models.glob(pattern)}
    found |= {path: path.relative_to(code) for pattern in _CODE for path in code.rglob(pattern)}
    try:
        digests = [
            [name.as_posix(), file_digest(path)]
            for path, name in sorted(found.items())
            if path.is_file() and not any(part.startswith(".") for part in name.parts)  # the system's, git's
        ]
    except OSError as error:
        log.warning("%s", error)
        raise WrapperError(
            f"{shown(error.filename or 'ComfyUI_Sonic')}: this file of Sonic's cannot be read ({error.strerror}). "
            "Check its permissions."
        ) from error
    return content_key(digests)


def _function_of(name: str, inputs: Collection[str]) -> Callable[..., tuple[Any, ...]]:
    kind = host.node_classes().get(name)
    if kind is None:
        check_import()
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

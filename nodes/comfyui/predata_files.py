"""Deletes the sound that SONIC_PreData writes for itself into ComfyUI's input folder, and reports a missing face."""

import functools
import inspect
import logging
import random
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from ...sonic_guard.atomic_files import discard
from ...sonic_guard.errors import FaceError, SonicGuardError
from ...sonic_guard.media.audio_file import probe
from . import host

log = logging.getLogger(__name__)


def tidies_up(work: Callable[..., Any]) -> Callable[..., Any]:
    """`work`, SONIC_PreData's function or method, with its file deleted when it ends. It may be applied twice.

    It then also raises `FaceError` where the wrapper fails because its detector finds no face.
    """
    signature = inspect.signature(work)

    @functools.wraps(work)
    def tidy(*args: Any, **kwargs: Any) -> Any:
        before, samples, whole = set(_sounds_left()), _samples_of(signature, args, kwargs), False
        # The file's name is random, and the previous run has set the seed: two ComfyUIs would choose the same name.
        random.seed()
        try:
            made = work(*args, **kwargs)
            whole = True
            return made
        except UnboundLocalError as error:
            if "bbox" not in str(error):
                raise
            raise FaceError(
                "image: Sonic's own detector finds no face in this picture. Crop it around the face with Face Box or "
                "Preflight, or take a picture that shows the face larger and from the front."
            ) from error
        finally:
            for left in set(_sounds_left()) - before:
                # Another ComfyUI may use the same input folder. On a full disk the file is shorter than the sound.
                found = _samples_in(left)
                if samples is not None and (found == samples or not whole and (found or 0) < samples):
                    discard(left)

    return tidy


def _sounds_left() -> Iterable[Path]:
    """The sounds that SONIC_PreData has written for itself. It deletes none: a long video has hundreds."""
    return host.input_folder().glob("audio_*_temp.wav")


def _samples_of(signature: inspect.Signature, args: Any, kwargs: Any) -> int | None:
    """Samples of the sound that the function is called with; None where it takes none, as a fork's might."""
    try:
        return int(signature.bind(*args, **kwargs).arguments["audio"]["waveform"].shape[-1])
    except (TypeError, LookupError, AttributeError) as error:
        log.debug("SONIC_PreData is called without a sound: %s", error)
        return None


def _samples_in(sound: Path) -> int | None:
    """Samples of a sound; None if it is gone, or cannot be read."""
    try:
        return probe(sound).samples
    except (SonicGuardError, OSError) as error:
        log.debug("%s: %s", sound, error)
        return None

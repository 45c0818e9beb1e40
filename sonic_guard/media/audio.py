"""Sound in memory: `SoundInfo` and `Sound`, and their conversion from and to ComfyUI's AUDIO.

Inside this library a sound is always a `Sound`: float32, ``[channels, samples]``, every sample finite.
`from_dict` converts ComfyUI's dictionaries, `to_dict` converts back; `audio_file` reads files.
"""

import logging
import operator
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from ..errors import AudioError, brief

log = logging.getLogger(__name__)

MIN_RATE, MAX_RATE = 1000, 1_000_000
"""Accepted sample rates in Hz: telephones use 8,000, the best recorders 768,000.

Outside of this range a few samples would count as hours of sound, or half a second of it would take gigabytes.
"""
MAX_CHANNELS = 64
"""As many as libav has names for; with more, the axes of channels and samples are swapped."""


class Refusal(StrEnum):
    """What ComfyUI's Load Audio does not take, though it can be read. Each has a text in `sound_texts`."""

    OLD_TAGS = "old tags"
    """PyAV before version 19 opens no file with tags that are not UTF-8."""
    DAMAGED = "damaged"
    """It gives up at the first packet that cannot be decoded."""
    EIGHT_BITS = "8 bits"
    """Of whole numbers it takes those of 16 and 32 bits."""


@dataclass(frozen=True)
class SoundInfo:
    """Length and format of a sound file."""

    samples: int
    """Samples per channel that decoding the file yields, without encoder delay and padding."""
    sample_rate: int
    """In Hz."""
    channels: int
    codec: str
    """ffmpeg's name of the format: mp3, aac, flac, pcm_s16le …"""
    counted: bool = True
    """Whether the samples were counted; otherwise they are taken from the file's header."""
    refusal: "Refusal | None" = None
    """Why ComfyUI's Load Audio will not read the file; None if it will."""

    @property
    def duration_s(self) -> float:
        """Length in seconds, exact: samples / sample rate."""
        return self.samples / self.sample_rate

    @property
    def seconds(self) -> float:
        """Length in seconds for display, to two decimals. Use `duration_s` for arithmetic."""
        return round(self.duration_s, 2)


@dataclass(frozen=True, eq=False)
class Sound:
    """A decoded sound."""

    waveform: np.ndarray
    """float32 ``[channels, samples]``, full scale ±1. May share memory with the tensor or sound it came from."""
    sample_rate: int
    """In Hz."""

    @property
    def channels(self) -> int:
        """Number of channels."""
        return self.waveform.shape[0]

    @property
    def samples(self) -> int:
        """Samples per channel."""
        return self.waveform.shape[1]

    @property
    def duration_s(self) -> float:
        """Length in seconds, exact: samples / sample rate."""
        return self.samples / self.sample_rate

    def part(self, start: int, stop: int) -> "Sound":
        """The samples ``start … stop - 1`` as a `Sound` that shares this one's memory."""
        return Sound(self.waveform[:, start:stop], self.sample_rate)


def from_dict(audio: object, name: str = "audio") -> Sound:
    """The sound in a ComfyUI AUDIO: ``{"waveform": [batch, channels, samples], "sample_rate": Hz}``.

    The waveform may be a torch tensor on any device or a numpy array. A float32 tensor on the CPU is not copied.
    The first sound of a batch is taken, with a warning in the log: Sonic animates one.
    Raises `AudioError`, naming the input `name`, for anything that is not a usable sound.
    """
    if not isinstance(audio, Mapping):
        raise AudioError(f"{name}: expected ComfyUI's AUDIO, got {_kind(audio)}. Connect a Load Audio node.")
    for key in ("waveform", "sample_rate"):
        if audio.get(key) is None:
            raise AudioError(f"{name}: the AUDIO has no {key!r}. Connect a Load Audio node.")
    waveform = _array(audio["waveform"], name)
    if waveform.ndim != 3:
        shape = list(waveform.shape)
        raise AudioError(f"{name}: the waveform must be [batch, channels, samples], but its shape is {shape}.")
    if waveform.size == 0:
        raise AudioError(f"{name}: the sound is empty (shape {list(waveform.shape)}). Use a sound with samples in it.")
    if waveform.shape[1] > MAX_CHANNELS:
        raise AudioError(
            f"{name}: the sound has {waveform.shape[1]} channels, more than {MAX_CHANNELS}. A waveform is "
            "[batch, channels, samples]; check the node that makes it."
        )
    if len(waveform) > 1:
        log.warning("%s: a batch of %d sounds; the first is used.", name, len(waveform))
    sound = Sound(waveform[0].astype(np.float32, copy=False), _rate(audio["sample_rate"], name))
    check_finite(sound, name)
    return sound


def to_dict(sound: Sound) -> dict[str, Any]:
    """`sound` as a ComfyUI AUDIO with a float32 torch tensor ``[1, channels, samples]`` that shares its memory."""
    import torch  # here, because the library has to be importable without it

    return {"waveform": torch.from_numpy(sound.waveform)[None], "sample_rate": sound.sample_rate}


def duration_of(audio: object, name: str = "audio") -> float:
    """Exact length in seconds of a ComfyUI AUDIO. Raises `AudioError` as `from_dict` does."""
    return from_dict(audio, name).duration_s


def check_finite(sound: Sound, name: str) -> None:
    """Raise `AudioError` if `sound` holds a NaN or an infinity."""
    # min and max propagate NaN and need no memory of their own, unlike isfinite() of the whole.
    if not (np.isfinite(sound.waveform.min()) and np.isfinite(sound.waveform.max())):
        bad = int(np.argmin(np.isfinite(sound.waveform).all(axis=0)))
        raise AudioError(
            f"{name}: the sound holds NaN or infinite samples, the first at {bad / sound.sample_rate:.2f} s. "
            "Repair or replace it at its source."
        )


def _array(waveform: Any, name: str) -> np.ndarray:
    """`waveform` as a real-valued numpy array; tensors are recognised by their methods, without importing torch."""
    if hasattr(waveform, "detach"):
        if waveform.is_meta or str(waveform.layout) != "torch.strided":
            raise AudioError(f"{name}: the waveform is a tensor without its samples in memory. Use an ordinary one.")
        waveform = waveform.detach().cpu()
        if waveform.is_floating_point():
            waveform = waveform.float()  # numpy has no bfloat16
        waveform = waveform.numpy()
    if not isinstance(waveform, np.ndarray):
        raise AudioError(f"{name}: the waveform must be a tensor, got {_kind(waveform)}. Connect a Load Audio node.")
    if waveform.dtype.kind != "f":
        raise AudioError(f"{name}: the waveform must hold floating-point samples in ±1, but holds {waveform.dtype}.")
    return waveform if min(waveform.strides, default=0) >= 0 else waveform.copy()  # torch takes no negative strides


def _rate(sample_rate: Any, name: str) -> int:
    try:
        rate = operator.index(sample_rate)
    except TypeError:
        raise AudioError(f"{name}: the sample rate must be a whole number of Hz, got {brief(sample_rate)}.") from None
    if not MIN_RATE <= rate <= MAX_RATE:
        raise AudioError(f"{name}: {brief(sample_rate)} is no sample rate; expected a number of Hz such as 44100.")
    return rate


def _kind(value: object) -> str:
    return "nothing" if value is None else type(value).__name__

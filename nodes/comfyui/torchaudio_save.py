"""Writes the sound file of SONIC_PreData instead of ``torchaudio.save``.

From 2.9 on that function needs TorchCodec, which neither ComfyUI nor the wrapper requires, and which needs FFmpeg's
libraries on the system. It is replaced even where it would work: TorchCodec stores 16 bits and clips at ±1, torchaudio
before 2.9 stored every sample as it is, and the frames must not depend on the installed packages.

The wrapper's files and torchaudio itself are not changed. Only names in the wrapper's modules are replaced, and only
while SONIC_PreData runs. Functions that import torchaudio themselves are not covered.
"""

import functools
import inspect
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from ...sonic_guard.errors import AudioError
from ...sonic_guard.media.audio import Sound, from_dict
from ...sonic_guard.media.wav_file import write_wav


@dataclass
class _Replaced:
    """The replaced names of one package, for as long as any of its calls runs."""

    calls: int = 0
    replacements: list[tuple[Any, Any]] = field(default_factory=list)
    """Pairs of the original and its replacement."""


_replaced: dict[str, _Replaced] = {}
_lock = threading.Lock()


def saves_sound_here(work: Callable[..., Any]) -> Callable[..., Any]:
    """`work`, a function or method of the wrapper, with its WAV files written by this pack. It may be applied twice."""
    names = getattr(inspect.unwrap(work), "__globals__", {})

    @functools.wraps(work)
    def with_replacements(*args: Any, **kwargs: Any) -> Any:
        with _replacing(names):
            return work(*args, **kwargs)

    return with_replacements


@contextmanager
def _replacing(names: dict[str, Any]) -> Iterator[None]:
    """Replaces names in `names`, those of a module, and in the rest of its package."""
    torchaudio, package = sys.modules.get("torchaudio"), names.get("__package__") or names.get("__name__", "")
    with _lock:
        replaced = _replaced.setdefault(package, _Replaced())
        replaced.calls += 1
    try:
        with _lock:
            if torchaudio is not None and hasattr(torchaudio, "save"):
                if not replaced.replacements:
                    save = _save(torchaudio.save)
                    replaced.replacements = [(torchaudio, _Torchaudio(torchaudio, save)), (torchaudio.save, save)]
                _put([names, *_modules(package)], replaced.replacements)
        yield
    finally:
        with _lock:
            replaced.calls -= 1
            if not replaced.calls:
                del _replaced[package]
                # Searched again: modules imported in between have the names, too, and a name may have been reassigned.
                _put([names, *_modules(package)], [(each, original) for original, each in replaced.replacements])


def _modules(package: str) -> Iterator[dict[str, Any]]:
    """The names of every module of `package`."""
    for name, module in list(sys.modules.items()):
        if (name == package or name.startswith(f"{package}.")) and isinstance(module, ModuleType):
            yield vars(module)


def _put(modules: list[dict[str, Any]], changes: list[tuple[Any, Any]]) -> None:
    """In every module, assign the second value of a pair to each name that has the first."""
    for module in modules:
        for name, value in list(module.items()):
            for before, after in changes:
                if value is before:
                    module[name] = after


class _Torchaudio:
    """The module torchaudio, with another `save`."""

    def __init__(self, module: Any, save: Callable[..., None]) -> None:
        self._module, self.save = module, save

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


def _save(real: Callable[..., Any]) -> Callable[..., Any]:
    """The replacement of `real`, which is ``torchaudio.save``."""

    @functools.wraps(real)
    def save(
        uri: Any, src: Any, sample_rate: Any, channels_first: bool = True, format: str | None = None,  # noqa: A002
        *others: Any, **named: Any,
    ) -> None:  # fmt: skip
        if not isinstance(uri, str | os.PathLike) or (format or Path(uri).suffix.removeprefix(".")).lower() != "wav":
            return real(uri, src, sample_rate, channels_first, format, *others, **named)
        return write_wav(Path(uri), _sound(src, sample_rate, channels_first))

    return save


def _sound(samples: Any, sample_rate: Any, channels_first: bool) -> Sound:
    if samples.ndim not in (1, 2):
        raise AudioError(
            f"audio: Sonic takes one sound at a time, and this is a batch of {len(samples)}. Connect a Load Audio node."
        )
    waveform = samples[None] if samples.ndim == 1 else samples if channels_first else samples.T
    return from_dict({"waveform": waveform[None], "sample_rate": sample_rate})

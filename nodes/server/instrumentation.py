"""Listens in on Sonic's own nodes while they run.

ComfyUI tells a pack nothing of other packs' nodes. So a subclass of each of Sonic's three takes its place in
ComfyUI's registry: it does what Sonic's does, inside a context of ours. Sonic's classes and files stay as they are.
"""

import functools
import inspect
import logging
from collections.abc import Callable, Mapping, MutableMapping
from contextlib import AbstractContextManager
from typing import Any

from ...sonic_guard.comfy.sonic_objects import PREDATA
from ...sonic_guard.runtime.recorder import STAGE_OF
from ..comfy.torchaudio_save import saves_sound_here

Around = Callable[[str, Mapping[str, Any]], AbstractContextManager[Any]]
"""From the node's name and its arguments to the context its work is done in."""

log = logging.getLogger(__name__)

_MARK = "_sonic_guard_listens"


def listen(classes: MutableMapping[str, type], around: Around) -> None:
    """Have `around` surround the work of each of Sonic's nodes in `classes`; those already listened to stay."""
    for name in STAGE_OF:
        original = classes.get(name)
        if original is not None and not hasattr(original, _MARK):
            classes[name] = _listening(original, name, around) or _marked(original, name)


def _marked(original: Any, name: str) -> type:
    log.warning("%s is not a node as the known Sonic wrapper has it; its runs are not followed.", name)
    return type(original.__name__, (original,), {_MARK: True, "__module__": original.__module__})


def _listening(original: Any, name: str, around: Around) -> type | None:
    """The subclass; None where the node's work is not a plain method, as a V3, async or static one's is not."""
    work = inspect.getattr_static(original, str(getattr(original, "FUNCTION", "")), None)
    if not inspect.isfunction(work) or inspect.iscoroutinefunction(work):
        return None
    signature = inspect.signature(work)
    if name == PREDATA:
        work = saves_sound_here(work)

    @functools.wraps(work)
    def listened(self: Any, *args: Any, **kwargs: Any) -> Any:
        with around(name, signature.bind(self, *args, **kwargs).arguments):
            return work(self, *args, **kwargs)

    members = {
        original.FUNCTION: listened,
        _MARK: True,
        "__module__": original.__module__,
        "__doc__": original.__doc__,
    }
    return type(original.__name__, (original,), members)

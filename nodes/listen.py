"""Listens in on Sonic's own nodes while they run.

ComfyUI tells a pack nothing of other packs' nodes. So a subclass of each of Sonic's three takes its place in
ComfyUI's registry: it does what Sonic's does, inside a context of ours. Sonic's classes and files stay as they are.
"""

import inspect
from collections.abc import Callable, Mapping, MutableMapping
from contextlib import AbstractContextManager
from typing import Any

from ..sonic_guard.live.recorder import STAGE_OF

Around = Callable[[str, Mapping[str, Any]], AbstractContextManager[Any]]
"""From the node's name and its arguments to the context its work is done in."""

_MARK = "_sonic_guard_listens"


def listen(classes: MutableMapping[str, type], around: Around) -> None:
    """Have `around` surround the work of each of Sonic's nodes in `classes`; those already listened to stay."""
    for name in STAGE_OF:
        original = classes.get(name)
        if original is not None and not hasattr(original, _MARK):
            classes[name] = _listening(original, name, around)


def _listening(original: Any, name: str, around: Around) -> type:
    work = getattr(original, original.FUNCTION)
    signature = inspect.signature(work)

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

"""Instruments Sonic's own nodes, so that their runs can be followed.

ComfyUI notifies no pack of the runs of other packs' nodes. So in its registry each of Sonic's three classes, and of
a relative's, is replaced by a subclass that does the same work inside a context manager. The classes and files of these
packs are not changed.
"""

import functools
import inspect
import logging
from collections.abc import Callable, Mapping, MutableMapping
from contextlib import AbstractContextManager
from typing import Any

from ...sonic_guard.comfy.sonic_objects import check_runs_in
from ...sonic_guard.relatives import LOADERS, PREDATAS, SAMPLERS, relative_of
from ...sonic_guard.runtime.recorder import STAGE_OF
from ..comfyui.languages import errors_in_users_language
from ..comfyui.predata_files import tidies_up
from ..comfyui.torchaudio_save import saves_sound_here
from ..comfyui.unet_place import builds_in_host_memory, runs_without_unet

Around = Callable[[str, Mapping[str, Any]], AbstractContextManager[Any]]
"""From the node's name and its arguments to the context manager in which its work is done."""

log = logging.getLogger(__name__)

_MARK = "_sonic_guard_instrumented"


def instrument(classes: MutableMapping[str, type], around: Around) -> None:
    """Run the work of each of Sonic's nodes in `classes` inside `around`; those already instrumented are skipped."""
    for name in STAGE_OF:
        original = classes.get(name)
        if original is not None and not hasattr(original, _MARK):
            classes[name] = _instrumented(original, name, around) or _marked(original, name)


def _marked(original: Any, name: str) -> type:
    log.warning("%s is not a node as the known Sonic wrapper has it; its runs are not followed.", name)
    return type(original.__name__, (original,), {_MARK: True, "__module__": original.__module__})


def _instrumented(original: Any, name: str, around: Around) -> type | None:
    """The subclass; None where the node's work is not a plain method: a V3, async or static one."""
    work = inspect.getattr_static(original, str(getattr(original, "FUNCTION", "")), None)
    if not inspect.isfunction(work) or inspect.iscoroutinefunction(work):
        return None
    signature = inspect.signature(work)
    if name in PREDATAS:
        work = runs_without_unet(tidies_up(saves_sound_here(work)))
    elif name in LOADERS:
        work = builds_in_host_memory(work, LOADERS[name])

    @errors_in_users_language
    @functools.wraps(work)
    def within_context(self: Any, *args: Any, **kwargs: Any) -> Any:
        arguments = signature.bind(self, *args, **kwargs).arguments
        if name in SAMPLERS:
            _check_model(name, arguments.get("model"))
        with around(name, arguments):
            return work(self, *args, **kwargs)

    members = {
        original.FUNCTION: within_context,
        _MARK: True,
        "__module__": original.__module__,
        "__doc__": original.__doc__,
    }
    return type(original.__name__, (original,), members)


def _check_model(name: str, model: Any) -> None:
    """Raise `WrapperError` if the model is another relative's, before the run is followed and waits for the card."""
    try:
        relative = relative_of(model)
    except Exception as error:  # an unknown object may raise anything from its attributes
        log.debug("The model of %s is unknown: %r", name, error)
        return
    if relative is not None:
        check_runs_in(name, SAMPLERS[name], relative)

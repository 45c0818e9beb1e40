"""Follows the Sonic wrapper's sampler by forward hooks on the networks that it calls.

The hooks are torch's own, on the instances that run. No class or function of the wrapper is changed, nor the inputs
and outputs of the networks. Nothing here synchronises with the GPU.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import reduce
from typing import Any

from ..devices.out_of_memory import is_out_of_memory
from ..relatives import ADAPTERS, Relative, assumed_relative
from .run_watch import RunWatch

log = logging.getLogger(__name__)

_warned: set[str] = set()


@contextmanager
def follow(
    model: Any,
    data: Mapping[str, Any],
    watch: RunWatch,
    *,
    fps: float,
    steps: int,
    check: Callable[[], object] | None = None,
    progress: Callable[[int, int], object] | None = None,
    restarted: Callable[[Any, bool], object] | None = None,
) -> Iterator[None]:
    """Follow the wrapper's ``SONICSampler.sampler_main``, which runs inside the block: the stages from denoise on.

    Args:
        model: the MODEL_SONIC, the wrapper's or a `LowVramSonic`.
        data: SONIC_PreData's output.
        watch: receives the stages and calls; the run ends with the block, as done or with the exception raised in it.
        fps: the sampler's `fps`, which sets the window.
        steps: denoising steps.
        check: called before every call of a network; an exception from it ends the run.
        progress: called with (steps done, steps to do) after each step; skipped steps count as done.
        restarted: called as `LowVramSonic.on_restart` when the model restarts the run.

    Neither a failure of this library nor an unknown wrapper disturbs the run: what cannot be followed is logged once,
    and its stage is missing in `watch`.
    """

    def begin(*_: object) -> None:
        watch.expect(steps, calls_per_step(data, fps, assumed_relative(model)))
        watch.enter("denoise")

    def again(optimization: Any, out_of_memory: bool) -> None:
        if restarted:
            hooks.safely(restarted, optimization, out_of_memory)
        begin()

    begin()
    hooks = _Hooks(check, watch.interrupted)
    try:
        hooks.safely(_add_hooks, hooks, model, data, watch, progress)
        with (
            _callback(model, "on_restart", again),
            _callback(model, "on_skipped", lambda skipped: hooks.safely(watch.skip_steps, skipped)),
        ):
            yield
    except BaseException as error:
        hooks.safely(_enter_failed_stage, error, model, data, watch)
        watch.finish(error)
        raise
    else:
        watch.finish()
    finally:
        hooks.remove()


@contextmanager
def _callback(model: Any, attribute: str, callback: Callable[..., None]) -> Iterator[None]:
    """Inside the block, set the callback `attribute` of a `LowVramSonic`; the wrapper's model has none."""
    before = getattr(model, attribute, None)
    if before is None:
        yield
        return
    setattr(model, attribute, callback)
    try:
        yield
    finally:
        setattr(model, attribute, before)


def calls_per_step(data: Mapping[str, Any], fps: float, relative: Relative = Relative.SONIC) -> int:
    """Number of windows of the clip, which is the number of calls of the network in one step; 1 if unknown."""
    adapter = ADAPTERS[relative]
    try:
        frames, overlap = len(data[adapter.prompts[0]]), int(getattr(data.get("config"), "overlap", 0))
        return len(range(0, frames + adapter.padding, adapter.window_of(fps) - overlap))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        _warn_once("windows", f"the number of windows in a step is unknown: {error!r}")
        return 1


def _add_hooks(hooks: "_Hooks", model: Any, data: Mapping[str, Any], watch: RunWatch, progress: Any) -> None:
    def window_done() -> None:
        watch.pause()
        if watch.call_done() and progress:
            progress(watch.step, watch.steps)

    # The last call of a network is known only when the next network is called: forks of the wrapper order the calls
    # differently, and ComfyUI chooses the decoder's group size by the free memory.
    hooks.add(model, "pipe.unet", lambda: watch.enter("denoise"), window_done)
    hooks.add(data.get("vae"), "first_stage_model.decoder", lambda: watch.enter("decode"), watch.pause)
    if getattr(model, "use_interframe", True):
        hooks.add(model, "rife.flownet", lambda: watch.enter("interpolate"))


class _Hooks:
    """Hooks on networks, removed together."""

    def __init__(self, check: Callable[[], object] | None, through: tuple[type[BaseException], ...]) -> None:
        """`through` are the types of exceptions that `safely` lets propagate."""
        self._check = check
        self._through = through
        self._handles: list[Any] = []

    def add(
        self, owner: Any, path: str, before: Callable[[], object], after: Callable[[], object] | None = None
    ) -> None:
        """Call `check` and `before` before every call of the network at `path` in `owner`, and `after` after it."""

        def enter(*_: object) -> None:
            if self._check:
                self._check()
            self.safely(before)

        def leave(*_: object) -> None:
            if after:
                self.safely(after)

        try:
            network = reduce(getattr, path.split("."), owner)
            self._handles += [network.register_forward_pre_hook(enter), network.register_forward_hook(leave)]
        except AttributeError as error:
            _warn_once(path, f"this Sonic wrapper has no {path} that could be followed: {error}")

    def safely(self, work: Callable[..., object], *args: object) -> None:
        """Do `work`; its failure is logged and does not end the run."""
        try:
            work(*args)
        except self._through:  # ComfyUI's progress bar raises it too
            raise
        except Exception as error:
            _warn_once(
                f"{getattr(work, '__qualname__', work)} {type(error)}",
                f"following the run failed, the run goes on: {error!r}",
            )

    def remove(self) -> None:
        """Remove all hooks."""
        for handle in self._handles:
            handle.remove()


def _enter_failed_stage(error: BaseException, model: Any, data: Mapping[str, Any], watch: RunWatch) -> None:
    """Enter the stage in which the run failed, if that was before the first call of this stage's network."""
    if _ran(data.get("vae"), error):
        watch.enter("decode")  # for example, its weights did not fit
    elif _ran(getattr(model, "rife", None), error):
        watch.enter("interpolate")
    elif watch.stage == "decode" and watch.is_paused and model.use_interframe and is_out_of_memory(error):
        watch.enter("interpolate")  # the whole clip did not fit on the card


def _ran(owner: Any, error: BaseException) -> bool:
    """Whether a method of `owner` was running when `error` was raised."""
    trace = error.__traceback__
    while trace is not None:
        if owner is not None and trace.tb_frame.f_locals.get("self") is owner:
            return True
        trace = trace.tb_next
    return False


def _warn_once(key: str, text: str) -> None:
    if key not in _warned:
        _warned.add(key)
        log.warning("%s", text)

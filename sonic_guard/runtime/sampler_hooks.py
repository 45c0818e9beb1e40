"""Follow the Sonic wrapper's sampler from outside, by hooks on the networks it calls.

The hooks are torch's own and sit on the instances that run; no class and no function of the wrapper is changed, and
what the networks take and give is passed on untouched. Nothing here waits for the card.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import reduce
from typing import Any

from ..devices.out_of_memory import is_out_of_memory
from .run_watch import RunWatch

log = logging.getLogger(__name__)

_said: set[str] = set()


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
    restarted: Callable[[Any], object] | None = None,
) -> Iterator[None]:
    """Follow the wrapper's ``SONICSampler.sampler_main``, which has to run inside the block: denoise to the end.

    The run ends with the block, as done or by what was raised in it. `check` is called before every call of a
    network and stops the run by raising; `progress` is called with (steps done, steps to do) after each step, and
    `restarted` with the lever that a lean model begins the run again with, because memory ran out. Steps that a lean
    model does not make again count as done. Neither a failure of this library nor a wrapper of an unknown shape
    disturbs the run: what cannot be followed is said once in the log, and its stage is missing in `watch`.
    """

    def begin(*_: object) -> None:
        watch.expect(steps, calls_per_step(data, fps))
        watch.enter("denoise")

    def again(optimization: Any) -> None:
        if restarted:
            hooks.safely(restarted, optimization)
        begin()

    begin()
    hooks = _Hooks(check, watch.interrupted)
    try:
        hooks.safely(_hang, hooks, model, data, watch, progress)
        with (
            _told(model, "on_restart", again),
            _told(model, "on_skipped", lambda done: hooks.safely(watch.passed, done)),
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
def _told(model: Any, attribute: str, listener: Callable[[Any], None]) -> Iterator[None]:
    """Have a lean model say to `listener` what it says at `attribute`; the wrapper's own says nothing."""
    before = getattr(model, attribute, None)
    if before is None:
        yield
        return
    setattr(model, attribute, listener)
    try:
        yield
    finally:
        setattr(model, attribute, before)


def calls_per_step(data: Mapping[str, Any], fps: float) -> int:
    """Windows the wrapper's loop cuts the clip into: calls of the network in one step; 1 where that is not known."""
    try:
        frames, overlap = len(data["audio_tensor_list"]), int(getattr(data.get("config"), "overlap", 0))
        return len(range(0, frames, int(fps) - overlap))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        _text("windows", f"how many windows a step has is unknown: {error!r}")
        return 1


def _hang(hooks: "_Hooks", model: Any, data: Mapping[str, Any], watch: RunWatch, progress: Any) -> None:
    def window_done() -> None:
        watch.lull()
        if watch.called() and progress:
            progress(watch.step, watch.steps)

    # Which call of a network is its last is known from the next network's first: other wrappers go over the clip in
    # other ways, and ComfyUI cuts the decoder's groups to what is free.
    hooks.hang(model, "pipe.unet", lambda: watch.enter("denoise"), window_done)
    hooks.hang(data.get("vae"), "first_stage_model.decoder", lambda: watch.enter("decode"), watch.lull)
    if getattr(model, "use_interframe", True):
        hooks.hang(model, "rife.flownet", lambda: watch.enter("interpolate"))


class _Hooks:
    """Hooks on networks, all taken off together."""

    def __init__(self, check: Callable[[], object] | None, through: tuple[type[BaseException], ...]) -> None:
        """`through` are exceptions that stop the run wherever they are raised."""
        self._check = check
        self._through = through
        self._handles: list[Any] = []

    def hang(
        self, owner: Any, path: str, before: Callable[[], object], after: Callable[[], object] | None = None
    ) -> None:
        """Call `check` and `before` at every call of the network at `path` of `owner`, and `after` at its end."""

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
            _text(path, f"this Sonic wrapper has no {path} that could be followed: {error}")

    def safely(self, work: Callable[..., object], *args: object) -> None:
        """Do `work`, whose failure is not the run's."""
        try:
            work(*args)
        except self._through:  # ComfyUI's progress bar raises it too
            raise
        except Exception as error:
            _text(
                f"{getattr(work, '__qualname__', work)} {type(error)}",
                f"following the run failed, the run goes on: {error!r}",
            )

    def remove(self) -> None:
        """Take every hook off."""
        for handle in self._handles:
            handle.remove()


def _enter_failed_stage(error: BaseException, model: Any, data: Mapping[str, Any], watch: RunWatch) -> None:
    """Where the run failed at a border of stages, before the next network's first call, say the stage it was in."""
    if _ran(data.get("vae"), error):
        watch.enter("decode")  # such as: its weights did not fit
    elif _ran(getattr(model, "rife", None), error):
        watch.enter("interpolate")
    elif watch.stage == "decode" and watch.is_in_lull and model.use_interframe and is_out_of_memory(error):
        watch.enter("interpolate")  # the whole clip did not fit on the card


def _ran(owner: Any, error: BaseException) -> bool:
    """Whether a method of `owner` was running when `error` was raised."""
    trace = error.__traceback__
    while trace is not None:
        if owner is not None and trace.tb_frame.f_locals.get("self") is owner:
            return True
        trace = trace.tb_next
    return False


def _text(what: str, text: str) -> None:
    if what not in _said:
        _said.add(what)
        log.warning("%s", text)

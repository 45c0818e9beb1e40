"""The denoising steps a run has behind it, for a run that is begun again.

The wrapper's pipeline goes over the whole clip once a step, a window of latents at a time: each goes through the
network, then through the scheduler. What the scheduler gave for the windows of a step is all that the next step is
made of. A run that has it passes the steps up to there by: the network is not asked, and the scheduler answers for
the last of them with what it gave then. So the latents are the same to the bit.
"""

import copy
from types import SimpleNamespace
from typing import Any, Protocol

from torch import Tensor


class Steps(Protocol):
    """Keeps what the scheduler gave in the last whole step."""

    @property
    def done(self) -> int:
        """Steps that need not be made again."""
        ...

    @property
    def windows(self) -> int:
        """How many windows the last of them has."""
        ...

    def get(self, window: int, like: Tensor) -> Tensor:
        """What the scheduler gave for a window of the last step, to the bit; where `like` is."""
        ...

    def begin(self, number: int, windows: int) -> None:
        """Step `number`, from 1, begins and will have `windows`; what came of one that was not ended does not count."""
        ...

    def put(self, latents: Tensor) -> None:
        """Take what the scheduler gave for the next window of the step under way."""
        ...

    def end(self) -> None:
        """The step under way is whole."""
        ...


class StepsInMemory:
    """For another attempt of the same call; latents of two steps in host memory."""

    def __init__(self) -> None:
        self.done = self._number = 0
        self._last: list[Tensor] = []
        self._next: list[Tensor] = []

    @property
    def windows(self) -> int:
        """How many windows the last whole step has."""
        return len(self._last)

    def get(self, window: int, like: Tensor) -> Tensor:
        """What the scheduler gave for a window of the last whole step."""
        return self._last[window].to(like.device)

    def begin(self, number: int, windows: int) -> None:
        """Step `number` begins."""
        del windows  # they are counted
        self._number, self._next = number, []

    def put(self, latents: Tensor) -> None:
        """Take the next window of the step under way."""
        self._next.append(latents.cpu())

    def end(self) -> None:
        """The step under way is whole."""
        self.done, self._last, self._next = self._number, self._next, []


class SamplingLoop:
    """One call of the pipeline on its way over the clip, step by step."""

    def __init__(self, scheduler: Any, steps: Steps, windows: int) -> None:
        """Pass by what `steps` has, if its windows are as many as the clip has now, and give it what comes next."""
        self.skipped = steps.done if steps.windows == windows else 0
        """Steps that are not made again."""
        self.scheduler = copy.copy(scheduler)
        """What the pipeline takes for `scheduler`."""
        self._steps, self._windows = steps, windows
        self._own_scale, self._own_step = self.scheduler.scale_model_input, self.scheduler.step
        self.scheduler.__dict__.update(scale_model_input=self._scale, step=self._step)
        self._number = 0
        """Of the step under way, from 1."""
        self._window = 0
        self._time: float | None = None

    @property
    def is_skipping(self) -> bool:
        """Whether the network need not be asked for the window under way."""
        return 0 < self._number <= self.skipped

    def end(self) -> None:
        """The step under way, if any, is whole. One of another number of windows than was told is not kept."""
        if self._number > self.skipped and self._window == self._windows:
            self._steps.end()

    def _scale(self, sample: Tensor, timestep: Any, *args: Any, **kwargs: Any) -> Tensor:
        # Every window comes by here, with the time of its step as it is in the schedule.
        if (time := float(timestep)) != self._time:
            self.end()
            self._number, self._window, self._time = self._number + 1, 0, time
            if self._number > self.skipped:
                self._steps.begin(self._number, self._windows)
        return self._own_scale(sample, timestep, *args, **kwargs)

    def _step(self, noise: Tensor, timestep: Any, sample: Tensor, *args: Any, **kwargs: Any) -> Any:
        window, self._window = self._window, self._window + 1
        if self.is_skipping:
            last = self._number == self.skipped
            return SimpleNamespace(prev_sample=self._steps.get(window, sample) if last else sample)
        given = self._own_step(noise, timestep, sample, *args, **kwargs)
        if self._number:
            self._steps.put(given.prev_sample)
        return given

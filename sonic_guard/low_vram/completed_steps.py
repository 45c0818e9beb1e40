"""Resuming a run after its last completed denoising step.

In every denoising step the wrapper's pipeline goes over the whole clip, one window of latents at a time: each window
goes through the network, then through the scheduler. The next step depends only on the scheduler's outputs. A run
that has them saved skips the steps up to there: the network is not called, and for the last skipped step the scheduler
returns its saved outputs. So the latents are equal bit by bit.
"""

import copy
from types import SimpleNamespace
from typing import Any, Protocol

from torch import Tensor


class Steps(Protocol):
    """Stores the scheduler's outputs of the last completed denoising step."""

    @property
    def done(self) -> int:
        """Number of completed steps."""
        ...

    @property
    def windows(self) -> int:
        """Number of windows in the last completed step."""
        ...

    def get(self, window: int, like: Tensor) -> Tensor:
        """The scheduler's output for `window` of the last completed step, unchanged, on the device of `like`."""
        ...

    def begin(self, number: int, windows: int) -> None:
        """Begin step `number`, counted from 1, with so many `windows`. An unfinished step before it is discarded."""
        ...

    def put(self, latents: Tensor) -> None:
        """Store the scheduler's output for the next window of the current step."""
        ...

    def end(self) -> None:
        """Mark the current step as completed."""
        ...


class StepsInMemory:
    """`Steps` in host memory, for another attempt within the same call: the latents of two steps."""

    def __init__(self) -> None:
        self.done = self._number = 0
        self._last: list[Tensor] = []
        self._next: list[Tensor] = []

    @property
    def windows(self) -> int:
        """Number of windows in the last completed step."""
        return len(self._last)

    def get(self, window: int, like: Tensor) -> Tensor:
        """The scheduler's output for `window` of the last completed step, on the device of `like`."""
        return self._last[window].to(like.device)

    def begin(self, number: int, windows: int) -> None:
        """Begin step `number`."""
        del windows  # they are counted
        self._number, self._next = number, []

    def put(self, latents: Tensor) -> None:
        """Store the next window of the current step."""
        self._next.append(latents.cpu())

    def end(self) -> None:
        """Mark the current step as completed."""
        self.done, self._last, self._next = self._number, self._next, []


class SamplingLoop:
    """Follows the sampling loop of one pipeline call, skips completed steps and saves new ones.

    It replaces two methods on a copy of the scheduler; the pipeline's code does not change.
    """

    def __init__(self, scheduler: Any, steps: Steps, windows: int) -> None:
        """Skip the steps that `steps` holds if they have as many `windows` as the clip, and save those that follow."""
        self.skipped = steps.done if steps.windows == windows else 0
        """Number of steps that are skipped."""
        self.scheduler = copy.copy(scheduler)
        """The scheduler to give to the pipeline."""
        self._steps, self._windows = steps, windows
        self._own_scale, self._own_step = self.scheduler.scale_model_input, self.scheduler.step
        self.scheduler.__dict__.update(scale_model_input=self._scale, step=self._step)
        self._number = 0
        """Number of the current step, from 1; 0 before the loop."""
        self._window = 0
        self._time: float | None = None

    @property
    def is_skipping(self) -> bool:
        """Whether the network need not be called for the current window."""
        return 0 < self._number <= self.skipped

    def end(self) -> None:
        """End the current step, if any. It is saved only if it had the expected number of windows."""
        if self._number > self.skipped and self._window == self._windows:
            self._steps.end()

    def _scale(self, sample: Tensor, timestep: Any, *args: Any, **kwargs: Any) -> Tensor:
        # The pipeline calls this for every window, with the timestep of the schedule: a new timestep is a new step.
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
        output = self._own_step(noise, timestep, sample, *args, **kwargs)
        if self._number:
            self._steps.put(output.prev_sample)
        return output

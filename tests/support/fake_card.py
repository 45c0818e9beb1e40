"""A card with an allocator's counters, for tests without a GPU."""

from sonic_guard.runtime.stage_peaks import Peak


class Card:
    """A card with an allocator: what it holds, and the counters of the most it has held."""

    def __init__(self):
        self.live = self.peak = self.resets = 0

    def take(self, size):
        self.live += size
        self.peak = max(self.peak, self.live)

    def pass_through(self, size):
        self.take(size)
        self.take(-size)

    def read(self):
        return Peak(self.peak, 2 * self.peak)

    def reset(self):
        self.peak, self.resets = self.live, self.resets + 1


def allocated(watch):
    return {stage: figures.allocated_bytes for stage, figures in watch.figures().items()}

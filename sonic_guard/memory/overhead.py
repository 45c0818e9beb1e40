"""What a stage takes on the card in addition to its tensors: the context, cuBLAS's workspace, and lost space.

Three terms, because they grow with different things. The CUDA context with the code of the kernels is the driver's. The
workspace is memory that torch allocates once for cuBLAS; the native allocator's own rounding of large blocks (up to
1 MiB for a block) is counted with it. Lost space is a share of the tensors: what the caching allocator holds and cannot
reuse. `docs/measured.md` has the measurements.
"""

import json
from functools import cache
from pathlib import Path
from typing import NamedTuple

PREFERRED_ALLOCATOR = "cudaMallocAsync"
"""The allocator for which a prediction holds unless it names one: ComfyUI prefers it on NVIDIA cards."""


class Overhead(NamedTuple):
    """The memory of a stage in addition to its tensors."""

    context_bytes: int
    """The CUDA context with the code of the kernels. It is outside of torch's allocator."""
    fraction: float
    """Share of the bytes of tensors that the allocator takes in addition and cannot reuse."""
    confirmed: bool
    """Whether all terms were measured on a card; otherwise the fraction is an assumption, and is shown as one."""
    source: str
    """How it was determined, for display."""
    workspace_bytes: int = 0
    """cuBLAS's workspace, and the native allocator's rounding. Torch counts both as allocated."""

    @property
    def fixed_bytes(self) -> int:
        """The terms that do not depend on the tensors."""
        return self.context_bytes + self.workspace_bytes

    def of(self, stage_bytes: int) -> int:
        """Overhead in bytes of a stage with `stage_bytes` of tensors."""
        return self.fixed_bytes + int(self.fraction * stage_bytes)


@cache
def overhead(allocator: str = PREFERRED_ALLOCATOR) -> Overhead:
    """The overhead as shipped, for one of torch's allocators: native or cudaMallocAsync."""
    return overheads()[allocator]


@cache
def overheads() -> dict[str, Overhead]:
    """The overhead as shipped, by allocator."""
    return parse(Path(__file__).with_name("overhead.json").read_text(encoding="utf-8"))


def parse(text: str) -> dict[str, Overhead]:
    """The overheads by allocator from the text of an `overhead.json`."""
    data = json.loads(text)
    common = {name: data[name] for name in ("fraction", "confirmed", "source")}
    return {allocator: Overhead(**terms, **common) for allocator, terms in data["allocators"].items()}

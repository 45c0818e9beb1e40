"""Learns the fixed terms of the overhead from the runs of a card, the first one included.

The shipped terms are the largest measured on one server card, and smaller cards take less. What a run records is enough
for both: torch's count of tensors against the model's for the workspace, and the memory in use on the card against
torch's share of it for the context.
"""

from collections.abc import Iterable
from statistics import median

from ..memory.overhead import Overhead, overhead
from ..memory.stage_model import STAGES, predict
from .run_record import Outcome, Run

MAX_WORKSPACE_BYTES = 128 << 20
"""A larger difference between counted and predicted tensors is an error of the model, not a workspace."""
MIN_CONTEXT_BYTES = 100 << 20
"""Less than this is no CUDA context, but a peak that fell between two samples."""
MIN_SAMPLED_S = 10.0
"""A stage that lasted as long has some twenty samples of the memory in use on the card."""


def learn_fixed_terms(runs: Iterable[Run]) -> Overhead:
    """The shipped overhead with the card's own context and workspace, as far as `runs` show them.

    The memory outside of torch includes that of other programs, so it is an upper bound of the context: the least of
    all runs counts, and only where it is below the shipped figure.
    """
    runs, shipped = [*runs], overhead()
    workspaces = [extra for run in runs if (extra := _workspace_bytes(run)) is not None]
    contexts = [outside for run in runs if (outside := _outside_bytes(run)) is not None]
    return shipped._replace(
        workspace_bytes=round(median(workspaces)) if workspaces else shipped.workspace_bytes,
        context_bytes=min([shipped.context_bytes, *contexts]),
    )


def unet_bytes_of(run: Run) -> int | None:
    """Bytes of the UNet's weights with which the prediction before the run was made; None for the default."""
    weights = run.predicted.get("load", 0) - predict(run.job, unet_bytes=0).stages["load"]
    return weights if weights > 0 else None


def _workspace_bytes(run: Run) -> int | None:
    """Bytes that torch counted as allocated in denoise and the model does not predict; None if unknown."""
    figures = run.stages.get("denoise")
    past_it = run.outcome is Outcome.DONE or run.stage in STAGES[STAGES.index("denoise") + 1 :]
    if figures is None or not figures.allocated_bytes or not past_it:
        return None
    estimate = predict(run.job, unet_bytes=unet_bytes_of(run), device=run.environment.device)
    extra = figures.allocated_bytes - estimate.stages["denoise"]
    return extra if 0 <= extra <= MAX_WORKSPACE_BYTES else None


def _outside_bytes(run: Run) -> int | None:
    """Bytes in use on the card outside of torch's allocator, other programs included; None if unknown.

    It grows as kernels are loaded, so the largest of the stages counts.
    """
    outside = [
        figures.device_bytes - figures.reserved_bytes
        for figures in run.stages.values()
        if figures.device_bytes and figures.reserved_bytes and (figures.seconds or 0.0) >= MIN_SAMPLED_S
    ]
    most = max(outside, default=0)
    return most if most >= MIN_CONTEXT_BYTES else None

"""What the first runs of a card show of its context and of cuBLAS's workspace."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from sonic_guard.devices.environment import RunEnvironment
from sonic_guard.history.calibration import calibrate
from sonic_guard.history.card_overhead import MAX_WORKSPACE_BYTES, learn_fixed_terms
from sonic_guard.history.run_record import Outcome, Run, StageFigures
from sonic_guard.job import Job
from sonic_guard.memory.overhead import PREFERRED_ALLOCATOR, overhead, overheads
from sonic_guard.memory.stage_model import predict, stage_bytes

MIB, GIB = 1 << 20, 1 << 30
JOB = Job(512, 512, 10.0)
TENSORS = stage_bytes(JOB)
SHIPPED = overhead()


def run(workspace=8 * MIB, context=430 * MIB, number=1, outcome=Outcome.DONE, stage="", seconds=60.0) -> Run:
    """A run on a card with this workspace and this much memory in use outside of torch's allocator."""
    figures = {}
    for name in ("predata", "denoise"):
        allocated = TENSORS[name] + workspace
        reserved = int(1.04 * TENSORS[name]) + workspace
        figures[name] = StageFigures(allocated, reserved, reserved + context, seconds)
    environment = RunEnvironment("RTX 4060", available_bytes=12 * GIB)
    return Run(number, datetime(2026, 11, 28, tzinfo=UTC), JOB, environment, TENSORS, figures, outcome, stage)


def test_shipped_are_the_terms_of_both_allocators():
    assert set(overheads()) == {"native", "cudaMallocAsync"}
    assert overhead() == overheads()[PREFERRED_ALLOCATOR]
    assert overheads()["native"].workspace_bytes == 73 * MIB
    assert overheads()["cudaMallocAsync"].workspace_bytes == 33 * MIB
    assert predict(JOB).overhead_bytes == SHIPPED.context_bytes + 33 * MIB + int(SHIPPED.fraction * TENSORS["denoise"])


def test_the_first_run_shows_both():
    learned = calibrate([run()]).overhead
    assert (learned.workspace_bytes, learned.context_bytes) == (8 * MIB, 430 * MIB)
    assert learned.fraction == SHIPPED.fraction  # one run says nothing about the allocator's share


def test_a_prediction_then_has_the_card_s_own_terms():
    estimate = predict(JOB)
    lower = SHIPPED.fixed_bytes - (8 + 430) * MIB
    assert calibrate([run()]).corrected(estimate) == estimate.peak_bytes - lower


@pytest.mark.parametrize(
    ("given", "workspace", "context"),
    [
        ([run(workspace=8 * MIB), run(workspace=60 * MIB), run(workspace=9 * MIB)], 9 * MIB, 430 * MIB),
        # Another program used 2 GiB in one of them: the least counts.
        ([run(context=430 * MIB + 2 * GIB), run(context=440 * MIB)], 8 * MIB, 440 * MIB),
        # With a program in all of them nothing is known of the context.
        ([run(context=3 * GIB)], 8 * MIB, SHIPPED.context_bytes),
        # A peak between two samples, and a stage too short for samples.
        ([run(context=-50 * MIB)], 8 * MIB, SHIPPED.context_bytes),
        ([run(seconds=2.0)], 8 * MIB, SHIPPED.context_bytes),
        # The model is off by more than any workspace, or predicts too much.
        ([run(workspace=MAX_WORKSPACE_BYTES + 1)], SHIPPED.workspace_bytes, 430 * MIB),
        ([run(workspace=-1)], SHIPPED.workspace_bytes, 430 * MIB),
        # The peak of denoise may not have been reached.
        ([run(outcome=Outcome.INTERRUPTED, stage="denoise")], SHIPPED.workspace_bytes, 430 * MIB),
        ([run(outcome=Outcome.INTERRUPTED, stage="decode")], 8 * MIB, 430 * MIB),
        ([replace(run(), stages={})], SHIPPED.workspace_bytes, SHIPPED.context_bytes),
        ([], SHIPPED.workspace_bytes, SHIPPED.context_bytes),
    ],
)
def test_what_runs_show(given, workspace, context):
    learned = learn_fixed_terms(given)
    assert (learned.workspace_bytes, learned.context_bytes) == (workspace, context)

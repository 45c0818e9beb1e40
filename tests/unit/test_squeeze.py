"""The search for what a run needs: the least limit under which it ends.

On the CPU the limit is a real one, of the process's address space; there and in the search the run allocates tensors of
torch. The card's own limits need a card.
"""

import subprocess
import sys

import pytest

from sonic_guard.devtools import ballast, measured_table
from sonic_guard.devtools.measured_cases import Case
from sonic_guard.devtools.measured_table import MeasuredPeaks, Row, Try
from sonic_guard.devtools.squeeze import TOLERANCE, needs, squeeze, squeezed_cases
from sonic_guard.errors import SonicGuardError
from tests.support import installed
from tests.support.measured_tables import GIB, MIB, row, write_table

torch = pytest.importorskip("torch")

CASE = Case("denoise", 512, 512, 25)
ALLOCATED, RESERVED = 8 * GIB, 10 * GIB
MEASURED = Row(CASE, 0, MeasuredPeaks(1.0, ALLOCATED, RESERVED, 700 * MIB), None, 1.0)


def one(tries=(), measured=MEASURED):
    (need,) = needs([measured], tries)
    return need


def search(need_bytes):
    """The limits that are tried for a case that ends under `need_bytes` and more, and what is found."""
    tries: list[Try] = []
    while not (need := one(tries)).known:
        tries.append(Try(CASE, need.next_limit, need.next_limit >= need_bytes))
    return [attempt.limit_bytes for attempt in tries], need


@pytest.mark.parametrize("share", [0.0, 0.001, 0.2, 0.5, 0.77, 0.999, 1.0])
def test_the_least_limit_is_found(share):
    needed = ALLOCATED + int(share * (RESERVED - ALLOCATED))
    limits, need = search(needed)
    assert need.failed_bytes <= needed <= need.ended_bytes
    assert need.ended_bytes - need.failed_bytes <= TOLERANCE * need.ended_bytes
    assert all(ALLOCATED < limit < RESERVED for limit in limits)
    assert len(limits) <= 6


def test_without_a_try_the_tensors_and_what_was_reserved_are_the_bounds():
    assert one()[1:] == (ALLOCATED, RESERVED, 700 * MIB)


def test_a_run_that_ends_below_one_that_failed_counts():
    """The allocator's pieces fall otherwise under another limit, so that it is not always the larger one that ends."""
    tries = [Try(CASE, 9 * GIB, False), Try(CASE, int(8.5 * GIB), True), Try(CASE, int(8.2 * GIB), False)]
    assert one(tries)[1:3] == (int(8.2 * GIB), int(8.5 * GIB))


def test_other_cases_and_runs_without_bytes_show_nothing():
    other = Case("denoise", 768, 768, 25)
    assert one([Try(other, ALLOCATED + 1, True)]) == one()
    assert not [*needs([row(CASE, 0, oom="denoise"), Row(CASE, 0, MeasuredPeaks(1.0), None, 1.0)], ())]


def test_tries_come_back_from_the_table_as_they_were_written(tmp_path):
    tries = (
        Try(CASE, 9 * GIB, True, MeasuredPeaks(1.5, 8 * GIB, 9 * GIB, 700 * MIB)),
        Try(CASE, 8 * GIB, False, None, "CUDA out of memory."),
    )
    out = write_table(tmp_path / "table.jsonl", MEASURED)
    for attempt in tries:
        measured_table.append_try(out, attempt)
    assert measured_table.read(out).tries == tries


def test_the_cases_are_named_once_and_have_no_stand_in():
    cases = squeezed_cases()
    assert len({case.name for case in cases}) == len(cases)
    assert not any(case.stand_in or case.card_gib for case in cases)


@pytest.mark.skipif(torch.cuda.is_available(), reason="is about machines without a CUDA card")
def test_without_a_card_it_reports_so(tmp_path):
    with pytest.raises(SonicGuardError, match="measure: no CUDA card"):
        squeeze(tmp_path, tmp_path / "table.jsonl", limit_s=1.0, progress=[].append)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("free", "target", "taken"),
    [(80 * GIB, 6 * GIB, 74 * GIB), (80 * GIB, None, 0), (5 * GIB, 6 * GIB, 0), (6 * GIB + 3 * MIB, 6 * GIB, 2 * MIB)],
)
def test_a_ballast_leaves_what_is_asked_for(free, target, taken):
    assert ballast.surplus(free, target) == taken


REAL_LIMIT = """
import resource, torch
from sonic_guard.devtools.measured_cases import Case
from sonic_guard.devtools.measured_table import MeasuredPeaks, Row, Try
from sonic_guard.devtools.squeeze import needs

MIB = 1 << 20
case = Case("denoise", 512, 512, 25)

def work():
    held = [torch.zeros(64 * MIB, dtype=torch.uint8) for _ in range(6)]
    held[0] = None
    return torch.zeros(96 * MIB, dtype=torch.uint8), held

def ends(limit):
    pages = int(open("/proc/self/statm").read().split()[0])
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + limit, hard))
    try:
        work()
    except RuntimeError as error:
        assert "can't allocate memory" in str(error), error
        return False
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    return True

work()
row, tries = Row(case, 0, MeasuredPeaks(1.0, 200 * MIB, 900 * MIB, 0), None, 1.0), []
while not (need := next(needs([row], tries))).known:
    tries.append(Try(case, need.next_limit, ends(need.next_limit)))
print(need.failed_bytes / MIB, need.ended_bytes / MIB)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the limit of an address space is Linux's")
def test_the_need_of_real_allocations_under_a_real_limit():
    """Six tensors of 64 MiB; then one is freed and one of 96 MiB allocated: 5 · 64 + 96 = 416 MiB at the peak."""
    done = subprocess.run(
        [sys.executable, "-c", REAL_LIMIT], cwd=installed.PACK, capture_output=True, text=True, check=True
    )
    failed, ended = map(float, done.stdout.split())
    assert failed < 416 + 2
    assert 416 <= ended <= 424  # the allocator's own memory is on top

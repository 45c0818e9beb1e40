"""`measure`: the real flow on the CPU with a small network, and the summary of its table, on given rows.

On the CPU torch counts no bytes, so rows from there have seconds only; rows with bytes are written out here.
"""

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from sonic_guard.devtools import measured_table
from sonic_guard.devtools.measure import FIRST_CASE_S, measure
from sonic_guard.devtools.measured_cases import Case
from sonic_guard.devtools.measured_summary import fit_overhead, summarise
from sonic_guard.errors import SonicGuardError
from sonic_guard.job import Dtype
from tests.support import installed
from tests.support.measured_tables import CASES, GIB, STOCK, row, write_table

torch = pytest.importorskip("torch")
for package in ("diffusers", "transformers", "einops"):
    pytest.importorskip(package)


BEYOND_ANY_MEMORY = Case("decode", 1 << 17, 8192, 4_000_000, dtype=Dtype.FP32)
"""Latents of 1.1 PB: more than an address space holds, so that no machine can allocate them."""


def small_unet() -> dict:
    """SVD's configuration with few channels: the same layers and inputs."""
    config = json.loads((installed.sonic() / "svd_repo/unet/config.json").read_text())
    return config | {"block_out_channels": [32, 32, 64, 64], "num_attention_heads": [2] * 4, "layers_per_block": 1}


def measure_small(out: Path, cases=CASES, limit_s: float = 3600.0):
    lines: list[str] = []
    outcome = measure(
        installed.sonic(),
        out,
        limit_s=limit_s,
        progress=lines.append,
        cases=cases,
        device="cpu",
        unet_config=small_unet(),
    )
    return outcome, lines


def names(out: Path) -> list[str]:
    return [row.case.name for row in measured_table.read(out).rows]


# The flow, with the wrapper's own classes


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    out = tmp_path_factory.mktemp("measured") / "table.jsonl"
    return out, *measure_small(out)


def test_every_case_gets_a_row_in_the_given_order(measured):
    out, outcome, lines = measured
    assert outcome == (len(CASES), 0, ())
    assert [row.case for row in measured_table.read(out).rows] == list(CASES)
    assert len(lines) == 1 + len(CASES)  # building the network, then a line a case
    assert STOCK.name in lines[1]


def test_a_row_has_times_and_a_prediction_and_on_a_cpu_no_bytes(measured):
    for one in measured_table.read(measured[0]).rows:
        assert one.error is None
        assert one.oom is None
        assert one.peaks is not None
        assert one.peaks[1:] == (None, None, None)
        assert 0 < one.peaks.seconds <= one.wall_s
        assert one.predicted_bytes == one.case.predict_bytes() > 0
        assert (one.pass_s is not None) == (one.case.stage == "denoise")


def test_the_header_reports_where_it_was_measured(measured):
    from sonic_guard.devtools import gpu_setup

    header = measured_table.read(measured[0]).header
    assert header is not None
    assert header.torch == torch.__version__
    assert header.python == ".".join(map(str, sys.version_info[:3]))
    assert header.sonic_commit == gpu_setup.read_commit(installed.sonic())
    assert header.model
    assert (header.total_bytes, header.context_bytes) == (None, None)
    assert header.date.endswith("+00:00")


def test_a_finished_table_is_left_as_it_is(measured):
    out = measured[0]
    before = out.read_bytes()
    assert measure_small(out) == ((0, 0, ()), [])
    assert out.read_bytes() == before


def test_a_table_without_bytes_can_be_read_but_not_fitted(measured):
    assert STOCK.name in summarise(measured[0])
    with pytest.raises(SonicGuardError, match="no finished case from a card"):
        fit_overhead(measured[0])


def test_a_killed_measurement_resumes_where_it_was(tmp_path):
    out = tmp_path / "table.jsonl"
    installed.sonic()  # skips here, not in the child
    code = f"from pathlib import Path; from tests.sonic.test_measure import *; measure_small(Path({str(out)!r}))"
    child = subprocess.Popen([sys.executable, "-c", code], cwd=installed.PACK)
    deadline = time.monotonic() + 300
    while len(names(out)) < 2 and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    child.kill()
    child.wait()
    kept = names(out)
    assert len(kept) >= 2
    with out.open("ab") as file:
        file.write(b'{"kind": "row", "stage": "den')  # as a full disk or a power cut leaves it

    outcome, _ = measure_small(out)
    assert outcome.measured == len(CASES) - len(kept)
    assert names(out) == [case.name for case in CASES]


def test_running_out_of_memory_is_a_row_and_the_next_case_runs(tmp_path):
    out = tmp_path / "table.jsonl"
    outcome, lines = measure_small(out, (BEYOND_ANY_MEMORY, CASES[2]))
    first, second = measured_table.read(out).rows
    assert outcome == (2, 0, ())
    assert first.oom == "decode"
    assert first.error
    assert first.peaks is None
    assert lines[1].endswith("out of memory")
    assert second.oom is None
    assert second.peaks is not None
    assert "out of memory in decode" in summarise(out)


def test_no_case_is_begun_without_time_for_it(tmp_path):
    out = tmp_path / "table.jsonl"
    assert measure_small(out, limit_s=0.0) == ((0, len(CASES), ()), [])
    header = measured_table.read(out).header
    assert header is not None

    measured_table.append_row(out, row(replace(STOCK, frames=12), GIB, 1, wall_s=3000.0))
    measured_table.append_row(out, row(replace(CASES[2], frames=12), GIB, 1, wall_s=0.1))
    outcome, _ = measure_small(out, CASES[:3], limit_s=FIRST_CASE_S)
    assert outcome == (1, 2, ())
    assert names(out)[-1] == CASES[2].name


def test_a_case_that_never_ended_is_begun_once_more_and_then_given_up(tmp_path):
    out = tmp_path / "table.jsonl"
    once, twice = CASES[2], CASES[3]
    measure_small(out, cases=())  # the header
    for case in (once, twice, twice):
        measured_table.append_start(out, case)
    outcome, _ = measure_small(out, (once, twice))
    assert outcome == (1, 0, (twice.name,))
    assert names(out) == [once.name]
    assert f"never ended: {twice.name}." in summarise(out)


def test_a_table_from_another_card_is_not_continued(tmp_path):
    out = write_table(tmp_path / "table.jsonl")
    before = out.read_bytes()
    with pytest.raises(SonicGuardError, match=r"was measured with NVIDIA H100.*another file"):
        measure_small(out)
    assert out.read_bytes() == before


# The grid


# The file


# The summary of the table

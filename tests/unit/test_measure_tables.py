"""`measure` without a wrapper: its grid of cases, its table, and what is made of given rows."""

import json
import math
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sonic_guard.devices.budget import budget_for
from sonic_guard.devtools import measured_table
from sonic_guard.devtools.measure import FIRST_CASE_S, MARGIN, expect_s, measure
from sonic_guard.devtools.measured_cases import RUN, Case, grid
from sonic_guard.devtools.measured_summary import fit_overhead, least_overhead, summarise
from sonic_guard.devtools.measured_table import Contents, MeasuredPeaks, Row, Try
from sonic_guard.errors import OutputError, SonicGuardError, WrapperError
from sonic_guard.job import MIN_CHUNK_SIZE, Dtype
from sonic_guard.memory.overhead import parse
from sonic_guard.memory.stage_model import STAGES, predict
from sonic_guard.optimizations import Optimization
from tests.support import installed
from tests.support.measured_tables import CASES, GIB, HEADER, MIB, STOCK, row, write_table

torch = pytest.importorskip("torch")


no_card = pytest.mark.skipif(torch.cuda.is_available(), reason="is about machines without a CUDA card")


@no_card
def test_without_a_card_it_reports_so(tmp_path):
    with pytest.raises(SonicGuardError, match="measure: no CUDA card"):
        measure(tmp_path, tmp_path / "table.jsonl", limit_s=1.0, progress=[].append)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_the_wrapper_leaves_no_table(tmp_path):
    with pytest.raises(WrapperError, match="pipeline_sonic"):
        measure(tmp_path, tmp_path / "table.jsonl", limit_s=1.0, progress=[].append, device="cpu")
    assert not list(tmp_path.iterdir())


def test_it_imports_on_a_bare_machine():
    absent = ["comfy", "psutil", "av", "cv2", "rich", "pydantic", "torchvision", "matplotlib"]
    code = (
        "import sys\n"
        f"sys.modules.update(dict.fromkeys({absent}))\n"  # None makes the import fail
        "import sonic_guard.devtools.measure, sonic_guard.devtools.measured_summary\n"
        "assert 'torch' not in sys.modules\n"
        "import sonic_guard.devtools.gpu_stages, sonic_guard.devtools.gpu_setup, sonic_guard.devtools.sonic_checkout\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=installed.PACK, check=True)


def test_the_grid_begins_with_the_most_telling_case_and_names_each_once():
    cases = grid()
    assert cases[0].name == "denoise 512x512 N25 F25 fp16/bf16 stock"
    assert len({case.name for case in cases}) == len(cases)
    assert {case.stage for case in cases} == {*STAGES, RUN}
    assert {case.stock for case in cases if case.stage == "denoise"} <= set(cases)


def test_runs_are_planned_for_cards_with_optimizations_and_without():
    planned = [case for case in grid() if case.card_gib]
    for case in planned:
        assert predict(case.job).peak_bytes <= budget_for(case.card_gib).usable_bytes
        assert case.stock in grid()
    optimized = {(case.card_gib, case.width) for case in planned if case.optimizations}
    neither = {(12, 512), (6, 1024)}  # fits without, and does not fit
    assert optimized >= {(gib, side) for gib in (6, 8, 12) for side in (512, 768, 1024)} - neither
    assert any(case.chunk_size > MIN_CHUNK_SIZE for case in planned)
    assert any(not case.optimizations for case in planned if case.card_gib == 8)


@pytest.mark.parametrize("case", grid(), ids=lambda case: case.name)
def test_the_job_of_a_case_has_its_numbers(case):
    job = case.job
    assert (job.frame_size.width, job.frame_size.height) == (case.width, case.height)
    assert (job.latent_frames, job.window) == (case.frames, case.window)
    assert case.predict_bytes() > 0
    assert Case.from_json(json.loads(json.dumps(case.to_json()))) == case


@pytest.mark.parametrize(
    ("wall_s", "known", "asked", "expected"),
    [
        (10.0, Case("denoise", 512, 512, 25), Case("denoise", 512, 512, 25), 10.0),
        (10.0, Case("denoise", 512, 512, 25), Case("denoise", 512, 512, 50), 20.0),  # two windows
        (10.0, Case("denoise", 512, 512, 50), Case("denoise", 512, 512, 25), 10.0),  # never less than was seen
        (10.0, Case("denoise", 512, 512, 25), Case("denoise", 1024, 1024, 25), 100.0),  # 4 times the pixels, 2.5 each
        (10.0, Case("denoise", 512, 512, 25), Case("denoise", 512, 512, 25, dtype=Dtype.FP32), 80.0),
        (10.0, Case("interpolate", 512, 512, 25), Case("interpolate", 512, 512, 250), 100.0),
        (10.0, Case("interpolate", 512, 512, 25), Case("denoise", 512, 512, 25), FIRST_CASE_S / MARGIN),
    ],
)
def test_time_is_expected_from_the_nearest_case_of_the_stage(wall_s, known, asked, expected):
    far = row(replace(known, width=128, height=128), 1, 1, wall_s=1e6)
    failed = row(asked, 1, wall_s=0.0, oom=asked.stage)
    assert expect_s(asked, [far, row(known, 1, 1, wall_s=wall_s), failed]) == pytest.approx(MARGIN * expected)


def test_rows_come_back_as_they_were_written(tmp_path):
    rows = (
        row(STOCK, 5 * GIB, 4 * GIB, 600 * MIB),
        row(CASES[1], 5 * GIB, oom="denoise", error="CUDA out of memory.", pass_s=None),
        Row(CASES[2], 1, MeasuredPeaks(0.5), None, 1.0),
    )
    out = write_table(tmp_path / "table.jsonl", *rows, starts=(CASES[3],))
    contents = measured_table.read(out)
    assert contents.header == HEADER
    assert contents.rows == rows
    assert contents.unfinished == (CASES[3].name,)
    flat = json.loads(out.read_text().splitlines()[3])
    assert flat["device_bytes"] == flat["reserved_bytes"] + flat["outside_bytes"] == 4 * GIB + 700 * MIB
    assert flat["stand_in"] is False


def test_no_file_is_an_empty_table_and_a_half_line_is_none(tmp_path):
    out = tmp_path / "table.jsonl"
    measured_table.mend(out)
    assert measured_table.read(out) == Contents()
    out.write_bytes(b'{"kind": "hea')
    assert measured_table.read(out) == Contents()
    measured_table.mend(out)
    assert out.read_bytes() == b""


@pytest.mark.parametrize(
    "text", ["hello\n", "[]\n", "{}\n", '{"kind": "row", "stage": "load"}\n', '{"kind": "header"}\n']
)
def test_another_file_is_refused(tmp_path, text):
    out = tmp_path / "notes.txt"
    out.write_text(text)
    with pytest.raises(SonicGuardError, match="line 1 of .* is not from a table"):
        measured_table.read(out)


def test_an_unwritable_file_is_reported(tmp_path):
    with pytest.raises(OutputError, match="cannot write"):
        measured_table.append_header(tmp_path / "absent" / "table.jsonl", HEADER)


def test_the_commit_is_read_without_git(tmp_path):
    from sonic_guard.devtools import gpu_setup

    git = tmp_path / ".git"
    assert gpu_setup.read_commit(tmp_path) == "unknown"
    (git / "refs/heads").mkdir(parents=True)
    (git / "HEAD").write_text("ref: refs/heads/main\n")
    assert gpu_setup.read_commit(tmp_path) == "unknown"
    (git / "packed-refs").write_text("# pack-refs\n" + "a" * 40 + " refs/heads/main\n")
    assert gpu_setup.read_commit(tmp_path) == "a" * 40
    (git / "refs/heads/main").write_text("b" * 40 + "\n")
    assert gpu_setup.read_commit(tmp_path) == "b" * 40
    (git / "HEAD").write_text("c" * 40 + "\n")
    assert gpu_setup.read_commit(tmp_path) == "c" * 40


def test_the_page_has_its_heading_and_a_line_a_case(tmp_path):
    stock = Case("denoise", 512, 512, 25)
    optimized = replace(stock, optimizations=frozenset({Optimization.SEQUENTIAL_CFG}))
    predicted = stock.predict_bytes()
    out = write_table(
        tmp_path / "table.jsonl",
        row(stock, 1, predicted, 600 * MIB, pass_s=0.5),
        row(optimized, 1, optimized.predict_bytes() * 2, 600 * MIB, pass_s=0.6),
        row(Case("decode", 512, 512, 28), 1, GIB, 600 * MIB, pass_s=None),
        row(replace(stock, width=1280, height=1152), 1, error="CUDA error: invalid configuration | argument"),
    )
    page = summarise(out)
    assert page.startswith(
        "# Measured 2026-11-23 on NVIDIA H100 80GB HBM3 (80.0 GiB), torch 2.11.0+cu130, driver 580.159.04\n"
    )
    lines = {line.split(" | ")[0].removeprefix("| "): line for line in page.splitlines() if line.startswith("| d")}
    gib = predicted / GIB
    off = -73 * MIB / (predicted + 73 * MIB)
    sizes = f"{gib:.2f} | {gib:.2f} | 0.0 | {off:+.2%} | {gib + 100 / 1024:.2f} | {gib + 700 / 1024:.2f}"
    assert lines[stock.name] == f"| {stock.name} | {sizes} | 2.00 | 0.50 |  |  |"
    assert f" | {optimized.predict_bytes() / MIB:.1f} | " in lines[optimized.name]
    assert lines[optimized.name].endswith(" | 0.60 | 1.20 |  |")
    assert "stand-in: diffusers' VAE" in page
    assert "invalid configuration \\| argument" in page
    assert "The least limit" not in page


def test_the_page_counts_the_planned_runs_that_ran_out_of_memory(tmp_path):
    whole = Case(RUN, 512, 512, 50, optimizations=frozenset({Optimization.SEQUENTIAL_CFG}), card_gib=8)
    page = summarise(
        write_table(
            tmp_path / "table.jsonl",
            row(whole, 0, 5 * GIB, 924 * MIB),
            row(replace(whole, width=768), 0, oom=RUN),
            row(replace(whole, optimizations=frozenset()), 0, 6 * GIB, 924 * MIB),
        )
    )
    assert "- 8 GiB, with optimizations: of 2 1 ran out of memory, 0 failed, 75% to 75% of the card in use." in page
    assert "- 8 GiB, in the wrapper's own order: of 1 0 ran out of memory, 0 failed, 88% to 88% of" in page
    assert "8 GiB card" in page


def test_the_overhead_is_fitted_to_needs_and_not_to_what_was_reserved(tmp_path):
    cases = [Case("denoise", side, side, 25) for side in (256, 512, 768)]
    rows = [row(case, 0, 20 * GIB, (600 + index) * MIB) for index, case in enumerate(cases)]
    needed = [int(case.predict_bytes() * 1.04) + 60 * MIB for case in cases]
    stand_in = Case("decode", 512, 512, 28)
    out = write_table(tmp_path / "table.jsonl", *rows, row(stand_in, 0, 50 * GIB, GIB), row(STOCK, 0, oom="denoise"))
    for case, need in zip((*cases, stand_in), (*needed, 40 * GIB), strict=True):
        measured_table.append_try(out, Try(case, need, True, MeasuredPeaks(1.0)))
        measured_table.append_try(out, Try(case, int(need * 0.996), False, None, "CUDA out of memory."))
    fitted = fit_overhead(out)
    assert fitted["fraction"] == pytest.approx(0.04, abs=2e-4)
    assert fitted["allocators"]["native"] == {
        "context_bytes": 602 * MIB, "workspace_bytes": pytest.approx(60 * MIB, abs=2 * MIB)
    }  # fmt: skip
    assert fitted["allocators"]["cudaMallocAsync"]["workspace_bytes"] == 33 * MIB  # as shipped
    assert fitted["confirmed"] is True
    assert "NVIDIA H100 80GB HBM3, 2026-11-23, torch 2.11.0+cu130, driver 580.159.04" in fitted["source"]
    assert parse(json.dumps(fitted))["native"].of(GIB) == pytest.approx(602 * MIB + 60 * MIB + 0.04 * GIB, abs=3 * MIB)
    assert f"| {cases[1].name} | " in summarise(out).partition("The least limit of torch's allocator")[2]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([(GIB, GIB + 500 * MIB)], (500 * MIB, 0.0)),
        ([(GIB, GIB // 2), (2 * GIB, GIB)], (0, 0.0)),  # the model predicts too much: nothing to add
        ([(GIB, GIB + 500 * MIB), (2 * GIB, 2 * GIB + 500 * MIB)], (500 * MIB, 0.0)),
        ([(GIB, GIB + 602 * MIB), (11 * GIB, 11 * GIB + 1626 * MIB)], (500 * MIB, 0.1)),
    ],
)
def test_the_least_overhead(rows, expected):
    context, fraction = least_overhead(rows)
    assert context == pytest.approx(expected[0], abs=MIB)
    assert fraction == pytest.approx(expected[1], abs=1e-4)


sizes = st.integers(1, 100 * GIB)


@given(st.lists(st.tuples(sizes, sizes), min_size=1, max_size=40))
@settings(deadline=None)
def test_the_overhead_covers_99_of_100_rows(rows):
    context, fraction = least_overhead(rows)
    assert context >= 0 <= fraction
    missed = sum(used > predicted * (1 + fraction) + context + 1 for predicted, used in rows)
    assert missed <= len(rows) - math.ceil(0.99 * len(rows))


def test_one_row_in_a_hundred_may_be_an_outlier():
    rows = [(GIB * size, GIB * size + 500 * MIB) for size in range(1, 100)]
    assert least_overhead([*rows, (GIB, 50 * GIB)]) == (500 * MIB, 0.0)


def test_there_is_nothing_to_say_about_no_table(tmp_path):
    for say in (summarise, fit_overhead):
        with pytest.raises(SonicGuardError, match="there is no table"):
            say(tmp_path / "table.jsonl")


def test_without_a_need_there_is_no_overhead(tmp_path):
    out = write_table(tmp_path / "table.jsonl", row(Case("denoise", 512, 512, 25), 0, 9 * GIB, 600 * MIB))
    with pytest.raises(SonicGuardError, match="whose need is known"):
        fit_overhead(out)

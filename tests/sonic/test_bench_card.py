"""`python -m bench.card` on a CPU with small networks: the same code, resumed, and with little more than torch."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support import installed

torch = pytest.importorskip("torch")
for package in ("diffusers", "transformers", "einops", "psutil"):
    pytest.importorskip(package)

from bench.card import results  # noqa: E402
from bench.card.checks import CHECKS, Check, run_check  # noqa: E402
from bench.card.kernels import shapes  # noqa: E402
from bench.card.page import write_page  # noqa: E402
from bench.card.results import MAX_STARTS  # noqa: E402
from bench.card.session import TINY, OutOfTimeError, Session, apart  # noqa: E402
from sonic_guard.devtools.sonic_checkout import open_checkout  # noqa: E402
from sonic_guard.errors import SonicGuardError  # noqa: E402

ABSENT = ("av", "cv2", "pydantic", "rich", "sqlalchemy", "alembic", "matplotlib", "aiohttp", "torchvision",
          "torchaudio", "scipy", "comfy", "nodes", "folder_paths", "pytest", "onnxruntime")  # fmt: skip
CODE = (
    "import runpy, sys\n"
    f"sys.modules.update(dict.fromkeys({ABSENT}))\n"  # None makes the import fail
    "runpy.run_module('bench.card', run_name='__main__', alter_sys=True)\n"
)


def command(out: Path, *options: str) -> list[str]:
    return [sys.executable, "-c", CODE, str(installed.sonic()), "--cpu", "--tiny", "--out", str(out), *options]


def rows_of(out: Path) -> dict[str, list[dict]]:
    return results.read(out / "cpu" / "results.jsonl").rows


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """A folder with all checks, which a killed call began."""
    folder = tmp_path_factory.mktemp("card")
    child = subprocess.Popen(command(folder, "--seconds", "600"), cwd=installed.PACK, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while len(rows_of(folder).get("slowdowns", ())) < 2 and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    child.send_signal(signal.SIGKILL)
    child.wait()
    (folder / "kept.json").write_text(json.dumps(rows_of(folder)))
    with (folder / "cpu" / "results.jsonl").open("ab") as file:
        file.write(b'{"kind": "row", "check": "slow')
    subprocess.run(command(folder, "--seconds", "600"), cwd=installed.PACK, check=True, timeout=600)
    return folder


def test_it_needs_nothing_but_torch_and_its_companions_and_finishes(out):
    found = results.read(out / "cpu" / "results.jsonl")
    assert found.finished == {check.name for check in CHECKS}
    assert found.header["torch"] == torch.__version__
    assert found.header["tiny"] is True


def test_a_killed_call_is_gone_on_with(out):
    kept, rows = json.loads((out / "kept.json").read_text()), rows_of(out)
    assert len(kept["slowdowns"]) >= 2
    for check, before in kept.items():
        assert rows[check][: len(before)] == before
    for check, made in rows.items():
        assert len({row["key"] for row in made}) == len(made), check


def test_every_optimization_is_timed_against_stock(out):
    rows = rows_of(out)["slowdowns"]
    assert rows[0]["optimizations"] == []
    assert all(row["pass_s"] > 0 and row["error"] is None for row in rows)
    seen = {name for row in rows for name in row["optimizations"]}
    assert {"sequential_cfg", "feed_forward_chunking", "layer_chunking", "tensor_offload"} <= seen
    assert {row["chunk_size"] for row in rows} > {rows[0]["chunk_size"]}


def test_both_clips_are_made_whole(out):
    short, long, growth = rows_of(out)["length"]
    assert [row["frames"] for row in (short, long)] == [2 * frames - 1 for frames in TINY.clips]
    assert growth["share"] is None  # no counter of bytes on a CPU


def test_the_live_memory_has_a_cost_and_a_budget(out):
    rows = {row["key"]: row for row in rows_of(out)["live"]}
    assert 0 < rows["cost"]["cpu_ms"] < 100
    assert rows["budget"]["usable_bytes"] > 0


def test_each_attention_is_timed_with_the_kernels_there_are(out):
    rows = {row["key"]: row for row in rows_of(out)["kernels"]}
    assert shapes(512, 25)["512², depth 0, spatial"] == (25, 5, 4096)
    assert shapes(512, 25)["512², depth 2, temporal"] == (256, 20, 25)
    for key in shapes(64, TINY.frames):
        row = rows.pop(key)
        assert row["chosen"] in {"flash", "efficient", "cudnn", "math"}
        assert row["default_ms"] > 0
        assert row["math_ms"] > 0
        assert row["efficient_ms"] is None, "a CPU has none"
    stock, last = rows.values()
    assert last["key"] == f"{stock['key']}, channels last"
    assert stock["pass_s"] > 0
    assert last["pass_s"] > 0


def test_what_wants_a_card_says_so(out):
    rows = rows_of(out)
    for check in CHECKS:
        if check.needs_card:
            assert [row["skipped"] for row in rows[check.name]] == ["it needs a CUDA card"]


def test_the_page_has_a_table_for_each_check(out):
    page = (out / "page.md").read_text()
    assert all(f"### {check.title}\n\n| key" in page for check in CHECKS)
    assert "small networks" in page
    assert "| time / stock |" in page
    assert "Not finished" not in page


def test_another_setup_does_not_go_on_with_it(out):
    found = results.read(out / "cpu" / "results.jsonl")
    with pytest.raises(SonicGuardError, match=r"another setup \(card\)"):
        found.begin({**found.header, "card": "another"}, ("card", "torch"))


def test_an_unknown_check_is_refused(tmp_path):
    done = subprocess.run(
        command(tmp_path, "--only", "nonsense"), cwd=installed.PACK, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "no check nonsense; there are streamed_weights, slowdowns" in done.stderr


# How a check is run


@pytest.fixture
def session(tmp_path):
    checkout = open_checkout(installed.sonic())
    return lambda limit_s: Session(checkout, torch.device("cpu"), TINY, tmp_path, time.monotonic(), limit_s)


def counting(count, sleep_s=0.0):
    """A check that makes so many rows."""

    def run(_session, done):
        for number in range(len(done), count):
            time.sleep(sleep_s)
            yield {"key": str(number)}

    return Check("counting", "Counting", run, False, False)


def run_all(check, session, found):
    lines = []
    return run_check(check, session, found, lines.append), lines


def test_calls_of_any_length_come_to_an_end_and_make_each_row_once(session, tmp_path):
    file = tmp_path / "results.jsonl"
    calls = 1
    while not run_all(counting(9, 0.05), session(0.3), results.read(file))[0]:
        calls += 1
        assert calls < 10
    assert calls > 1
    assert [row["key"] for row in results.read(file).rows["counting"]] == [str(number) for number in range(9)]


def test_without_time_for_a_row_none_is_started(session, tmp_path):
    found = results.read(tmp_path / "results.jsonl")
    for _ in range(2 * MAX_STARTS):
        assert run_all(counting(1), session(0.0), found) == (False, [])
    assert run_all(counting(1), session(60.0), found)[0]


def test_a_row_that_never_comes_is_given_up(session, tmp_path):
    file = tmp_path / "results.jsonl"
    found = results.read(file)
    for _ in range(MAX_STARTS):
        found.add("start", "counting")  # as killed processes leave it
    finished, lines = run_all(counting(1), session(60.0), results.read(file))
    assert finished
    assert "given up" in lines[0]
    assert results.read(file).given_up(["counting", "live"]) == ["counting"]


def test_a_row_that_is_stopped_for_time_is_made_in_a_later_call(session, tmp_path):
    found = results.read(tmp_path / "results.jsonl")

    def run(_session, _done):
        raise OutOfTimeError("not finished")
        yield {}

    for _ in range(2 * MAX_STARTS):
        finished, lines = run_all(Check("counting", "Counting", run, False, False), session(60.0), found)
        assert (finished, lines) == (False, ["counting: not finished"])
    assert not found.given_up(["counting"])


def test_a_file_of_something_else_is_refused(tmp_path):
    (tmp_path / "results.jsonl").write_text("hello\n")
    with pytest.raises(SonicGuardError, match="line 1 of .* is not a result"):
        results.read(tmp_path / "results.jsonl")


def test_the_page_shows_bytes_ratios_and_what_is_not_finished(tmp_path):
    (tmp_path / "native").mkdir()
    found = results.read(tmp_path / "native" / "results.jsonl")
    found.begin({"card": "RTX 3060", "total_bytes": 12 << 30, "allocator": "native", "date": "2026-11-28T"}, ())
    size = {"width": 512, "height": 512, "frames": 25}
    found.add("row", "slowdowns", {"key": "stock", **size, "optimizations": [], "pass_s": 0.5})
    found.add(
        "row", "slowdowns",
        {"key": "a|b", **size, "optimizations": ["x"], "pass_s": 0.6, "allocated_bytes": 3 << 29, "error": None},
    )  # fmt: skip
    page = write_page(tmp_path).read_text()
    assert "## RTX 3060 (12.0 GiB), native" in page
    assert "| key | pass s | time / stock | allocated, GiB |" in page
    assert "| a\\|b | 0.6 | 1.20 | 1.500 |" in page
    assert "Not finished." in page


@pytest.mark.parametrize(("change", "equal", "rms"), [(0.0, True, 0.0), (0.01, False, pytest.approx(0.01, rel=1e-3))])
def test_frames_are_compared_by_bits_and_by_their_difference(change, equal, rms):
    frames = torch.ones(4, 5)
    assert apart(frames + change, frames) == {"equal": equal, "rms": rms, "finite": True}

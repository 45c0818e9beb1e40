"""What limits a farm: tasks through Dask's scheduler, transitions of the journal, sockets of the scheduler.

``python -m bench.farm_scale [--tasks 2000] [--transitions 1000] [--workers 4]`` prints each as JSON. The scheduler and
its workers are processes of their own on the loopback, without a nanny, as a farm has them; their tasks do nothing. The
journal is the farm's own, durable (fsync): in a SQLite file, and in a PostgreSQL server that is started for it.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from distributed import Client

from sonic_guard.park.journal import Journal
from sonic_guard.park.journal_tables import Start, TaskState
from sonic_guard.park.outcomes import Ended, Outcome
from tests.support import postgres_server

START_S = 120


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=2000)
    parser.add_argument("--transitions", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=4)
    options = parser.parse_args()
    print(json.dumps({"dask": measure_dask(options.tasks, options.workers)}))
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps({"sqlite": measure_journal(Path(folder) / "journal.db", options.transitions)}))
    with postgres_server.running(durable=True) as url:
        print(json.dumps({"postgresql": measure_journal(url, options.transitions)}))


def measure_dask(tasks: int, workers: int) -> dict[str, Any]:
    """Tasks a second, each for one worker as a farm submits them, and the scheduler's sockets for a worker."""
    with tempfile.TemporaryDirectory() as folder, _started("scheduler", "--port", "0", folder=folder) as scheduler:
        address = _address(Path(folder) / "scheduler.json")
        with Client(address, timeout=START_S) as client:
            process, sockets = psutil.Process(scheduler.pid), []
            running = []
            for number in range(workers):
                worker = _started("worker", address, "--no-nanny", "--nthreads", "1", "--name", f"w{number}")
                worker.__enter__()
                running.append(worker)
                client.wait_for_workers(number + 1, timeout=START_S)
                time.sleep(1)
                sockets.append(len(process.net_connections()))
            addresses = list(client.scheduler_info(n_workers=-1)["workers"])
            begun, cpu = time.perf_counter(), sum(process.cpu_times()[:2])
            futures = [
                client.submit(_nothing, number, workers=[addresses[number % workers]], pure=False)
                for number in range(tasks)
            ]
            client.gather(futures)
            seconds, busy_s = time.perf_counter() - begun, sum(process.cpu_times()[:2]) - cpu
            for worker in running:
                worker.__exit__(None, None, None)
        return {
            "tasks": tasks, "workers": workers, "tasks_per_s": round(tasks / seconds),
            "scheduler_us_per_task": round(busy_s / tasks * 1e6), "sockets_by_workers": sockets,
            "scheduler_bytes": process.memory_info().rss if process.is_running() else None,
        }  # fmt: skip


def measure_journal(location: Path | str, transitions: int) -> dict[str, Any]:
    """Transitions a second: each is one durable transaction; a video takes two, its beginning and its end."""
    journal = Journal(location)
    journal.begin({})
    journal.add((f"{number:040x}", f"video{number}.mp4", {"n": number}) for number in range(transitions // 2))
    start = Start("worker", "http://127.0.0.1:8188", "RTX 4090 24GB", 0, 1 << 33, 100.0)
    begun = time.perf_counter()
    for number in range(transitions // 2):
        task = f"{number:040x}"
        attempt = journal.start(task, start)
        journal.finish(task, attempt, Ended(Outcome.DONE, digest="0" * 64, size_bytes=1), TaskState.DONE)
    seconds = time.perf_counter() - begun
    journal.end()
    return {
        "transitions": transitions,
        "per_s": round(transitions / seconds),
        "ms": round(seconds / transitions * 1e3, 2),
    }


def _nothing(number: int) -> int:
    return number


@contextmanager
def _started(program: str, *options: str, folder: str | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """Dask's scheduler or a worker, ended afterwards."""
    command = [sys.executable, "-m", f"distributed.cli.dask_{program}", *options]
    if folder:
        command += ["--host", "127.0.0.1", "--scheduler-file", f"{folder}/scheduler.json", "--dashboard-address", ":0"]
    work = tempfile.mkdtemp()
    process = subprocess.Popen(command, cwd=work, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)
        shutil.rmtree(work, ignore_errors=True)


def _address(file: Path) -> str:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if file.exists() and (text := file.read_text(encoding="utf-8")):
            return json.loads(text)["address"]
        time.sleep(0.1)
    raise SystemExit("the scheduler did not start")


if __name__ == "__main__":
    main()

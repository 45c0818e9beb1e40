"""How long a farm takes to go on after its only server was killed: a real ComfyUI on the CPU.

``python -m bench.farm_restart [--kills 3] [--packs all] [--folder FOLDER]`` prints for each kill, as JSON, the seconds
until another server was started, until it listened, with the processor time that it took, and until the next video
began. Servers and jobs are those of `bench.farm_chaos`.
"""

import argparse
import json
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil

from bench.farm_chaos import setup
from tests.support.farm_chaos import Setup, moves, write_jobs

LOOK_S, LIMIT_S = 0.02, 300.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--packs", choices=("needed", "all"), default="needed")
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="farm-"))
    folder.mkdir(exist_ok=True)
    made = replace(setup(folder, 1, fake=False), options=("--packs", arguments.packs))
    if not made.jobs.exists():
        write_jobs(made, 4 * arguments.kills, (0.6, 1.0))
    out = folder / f"out {time.time_ns()}"
    client = made.client(out, resume=False)
    try:
        for _ in range(arguments.kills):
            print(json.dumps(measure(made, out, client)), flush=True)
    finally:
        client.terminate()  # what it has started ends by itself
        client.wait()


def measure(made: Setup, out: Path, client: subprocess.Popen[bytes]) -> dict[str, float]:
    """Kill the server while it makes a video, and follow what comes."""
    local, before = out / ".sonic-guard" / "local", moves(out)
    _until(client, lambda: moves(out) >= before + 2)
    (port,) = json.loads((local / "ports.json").read_text(encoding="ascii"))[1:]
    sign = local / "server 1.pid"
    killed = int(sign.read_text(encoding="ascii"))
    begun = time.perf_counter()
    psutil.Process(killed).kill()
    _until(client, lambda: sign.read_text(encoding="ascii") != str(killed))
    started = time.perf_counter() - begun
    server = psutil.Process(int(sign.read_text(encoding="ascii")))
    _until(client, lambda: _listens(port))
    listens, busy, before = time.perf_counter() - begun, server.cpu_times(), moves(out)
    _until(client, lambda: moves(out) > before)
    return {
        "started_s": round(started, 1), "listens_s": round(listens, 1), "server_cpu_s": round(sum(busy[:2]), 1),
        "next_video_s": round(time.perf_counter() - begun, 1),
    }  # fmt: skip


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _until(client: subprocess.Popen[bytes], is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not is_so():
        if client.poll() is not None or time.monotonic() > deadline:
            raise SystemExit("the farm has ended, or does not go on")
        time.sleep(LOOK_S)


if __name__ == "__main__":
    main()

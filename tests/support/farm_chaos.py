"""A farm whose processes are killed at random moments: client, scheduler, workers, servers.

What comes out has to be the undisturbed farm's, byte by byte, each video once.
"""

import hashlib
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil

from sonic_guard.cli.commands import EXIT_NOT_ALL_MADE, EXIT_OK
from tests.support.graphs import RATE, save_wav
from tests.support.installed import PACK

ROLES = ("worker", "cpu worker", "server", "scheduler", "client")
LIMIT_S = 1800.0
"""For one farm: many times what one takes."""


@dataclass(frozen=True)
class Setup:
    """A farm that can be begun again and again."""

    folder: Path
    comfyui: Path
    python: Path
    servers: int
    arguments: str = ""
    call_s: float = 0.2
    more: tuple[tuple[str, str], ...] = ()
    """Further variables of the environment."""
    options: tuple[str, ...] = ()
    """Of `farm run`."""
    portrait: Path = PACK / "demo" / "portrait.jpg"

    @property
    def jobs(self) -> Path:
        """The job file."""
        return self.folder / "jobs" / "jobs.csv"

    def environment(self, out: Path) -> dict[str, str]:
        """Of the client and all that it starts."""
        return os.environ | {
            "PYTHONPATH": str(PACK), "FARM_CALL_S": str(self.call_s), "FARM_PASSES": str(out.with_suffix(".passes")),
            "SONIC_GUARD_LEASES": str(self.folder / "leases"), "OMP_NUM_THREADS": "1", "FARM_BALLAST": str(64 << 20),
            **dict(self.more),
        }  # fmt: skip

    def client(self, out: Path, *, resume: bool, stderr: int | None = None) -> subprocess.Popen[bytes]:
        """A client of the farm in `out`. Its output goes to a log, or that of its errors to `stderr`."""
        where = [
            "--comfyui", self.comfyui, "--comfyui-python", self.python, "--cpu-servers", str(self.servers),
            f"--comfyui-args={self.arguments}",
        ]  # fmt: skip
        command = ["resume", out] if resume else ["run", self.jobs, "--out", out, *where, *self.options]
        with out.with_suffix(".log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "sonic_guard", "farm", *map(str, command)],
                stdout=log, stderr=stderr or log, env=self.environment(out), cwd=PACK,
            )  # fmt: skip


@dataclass
class Storm:
    """What the kills did."""

    kills: dict[str, int] = field(default_factory=lambda: dict.fromkeys(ROLES, 0))
    restarts_s: dict[str, list[float]] = field(default_factory=lambda: {role: [] for role in ROLES})
    """Seconds from a kill to the next beginning or end of a video, by what was killed, with no other kill between."""
    after_several_s: list[tuple[float, int]] = field(default_factory=list)
    """Seconds from the first of several kills to the next beginning or end of a video, and how many there were."""
    farms: int = 0
    passes: int = 0
    """Of Sonic's network, in all farms."""
    faults: list[str] = field(default_factory=list)

    def at_work_again(self, killed: list[str], seconds: float) -> None:
        """A video began or ended `seconds` after the first of the kills."""
        if len(killed) == 1:
            self.restarts_s[killed[0]].append(seconds)
        else:
            self.after_several_s.append((seconds, len(killed)))

    @property
    def killed(self) -> int:
        """All kills."""
        return sum(self.kills.values())


def write_jobs(setup: Setup, count: int, seconds: tuple[float, float], seed: int = 1) -> None:
    """A job file of `count` voices of mixed lengths, each unlike the others."""
    numbers = np.random.default_rng(seed)
    folder = setup.jobs.parent
    folder.mkdir(parents=True)
    (folder / "portrait.jpg").write_bytes(setup.portrait.read_bytes())
    rows = ["image,audio,name,preset,min_resolution,inference_steps,encoder_preset,seed,face_box,aspect"]
    for number in range(count):
        length_s = seconds[0] + (seconds[1] - seconds[0]) * float(numbers.random()) ** 2
        save_wav(folder / f"{number}.wav", numbers.uniform(-9000, 9000, round(length_s * RATE)))
        rows.append(f'portrait.jpg,{number}.wav,video {number},minimal,128,1,ultrafast,{number},"99,99,300,300",1:1')
    setup.jobs.write_text("\n".join(rows) + "\n", encoding="utf-8")


def calm(setup: Setup) -> tuple[dict[str, str], int, float]:
    """Digests of the undisturbed farm's videos by name, its passes of the network, and its seconds."""
    out = setup.folder / "calm"
    begun = time.monotonic()
    code = setup.client(out, resume=bool(states(out))).wait(LIMIT_S)
    assert code == 0, f"{code}: {out.with_suffix('.log').read_text()[-3000:]}"
    return digests(out), passes(out), time.monotonic() - begun


@dataclass(frozen=True)
class Kills:
    """What is killed, and when."""

    count: int
    pause_s: tuple[float, float]
    """Between two: least and most."""
    seed: int
    roles: Sequence[str] = ROLES
    """Chosen from at random."""


def storm(setup: Setup, wanted: dict[str, str], kills: Kills) -> Storm:
    """Kill until there were as many kills as asked for, beginning a new farm whenever one is done."""
    numbers, seen = random.Random(kills.seed), Storm()  # noqa: S311
    while seen.killed < kills.count or not seen.farms:
        out = setup.folder / f"storm {seen.farms}"
        _one_farm(setup, out, seen, numbers, kills)
        seen.farms += 1
        seen.passes += passes(out)
        found = digests(out)
        seen.faults += [f"{out.name}: {name} is missing" for name in wanted.keys() - found.keys()]
        seen.faults += [f"{out.name}: {name} is another" for name in found if found[name] != wanted.get(name)]
        left = [each.name for each in (out / ".sonic-guard" / "videos").iterdir() if each.suffix == ".part"]
        done = states(out)
        if left or set(done) != {"done"} or len(found) != len(wanted):
            seen.faults.append(f"{out.name}: {left} {done}")
    return seen


def _one_farm(setup: Setup, out: Path, seen: Storm, numbers: random.Random, kills: Kills) -> None:
    client, begun = setup.client(out, resume=False), time.monotonic()
    waiting: list[str] = []
    since, before = 0.0, 0
    next_kill = time.monotonic() + numbers.uniform(*kills.pause_s)
    while client.poll() is None or client.returncode not in (EXIT_OK, EXIT_NOT_ALL_MADE):
        if time.monotonic() - begun > LIMIT_S:
            client.kill()
            raise AssertionError(f"{out.name} is not done: {out.with_suffix('.log').read_text()[-4000:]}")
        if client.poll() is not None:
            if client.returncode != -signal.SIGKILL:
                seen.faults.append(f"{out.name}: the client ended with {client.returncode}")
            client = setup.client(out, resume=bool(states(out)))
        time.sleep(0.05)
        if waiting and moves(out) > before:
            seen.at_work_again(waiting, time.monotonic() - since)
            waiting = []
        if seen.killed < kills.count and time.monotonic() > next_kill and moves(out):
            next_kill = time.monotonic() + numbers.uniform(*kills.pause_s)
            role = numbers.choice(kills.roles)
            if not waiting:
                since, before = time.monotonic(), moves(out)
            if _kill(role, client, out, numbers):
                seen.kills[role] += 1
                waiting.append(role)


def _kill(role: str, client: subprocess.Popen[bytes], out: Path, numbers: random.Random) -> bool:
    """Kill a process of that kind, as a crash would. Whether there was one."""
    if role == "client":
        client.kill()
        client.wait()
        return True
    signs = sorted((out / ".sonic-guard" / "local").glob(f"{role}*.pid"))
    if not signs:
        return False
    try:
        process = psutil.Process(int(numbers.choice(signs).read_text()))
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        process.kill()
    except (psutil.Error, ValueError, OSError):
        return False
    return True


def digests(out: Path) -> dict[str, str]:
    """SHA-256 of each video in a farm's folder, by its name."""
    return {each.name: hashlib.sha256(each.read_bytes()).hexdigest() for each in sorted(out.glob("*.mp4"))}


def passes(out: Path) -> int:
    """Passes of the network that the servers counted."""
    file = out.with_suffix(".passes")
    return file.stat().st_size if file.exists() else 0


def moves(out: Path) -> int:
    """Beginnings and ends of attempts in the journal."""
    rows = read(out, "SELECT count(*) + count(CASE WHEN outcome = 'done' THEN 1 END) FROM sonic_guard_farm_attempts")
    return int(rows[0][0]) if rows else 0


def states(out: Path) -> dict[str, int]:
    """Number of tasks by state."""
    return dict(read(out, "SELECT state, count(*) FROM sonic_guard_farm_tasks GROUP BY state"))


def read(out: Path, query: str) -> list[tuple]:
    """Rows of a farm's journal; none before there is one."""
    file = out / ".sonic-guard" / "farm.db"
    if not file.exists():
        return []
    try:
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=10)) as connection:
            return connection.execute(query).fetchall()
    except sqlite3.OperationalError:  # its tables are about to be created
        return []


def summary(seen: Storm, calm_passes: int, calm_s: float) -> str:
    """The figures as JSON."""
    restarts = {
        role: {"count": len(each), "median_s": round(sorted(each)[len(each) // 2], 1), "max_s": round(max(each), 1)}
        for role, each in seen.restarts_s.items()
        if each
    }
    return json.dumps({
        "kills": seen.kills, "killed": seen.killed, "farms": seen.farms, "faults": seen.faults, "restarts": restarts,
        "after_several": [(round(seconds, 1), kills) for seconds, kills in sorted(seen.after_several_s)],
        "passes": seen.passes, "passes_undisturbed": calm_passes * seen.farms, "calm_s": round(calm_s, 1),
    }, indent=1)  # fmt: skip

"""CPU time of the monitor: `python -m bench.monitor_cost [seconds]`, 20 by default for each measurement.

The CPU time is that of the monitor's thread, so other load on the machine has no influence. With an NVIDIA card NVML is
read too, and torch's counters if CUDA is in use; the table shows which were available.
"""

import argparse
import json
import threading
import time
from types import SimpleNamespace

from rich.console import Console
from rich.table import Table

from sonic_guard.devices.memory_reader import MemoryReader, MemorySnapshot
from sonic_guard.runtime.monitor import LEASE_S, THREAD_NAME, Monitor
from sonic_guard.runtime.run_watch import RunWatch
from sonic_guard.runtime.sampler_hooks import follow
from sonic_guard.runtime.stage_peaks import open_peaks

RATE_HZ = 2.0
SNAPSHOTS, CALLS = 2000, 20_000


def main() -> None:
    parser = argparse.ArgumentParser("python -m bench.monitor_cost", description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("seconds", nargs="?", type=float, default=20.0)
    seconds = parser.parse_args().seconds
    table = Table("what", "cost", title=f"Monitor, {RATE_HZ:g} Hz, {seconds:g} s each")
    source = MemoryReader().read().source
    table.add_row("figures of the GPU from", source if source != "none" else "none: no GPU, no NVML")
    table.add_row("a snapshot without torch", f"{_snapshot_s() * 1e6:.0f} µs")
    busy, idle = _shares(seconds)
    table.add_row("monitor watched, of one core", f"{busy:.3%}")
    table.add_row("monitor idle, of one core", f"{idle:.3%}")

    import torch

    table.add_row(f"a snapshot with torch {torch.__version__}", f"{_snapshot_s() * 1e6:.0f} µs")
    run = RunWatch(open_peaks())
    with run.during("denoise"):
        busy, _ = _shares(seconds, run)
    table.add_row("monitor watched during a run, of one core", f"{busy:.3%}")
    for name, check in (("hooks", None), ("hooks and check", lambda: None)):
        table.add_row(f"{name}, a network call", f"{_hooks_s(torch, check) * 1e6:.1f} µs")
    Console().print(table)


def _snapshot_s() -> float:
    memory_reader = MemoryReader()
    memory_reader.read()
    start = time.thread_time()
    for _ in range(SNAPSHOTS):
        memory_reader.read()
    return (time.thread_time() - start) / SNAPSHOTS


def _shares(seconds: float, run: RunWatch | None = None) -> tuple[float, float]:
    """CPU time of the monitor's thread as a share of the time, while a client watches and while it is idle."""
    memory_reader, pushed = MemoryReader(), []

    def push(snapshot: MemorySnapshot, clients: tuple[str, ...]) -> None:
        # The server's work in this thread; it sends from its event loop.
        pushed.append(json.dumps({**snapshot.to_event(), "run": run.to_event() if run else None}))

    monitor = Monitor(memory_reader.read, push, memory_reader.close)
    if run:
        monitor.run_begins(run)
    end = time.monotonic() + seconds
    monitor.watch("page", RATE_HZ)
    thread = next(thread for thread in threading.enumerate() if thread.name == THREAD_NAME)
    clock = time.pthread_getcpuclockid(thread.ident)
    start = time.clock_gettime(clock)
    while (left := end - time.monotonic()) > 0:
        monitor.watch("page", RATE_HZ)
        time.sleep(min(left, LEASE_S / 3))
    busy = time.clock_gettime(clock) - start
    if len(pushed) < RATE_HZ * seconds * 0.9:
        raise SystemExit(f"only {len(pushed)} snapshots in {seconds:g} s: the machine is too busy for a measurement")
    monitor.watch("page", 0)
    if run:
        monitor.run_ends(run)
    time.sleep(1.0)
    start = time.clock_gettime(clock)
    time.sleep(seconds)
    idle = time.clock_gettime(clock) - start
    monitor.close()
    return busy / seconds, idle / seconds


def _hooks_s(torch: object, check: object) -> float:
    """Seconds that the hooks add to one call of a network that does nothing."""
    unet = torch.nn.Identity()
    model = SimpleNamespace(pipe=SimpleNamespace(unet=unet), use_interframe=False)
    decoder = SimpleNamespace(decoder=torch.nn.Identity())
    data = {"vae": SimpleNamespace(first_stage_model=decoder), "audio_tensor_list": [None] * 125}
    bare = _calls_s(unet)
    with follow(model, data, RunWatch(open_peaks()), fps=25.0, steps=CALLS // 5, check=check):
        return _calls_s(unet) - bare


def _calls_s(network: object) -> float:
    start = time.thread_time()
    for _ in range(CALLS):
        network(None)
    return (time.thread_time() - start) / CALLS


if __name__ == "__main__":
    main()

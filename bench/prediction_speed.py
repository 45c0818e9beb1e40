"""How long a prediction and a plan take: `python -m bench.prediction_speed`. Every move of a slider makes both."""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from sonic_guard.devices.budget import budget_for
from sonic_guard.job import Job
from sonic_guard.memory.stage_model import predict
from sonic_guard.optimizations import ESCALATION_ORDER, Optimization
from sonic_guard.planning.capacity import Capacity
from sonic_guard.planning.planner import SPLIT, make_plan

ROUNDS, CALLS = 9, 2000


def main() -> None:
    parser = argparse.ArgumentParser(
        "python -m bench.prediction_speed", description=(__doc__ or "").partition("\n\n")[0]
    )
    parser.parse_args()
    jobs = [
        Job(512, 512, 10.0),
        Job(1080, 1920, 600.0, min_resolution=768, optimizations=frozenset(Optimization)),
        Job(1024, 1024, 3.0, min_resolution=1024, interpolate=False),
    ]
    predict(jobs[0])
    for job in jobs:
        took = _seconds(partial(predict, job), CALLS)
        print(f"predict {job.frame_size}, N {job.latent_frames}: {took * 1e6:.1f} µs")
    stock = replace(jobs[1], optimizations=frozenset())
    plans = {
        "fits as it is": (jobs[1], 6, ()),
        "stock, fewer pixels": (stock, 12, ()),
        "stock, nothing fits": (stock, 3, ()),
        "all optimizations": (stock, 6, (*ESCALATION_ORDER, SPLIT)),
        "all optimizations, nothing fits": (stock, 2, (*ESCALATION_ORDER, SPLIT)),
    }
    for name, (job, gib, available) in plans.items():
        plan = partial(make_plan, job, Capacity(budget_for(gib)), available=available)
        print(f"plan, {name}: {_seconds(plan, 20) * 1e3:.2f} ms")


def _seconds(call: Callable[[], object], times: int) -> float:
    """Seconds of one call: the median of `ROUNDS` means of as many calls."""
    means = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for _ in range(times):
            call()
        means.append((time.perf_counter() - start) / times)
    return statistics.median(means)


if __name__ == "__main__":
    main()

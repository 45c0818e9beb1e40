"""Time of a prediction, which is made for every change of a slider: `python -m bench.prediction_speed`."""

import statistics
import time

from sonic_guard.devices.budget import budget_for
from sonic_guard.job import Job
from sonic_guard.memory.stage_model import predict
from sonic_guard.optimizations import ESCALATION_ORDER, Optimization
from sonic_guard.planning.planner import SPLIT, make_plan

ROUNDS, CALLS = 9, 2000


def main() -> None:
    jobs = [
        Job(512, 512, 10.0),
        Job(1080, 1920, 600.0, min_resolution=768, optimizations=frozenset(Optimization)),
        Job(1024, 1024, 3.0, min_resolution=1024, interpolate=False),
    ]
    predict(jobs[0])
    for job in jobs:
        took = statistics.median(_seconds(lambda job=job: predict(job), CALLS) for _ in range(ROUNDS))
        print(f"predict {job.frame_size}, N {job.latent_frames}: {took * 1e6:.1f} µs")
    budget = budget_for(6)
    for name, available in (("stock", ()), ("all optimizations", (*ESCALATION_ORDER, SPLIT))):
        plan = lambda available=available: make_plan(jobs[1], budget, available=available)  # noqa: E731
        print(f"plan, {name}: {statistics.median(_seconds(plan, 20) for _ in range(ROUNDS)) * 1e3:.2f} ms")


def _seconds(call: object, times: int) -> float:
    start = time.perf_counter()
    for _ in range(times):
        call()  # type: ignore[operator]
    return (time.perf_counter() - start) / times


if __name__ == "__main__":
    main()

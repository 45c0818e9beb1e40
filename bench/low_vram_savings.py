"""What the levers buy, from the model: ``python -m bench.low_vram_savings`` prints the README's table."""

from dataclasses import replace

from sonic_guard.devices.card_catalogue import GIB, smallest_card_for
from sonic_guard.job import Job
from sonic_guard.memory.stage_model import predict
from sonic_guard.optimizations import EXACT

SIDES = (512, 768, 1024)
SECONDS = (10.0, 600.0)
SHOWN = ("predata", "denoise", "interpolate")


def main() -> None:
    print("| picture | sound | | " + " | ".join(SHOWN) + " | peak with overhead | smallest card |")
    print("|---|---|---|" + "---:|" * (len(SHOWN) + 1) + "---|")
    for side in SIDES:
        for seconds in SECONDS:
            job = Job(side, side, seconds, min_resolution=side)
            print(_row(job, "stock"))
            print(_row(replace(job, optimizations=EXACT, to_file=True), "lean"))


def _row(job: Job, name: str) -> str:
    estimate = predict(job)
    card = smallest_card_for(estimate.peak_bytes, 0.1)
    sizes = [estimate.stages[stage] for stage in SHOWN] + [estimate.peak_bytes]
    sound = f"{job.duration_s:.0f} s" if job.duration_s < 60 else f"{job.duration_s / 60:.0f} min"
    cells = [str(job.frame_size), sound, name, *(f"{size / GIB:.1f}" for size in sizes), card.title if card else "none"]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()

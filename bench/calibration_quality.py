"""Quality of the calibration on simulated residuals: `python -m bench.calibration_quality [rounds]`.

Prints, for several kinds of cards and numbers of runs, the median error of the model alone and of the corrected
prediction on new runs, and the share of them below the 95 % bound; then plots both to ``docs/calibration.png``. Takes
some minutes.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sonic_guard.devices.card_catalogue import GIB
from sonic_guard.history.calibration import Calibration, Point, calibrate_points
from sonic_guard.job import Job
from sonic_guard.memory.overhead import overhead
from sonic_guard.memory.stage_model import Estimate, predict

PICTURE = Path(__file__).parent.parent / "docs" / "calibration.png"
COUNTS = (1, 3, 5, 10, 19, 39, 99, 399)
FRESH = 40
"""Number of new runs on which each calibration is tested."""

_ANY = predict(Job(512, 512, 10.0))
_MODEL = 1 + overhead().fraction

Random = np.random.Generator
Ratios = Callable[[Random, np.ndarray], np.ndarray]
"""Returns the ratios of a kind of card for some runs, given their bytes of tensors."""

WORLDS: dict[str, Ratios] = {
    "Gaussian, the model is right": lambda random, size: _MODEL + 0.02 * random.normal(size=len(size)),
    "Gaussian, the card takes 7 % more": lambda random, size: _MODEL + 0.07 + 0.02 * random.normal(size=len(size)),
    "heavy tails": lambda random, size: _MODEL + 0.02 * random.standard_t(2, len(size)),
    "larger runs vary more": lambda random, size: (
        _MODEL + (0.005 + 0.002 * size / GIB) * random.normal(size=len(size))
    ),
    "3 % more, 5 % outliers": lambda random, size: (
        _MODEL + 0.03 + 0.02 * random.normal(size=len(size))
        + (random.random(len(size)) < 0.05) * random.uniform(0.1, 0.5, len(size))
    ),
    "0.35 GiB a run instead of a part": lambda random, size: (
        1.02 + 0.35 * GIB / size + 0.01 * random.normal(size=len(size))
    ),
}  # fmt: skip
"""Kinds of cards. The last one cannot be represented by the correction."""


class Score(NamedTuple):
    """The quality of a calibration on new runs."""

    error_model: float
    """Median relative error of the model alone."""
    error: float
    """Median relative error of the corrected prediction."""
    covered: float | None
    """Share of the runs below the upper bound; None if there is no bound."""


def simulate(ratios: Ratios, random: Random, count: int) -> list[Point]:
    """`count` runs of a kind of card, with 3.5 to 20 GiB of tensors."""
    size = np.exp(random.uniform(np.log(3.5 * GIB), np.log(20 * GIB), count))
    taken = size * np.maximum(ratios(random, size), 0.5)
    return [Point(int(tensors), int(reserved)) for tensors, reserved in zip(size, taken, strict=True)]


def estimate_of(tensor_bytes: int) -> Estimate:
    """An estimate with `tensor_bytes` of tensors at its peak."""
    extra = overhead().of(tensor_bytes)
    return replace(_ANY, overhead_bytes=extra, peak_bytes=tensor_bytes + extra)


def judge(calibration: Calibration, fresh: Sequence[Point]) -> Score:
    """The quality of `calibration` on the new runs `fresh`."""
    wrong, corrected, covered = [], [], []
    for point in fresh:
        estimate = estimate_of(point.tensor_bytes)
        taken = point.reserved_bytes + overhead().fixed_bytes
        wrong.append(abs(estimate.peak_bytes / taken - 1))
        corrected.append(abs(calibration.corrected(estimate) / taken - 1))
        upper = calibration.upper(estimate)
        covered.append(upper is not None and taken <= upper)
    return Score(float(np.median(wrong)), float(np.median(corrected)), float(np.mean(covered)) if upper else None)


def simulated(ratios: Ratios, count: int, rounds: int, seed: int) -> Iterator[Score]:
    """Scores of calibrations from `count` runs each, with new random runs in every round."""
    for random in np.random.default_rng(seed).spawn(rounds):
        yield judge(calibrate_points(simulate(ratios, random, count)), simulate(ratios, random, FRESH))


def split(points: Sequence[Point], count: int, rounds: int, seed: int) -> Iterator[Score]:
    """Scores on recorded runs: each round calibrates with `count` of them and tests on the others."""
    for random in np.random.default_rng(seed).spawn(rounds):
        mixed = [points[index] for index in random.permutation(len(points))]
        yield judge(calibrate_points(mixed[:count]), mixed[count:])


def mean_score(scores: Iterator[Score]) -> Score:
    """The mean over the rounds."""
    wrong, corrected, covered = zip(*scores, strict=True)
    return Score(float(np.mean(wrong)), float(np.mean(corrected)), None if None in covered else float(np.mean(covered)))


def near_the_edge(points: Sequence[Point], random: Random) -> list[Point]:
    """The same runs on a card with 0.97 to 1.3 times the predicted memory free, so that some run out of memory."""
    found = []
    for point in points:
        free = int(_MODEL * point.tensor_bytes * random.uniform(0.97, 1.3))
        died = point.reserved_bytes > free
        if not died or free > point.tensor_bytes:
            found.append(Point(point.tensor_bytes, free, out_of_memory=True) if died else point)
    return found


def covered_near_the_edge(known: int, rounds: int, *, survivors: bool) -> float:
    """Share of new runs below the bound if some known ones ran out of memory; with `survivors`, those are left out."""
    covered = []
    for random in np.random.default_rng(6).spawn(rounds):
        ratios = WORLDS["heavy tails"]
        past = near_the_edge(simulate(ratios, random, known), random)
        calibration = calibrate_points([point for point in past if not (survivors and point.out_of_memory)])
        covered.append(judge(calibration, simulate(ratios, random, FRESH)).covered)
    return float(np.mean([part for part in covered if part is not None]))


def sessions(random: Random, jobs: int, repeats: float) -> list[list[Point]]:
    """Runs by job, with `repeats` runs per job on average: the ratio differs between jobs, and little within one."""
    kinds = simulate(WORLDS["Gaussian, the model is right"], random, jobs)
    return [
        [
            Point(size, int(reserved + 0.003 * size * random.normal()))
            for _ in range(random.geometric(1 / repeats))
        ]
        for size, reserved, _ in kinds
    ]  # fmt: skip


def first_run_of_a_job(repeats: float, rounds: int, *, once: bool) -> float:
    """Share of first runs of a job below the bound from 39 points: with `once`, one of each job; else of all runs."""
    covered = []
    for random in np.random.default_rng(2).spawn(rounds):
        *past, new = sessions(random, 45, repeats)
        newest_first = [point for runs in past[::-1] for point in (runs[-1:] if once else runs[::-1])]
        covered.append(judge(calibrate_points(newest_first[:39]), new[:1]).covered)
    return float(np.mean(covered))


def main() -> None:
    parser = argparse.ArgumentParser(
        "python -m bench.calibration_quality", description=(__doc__ or "").partition("\n\n")[0]
    )
    parser.add_argument("rounds", nargs="?", type=int, default=1000)
    rounds = parser.parse_args().rounds
    table = {}
    print(
        f"{'card':36}{'runs':>5}{'model':>9}{'corrected':>11}{'covered':>9}   ({rounds} rounds of {FRESH} fresh runs)"
    )
    for name, ratios in WORLDS.items():
        for count in COUNTS:
            tries = rounds if count < 100 else rounds // 8
            score = table[name, count] = mean_score(simulated(ratios, count, tries, seed=1))
            covered = "–" if score.covered is None else f"{score.covered:.1%}"
            print(f"{name:36}{count:5}{score.error_model:9.2%}{score.error:11.2%}{covered:>9}", flush=True)
    draw(table, PICTURE)
    print("\nfirst run of a job below the bound, where jobs are run again:")
    for repeats in (1, 3, 10, 30):
        shares = [first_run_of_a_job(repeats, 4 * rounds, once=once) for once in (True, False)]
        print(f"{repeats:3} runs a job: {shares[0]:.1%} with one run of each, {shares[1]:.1%} with all of them")

    print("\nnew runs below the bound, where some of the known ones ran out of memory:")
    for known in (60, 120, 240):
        shares = [covered_near_the_edge(known, rounds // 4, survivors=survivors) for survivors in (False, True)]
        print(f"{known:3} runs: {shares[0]:.1%} with those, {shares[1]:.1%} with the survivors only")


def draw(table: dict[tuple[str, int], Score], file: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.2), layout="constrained")
    error, coverage = figure.subplots(1, 2)
    for number, name in enumerate(WORLDS):
        scores = {count: table[name, count] for count in COUNTS}
        colour = f"C{number}"
        error.plot(COUNTS, [100 * score.error for score in scores.values()], color=colour, marker=".", label=name)
        error.axhline(100 * np.mean([score.error_model for score in scores.values()]), color=colour, ls=":", lw=1)
        known = {count: 100 * score.covered for count, score in scores.items() if score.covered is not None}
        coverage.plot(known.keys(), known.values(), color=colour, marker=".")
    error.set(xscale="log", xlabel="runs known", ylabel="median error, %", ylim=(0, 8.5))
    error.set_title("corrected prediction (dotted: the model alone)", fontsize=10)
    error.legend(fontsize=7.5, frameon=False)
    coverage.axhspan(93, 97, color="#2f8f46", alpha=0.12, lw=0)
    coverage.axhline(95, color="#333333", ls="--", lw=1)
    coverage.set(xscale="log", xlabel="runs known", ylabel="new runs below the bound, %", ylim=(90, 100))
    coverage.set_title("the 95 % bound", fontsize=10)
    for axes in (error, coverage):
        axes.set_xticks(COUNTS if axes is error else [19, 39, 99, 399], minor=False)
        axes.get_xaxis().set_major_formatter("{x:g}")
        axes.minorticks_off()
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, dpi=150)


if __name__ == "__main__":
    main()

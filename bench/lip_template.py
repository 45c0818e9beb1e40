"""How the numbers in `finishing/lip_sync` came about: `python -m bench.lip_template FOLDER [--write]`.

FOLDER holds films of people who speak, in sync or with a constant offset; the names of those of one person begin with
the same word before "_". `docs/finishing-lipsync.md` lists the films that were used. Prints how well each person is
read by a template that was learned from the others, and the calibration of the confidence on pieces of the films and on
mismatched pairs; with ``--write`` the template of all of them replaces the packaged one.
"""

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sonic_guard.finishing.lip_sync import correlation, template
from sonic_guard.finishing.lip_sync.correlation import Motion, Observation, motion
from sonic_guard.finishing.lip_sync.film import observe_film
from sonic_guard.finishing.lip_sync.mouth import SHAPE, Mouth
from sonic_guard.finishing.lip_sync.offset import Offset, find_offset

FILE = Path(template.__file__).with_name("template.json")
RIDGE = 0.03
"""Penalty, in mean variances of a coefficient."""
MOST_FRAMES = 200
"""Weight of a film at most: a long one is not to drown the others."""
PIECES_S = (2.5, 4.0, 6.0, 9.0, 13.0, 60.0)
RIGHT_S = 0.02
THRESHOLDS = (0.7, 0.8, 0.9)
SYMMETRIC = (np.arange(SHAPE[0] * SHAPE[1]) % SHAPE[1]) % 2 == 0
"""Coefficients that are the same on both sides of the face."""


class Film(NamedTuple):
    """A film and where its sound is."""

    person: str
    observation: Observation
    offset_s: float


class Case(NamedTuple):
    """A piece of a film with some sound, and what was found."""

    person: str
    belongs: bool
    evidence: tuple[float, float]
    right: bool


def films(folder: Path) -> dict[str, Film]:
    """The films of a folder, with the offsets that the packaged template finds."""
    found = {}
    for path in sorted(folder.iterdir()):
        _, observations, _ = observe_film(path)
        offset = find_offset(motion(observations), observations)
        found[path.name] = Film(path.stem.partition("_")[0], observations[0], offset.offset_s)
    return found


def learned(chosen: Sequence[Film]) -> np.ndarray:
    """The ridge regression of the voice's levels on the symmetric coefficients, [coefficients, bands], largest 1."""
    squares, products = 0.0, 0.0
    for film in chosen:
        moving = motion([film.observation])
        shapes = moving.shapes[:, SYMMETRIC] / np.sqrt((moving.shapes**2).mean())
        levels = film.observation.speech.at(moving.times_s + film.offset_s).astype(np.float64)
        levels = (levels - levels.mean(0)) / levels.std(0)
        weight = min(len(shapes), MOST_FRAMES) / len(shapes)
        squares, products = squares + weight * shapes.T @ shapes, products + weight * shapes.T @ levels
    squares = np.asarray(squares)
    weights = np.linalg.solve(squares + RIDGE * np.trace(squares) / len(squares) * np.eye(len(squares)), products)
    return weights / np.abs(weights).max()


def read_by(weights: np.ndarray, moving: Motion, observation: Observation) -> Offset:
    """The offset that a template finds."""
    full = np.zeros((len(SYMMETRIC), weights.shape[1]))
    full[SYMMETRIC] = weights
    packaged, correlation.reading = correlation.reading, lambda: full
    try:
        return find_offset(moving, [observation])
    finally:
        correlation.reading = packaged


def pieces(film: Film, others: Sequence[Film], random: np.random.Generator) -> Iterator[tuple[Observation, bool]]:
    """Pieces of a film with their own sound, and with that of somebody else."""
    times = film.observation.mouth.times_s
    for length_s in PIECES_S:
        for begin_s in np.arange(times[0], times[-1] - min(length_s, 0.8 * np.ptp(times)) + 1e-6, length_s)[:4]:
            inside = (times >= begin_s) & (times < begin_s + length_s)
            mouth = Mouth(*(np.asarray(part)[inside] for part in film.observation.mouth))
            yield Observation(mouth, film.observation.speech), True
            for number in random.choice(len(others), 5):
                other = others[number].observation.speech
                spare_s = max(0.1, len(other.levels) / 200 - length_s - 3)
                yield Observation(mouth, other._replace(start_s=begin_s - 1.5 - random.uniform(0, spare_s))), False


def cases(known: Mapping[str, Film]) -> list[Case]:
    """All pieces, each read by a template that has not seen its person."""
    random = np.random.default_rng(0)
    found = []
    for film in known.values():
        others = [other for other in known.values() if other.person != film.person]
        weights = learned(others)
        for observation, belongs in pieces(film, others, random):
            moving = motion([observation])
            if len(moving.times_s) < 30:
                continue
            offset = read_by(weights, moving, observation)
            height = offset.peak * np.sqrt(np.ptp(moving.times_s))
            right = belongs and abs(offset.offset_s - film.offset_s) <= RIGHT_S
            found.append(Case(film.person, belongs, (offset.prominence, float(height)), right))
    return found


def regression(chosen: Sequence[Case]) -> np.ndarray:
    """Weights of the logistic regression: constant, prominence, height · √seconds."""
    evidence, right = _arrays(chosen)
    weights = np.zeros(evidence.shape[1])
    for _ in range(60):  # Newton's method
        sure = 1 / (1 + np.exp(-evidence @ weights))
        bend = (evidence * (sure * (1 - sure))[:, None]).T @ evidence + 1e-2 * np.eye(len(weights))
        weights += np.linalg.solve(bend, evidence.T @ (right - sure) - 1e-2 * weights)
    return weights


def calibration(chosen: Sequence[Case]) -> Iterator[str]:
    """How often a confidence is right, each person judged by the regression over the others."""
    sure = np.zeros(len(chosen))
    for person in {case.person for case in chosen}:
        weights = regression([case for case in chosen if case.person != person])
        own = [number for number, case in enumerate(chosen) if case.person == person]
        sure[own] = 1 / (1 + np.exp(-_arrays([chosen[number] for number in own])[0] @ weights))
    right, belongs = (np.array([getattr(case, name) for case in chosen]) for name in ("right", "belongs"))
    yield f"{belongs.sum()} pieces with their own sound, {(~belongs).sum()} with another; weights {regression(chosen)}"
    for threshold in THRESHOLDS:
        given = sure >= threshold
        yield (
            f"confidence ≥ {threshold}: right {right[given].mean():.1%}, "
            f"answered {given[belongs].mean():.0%} of their own, {given[~belongs].sum()} of the others"
        )


def _arrays(chosen: Sequence[Case]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([(1.0, *case.evidence) for case in chosen]), np.array([float(case.right) for case in chosen])


def main(arguments: Sequence[str] | None = None) -> None:
    """Print what was learned."""
    parser = argparse.ArgumentParser("python -m bench.lip_template", description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--write", action="store_true", help="replace the packaged template")
    options = parser.parse_args(arguments)
    known = films(options.folder)
    for name, film in known.items():
        others = [other for other in known.values() if other.person != film.person]
        found = read_by(learned(others), motion([film.observation]), film.observation)
        print(f"{name:28s} {1e3 * found.offset_s:+7.1f} ms, peak {found.peak:.2f}, prominence {found.prominence:.1f}")
    print(*calibration(cases(known)), sep="\n")
    if options.write:
        rows = learned(list(known.values())).reshape(SHAPE[0], -1, len(correlation.BANDS_HZ))
        FILE.write_text(json.dumps({"coefficients": np.round(rows, 3).tolist()}) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

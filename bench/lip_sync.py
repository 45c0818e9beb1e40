"""Error of the lip sync measurement on faces whose offset is known: `python -m bench.lip_sync [--all] [--seconds 8]`.

Renders talking faces (`tests/support/talking_faces.py`): every voice at every frame rate, in one of the conditions in
turn, or with ``--all`` in each. Prints the errors by condition, by frame rate and by voice, then what comes of sounds
and pictures that do not go together, then the speed. Deterministic apart from the speed. Two minutes on one core;
``--all`` twelve.
"""

import argparse
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sonic_guard.finishing.lip_sync.correlation import Observation
from sonic_guard.finishing.lip_sync.measurement import LipSync, measure, observe
from sonic_guard.finishing.lip_sync.mouth import TimedFrame, read_mouth
from sonic_guard.finishing.lip_sync.speech import read_speech
from sonic_guard.media import audio_file
from sonic_guard.media.audio import Sound
from tests.support.talking_faces import LANGUAGES, Scene, Speaking, Voice, frames, later, mime, music, speak, with_noise

SPEECH = Path(__file__).parent.parent / "demo" / "speech.mp3"
RATES = (12.5, 24.0, 25.0, 30_000 / 1001, 30.0)
SHIFTS_S = (-0.4, -0.173, 0.0, 0.061, 0.257, 0.4)
WITHIN_MS = 20.0

Hearing = Callable[[Sound], Sound]


class Condition(NamedTuple):
    """How the film was made."""

    scene: Scene
    sound: Hearing = lambda sound: sound


CONDITIONS = {
    "clean": Condition(Scene()),
    "noisy sound, 10 dB": Condition(Scene(seed=1), lambda sound: with_noise(sound, 10)),
    "noisy picture": Condition(Scene(noise=10, seed=2)),
    "dark, mirrored": Condition(Scene(gamma=2.2, mirrored=True, seed=3)),
    "moving head": Condition(Scene(sway=1.0, size=320, seed=4)),
    "small face": Condition(Scene(face=16, seed=5)),
    "small, moving, noisy": Condition(
        Scene(face=20, sway=1.0, noise=5, seed=6), lambda sound: with_noise(sound, 15)
    ),
}  # fmt: skip


class Row(NamedTuple):
    """One measurement."""

    voice: str
    fps: float
    condition: str
    shift_s: float
    found: LipSync

    @property
    def error_ms(self) -> float:
        """Of the offset; NaN where there is none."""
        offset_ms = self.found.offset_ms
        return float("nan") if offset_ms is None else offset_ms - self.shift_s * 1e3


def voices(seconds: float) -> dict[str, Speaking]:
    """All who speak: synthetic voices in several "languages", and a recorded one."""
    found = {
        f"{language}, {pitch:.0f} Hz": speak(Voice(language, pitch, pace, seed), seconds)
        for seed, (language, (pitch, pace)) in enumerate(
            product(LANGUAGES, ((105.0, 4.0), (190.0, 5.2))), 1
        )
    }  # fmt: skip
    return found | {"recorded": mime(audio_file.load(SPEECH, seconds))}


def grid(seconds: float, everything: bool) -> Iterator[Row]:
    """The measurements. Shifting the clock of the sound is the same as shifting its samples, and needs no new film."""
    for number, ((voice, speaking), fps) in enumerate(product(voices(seconds).items(), RATES)):
        names = list(CONDITIONS)
        for name in names if everything else [names[number % len(names)]]:
            condition = CONDITIONS[name]
            scene = replace(condition.scene, fps=fps)
            mouth = read_mouth(_timed(frames(speaking, scene), fps))
            for shift_s in SHIFTS_S:
                speech = read_speech(condition.sound(later(speaking.sound, shift_s)))
                yield Row(voice, fps, name, shift_s, measure([Observation(mouth, speech)]))


def mismatches(seconds: float) -> Iterator[tuple[str, LipSync]]:
    """Pairs of pictures and sound without an offset to find."""
    everyone = list(voices(seconds).values())
    silence = Sound(np.zeros((1, round(16_000 * seconds)), np.float32), 16_000)
    for number, speaking in enumerate(everyone):
        other = everyone[(number + 3) % len(everyone)].sound
        scene = Scene(seed=number)
        mouth = read_mouth(_timed(frames(speaking, scene), 25))
        for kind, sound in (("silence", silence), ("music", music(seconds, number)), ("another voice", other)):
            yield kind, measure([Observation(mouth, read_speech(sound))])
        still = Speaking(speaking.sound, 0 * speaking.opening, 0 * speaking.width)
        for kind, shown in (
            ("still mouth", frames(still, Scene(noise=3, sway=0.5, seed=number))),
            ("covered mouth", covered(frames(speaking, scene), number)),
            ("no face", (np.full((96, 96, 3), 90, np.uint8) for _ in range(round(25 * seconds)))),
        ):
            yield kind, measure([observe(_timed(shown, 25), speaking.sound)])


def covered(pictures: Iterable[np.ndarray], seed: int) -> Iterator[np.ndarray]:
    """The face behind a mask from the nose to the chin and to the ears, which moves a little."""
    for number, picture in enumerate(pictures):
        height, width = picture.shape[:2]
        x = width // 2 + round(3 * np.sin(0.13 * number + seed))
        hidden = picture.copy()
        hidden[round(height * 0.53) : round(height * 0.9), x - 80 : x + 80] = (190, 200, 215)
        yield hidden


def _timed(pictures: Iterable[np.ndarray], fps: float) -> Iterator[TimedFrame]:
    return (TimedFrame(number / fps, picture) for number, picture in enumerate(pictures))


def summary(rows: Sequence[Row]) -> str:
    """Number, median and 95th percentile of the error, share confident, and share right of those."""
    sure = np.array([abs(row.error_ms) for row in rows if not row.found.abstained])
    if not len(sure):
        return f"{len(rows):5d}       –       –      0 %      –"
    middle, high = np.percentile(sure, (50, 95))
    right = (sure <= WITHIN_MS).mean()
    return f"{len(rows):5d} {middle:7.1f} {high:7.1f} {len(sure) / len(rows):8.0%} {right:7.1%}"


def table(rows: Sequence[Row]) -> Iterator[str]:
    """The errors, in all and by condition, frame rate and voice."""
    yield f"{'':24s} {'n':>5s} {'median':>7s} {'95 %':>7s} {'answered':>8s} {'right':>7s}"
    yield f"{'all':24s} {summary(rows)}"
    for key in ("condition", "fps", "voice"):
        yield ""
        for value in dict.fromkeys(getattr(row, key) for row in rows):
            label = f"{value:.4g} fps" if isinstance(value, float) else value
            yield f"{label:24s} {summary([row for row in rows if getattr(row, key) == value])}"


def speed(seconds: float) -> str:
    """Seconds of film measured in a second of processor time, at 512², one core."""
    import cv2

    cv2.setNumThreads(1)
    speaking = speak(Voice(), seconds)
    shown = list(frames(speaking, Scene(size=512, face=90)))
    begin = time.process_time()
    measure([observe(_timed(shown, 25), speaking.sound)])
    return f"512×512, 25 fps, one core, without decoding: {seconds / (time.process_time() - begin):.1f} × real time"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser("python -m bench.lip_sync", description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--all", action="store_true", help="every voice at every rate in every condition")
    parser.add_argument("--seconds", type=float, default=8.0, help="length of each film")
    options = parser.parse_args(arguments)
    print(*table(list(grid(options.seconds, options.all))), sep="\n")
    print("\nPictures and sound that do not go together:")
    found = list(mismatches(options.seconds))
    for kind in dict.fromkeys(kind for kind, _ in found):
        reasons = [str(result.reason or "answered") for each, result in found if each == kind]
        counts = ", ".join(f"{reason} {reasons.count(reason)}" for reason in sorted(set(reasons)))
        print(f"{kind:24s} {counts}")
    print(f"\n{speed(options.seconds)}")


if __name__ == "__main__":
    main()

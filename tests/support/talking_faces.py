"""Talking faces with a voice, whose offset is known: an articulation moves the lips of a photo and shapes a sound.

One articulation, lips and formants over time, makes both. A formant synthesiser makes the voice, in "languages":
inventories of vowels and rhythms. For a recorded voice the lips follow its loudness. The lips are ahead of the sound by
what they are ahead of it in people, as the measurement assumes; everything else is computed from nothing but seeds.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from sonic_guard.finishing.lip_sync.measurement import NATURAL_LEAD_S
from sonic_guard.media.audio import Sound

PORTRAIT = Path(__file__).parents[2] / "demo" / "portrait.jpg"
MOUTH_X, MOUTH_Y, MOUTH_HALF = 224.0, 144.0, 19.0
"""Middle and half the width of the mouth in the portrait, in pixels."""
FACE_X, FACE_Y = 224.0, 124.0
EYES_TO_MOUTH = 40.0
JAW = 13.0
"""Pixels between the lips of the portrait when the mouth is open wide."""
AROUND_MOUTH = (slice(124, 206), slice(160, 290))
"""Rows and columns of the portrait that speech moves."""
CLOCK = 1000
"""Moments a second of an articulation."""
RATE = 16_000
LEVEL = 0.15
"""Root mean square of a voice."""

LANGUAGES = {
    "five vowels": (((700, 1220, 2600), 1.0), ((500, 1900, 2550), 0.55), ((320, 2250, 3000), 0.3),
                    ((500, 950, 2400), 0.6), ((330, 800, 2300), 0.25)),
    "rounded": (((650, 1100, 2500), 0.9), ((300, 1900, 2200), 0.2), ((450, 1500, 2300), 0.4),
                ((280, 2200, 3000), 0.3), ((550, 1650, 2500), 0.6)),
    "tones": (((850, 1300, 2700), 1.0), ((420, 1100, 2400), 0.5), ((310, 2500, 3200), 0.25), ((560, 900, 2500), 0.7)),
    "reduced": (((680, 1700, 2400), 0.8), ((500, 1500, 2500), 0.35), ((440, 1000, 2300), 0.45),
                ((390, 2000, 2600), 0.35), ((620, 1200, 2500), 0.75), ((500, 1400, 2450), 0.3)),
}  # fmt: skip
"""Vowels: their formants in Hz, and how far the mouth opens."""


class Voice(NamedTuple):
    """Who speaks."""

    language: str = "five vowels"
    pitch_hz: float = 120.0
    syllables_per_s: float = 4.5
    seed: int = 0


class Speaking(NamedTuple):
    """A sound and what the lips do meanwhile, `CLOCK` times a second."""

    sound: Sound
    opening: np.ndarray
    """0 … 1."""
    width: np.ndarray
    """−1, rounded, … 1, spread."""

    @property
    def seconds(self) -> float:
        return len(self.opening) / CLOCK


@dataclass(frozen=True)
class Scene:
    """How a face is filmed."""

    fps: float = 25.0
    size: int = 256
    """Width and height of the picture in pixels."""
    face: float = 60.0
    """From the eyes to the mouth in pixels."""
    sway: float = 0.0
    """How far the head moves, in distances from the eyes to the mouth."""
    noise: float = 0.0
    """Standard deviation of the picture's noise, of 255."""
    mirrored: bool = False
    gamma: float = 1.0
    """Above 1 is darker."""
    seed: int = 0


def speak(voice: Voice, seconds: float) -> Speaking:
    """A synthetic voice, with pauses between phrases."""
    random = np.random.default_rng(voice.seed)
    count = round(seconds * CLOCK)
    opening, width, loud, hiss = (np.zeros(count) for _ in range(4))
    formants = np.tile(np.array(((500, 1500, 2500),), float), (count, 1))
    vowels = LANGUAGES[voice.language]
    at, left = int(random.uniform(0.1, 0.3) * CLOCK), int(random.integers(3, 9))
    while at < count:
        length = int(CLOCK / voice.syllables_per_s * random.uniform(0.75, 1.35))
        closed = int(length * random.uniform(0.2, 0.4))
        tones, how_open = vowels[random.integers(len(vowels))]
        stress = random.uniform(0.6, 1.0)
        vowel = slice(at + closed, at + length)
        opening[at : at + closed] = random.choice((0.0, 0.0, 0.15))
        opening[vowel], formants[vowel] = how_open * stress, tones
        width[vowel] = np.clip((tones[1] - 1500) / 800, -1, 1)
        loud[at : at + closed], loud[vowel] = random.choice((0.0, 0.03, 0.15)), stress * (0.4 + 0.6 * how_open)
        hiss[at : at + closed] = random.choice((0.0, 0.0, 0.06, 0.12))
        at, left = at + length, left - 1
        if left == 0:
            at, left = at + int(random.uniform(0.25, 0.6) * CLOCK), int(random.integers(3, 9))
    opening, width = (_moved(values, 0.030) for values in (opening, width))
    formants = np.stack([_moved(values, 0.025) for values in formants.T], axis=1)
    waveform = _synthesised(voice, random, _moved(loud, 0.008), _moved(hiss, 0.006), formants)
    lead = round(NATURAL_LEAD_S * CLOCK)
    return Speaking(Sound(waveform[None], RATE), _earlier(opening, lead), _earlier(width, lead))


def mime(sound: Sound, seed: int = 0) -> Speaking:
    """Lips for a recorded voice: they open with its loudness between 300 and 3,000 Hz, and not only with that."""
    random = np.random.default_rng(seed)
    mono = sound.waveform.mean(0)
    count = int(sound.duration_s * CLOCK)
    spectrum = np.fft.rfft(mono)
    hertz = np.fft.rfftfreq(len(mono), 1 / sound.sample_rate)
    voiced = np.fft.irfft(spectrum * ((hertz > 300) & (hertz < 3000)), len(mono))
    places = np.linspace(0, len(mono) - 1, count)
    loudness = np.sqrt(np.interp(places, np.arange(len(mono)), _smooth(voiced**2, 0.012 * sound.sample_rate)) + 1e-12)
    target = np.clip((loudness / np.percentile(loudness, 95)) ** 0.6, 0, 1)
    wander = _smooth(random.normal(size=count), 60.0) * np.sqrt(60.0) * 0.25
    opening = _smooth(np.clip(target + wander * (target > 0.1), 0, 1), 22.0)
    lead = round(NATURAL_LEAD_S * CLOCK)
    return Speaking(sound, _earlier(opening, lead), _earlier(_smooth(wander, 40.0) * 2, lead))


def frames(speaking: Speaking, scene: Scene, times_s: np.ndarray | None = None) -> Iterator[np.ndarray]:
    """The pictures, uint8 [H, W, 3], `scene.fps` a second or at `times_s`."""
    random = np.random.default_rng(1000 + scene.seed)
    times = np.arange(0, speaking.seconds, 1 / scene.fps) if times_s is None else times_s
    clock = np.arange(len(speaking.opening)) / CLOCK
    for time_s in times:
        opening, width = (float(np.interp(time_s, clock, curve)) for curve in (speaking.opening, speaking.width))
        picture = cv2.warpAffine(
            _talking(opening, width), _pose(scene, float(time_s)), (scene.size, scene.size),
            flags=cv2.INTER_AREA if scene.face < EYES_TO_MOUTH else cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT,
        )  # fmt: skip
        if scene.mirrored:
            picture = picture[:, ::-1]
        light = 255 * (picture / 255) ** scene.gamma
        if scene.noise:
            light = light + random.normal(0, scene.noise, light.shape)
        yield np.clip(np.rint(light), 0, 255).astype(np.uint8)


def later(sound: Sound, seconds: float) -> Sound:
    """The sound, that much later by whole samples, as long as before."""
    shift = round(seconds * sound.sample_rate)
    moved = np.zeros_like(sound.waveform)
    if shift >= 0:
        moved[:, shift:] = sound.waveform[:, : sound.samples - shift]
    else:
        moved[:, :shift] = sound.waveform[:, -shift:]
    return replace(sound, waveform=moved)


def stretched(sound: Sound, factor: float) -> Sound:
    """The sound `factor` times as long, by interpolation."""
    count = round(sound.samples * factor)
    places = np.arange(count) / factor
    waveform = [np.interp(places, np.arange(sound.samples), channel) for channel in sound.waveform]
    return replace(sound, waveform=np.asarray(waveform, np.float32))


def with_noise(sound: Sound, snr_db: float, seed: int = 0) -> Sound:
    """The sound with white noise."""
    random = np.random.default_rng(seed)
    level = np.sqrt((sound.waveform**2).mean()) * 10 ** (-snr_db / 20)
    return replace(sound, waveform=(sound.waveform + random.normal(0, level, sound.waveform.shape)).astype(np.float32))


def music(seconds: float, seed: int = 0) -> Sound:
    """Chords that follow one another, with plucked notes."""
    random = np.random.default_rng(seed)
    times = np.arange(round(seconds * RATE)) / RATE
    waveform = np.zeros(len(times))
    for begin_s in np.arange(0, seconds, 0.5):
        for semitones in random.choice(24, 4, replace=False):
            since = times - begin_s - random.uniform(0, 0.02)
            hertz = 110 * 2 ** (semitones / 12)
            tone = sum(np.sin(2 * np.pi * hertz * n * times) / n for n in range(1, 9) if hertz * n < RATE / 2)
            waveform += np.where((since > 0) & (since < 1.5), np.exp(-2.5 * np.maximum(since, 0)), 0) * tone
    return Sound((LEVEL * waveform / np.sqrt((waveform**2).mean())).astype(np.float32)[None], RATE)


def _synthesised(
    voice: Voice, random: np.random.Generator, loud: np.ndarray, hiss: np.ndarray, formants: np.ndarray
) -> np.ndarray:
    """Pulses and noise through resonances that move, float32 [samples]."""
    samples = round(len(loud) / CLOCK * RATE)
    clock = np.arange(samples) / RATE * CLOCK
    curve = _at(clock)
    melody = voice.pitch_hz * (
        1
        + 0.12 * np.sin(np.arange(samples) / RATE * 2.1 + voice.seed)
        + 0.02 * _smooth(random.normal(size=samples), 200.0) * 14
    )
    pulses = np.diff(np.floor(np.cumsum(melody / RATE)), prepend=0)
    source = _smooth(pulses, 3.0) * 20 * curve(loud) + random.normal(size=samples) * curve(hiss)
    length, hop = 512, 128
    window = np.hanning(length + 1)[:-1]
    hertz = np.fft.rfftfreq(length, 1 / RATE)
    padded, made = np.pad(source, length), np.zeros(samples + 2 * length)
    for begin in range(0, samples + length, hop):
        middle = int(np.clip((begin - length / 2) / RATE * CLOCK, 0, len(formants) - 1))
        resonance = sum(
            gain / (1 + ((hertz - formant) / (60 + 0.04 * formant)) ** 2)
            for formant, gain in zip(formants[middle], (1.0, 0.6, 0.35), strict=True)
        )
        part = np.fft.irfft(np.fft.rfft(padded[begin : begin + length] * window) * (resonance + 0.02), length)
        made[begin : begin + length] += part * window
    made = made[length : length + samples]
    return (LEVEL * made / np.sqrt((made**2).mean())).astype(np.float32)


def _at(clock: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    return lambda values: np.interp(clock, np.arange(len(values)), values)


def _moved(targets: np.ndarray, time_s: float) -> np.ndarray:
    """What a muscle makes of targets: smoothed, without a delay."""
    return _smooth(targets, time_s * CLOCK)


def _smooth(values: np.ndarray, deviation: float) -> np.ndarray:
    reach = int(4 * deviation) + 1
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / deviation) ** 2)
    padded = np.pad(values, reach, mode="edge")
    size = 1 << (len(padded) + 2 * reach).bit_length()
    product = np.fft.rfft(padded, size) * np.fft.rfft(kernel / kernel.sum(), size)
    return np.fft.irfft(product, size)[2 * reach : 2 * reach + len(values)]


def _earlier(values: np.ndarray, steps: int) -> np.ndarray:
    return np.concatenate((values[steps:], np.full(steps, values[-1])))


@cache
def _portrait() -> np.ndarray:
    return np.asarray(Image.open(PORTRAIT).convert("RGB"), np.float32)


def _talking(opening: float, width: float) -> np.ndarray:
    """The portrait with its mouth open: the jaw is down, and between the lips it is dark, with teeth above."""
    rows, columns = AROUND_MOUTH
    picture = _portrait()
    part = picture[rows, columns]
    y, x = np.mgrid[rows, columns].astype(np.float32)
    gap = JAW * opening
    half = MOUTH_HALF * (1 + 0.12 * width)
    lens = np.clip(1 - ((x - MOUTH_X) / half) ** 2, 0, 1)
    jaw = np.exp(-(((x - MOUTH_X) / (2 * MOUTH_HALF)) ** 4))
    upper, lower = MOUTH_Y - 0.2 * gap * lens, MOUTH_Y + 0.8 * gap * lens
    below = np.clip((y - lower) / 45, 0, 1)
    down = 0.8 * gap * (lens * np.exp(-below * 4) + jaw * (1 - np.exp(-below * 4))) * (1 - below)
    up = 0.2 * gap * lens * np.clip(1 - (upper - y) / 12, 0, 1)
    from_y = np.where(y > MOUTH_Y, np.maximum(y - down, MOUTH_Y), np.minimum(y + up, MOUTH_Y))
    from_x = MOUTH_X + (x - MOUTH_X) / (1 + 0.12 * width * np.exp(-(((y - MOUTH_Y) / 14) ** 2)) * lens)
    moved = cv2.remap(
        part, (from_x - columns.start).astype(np.float32), (from_y - rows.start).astype(np.float32), cv2.INTER_LINEAR
    )
    inside = (np.clip(y - upper, 0, 1) * np.clip(lower - y, 0, 1))[..., None]
    teeth = np.clip((upper + 3.5 - y) / 2, 0, 1)[..., None] * min(1.0, gap / 6)
    dark = np.array((45, 18, 20), np.float32) + teeth * np.array((150, 160, 150), np.float32)
    talking = picture.copy()
    talking[rows, columns] = moved * (1 - inside) + dark * inside
    return talking


def _pose(scene: Scene, time_s: float) -> np.ndarray:
    """Where the portrait's pixels are in the picture: the head sways, turns and nods without a period."""
    swing = [np.sin(2 * np.pi * (0.23 + 0.17 * n) * time_s + scene.seed + 1.7 * n) for n in range(4)]
    scale = scene.face / EYES_TO_MOUTH * (1 + 0.06 * scene.sway * swing[0])
    turn = 0.12 * scene.sway * swing[1]
    linear = scale * np.array(((np.cos(turn), -np.sin(turn)), (np.sin(turn), np.cos(turn))))
    middle = scene.size / 2 + scene.sway * scene.face * 0.5 * np.array((swing[2], swing[3]))
    return np.column_stack((linear, middle - linear @ (FACE_X, FACE_Y)))

"""The example portrait, voice and video of the templates: ``python -m tools.example_media`` writes them anew.

Both may be published with the pack. The portrait is NASA's photograph of Eileen Collins, in the public domain, as
scikit-image has it (`skimage.data.astronaut`). The voice is nobody's: a short sentence spoken by the formant
synthesiser below, which filters pulses and noise (the method of D. H. Klatt, J. Acoust. Soc. Am. 67, 1980).
"""

import io
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import av
import numpy as np
import numpy.typing as npt
from PIL import Image

from sonic_guard.media import audio
from sonic_guard.media.video_writer import Encoding, VideoWriter
from sonic_guard.operations.example_files import CLIP, PORTRAIT, VOICE

from .import_graph import ROOT

FOLDER = ROOT / "example_workflows" / "input"
RATE = 24_000
FRAME = RATE // 200
"""Samples between two settings of the filters: 5 ms."""
Samples = npt.NDArray[np.float64]


class Sound(NamedTuple):
    """A phoneme: what the filters go to while it lasts."""

    seconds: float
    formants: tuple[float, float, float]
    """Hz of the first three resonances of the mouth."""
    voice: float = 1.0
    """Strength of the pulses of the voice."""
    noise: float = 0.0
    """Strength of the breath's noise, which only sounds above `noise_hz`."""
    noise_hz: float = 2500.0


SOUNDS = {
    "AY1": Sound(0.11, (730, 1150, 2450)), "AY2": Sound(0.09, (380, 2050, 2600)),
    "EH": Sound(0.10, (550, 1770, 2490)), "OW1": Sound(0.11, (520, 950, 2400)), "OW2": Sound(0.10, (360, 800, 2300)),
    "AE": Sound(0.13, (660, 1700, 2430)), "IH": Sound(0.09, (400, 1950, 2550)), "AH": Sound(0.09, (620, 1200, 2500)),
    "AO": Sound(0.14, (590, 880, 2500)), "OY": Sound(0.12, (450, 800, 2400)), "EY": Sound(0.11, (420, 2100, 2650)),
    "L": Sound(0.07, (360, 1050, 2800), 0.7), "M": Sound(0.09, (250, 1000, 2200), 0.35),
    "N": Sound(0.08, (250, 1500, 2500), 0.35), "R": Sound(0.08, (330, 1150, 1500), 0.7),
    "D": Sound(0.05, (250, 1700, 2600), 0.15, 0.15, 3500), "T": Sound(0.07, (300, 1700, 2600), 0.0, 0.5, 3800),
    "TH": Sound(0.08, (300, 1300, 2500), 0.2, 0.12, 4000), "Z": Sound(0.09, (280, 1700, 2550), 0.3, 0.35, 4500),
    "S": Sound(0.11, (300, 1700, 2550), 0.0, 0.6, 4800), "V": Sound(0.07, (280, 1100, 2200), 0.5, 0.08, 3500),
    "P": Sound(0.08, (350, 900, 2200), 0.0, 0.2, 1200), "H": Sound(0.07, (550, 1770, 2490), 0.0, 0.25, 1200),
    "_": Sound(0.16, (500, 1500, 2500), 0.0),
}  # fmt: skip
SENTENCE = (
    "_ H EH L OW1 OW2 _ AY1 AY2 AE M AH P AO R T R EY T _ AE N D TH IH S IH Z M AY1 AY2 V OY IH S _ "
    "H EH L OW1 OW2 AH L OW1 N _"
)
"""Hello. I am a portrait, and this is my voice. …"""
BANDWIDTHS = (70.0, 100.0, 140.0)
PITCH_HZ = (205.0, 165.0)
"""At the beginning and at the end."""


def speak(sentence: str = SENTENCE) -> Samples:
    """`sentence`, phonemes between spaces, as samples at `RATE` in the range -1 to 1."""
    rng = np.random.default_rng(1)
    tracks = _tracks([SOUNDS[name] for name in sentence.split()])
    frames = len(tracks)
    time_s = np.arange(frames * FRAME) / RATE
    pitch = np.interp(time_s, [0, time_s[-1]], PITCH_HZ) * (1 + 0.03 * np.sin(2 * np.pi * 3.1 * time_s))
    phase = np.cumsum(pitch) / RATE % 1.0
    # The flow through the vocal folds, and its derivative, which is what is heard.
    pulses = np.diff(np.where(phase < 0.6, np.sin(np.pi * phase / 0.6) ** 2, 0.0), prepend=0.0) * 8
    noise = rng.normal(0, 0.3, frames * FRAME)
    strengths = np.repeat(tracks[:, 3:5], FRAME, axis=0)
    sound = pulses * strengths[:, 0]
    for number, bandwidth in enumerate(BANDWIDTHS):
        sound = _resonate(sound, tracks[:, number], bandwidth)
    sound = sound / np.abs(sound).max() + 0.25 * _high(noise * strengths[:, 1], tracks[:, 5])
    return 0.7 * sound / np.abs(sound).max()


def _tracks(sounds: list[Sound]) -> Samples:
    """The settings of every frame, [frames, 6]: three formants, voice, noise and its frequency, without jumps."""
    rows = [[*sound.formants, sound.voice, sound.noise, sound.noise_hz] for sound in sounds]
    lengths = [round(1.25 * sound.seconds * RATE / FRAME) for sound in sounds]
    steps = np.repeat(np.array(rows, float), lengths, axis=0)
    window = np.hanning(11)
    padded = np.pad(steps, ((5, 5), (0, 0)), mode="edge")
    return np.stack([np.convolve(column, window / window.sum(), "valid") for column in padded.T], axis=1)


def _resonate(sound: Samples, centre_hz: Samples, bandwidth: float) -> Samples:
    """`sound` through a resonance of two poles, whose frequency changes with every frame."""
    out, before, last = np.empty_like(sound), 0.0, 0.0
    radius = np.exp(-np.pi * bandwidth / RATE)
    for frame, centre in enumerate(centre_hz):
        first, second = 2 * radius * np.cos(2 * np.pi * centre / RATE), -radius * radius
        gain = 1 - first - second
        for index in range(frame * FRAME, (frame + 1) * FRAME):
            last, before = gain * sound[index] + first * last + second * before, last
            out[index] = last
    return out


def _high(noise: Samples, above_hz: Samples) -> Samples:
    """The part of `noise` above a frequency, which changes with every frame."""
    low, last = np.empty_like(noise), 0.0
    for frame, edge in enumerate(above_hz):
        share = 1 - np.exp(-2 * np.pi * edge / RATE)
        for index in range(frame * FRAME, (frame + 1) * FRAME):
            last += share * (noise[index] - last)
            low[index] = last
    return noise - low


def voice_file() -> bytes:
    """The sentence as MP3, mono."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp3") as container:
        stream = container.add_stream("libmp3lame", rate=RATE)
        stream.codec_context.layout = "mono"
        stream.codec_context.bit_rate = 48_000
        samples = np.round(speak() * 32767).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate = RATE
        for each in (frame, None):
            container.mux(stream.encode(each))
    return file.getvalue()


def clip_file() -> bytes:
    """Three seconds of the portrait with the voice and what Finish Video removes: pulses of brightness, and jitter."""
    rng, still = np.random.default_rng(1), Image.open(io.BytesIO(portrait_file())).crop((110, 0, 366, 256))
    sound = audio.Sound(speak()[None].astype(np.float32), RATE).part(0, 3 * RATE)
    with TemporaryDirectory() as folder:
        path = Path(folder) / CLIP
        with VideoWriter(path, Fraction(25), Encoding(crf=20, preset="veryslow"), sound) as video:
            for number in range(75):
                moved = still.transform(
                    still.size, Image.Transform.AFFINE, (1, 0, rng.normal(0, 0.5), 0, 1, rng.normal(0, 0.5)),
                    Image.Resampling.BICUBIC,
                )  # fmt: skip
                gain = 1.05 if number % 25 in (12, 13) else 1.0
                video.write((np.asarray(moved, np.float32)[None] / 255 * gain).clip(0, 1))
        return path.read_bytes()


def portrait_file() -> bytes:
    """The portrait as JPEG, 512 × 512."""
    from skimage.data import astronaut

    file = io.BytesIO()
    Image.fromarray(astronaut()).save(file, "JPEG", quality=88, optimize=True)
    return file.getvalue()


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / PORTRAIT).write_bytes(portrait_file())
    (FOLDER / VOICE).write_bytes(voice_file())
    (FOLDER / CLIP).write_bytes(clip_file())

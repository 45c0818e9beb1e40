"""Videos as cameras, phones and editors make them, written with PyAV."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.video.frame import VideoFrame

RATE = 16_000


def numbered(index: int, width: int = 64, height: int = 48) -> np.ndarray:
    """A smooth picture from which its number can be read: see `number_of`."""
    ramp = np.linspace(0, 40, width, dtype=np.float32)[None, :, None] + np.linspace(0, 30, height)[:, None, None]
    picture = np.repeat(ramp, 3, axis=2)
    picture[: height // 2] += 8 * (index % 16)
    picture[height // 2 :] += 8 * (index // 16 % 16)
    return picture.round().astype(np.uint8)


def number_of(picture: np.ndarray) -> int:
    """The number of a picture that `numbered` made, whatever was encoded and decoded since."""
    height, width = picture.shape[:2]
    rest = picture.astype(float).mean(axis=2) - numbered(0, width, height).mean(axis=2)
    low, high = rest[2 : height // 2 - 2].mean() / 8, rest[height // 2 + 2 : -2].mean() / 8
    return round(low) + 16 * round(high)


def write(
    path: Path,
    frames: int = 30,
    *,
    rate: Fraction | int = 25,
    size: tuple[int, int] = (64, 48),
    codec: str = "libx264",
    pixels: str = "yuv420p",
    sound: str = "aac",
    times: Sequence[int] | None = None,
    time_base: Fraction | None = None,
    rotation: int = 0,
    tracks: int = 1,
    tags: dict[str, str] | None = None,
    **tag_codes: int,
) -> Path:
    """A video of `numbered` pictures and a tone, at constant `rate` or at `times` in units of `time_base`."""
    options = {"movflags": "use_metadata_tags"} if tags else {}
    with av.open(str(path), "w", options=options) as container:
        container.metadata.update(tags or {})
        stream: Any = container.add_stream(codec, rate=rate, options={"crf": "10"} if "264" in codec else {})
        stream.width, stream.height, stream.pix_fmt = *size, pixels
        if time_base:
            stream.codec_context.time_base = time_base
        if rotation:
            stream.set_display_rotation(rotation)
        for name, code in tag_codes.items():
            setattr(stream.codec_context, name, code)
        voices: list[Any] = [container.add_stream(sound, rate=RATE, layout="mono") for _ in range(tracks) if sound]
        for index in range(frames):
            frame = VideoFrame.from_ndarray(numbered(index, *size), format="rgb24").reformat(format=pixels)
            frame.pts = times[index] if times else index
            frame.time_base = time_base or 1 / Fraction(rate)
            container.mux(stream.encode(frame))
            for number, voice in enumerate(voices):
                samples = range(RATE * index // 25, RATE * (index + 1) // 25)
                tone = np.sin(np.array(samples) * (0.05 + 0.02 * number)).astype(np.float32)[None] / 4
                piece = AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
                piece.sample_rate, piece.pts, piece.time_base = RATE, samples[0], Fraction(1, RATE)
                if sound.startswith("pcm"):
                    piece = av.AudioResampler(format="s16", layout="mono", rate=RATE).resample(piece)[0]
                container.mux(voice.encode(piece))
        for each in [stream, *voices]:
            container.mux(each.encode(None))
    return path


def packets(path: Path, kind: str) -> list[bytes]:
    """The encoded packets of the first stream of a kind, in the order of the file."""
    with av.open(str(path)) as container:
        stream = next(each for each in container.streams if each.type == kind)
        return [bytes(packet) for packet in container.demux(stream) if packet.size]


def seconds(path: Path, kind: str) -> list[float]:
    """When the packets of the first stream of a kind are shown or heard, ascending."""
    with av.open(str(path)) as container:
        stream = next(each for each in container.streams if each.type == kind)
        return sorted(float(packet.pts * packet.time_base) for packet in container.demux(stream) if packet.size)

"""Small whole files of every kind that is read, made by the real codecs."""

import io
from fractions import Fraction
from functools import cache

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.video.frame import VideoFrame
from PIL import Image

from tests.support.picture_files import heic

SOUNDS = {
    ".wav": ("wav", "pcm_s16le", 16_000),
    ".mp3": ("mp3", "libmp3lame", 44_100),
    ".flac": ("flac", "flac", 44_100),
    ".ogg": ("ogg", "libopus", 48_000),
    ".oga": ("ogg", "flac", 44_100),
    ".m4a": ("mp4", "aac", 44_100),
    ".mka": ("matroska", "aac", 44_100),
}
VIDEOS = {
    ".mp4": ("mp4", "libx264", "yuv420p"),
    ".mkv": ("matroska", "ffv1", "bgr0"),
    ".mov": ("mov", "prores_ks", "yuv422p10le"),
}
PICTURES = {
    ".png": "PNG", ".jpg": "JPEG", ".webp": "WEBP", ".gif": "GIF", ".bmp": "BMP", ".tif": "TIFF", ".heic": "HEIC",
}  # fmt: skip
KINDS = dict.fromkeys(SOUNDS, "sound") | dict.fromkeys(VIDEOS, "video") | dict.fromkeys(PICTURES, "picture")
"""What reads a file, by its suffix."""


@cache
def sample(suffix: str) -> bytes:
    """A whole file of the kind."""
    return {"sound": _sound, "video": _video, "picture": _picture}[KINDS[suffix]](suffix)


def _sound(suffix: str) -> bytes:
    container, codec, rate = SOUNDS[suffix]
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream(codec, rate=rate, layout="mono")
        noise = np.random.default_rng(0).normal(0, 3000, (1, rate * 4 // 10)).astype(np.int16)
        frame = AudioFrame.from_ndarray(noise, format="s16", layout="mono")
        frame.sample_rate, frame.pts = rate, 0
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return file.getvalue()


def _video(suffix: str) -> bytes:
    container, codec, pixels = VIDEOS[suffix]
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream(codec, rate=Fraction(25))
        stream.width, stream.height, stream.pix_fmt = 64, 48, pixels
        for number in range(12):
            picture = np.random.default_rng(number).integers(0, 255, (48, 64, 3), np.uint8)
            output.mux(stream.encode(VideoFrame.from_ndarray(picture, format="rgb24")))
        output.mux(stream.encode(None))
    return file.getvalue()


def _picture(suffix: str) -> bytes:
    file = io.BytesIO()
    y, x = np.mgrid[0:32, 0:48]
    rgb = np.stack([x * 5, y * 7, x + y], -1).astype(np.uint8)
    if suffix == ".heic":
        return heic(rgb, quarter_turns=1)
    picture = Image.fromarray(rgb)
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    more = {"exif": exif} if suffix in (".jpg", ".png", ".webp") else {}
    picture.save(file, PICTURES[suffix], **more)
    return file.getvalue()

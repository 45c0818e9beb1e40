"""Picture files as phones and programs write them: HEIC, PNG with long texts, JPEG that was cut off."""

import io
import struct
import zlib

import av
import numpy as np
from PIL import Image

SIDE = 64
_X265 = "log-level=none:pools=none:frame-threads=1:bframes=0"


def box(name, *parts):
    """A box of an ISO file."""
    content = b"".join(parts)
    return struct.pack(">I", 8 + len(content)) + name + content


def meta(*boxes):
    """The items of a HEIC: the file up to its pixels."""
    handler = box(b"hdlr", bytes(8), b"pict", bytes(13))
    return box(b"ftyp", b"heic", bytes(4), b"mif1heic") + box(b"meta", bytes(4), handler, *boxes)


def heic(rgb, quarter_turns=0):
    """`rgb` as a HEIC of one item, to be turned by 90° against the clock so many times to be upright."""
    film = io.BytesIO()
    with av.open(film, "w", format="mp4") as output:
        stream = output.add_stream("libx265", rate=25, options={"x265-params": _X265})
        stream.height, stream.width, _ = rgb.shape
        stream.pix_fmt, stream.codec_tag = "yuv420p", "hvc1"
        output.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        output.mux(stream.encode(None))
    data = film.getvalue()
    with av.open(io.BytesIO(data), "r") as container:
        pixels = next(bytes(packet) for packet in container.demux() if packet.size)
    at = data.index(b"hvcC") - 4
    configuration = data[at : at + int.from_bytes(data[at : at + 4], "big")]
    properties = box(
        b"iprp",
        box(
            b"ipco",
            configuration,
            box(b"ispe", bytes(4), struct.pack(">II", rgb.shape[1], rgb.shape[0])),
            box(b"irot", bytes([quarter_turns])),
        ),
        box(b"ipma", bytes(4), struct.pack(">IHBBBB", 1, 1, 3, 0x81, 2, 3)),
    )

    def items(offset):
        return meta(
            box(b"pitm", bytes(4), struct.pack(">H", 1)),
            box(b"iloc", bytes(4), struct.pack(">BBHHHHII", 0x44, 0, 1, 1, 0, 1, offset, len(pixels))),
            box(
                b"iinf", bytes(4), struct.pack(">H", 1), box(b"infe", b"\2\0\0\0", struct.pack(">HH", 1, 0), b"hvc1\0")
            ),
            properties,
        )

    return items(len(items(0)) + 8) + box(b"mdat", pixels)


def chunk(name, content):
    """A chunk of a PNG."""
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(rgb, *before, after=()):
    """`rgb` as a PNG with more chunks `before` and `after` its pixels."""
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, "PNG")
    data = file.getvalue()
    end = data.index(b"IEND") - 4
    return data[:33] + b"".join(before) + data[33:end] + b"".join(after) + data[end:]


def exif(orientation):
    """EXIF data with an orientation."""
    data = Image.Exif()
    data[0x0112] = orientation
    return data.tobytes().removeprefix(b"Exif\0\0")


DEEP_GREY = {
    "whole.tiff": ([-40, 0, 1, 100, 255, 256, 70_000], np.int32, [0, 0, 1, 100, 255, 255, 255]),
    "floats.tiff": ([-40.0, 0.0, 0.99, 100.6, 255.0, 256.0, 7e4], np.float32, [0, 0, 0, 100, 255, 255, 255]),
    "fractions.tiff": ([0.0, 0.5, 1.0, 1.5], np.float32, [0, 0, 1, 1]),
    "sixteen.tiff": ([0, 128, 129, 256, 32_768, 65_535], np.uint16, [0, 0, 1, 1, 128, 255]),
    "sixteen.png": ([0, 128, 129, 256, 32_768, 65_535], np.uint16, [0, 0, 1, 1, 128, 255]),
    "sixteen.pgm": ([0, 128, 129, 256, 32_768, 65_535], np.uint16, [0, 0, 1, 1, 128, 255]),
}
"""Grey of more than 8 bits, by file: its numbers, their kind, and the levels that ComfyUI's LoadImage makes of them."""


def deep_grey(folder, name):
    """The file of that name in `DEEP_GREY`: its numbers, again and again. LoadImage fails on tiny ones of 16 bits."""
    numbers, kind, _ = DEEP_GREY[name]
    Image.fromarray(np.tile(np.array(numbers, kind), (32, 10))).save(folder / name)
    return folder / name


def gradient(width=SIDE, height=SIDE):
    """A picture whose corners differ."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 255 // width, y * 255 // height, (x + y) % 256], -1).astype(np.uint8)

"""JPEG files that take minutes to read: Pillow goes through their parts one by one, and libjpeg through every scan.

Source: ITU-T T.81, annex B.
"""

import re
import struct

from .byte_source import Content

MOST_PARTS = 10_000
"""Markers with data. A part has up to 64 KiB, so a file with so many has half a gigabyte before its pixels."""
MOST_SCANS = 50
"""Times that a decoder goes through all pixels. Progressive files have ten or twelve."""
MOST_READ_BYTES = 1 << 26

_MARKER = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])")
"""Not the zero behind a 0xFF of the pixels, and not the restart marks between them."""
_START, _END, _SCAN = 0xD8, 0xD9, 0xDA
_FILL = b"\xff" * (1 << 16)
"""More than anybody puts in front of a marker, and Pillow reads them one by one."""


def fault(content: Content) -> str:
    """What makes a JPEG too slow to read; nothing for others."""
    if content.read_at(0, 3) != b"\xff\xd8\xff":
        return ""
    data = content.read_at(0, MOST_READ_BYTES)
    if _FILL in data:
        return "it has long runs of fill bytes"
    parts = scans = at = 0
    while found := _MARKER.search(data, at):
        kind, at = found[1][0], found.end()
        if kind == _END:
            break
        if kind in (0x01, _START):
            continue
        parts, scans = parts + 1, scans + (kind == _SCAN)
        if parts > MOST_PARTS:
            return f"it has more than {MOST_PARTS:,} parts"
        if scans > MOST_SCANS:
            return f"it has more than {MOST_SCANS} scans"
        at += max(2, struct.unpack_from(">H", data, at)[0]) if at + 2 <= len(data) else 2
    return ""

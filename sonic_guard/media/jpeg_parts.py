"""Detects JPEG files that take minutes to decode: Pillow reads their segments one by one, and libjpeg every scan.

Source: ITU-T T.81, annex B.
"""

import re
import struct

from .byte_source import Content

MAX_PARTS = 10_000
"""Most segments (markers with data). A segment has up to 64 KiB; ordinary files have some dozens."""
MAX_SCANS = 50
"""Most scans, each of which goes over all pixels. Progressive files have ten or twelve."""
MAX_READ_BYTES = 1 << 26
"""Bytes of the file that are searched for markers."""

_MARKER = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])")
"""Without the stuffed zero after a 0xFF in the pixel data, and without restart markers (0xD0 … 0xD7)."""
_START, _END, _SCAN = 0xD8, 0xD9, 0xDA
_FILL = b"\xff" * (1 << 16)
"""More fill bytes than any encoder writes before a marker; Pillow reads them one by one."""


def fault(content: Content) -> str:
    """What makes a JPEG too slow to decode, for an error message; empty for other files and for harmless ones."""
    if content.read_at(0, 3) != b"\xff\xd8\xff":
        return ""
    data = content.read_at(0, MAX_READ_BYTES)
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
        if parts > MAX_PARTS:
            return f"it has more than {MAX_PARTS:,} parts"
        if scans > MAX_SCANS:
            return f"it has more than {MAX_SCANS} scans"
        at += max(2, struct.unpack_from(">H", data, at)[0]) if at + 2 <= len(data) else 2
    return ""

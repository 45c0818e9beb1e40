"""Sizes in WAV, AVI and AIFF files that no file can have.

libav takes as much memory as a chunk of text says it is long before it reads the first letter: nine kilobytes that
claim to be two gigabytes cost two gigabytes.

Sources: the RIFF and AIFF specifications; RF64 and its 64-bit sizes in EBU Tech 3306.
"""

import struct

from .byte_source import Content

MOST_EXCESS_BYTES = 1 << 24
"""By how much a chunk may be longer than what is left of the file: recordings that were cut off are common."""
MOST_CHUNKS = 1000
"""Chunks looked at, those in lists included."""

_CONTENT = {b"data", b"SSND", b"movi", b"idx1"}
"""Chunks that libav reads piece by piece. In a recording that was cut off, or never finished, they claim too much."""

_UNKNOWN = {0, 0xFFFF_FFFF}
"""Sizes of what was never finished, and of what an RF64 gives in 64 bits elsewhere."""


def fault(content: Content) -> str:
    """What is wrong with the sizes in a file; nothing where they are possible, or it is of another kind."""
    match content.read_at(0, 4):
        case b"RIFF" | b"RF64" | b"BW64":
            order = "<"
        case b"FORM" | b"RIFX":
            order = ">"
        case _:
            return ""
    offset = 12
    for _ in range(MOST_CHUNKS):
        head = content.read_at(offset, 12)
        if len(head) < 8:
            return ""
        name, size = head[:4], struct.unpack(f"{order}I", head[4:8])[0]
        inside = head[8:12] if name == b"LIST" else b""
        if name in _CONTENT or inside in _CONTENT:
            if size in _UNKNOWN or offset + 8 + size > content.size:
                return ""  # whatever follows is not found by libav either
        elif offset + 8 + size > content.size + MOST_EXCESS_BYTES:
            return f"its chunk {name.decode('latin-1')!a} claims {size} bytes, and the file has {content.size}"
        offset += 12 if inside == b"INFO" else 8 + size + size % 2
    return ""

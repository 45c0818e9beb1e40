"""Detects impossible chunk sizes in WAV, AVI and AIFF files.

libav allocates the claimed length of a text chunk before it reads the chunk: a file of nine kilobytes can cost two
gigabytes.

Sources: the RIFF and AIFF specifications; RF64 and its 64-bit sizes in EBU Tech 3306.
"""

import struct

from .byte_source import Content

MAX_EXCESS_BYTES = 1 << 24
"""Bytes by which a chunk may exceed the rest of the file: truncated recordings are common."""
MAX_CHUNKS = 1000
"""Most chunks checked, those in lists included."""

_CONTENT = {b"data", b"SSND", b"movi", b"idx1"}
"""Chunks that libav reads in blocks. In a truncated or unfinished recording their size is too large."""

_UNKNOWN = {0, 0xFFFF_FFFF}
"""Sizes in unfinished recordings, and in RF64 files, which have the 64-bit size elsewhere."""


def fault(content: Content) -> str:
    """What is wrong with the chunk sizes, for an error message; empty if they are possible, or for other files."""
    match content.read_at(0, 4):
        case b"RIFF" | b"RF64" | b"BW64":
            order = "<"
        case b"FORM" | b"RIFX":
            order = ">"
        case _:
            return ""
    offset = 12
    for _ in range(MAX_CHUNKS):
        head = content.read_at(offset, 12)
        if len(head) < 8:
            return ""
        name, size = head[:4], struct.unpack(f"{order}I", head[4:8])[0]
        inside = head[8:12] if name == b"LIST" else b""
        if name in _CONTENT or inside in _CONTENT:
            if size in _UNKNOWN or offset + 8 + size > content.size:
                return ""  # libav does not find the chunks that follow either
        elif offset + 8 + size > content.size + MAX_EXCESS_BYTES:
            return f"its chunk {name.decode('latin-1')!a} claims {size} bytes, and the file has {content.size}"
        offset += 12 if inside == b"INFO" else 8 + size + size % 2
    return ""

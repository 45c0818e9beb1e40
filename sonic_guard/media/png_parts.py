"""Leaves texts and colour profiles out of a PNG, and puts its EXIF data before its pixels.

Both may be compressed a thousandfold. Pillow refuses a file whose texts have more than a mebibyte, though ComfyUI reads
it; libav decompresses them without a limit. Neither decides a pixel here.

Source: the PNG specification, third edition: chunks (5.3), texts (11.3.3), iCCP (11.3.2.3), eXIf (11.3.3.7).
"""

from .byte_source import Content, Excerpt, Section

MAX_CHUNKS = 1_000_000
"""Most chunks that are looked at; the rest of the file is taken as it is. Encoders write 8 KiB of pixels in a chunk."""

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_LEFT_OUT = (*_TEXTS, b"iCCP")
_EXIF_IN_TEXT = b"Raw profile type exif\0"
"""ImageMagick's way to store EXIF data; Pillow and libav turn a picture by it."""
_MAX_EXIF_BYTES = 1 << 16


def pixels_only(content: Content) -> Content:
    """`content` without what is left out; other files as they are."""
    if content.read_at(0, len(_SIGNATURE)) != _SIGNATURE:
        return content
    before: list[Section] = []
    pixels: list[Section] = []
    at = len(_SIGNATURE)
    for _ in range(MAX_CHUNKS):
        head = content.read_at(at, 8)
        name, size = head[4:], 12 + int.from_bytes(head[:4], "big")
        if len(head) < 8 or not name.isalpha() or name == b"IEND":
            break
        exif = name == b"eXIf" or (name in _TEXTS and _is_exif(content, at, size))
        if exif or name not in _LEFT_OUT:
            chunks = pixels if name in (b"IDAT", b"fdAT") or (pixels and not exif) else before
            chunks.append(Section(at, min(size, content.size - at)))
        at += size
    rest = Section(at, max(0, content.size - at))
    return Excerpt(content, _joined([Section(0, len(_SIGNATURE)), *before, *pixels, rest]))


def _is_exif(content: Content, at: int, size: int) -> bool:
    return size <= _MAX_EXIF_BYTES and content.read_at(at + 8, len(_EXIF_IN_TEXT)) == _EXIF_IN_TEXT


def _joined(sections: list[Section]) -> list[Section]:
    """`sections` with neighbours as one, so that a reader gets long blocks."""
    joined = sections[:1]
    for section in sections[1:]:
        last = joined[-1]
        if section.start == last.start + last.size:
            joined[-1] = last._replace(size=last.size + section.size)
        else:
            joined.append(section)
    return joined

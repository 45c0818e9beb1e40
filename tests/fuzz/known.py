"""Findings that are known and not mended yet: counted, not failed. An entry goes when its fault is mended.

With none left this file goes, and so do the calls of `known` and `known_answer`.
"""

import traceback
from typing import NamedTuple

from tests.real import PACK


class Known(NamedTuple):
    """A fault by where it shows: the innermost line of the pack."""

    name: str
    file: str
    function: str


FINDINGS = (
    Known("a word that is no text, or has a megabyte", "nodes/inputs.py", "one_of"),
    Known("a preset's name that is no text", "sonic_guard/presets.py", "_is_name"),
    Known("a preset's name that has a megabyte", "sonic_guard/presets.py", "load_preset"),
    Known("a reserve that is no number", "sonic_guard/vram/cards.py", "less_reserve"),
    Known("a card's name that has a megabyte", "sonic_guard/vram/cards.py", "find_card"),
    Known("an amount of thousands of digits", "sonic_guard/vram/budget.py", "_gib"),
    Known("crf or encoder_preset of another kind", "sonic_guard/media/video.py", "__post_init__"),
)


def known(error: BaseException) -> str | None:
    """The name of the finding that `error` is; None for a new one."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _of_the_pack(frame.filename)]
    for finding in FINDINGS:
        if frames and frames[-1].filename.endswith(finding.file) and frames[-1].name == finding.function:
            return f"known: {finding.name}"
    return None


def known_answer(request: dict[str, object]) -> str | None:
    """The name of the finding that an answer of 5xx is; None for a new one."""
    headers = request.get("headers")
    if isinstance(headers, dict) and headers.get("Content-Encoding"):
        return "known: a body that cannot be unpacked"
    return None


def known_file(said: str) -> str | None:
    """The name of the finding that a damaged file ended with; None for a new one."""
    if said.startswith("RAISED UnicodeDecodeError at videofile.py"):
        return "known: a video's tags in another encoding"
    return None


def _of_the_pack(file: str) -> bool:
    return file.startswith((str(PACK / "nodes"), str(PACK / "sonic_guard")))

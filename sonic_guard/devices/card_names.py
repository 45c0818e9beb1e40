"""Reads the name of a graphics card as people copy it: from a box, a shop, a driver, ComfyUI's log or nvidia-smi."""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

_IGNORED_WORDS = frozenset(
    ("gpu", "graphics", "card", "series", "generation", "workstation", "server", "edition", "memory", "unified", "vram",
     "pcie", "oam", "ac", "design", "modified", "moded", "zluda",
     # makers of boards, and their words for them
     "asus", "tuf", "rog", "strix", "msi", "gigabyte", "aorus", "zotac", "evga", "pny", "palit", "gainward", "galax",
     "colorful", "sapphire", "powercolor", "xfx", "asrock", "founders", "fe", "gaming", "oc", "trio", "ventus", "eagle",
     "windforce", "dual", "twin", "edge", "nitro", "pulse", "lhr")
)  # fmt: skip
"""Words that drivers and shops add to any card's name."""

_CLUTTER = re.compile(
    r"""
    ^.*\bdevice:                                      # before the name in ComfyUI's log
    | \bcuda(?::\d+|\ \d+:)                           # its number there
    | :\s*(?:cudamallocasync|native|backend:\w+)\s*$  # the allocator behind it
    | ^\s*gpu\s*\#?\d+:?                              # the number in nvidia-smi and in the task manager
    | \(uuid:[^)]*\)
    | [®™] | \((?:r|tm|c)\)
    | \bsxm\d?\b | \bhbm\d?e?\b | \bgddr\d?x?\b
    """,
    re.VERBOSE,
)
_MAC = re.compile(r"\bmac ?book(?: ?(?:air|pro))?\b|\bmac ?(?:studio|mini|pro)\b|\bimac\b")
_OF_A_MAC = re.compile(r"\b\d+(?:\.\d)?(?:[ -]?inch\b|\s?[\"″])|\b\d+[ -]core\b|\bcpu\b|\b20[12]\d\b")
"""The size of its screen, the number of its cores, its year."""
_LAPTOP = re.compile(r"\b(?:laptop|mobile|notebook)\b")
_MAX_Q = re.compile(r"\b(?:with )?max-?q\b")
_SLICE = re.compile(r"\bmig\s+(?:(\d)c\.)?(\d)g\.(\d+)gb(?:\+[a-z.]+)*")
_SIZE = re.compile(r"(?<![a-z0-9.])(\d+(?:\.\d+)?) ?(gib|gb|g|mib|mb)\b")


class Slice(NamedTuple):
    """A part of a card that is divided by NVIDIA's MIG."""

    profile: str
    """Its name, "3g.20gb"."""
    compute: int
    """Compute slices."""
    memory_gib: int


class Reading(NamedTuple):
    """The name of a card, taken apart."""

    words: frozenset[str]
    """What distinguishes it from other cards; letters and digits are separate words."""
    memory_gib: float | None = None
    """Its memory, where it is given; figures in MB are MiB, as drivers mean them."""
    slice: Slice | None = None
    max_q: bool = False
    """Whether all that says "laptop" is "Max-Q", which is also the name of an economical card for desktops."""

    def others(self) -> Iterator[frozenset[str]]:
        """The words in the other ways in which they may be meant, most likely first."""
        if "s" in self.words:  # 1660S
            yield self.words - {"s"} | {"super"}
        if "tis" in self.words:  # 4070 TiS
            yield self.words - {"tis"} | {"ti", "super"}
        if self.max_q:
            yield self.words - {"laptop"}
        yield self.words | {"laptop"}  # some drivers leave it out where no card for desktops has the name


@lru_cache(maxsize=1024)
def read_name(text: str) -> Reading:
    """`text` as the words that tell cards apart, the memory, and a slice of MIG; case and order have no meaning."""
    text = _CLUTTER.sub(" ", text.lower())
    text, macs = _MAC.subn(" ", text)
    if macs:
        text = _OF_A_MAC.sub(" ", text)
    text, laptops = _LAPTOP.subn(" laptop ", text)
    text, max_qs = _MAX_Q.subn(" laptop ", text)
    part = _SLICE.search(text)
    text = _SLICE.sub(" ", text)
    size = _SIZE.search(text)
    words = frozenset(re.findall(r"\d+|[a-z]+", _SIZE.sub(" ", text))) - _IGNORED_WORDS
    return Reading(words, size and _gib(*size.groups()), part and _slice(part), bool(max_qs) and not laptops)


def _gib(amount: str, unit: str) -> float:
    return float(amount) / (1024 if unit.startswith("m") else 1)


def _slice(found: re.Match[str]) -> Slice:
    instance, of, memory = found.groups()
    profile = f"{f'{instance}c.' if instance else ''}{of}g.{memory}gb"
    return Slice(profile, int(instance or of), int(memory))

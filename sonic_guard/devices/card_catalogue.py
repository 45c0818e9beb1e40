"""A catalogue of graphics cards, for planning on a machine other than this one.

The data is in ``cards.json``, with the nominal memory, of which programs can use a little less (an RTX 4090 has
23.99 GiB, an H100 79.6). The budget's reserve covers that difference; if it is larger, because of error correction or
unified memory, the family has a `usable_share`.
"""

import difflib
import json
import re
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

from ..errors import BudgetError, brief

GIB = 1 << 30
"""Bytes in a GiB."""
MAX_RESERVE = 0.9
"""Upper limit (exclusive) of the reserve, as a share of the memory."""
MAX_CARD_NAME = 200
"""Longest accepted name of a card in characters."""

_CATALOGUE = Path(__file__).with_name("cards.json")

_OPTIONAL_WORDS = {
    "NVIDIA": {"nvidia", "geforce", "rtx", "gtx", "tesla", "turing", "ampere", "lovelace", "hopper", "blackwell"},
    "AMD": {"amd", "radeon", "rx", "pro", "ai", "instinct"},
    "Intel": {"intel", "arc", "pro"},
    "Apple": {"apple"},
}
"""Words that may be omitted: "4090" and "NVIDIA GeForce RTX 4090" are the same card."""

_IGNORED_WORDS = frozenset(
    {"gpu", "graphics", "card", "series", "generation", "workstation", "server", "edition", "memory", "pcie"}
)
"""Words that drivers and shops add to any card's name."""

_MEMORY = re.compile(r"(?<![a-z0-9.])(\d+) ?(?:gib|gb|g)\b")
_LAPTOP = re.compile(r"laptop|mobile|notebook|with max-?q(?: design)?|max-?q")
_CLUTTER = re.compile(r"[®™]|\((?:r|tm|c)\)|\bsxm\d?\b|\bhbm\d?e?\b")


@dataclass(frozen=True)
class Card:
    """A graphics card in one of its memory sizes."""

    name: str
    """Model without vendor and memory: "RTX 3060", "RX 7900 XT", "M2 Max"."""
    memory_gib: int
    """Nominal memory; for Apple, the machine's whole memory."""
    vendor: str
    """NVIDIA, AMD, Intel or Apple."""
    architecture: str
    """The vendor's generation, such as "Ampere" or "RDNA 3"."""
    kind: str
    """desktop, laptop, workstation, data centre or unified (memory shared with the CPU)."""
    bf16: bool
    """Whether ComfyUI runs its VAE in bf16; otherwise in fp32, which needs twice the memory."""
    usable_share: float = 1.0
    """Share of `memory_gib` that programs can allocate."""
    yardstick: bool = False
    """Whether it is the reference card for its memory size: a well-known consumer card."""

    @property
    def title(self) -> str:
        """Unique name in the catalogue: "RTX 3060 12GB"."""
        return f"{self.name} {self.memory_gib}GB"

    @property
    def laptop(self) -> bool:
        """Whether it is a laptop's card."""
        return self.kind == "laptop"

    @property
    def total_bytes(self) -> int:
        """Most bytes that programs can allocate."""
        return int(self.memory_gib * GIB * self.usable_share)


@cache
def all_cards() -> tuple[Card, ...]:
    """Every card in every memory size, in the order of the catalogue."""
    data = json.loads(_CATALOGUE.read_text(encoding="utf-8"))
    yardsticks = frozenset(data["yardsticks"])
    return tuple(
        Card(
            name=name,
            memory_gib=gib,
            vendor=family["vendor"],
            architecture=family["architecture"],
            kind=family["kind"],
            bf16=family["bf16"],
            usable_share=family.get("usable_share", 1.0),
            yardstick=f"{name} {gib}GB" in yardsticks,
        )
        for family in data["families"]
        for name, sizes in family["cards"].items()
        for gib in sizes
    )


def find_card(text: str) -> Card:
    """The card with the name `text`, as users ("rtx3060 12g"), shops or drivers write it.

    Case, order, spaces and the vendor's words are ignored; "laptop", "Ti" and "SUPER" are not. For a card sold with
    several memory sizes the size is required, because a prediction for the wrong one would mislead.

    Raises `BudgetError` with similar names for an unknown card, and with the sizes for an ambiguous one.
    """
    if len(text) > MAX_CARD_NAME:
        raise BudgetError(f"card: {brief(text)} is too long for a card's name. A number of GiB works too, such as 12.")
    words, memory_gib = _read(text)
    models = [card for card in all_cards() if (words ^ _read(card.name)[0]) <= _OPTIONAL_WORDS[card.vendor]]
    if not words or not models:
        raise BudgetError(_unknown(text, words))
    fitting = [card for card in models if memory_gib in (None, card.memory_gib)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise BudgetError(f"card: {brief(text)} comes in several sizes. Say which: {_titles(models)}.")
    raise BudgetError(f"card: there is no {models[0].name} with {memory_gib} GB. It comes as: {_titles(models)}.")


def smallest_card_for(needed_bytes: int, reserve: float = 0.10) -> Card | None:
    """The smallest reference card (NVIDIA, desktop, with bf16) that holds `needed_bytes` in addition to the reserve.

    None if even the largest, 32 GB, is too small. Raises `BudgetError` for an invalid reserve.
    """
    yardsticks = (card for card in all_cards() if card.yardstick)
    fitting = (card for card in yardsticks if less_reserve(card.total_bytes, reserve) >= needed_bytes)
    return min(fitting, key=lambda card: card.memory_gib, default=None)


def less_reserve(available_bytes: int, reserve: float) -> int:
    """Bytes that a run may use of `available_bytes`, minus the share `reserve` (0 ≤ reserve < 0.9).

    Raises `BudgetError` for any other reserve.
    """
    if isinstance(reserve, bool) or not isinstance(reserve, (int, float)) or not 0 <= reserve < MAX_RESERVE:
        raise BudgetError(f"reserve: {brief(reserve)} is not usable. Give a part from 0 up to, but not including, 0.9.")
    return int(available_bytes * (1 - reserve))


@lru_cache(maxsize=1024)
def _read(text: str) -> tuple[frozenset[str], int | None]:
    """The words that distinguish cards (letters and digits separated), and the memory in GB if it is given."""
    text = _LAPTOP.sub(" laptop ", _CLUTTER.sub(" ", text.lower()))
    memory = _MEMORY.search(text)
    words = re.findall(r"\d+|[a-z]+", _MEMORY.sub(" ", text))
    return frozenset(words) - _IGNORED_WORDS, int(memory[1]) if memory else None


def _unknown(text: str, words: frozenset[str]) -> str:
    names = {card.name.lower(): card.name for card in all_cards()}
    longer = [name for name in names if words and words <= _read(name)[0]]
    similar = difflib.get_close_matches(" ".join(text.lower().split()), names, n=4, cutoff=0.5)
    close = [names[key] for key in dict.fromkeys(longer + similar)][:4]
    hint = f"Close: {', '.join(close)}. " if close else ""
    known = f"card: {brief(text)} is not in the catalogue."
    return f"{known} {hint}A number works too: the card's memory in GiB, such as 12."


def _titles(cards: list[Card]) -> str:
    return " or ".join(card.title for card in cards)

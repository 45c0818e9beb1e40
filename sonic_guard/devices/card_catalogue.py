"""A catalogue of graphics cards, for planning on a machine other than this one.

The data is in ``cards.json``, with the nominal memory, of which programs can use a little less (an RTX 4090 has
23.99 GiB, an H100 79.6). The budget's reserve covers that difference; if it is larger, because of error correction or
unified memory, the family has a `usable_share`.
"""

import difflib
import json
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import BudgetError, brief
from .card_names import Reading, Slice, read_name

GIB = 1 << 30
"""Bytes in a GiB."""
MAX_RESERVE = 0.9
"""Upper limit (exclusive) of the reserve, as a share of the memory."""
MAX_CARD_NAME = 200
"""Longest accepted name of a card in characters."""

_FILE = Path(__file__).with_name("cards.json")

_OPTIONAL_WORDS = {
    "NVIDIA": {"nvidia", "geforce", "rtx", "gtx", "tesla", "turing", "ampere", "lovelace", "hopper", "blackwell"},
    "AMD": {"amd", "radeon", "rx", "pro", "ai", "instinct"},
    "Apple": {"apple", "silicon"},
}
"""Words that may be omitted: "4090" and "NVIDIA GeForce RTX 4090" are the same card."""
_LESS, _MORE = 0.90, 1.074
"""A size so near to a nominal one means that one: error correction takes a sixteenth, and GB are 10**9 bytes."""
_MODIFIED_KINDS = ("desktop", "workstation")
_MOST_MODIFIED = 4
"""Most memory of a modified card, in sizes it is sold with: twice the chips of twice the size. Nobody takes any off."""
_SLICE_SHARE = 0.95
"""Part of the nominal memory that a slice of MIG has: 4,864 MiB of 5 GB."""


class Speed(NamedTuple):
    """Published figures of a card that decide how long a run takes."""

    fp16_tflops: float
    """Dense, with accumulation in fp32."""
    fp32_tflops: float
    gbps: float
    """Memory bandwidth in 10**9 bytes a second."""
    like_measured: bool = True
    """Whether torch runs the same kernels on it as on the card whose time was measured: NVIDIA, from Ampere on."""


@dataclass(frozen=True)
class Card:
    """A graphics card in one of its memory sizes."""

    name: str
    """Model without vendor and memory: "RTX 3060", "RX 7900 XT", "M2 Max"."""
    memory_gib: int
    """Nominal memory; for Apple, the machine's whole memory."""
    vendor: str
    """NVIDIA, AMD or Apple."""
    architecture: str
    """The vendor's generation, such as "Ampere" or "RDNA 3"."""
    kind: str
    """desktop, laptop, workstation, data centre or unified (memory shared with the CPU)."""
    bf16: bool
    """Whether ComfyUI, as it is now, runs its VAE in bf16; otherwise in fp32, which needs twice the memory."""
    speed: Speed
    usable_share: float = 1.0
    """Share of `memory_gib` that programs can allocate."""
    yardstick: bool = False
    """Whether it is the reference card for its memory size: a well-known consumer card."""
    modified: bool = False
    """Whether it has another memory size than it is sold with. Everything else is its chip's."""
    slice_of: str = ""
    """Of a slice of MIG: the title of the whole card."""

    @property
    def title(self) -> str:
        """Unique name, by which `find_card` finds it: "RTX 3060 12GB", "RTX 2080 Ti 22GB (modified)"."""
        if self.slice_of:
            return f"{self.slice_of} {self.name}"
        return f"{self.name} {self.memory_gib}GB{' (modified)' if self.modified else ''}"

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
    """Every card in every memory size it is sold with, in the order of the catalogue."""
    yardsticks = frozenset(_data()["yardsticks"])
    return tuple(
        Card(
            name=name,
            memory_gib=gib,
            vendor=family["vendor"],
            architecture=family["architecture"],
            kind=family["kind"],
            bf16=family["bf16"],
            speed=Speed(tflops, tflops / family["fp16_to_fp32"], gbps, family["vendor"] == "NVIDIA" and family["bf16"]),
            usable_share=family.get("usable_share", 1.0),
            yardstick=f"{name} {gib}GB" in yardsticks,
        )
        for family in _data()["families"]
        for name, sizes in family["cards"].items()
        for gib, tflops, gbps in sizes
    )


def menu_cards() -> tuple[Card, ...]:
    """The best-known cards, about thirty: desktop, laptop, AMD, Apple, servers; in each of them the newest first."""
    known = {card.title: card for card in all_cards()}
    return tuple(known[title] for title in _data()["menu"])


def find_card(text: str) -> Card:
    """The card with the name `text`, as users ("rtx3060 12g"), shops, drivers or ComfyUI's log write it.

    Case, order, spaces and the vendor's words are ignored; "laptop", "Ti" and "SUPER" are not. For a card sold with
    several memory sizes the size is required, because a prediction for the wrong one would mislead. A card for desktops
    with a size it is not sold with is a modified one. The name of a slice of MIG gives the slice.

    Raises `BudgetError` with similar names for an unknown card, with the sizes for an ambiguous one, and with the
    reason for one on which the wrapper cannot run.
    """
    if len(text) > MAX_CARD_NAME:
        raise BudgetError(f"card: {brief(text)} is too long for a card's name. A number of GiB works too, such as 12.")
    reading = read_name(text)
    models = _models(reading)
    if not models:
        raise BudgetError(_unusable(text, reading) or _unknown(text, reading))
    card = _in_size(text, models, reading.memory_gib)
    return _sliced(text, card, reading.slice) if reading.slice else card


@lru_cache(maxsize=64)
def card_of_device(name: str, total_bytes: int) -> Card | None:
    """The card that a driver calls `name`, in the size nearest to its memory; None where the catalogue has none."""
    for text in (f"{name}, {total_bytes >> 20} MiB", name):
        try:
            return find_card(text)
        except BudgetError:  # a name of several sizes, or the memory of a part of the card
            continue
    return None


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


@cache
def _data() -> dict[str, Any]:
    return json.loads(_FILE.read_text(encoding="utf-8"))


class _Name(NamedTuple):
    """What a card is called, its own name or an alias."""

    words: frozenset[str]
    card: str
    optional: set[str]


@cache
def _names() -> tuple[_Name, ...]:
    makers = {card.name: card.vendor for card in all_cards()}
    called = [*((name, name) for name in makers), *_data()["aliases"].items()]
    return tuple(_Name(read_name(name).words, card, _OPTIONAL_WORDS[makers[card]]) for name, card in called)


def _models(reading: Reading) -> list[Card]:
    """The sizes of the card that is meant; empty if there is none."""
    for words in filter(None, (reading.words, *reading.others())):
        found = {name.card for name in _names() if words ^ name.words <= name.optional}
        if found:
            return [card for card in all_cards() if card.name in found]
    return []


def _in_size(text: str, models: list[Card], gib: float | None) -> Card:
    fitting = [card for card in models if gib in (None, card.memory_gib)]
    if len(fitting) == 1:
        return fitting[0]
    if gib is None:
        raise BudgetError(f"card: {brief(text)} comes in several sizes. Say which: {_titles(models)}.")
    near = min(models, key=lambda card: abs(card.memory_gib - gib))
    if _LESS * near.memory_gib <= gib <= _MORE * near.memory_gib:
        return near
    laptops = [card for card in all_cards() if card.name == f"{near.name} Laptop" and card.memory_gib == round(gib)]
    modified = None if laptops else _modified(models, round(gib))
    if modified is None:
        raise BudgetError(f"card: there is no {near.name} with {gib:g} GB. It comes as: {_titles(models + laptops)}.")
    return modified


def _modified(models: list[Card], gib: int) -> Card | None:
    """The chip with `gib` of memory; None where nobody changes it, or to such a size."""
    sizes = [card.memory_gib for card in models]
    if models[0].kind not in _MODIFIED_KINDS or not min(sizes) <= gib <= _MOST_MODIFIED * max(sizes):
        return None
    base = max(models, key=lambda card: (gib % card.memory_gib == 0, card.memory_gib))
    return replace(base, memory_gib=gib, yardstick=False, modified=True)


def _sliced(text: str, card: Card, part: Slice) -> Card:
    """A slice of `card`: the bandwidth is divided like the memory, the multiprocessors by their own number."""
    slices = _data()["mig"].get(card.name, 0)
    if not 1 <= part.compute <= slices or not 1 <= part.memory_gib <= card.memory_gib:
        raise BudgetError(f"card: {brief(text)} does not exist; {card.title} has {slices or 'no'} slices.")
    compute, memory = part.compute / slices, part.memory_gib / card.memory_gib
    return replace(
        card,
        name=f"MIG {part.profile}",
        memory_gib=part.memory_gib,
        speed=card.speed._replace(
            fp16_tflops=card.speed.fp16_tflops * compute,
            fp32_tflops=card.speed.fp32_tflops * compute,
            gbps=card.speed.gbps * memory,
        ),
        usable_share=_SLICE_SHARE,
        slice_of=card.title,
    )


def _unusable(text: str, reading: Reading) -> str | None:
    """Why Sonic cannot run on a GPU; None if nothing is known against it."""
    for maker, names in _data()["unusable"].items():
        if any(read_name(name).words <= reading.words for name in names):
            return (
                f"card: {brief(text)} cannot run Sonic. Sonic's wrapper runs on CUDA or ROCm (NVIDIA, AMD), on MPS "
                f"(Apple) or on the CPU only, not on GPUs of {maker}."
            )
    return None


def _unknown(text: str, reading: Reading) -> str:
    words, names = reading.words, {card.name.lower(): card.name for card in all_cards()}
    longer = [name for name in names if words and words <= read_name(name).words]
    similar = difflib.get_close_matches(" ".join(text.lower().split()), names, n=4, cutoff=0.5)
    close = [names[key] for key in dict.fromkeys(longer + similar)][:4]
    hint = f"Close: {', '.join(close)}. " if close else ""
    known = f"card: {brief(text)} is not in the catalogue."
    return f"{known} {hint}A number works too: the card's memory in GiB, such as 12."


def _titles(cards: list[Card]) -> str:
    return " or ".join(card.title for card in cards)

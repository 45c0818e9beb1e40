"""The catalogue of cards, and how people write their names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sonic_guard.devices.card_catalogue import all_cards, find_card, less_reserve, smallest_card_for
from sonic_guard.errors import BudgetError

GIB = 1 << 30
MAKERS_WORDS = {"NVIDIA": "NVIDIA GeForce", "AMD": "AMD Radeon", "Intel": "Intel(R) Arc(TM)", "Apple": "Apple"}


def test_every_title_is_unique():
    titles = [card.title for card in all_cards()]
    assert len(titles) == len(set(titles)) > 250


def test_every_card_is_found_by_its_title_however_it_is_written():
    for card in all_cards():
        assert find_card(card.title) == card
        assert find_card(card.title.lower().replace(" ", "-")) == card
        assert find_card(f"{MAKERS_WORDS[card.vendor]} {card.name} ({card.memory_gib} GB)") == card


def test_every_card_has_a_sensible_entry():
    for card in all_cards():
        assert 2 <= card.memory_gib <= 512, card
        assert 0.5 <= card.usable_share <= 1, card
        assert 0 < card.total_bytes <= card.memory_gib * GIB, card
        assert card.kind in {"desktop", "laptop", "workstation", "data centre", "unified"}, card
        assert card.laptop == (card.kind == "laptop"), card
        assert (card.kind == "unified") == (card.vendor == "Apple"), card


@pytest.mark.parametrize(
    ("series", "count"),
    [("GTX 10", 9), ("GTX 16", 8), ("RTX 20", 11), ("RTX 30", 16), ("RTX 40", 16), ("RTX 50", 14)],
)
def test_the_geforce_series_are_there_with_their_laptops(series, count):
    models = {card.name for card in all_cards() if card.name.startswith(series) and card.kind in {"desktop", "laptop"}}
    laptops = {name for name in models if name.endswith("Laptop")}
    assert len(models) >= count
    assert laptops and laptops != models


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("rtx3060 12gb", "RTX 3060 12GB"),
        ("RTX3060Ti", "RTX 3060 Ti 8GB"),
        ("3060 12G", "RTX 3060 12GB"),
        ("4090", "RTX 4090 24GB"),
        ("4090 laptop", "RTX 4090 Laptop 16GB"),
        ("RTX 4090 D", "RTX 4090 D 24GB"),
        ("4070 ti super", "RTX 4070 Ti SUPER 16GB"),
        ("NVIDIA GeForce RTX 3060 Laptop GPU", "RTX 3060 Laptop 6GB"),
        ("GeForce® RTX™ 5090 Laptop GPU", "RTX 5090 Laptop 24GB"),
        ("GeForce RTX 2080 with Max-Q Design", "RTX 2080 Laptop 8GB"),
        ("NVIDIA TITAN RTX", "TITAN RTX 24GB"),
        ("NVIDIA RTX A6000", "RTX A6000 48GB"),
        ("NVIDIA RTX 6000 Ada Generation", "RTX 6000 Ada 48GB"),
        ("NVIDIA RTX PRO 6000 Blackwell Workstation Edition", "RTX PRO 6000 96GB"),
        ("NVIDIA A100-SXM4-80GB", "A100 80GB"),
        ("NVIDIA A100 80GB PCIe", "A100 80GB"),
        ("NVIDIA H100 80GB HBM3", "H100 80GB"),
        ("NVIDIA H100 PCIe", "H100 80GB"),
        ("Tesla V100-SXM2-16GB", "Tesla V100 16GB"),
        ("T4", "Tesla T4 16GB"),
        ("A10G", "A10G 24GB"),
        ("AMD Radeon RX 7900 XTX", "RX 7900 XTX 24GB"),
        ("rx7900xt", "RX 7900 XT 20GB"),
        ("AMD Radeon PRO W7900", "Radeon Pro W7900 48GB"),
        ("AMD Instinct MI300X", "Instinct MI300X 192GB"),
        ("Intel(R) Arc(TM) B580 Graphics", "Arc B580 12GB"),
        ("Apple M2 Max 96 GB", "M2 Max 96GB"),
    ],
)
def test_names_are_understood_as_people_shops_and_drivers_write_them(text, title):
    assert find_card(text).title == title


@pytest.mark.parametrize(
    ("text", "sizes"),
    [
        ("RTX 3060", "RTX 3060 8GB or RTX 3060 12GB"),
        ("3080 laptop", "RTX 3080 Laptop 8GB or RTX 3080 Laptop 16GB"),
        ("RTX 3060 24GB", "no RTX 3060 with 24 GB.*RTX 3060 8GB or RTX 3060 12GB"),
        ("Apple M1 Max", "M1 Max 32GB or M1 Max 64GB"),
    ],
)
def test_a_card_of_several_sizes_needs_its_size(text, sizes):
    with pytest.raises(BudgetError, match=sizes):
        find_card(text)


@pytest.mark.parametrize("text", ["", "GeForce", "8GB", "RTX 9070", "RTX 4090 Ti", "RX 3060", "4090 4080", "potato"])
def test_what_is_not_a_card_is_refused(text):
    with pytest.raises(BudgetError, match="not in the catalogue"):
        find_card(text)


@given(st.text(max_size=60))
def test_any_text_is_a_card_or_a_clear_error(text):
    try:
        assert find_card(text) in all_cards()
    except BudgetError as error:
        assert str(error).startswith("card: ")


@pytest.mark.parametrize(
    ("title", "bf16"),
    [
        ("GTX 1080 Ti 11GB", False),
        ("Tesla V100 32GB", False),
        ("RTX 2080 Ti 11GB", False),
        ("RTX 3050 6GB", True),
        ("RTX 5090 32GB", True),
        ("RX 6900 XT 16GB", False),
        ("RX 7600 8GB", True),
        ("M1 16GB", True),
    ],
)
def test_bf16_begins_with_ampere_and_rdna_3(title, bf16):
    assert find_card(title).bf16 is bf16


@pytest.mark.parametrize(
    ("title", "mib"),
    [
        ("RTX 3060 12GB", 12_288),
        ("Tesla T4 16GB", 15_360),  # nvidia-smi's figure, error correction being on
        ("L40S 48GB", 46_080),  # nvidia-smi: 46,068
        ("M1 Max 32GB", 21_843),  # Metal's recommendedMaxWorkingSetSize: 21,845
        ("M2 Max 96GB", 73_728),
        ("Instinct MI250X 128GB", 65_536),  # one of its two dies
    ],
)
def test_total_is_what_a_program_sees(title, mib):
    assert find_card(title).total_bytes // (1 << 20) == mib


@pytest.mark.parametrize(
    ("needed_gib", "reserve", "title"),
    [
        (0, 0.1, "RTX 3050 6GB"),
        (5.4, 0.1, "RTX 3050 6GB"),
        (5.41, 0.1, "RTX 4060 8GB"),
        (8.85, 0.1, "RTX 3080 10GB"),  # 512², 25 frames, fp16
        (8.85, 0.2, "RTX 3060 12GB"),
        (16.2, 0.1, "RTX 4090 24GB"),  # 768²
        (26.6, 0.1, "RTX 5090 32GB"),  # 1024²
        (32, 0.0, "RTX 5090 32GB"),
    ],
)
def test_the_smallest_card_that_holds_a_run(needed_gib, reserve, title):
    card = smallest_card_for(int(needed_gib * GIB), reserve)
    assert card is not None and card.title == title


def test_some_runs_fit_no_consumer_card():
    assert smallest_card_for(32 * GIB, 0.1) is None


@given(st.integers(0, 40 * GIB), st.floats(0, 0.89))
def test_no_smaller_yardstick_would_do(needed, reserve):
    card = smallest_card_for(needed, reserve)
    fitting = [c for c in all_cards() if c.yardstick and less_reserve(c.total_bytes, reserve) >= needed]
    assert card == min(fitting, key=lambda c: c.memory_gib, default=None)


def test_yardsticks_are_desktop_cards_of_different_sizes():
    yardsticks = [card for card in all_cards() if card.yardstick]
    assert [card.memory_gib for card in sorted(yardsticks, key=lambda c: c.memory_gib)] == [6, 8, 10, 12, 16, 24, 32]
    assert all(card.vendor == "NVIDIA" and card.kind == "desktop" and card.bf16 for card in yardsticks)

"""The catalogue of cards, and how people write their names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sonic_guard.devices.card_catalogue import (
    all_cards,
    card_of_device,
    find_card,
    less_reserve,
    menu_cards,
    smallest_card_for,
)
from sonic_guard.errors import BudgetError

GIB = 1 << 30
MAKERS_WORDS = {"NVIDIA": "NVIDIA GeForce", "AMD": "AMD Radeon", "Apple": "Apple"}


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
        assert card.kind == "unified" or card.vendor != "Apple", card
        assert not card.modified and not card.slice_of, card


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
        ("Apple M2 Max 96 GB", "M2 Max 96GB"),
        ("GTX 1660S", "GTX 1660 SUPER 6GB"),
        ("4070 TiS", "RTX 4070 Ti SUPER 16GB"),
        ("RX 7600S", "RX 7600S 8GB"),
        ("RTX 2050", "RTX 2050 Laptop 4GB"),  # there is none for desktops
        ("ASUS TUF Gaming RTX 4070 Ti SUPER OC Edition 16GB GDDR6X", "RTX 4070 Ti SUPER 16GB"),
        ("AMD Radeon RX 6800 [ZLUDA]", "RX 6800 16GB"),
        ("AMD Ryzen AI Max+ 395 128GB", "Radeon 8060S 128GB"),
    ],
)
def test_names_are_understood_as_people_and_shops_write_them(text, title):
    assert find_card(text).title == title


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("cuda:0 NVIDIA GeForce RTX 4060 Laptop GPU : cudaMallocAsync", "RTX 4060 Laptop 8GB"),
        ("Device: cuda:0 NVIDIA GeForce RTX 4090 : native", "RTX 4090 24GB"),
        ("[INFO] Device: cuda:1 AMD Radeon RX 7900 XTX : native", "RX 7900 XTX 24GB"),
        ("CUDA 0: Tesla T4", "Tesla T4 16GB"),
        ("NVIDIA GeForce RTX 3060, 12288 MiB", "RTX 3060 12GB"),  # nvidia-smi --query-gpu=name,memory.total
        ("NVIDIA L4, 23034 MiB", "L4 24GB"),
        ("GPU 0: NVIDIA GeForce RTX 3090 (UUID: GPU-5e1c5d7e-12ab)", "RTX 3090 24GB"),
    ],
)
def test_lines_of_comfyui_and_nvidia_smi_are_understood(text, title):
    assert find_card(text).title == title


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition", "RTX PRO 6000 96GB"),  # Max-Q, and no laptop's
        ("NVIDIA RTX PRO 6000 Blackwell Server Edition", "RTX PRO 6000 96GB"),
        ("NVIDIA RTX PRO 5000 Blackwell Generation Laptop GPU", "RTX PRO 5000 Laptop 24GB"),
        ("NVIDIA H20 96GB", "H20 96GB"),
        ("NVIDIA L20", "L20 48GB"),
        ("L2", "L2 24GB"),
        ("NVIDIA GB10", "GB10 128GB"),
        ("DGX Spark", "GB10 128GB"),
        ("NVIDIA T4G", "T4G 16GB"),
        ("NVIDIA H200 NVL", "H200 NVL 141GB"),
        ("B200 192GB", "B200 180GB"),  # 192 * 10**9 bytes
        ("NVIDIA B300 SXM6 AC", "B300 270GB"),
        ("AMD Instinct MI300X OAM", "Instinct MI300X 192GB"),
        ("Tesla P40", "Tesla P40 24GB"),
    ],
)
def test_workstations_and_servers_are_known_by_their_cards_names(text, title):
    assert find_card(text).title == title


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("Mac Studio M1 Ultra 64GB", "M1 Ultra 64GB"),
        ("MacBook Pro M3 Max 36GB", "M3 Max 36GB"),
        ("MacBook Pro (16-inch, 2021) M1 Max 64GB", "M1 Max 64GB"),
        ('MacBook Pro 14" M4 Max 40-core GPU 64GB unified memory', "M4 Max 64GB"),
        ("MacBook Air M2 8 GB", "M2 8GB"),
        ("Mac mini M4 Pro 24GB", "M4 Pro 24GB"),
        ("iMac M3 16GB", "M3 16GB"),
    ],
)
def test_a_mac_is_known_by_its_machine(text, title):
    assert find_card(text).title == title


@pytest.mark.parametrize(
    ("text", "title", "gib", "bf16"),
    [
        ("RTX 2080 Ti 22GB", "RTX 2080 Ti 22GB (modified)", 22, False),
        ("NVIDIA GeForce RTX 2080 Ti, 22528 MiB", "RTX 2080 Ti 22GB (modified)", 22, False),
        ("RTX 3080 20GB", "RTX 3080 20GB (modified)", 20, True),
        ("RTX 3070 16G", "RTX 3070 16GB (modified)", 16, True),
        ("RTX 4090 48GB", "RTX 4090 48GB (modified)", 48, True),
        ("RTX 4090 24GB (modified)", "RTX 4090 24GB", 24, True),
    ],
)
def test_a_modified_card_has_its_chips_properties(text, title, gib, bf16):
    card = find_card(text)
    assert (card.title, card.total_bytes, card.bf16) == (title, gib * GIB, bf16)
    assert card.modified is title.endswith("(modified)")
    assert find_card(card.title) == card


def test_a_modified_card_is_as_fast_as_the_one_whose_chips_were_doubled():
    assert find_card("RTX 3080 20GB").speed == find_card("RTX 3080 10GB").speed != find_card("RTX 3080 12GB").speed


@pytest.mark.parametrize(
    ("text", "whole", "gib", "compute", "memory"),
    [
        ("NVIDIA A100-SXM4-40GB MIG 3g.20gb", "A100 40GB", 20, 3 / 7, 20 / 40),
        ("cuda:0 NVIDIA A100-SXM4-80GB MIG 1g.10gb : native", "A100 80GB", 10, 1 / 7, 10 / 80),
        ("H100 80GB HBM3 MIG 1g.10gb", "H100 80GB", 10, 1 / 7, 10 / 80),
        ("NVIDIA H100 80GB HBM3 MIG 1c.3g.40gb", "H100 80GB", 40, 1 / 7, 40 / 80),  # shares its memory
        ("NVIDIA A30 MIG 2g.12gb+me", "A30 24GB", 12, 2 / 4, 12 / 24),
    ],
)
def test_a_slice_of_mig_has_its_part_of_memory_and_speed(text, whole, gib, compute, memory):
    card, of = find_card(text), find_card(whole)
    assert find_card(card.title) == card
    assert 0.95 * gib * GIB - 1 <= card.total_bytes <= 0.975 * gib * GIB  # the driver shows 4,864 MiB of 5 GB
    assert card.speed[:3] == pytest.approx((of.speed[0] * compute, of.speed[1] * compute, of.speed[2] * memory))


@pytest.mark.parametrize("text", ["RTX 3060 12GB MIG 1g.5gb", "A100 40GB MIG 3g.80gb", "A30 MIG 7g.24gb"])
def test_slices_that_do_not_exist_are_refused(text):
    with pytest.raises(BudgetError, match="does not exist"):
        find_card(text)


@pytest.mark.parametrize(
    "text",
    ["Arc A770 16GB", "Intel(R) Arc(TM) B580 Graphics", "A770", "Intel(R) UHD Graphics 630", "Intel Iris Xe Graphics"],
)
def test_a_gpu_that_sonic_cannot_use_is_named_as_such(text):
    with pytest.raises(BudgetError, match=r"CUDA or ROCm \(NVIDIA, AMD\), on MPS \(Apple\) or on the CPU only.*Intel"):
        find_card(text)


@pytest.mark.parametrize(
    ("name", "mib", "title"),
    [
        ("NVIDIA GeForce RTX 3060", 12_288, "RTX 3060 12GB"),
        ("NVIDIA H200", 143_156, "H200 141GB"),
        ("Tesla T4", 14_913, "Tesla T4 16GB"),  # as torch counts
        ("NVIDIA L4", 22_563, "L4 24GB"),
        ("NVIDIA A100-SXM4-40GB MIG 3g.20gb", 19_968, "A100 40GB MIG 3g.20gb"),
        ("AMD Instinct MI250X", 65_536, "Instinct MI250X 128GB"),  # one of its two dies
        ("Apple M4 Pro", 24_576, "M4 Pro 24GB"),
        ("Intel(R) Arc(TM) B580 Graphics", 12_288, None),
        ("Some Future Card", 12_288, None),
    ],
)
def test_a_drivers_name_and_memory_tell_the_card(name, mib, title):
    card = card_of_device(name, mib << 20)
    assert (card and card.title) == title


@pytest.mark.parametrize(
    ("text", "sizes"),
    [
        ("RTX 3060", "RTX 3060 8GB or RTX 3060 12GB"),
        ("3080 laptop", "RTX 3080 Laptop 8GB or RTX 3080 Laptop 16GB"),
        ("RTX 3060 100GB", "no RTX 3060 with 100 GB.*RTX 3060 8GB or RTX 3060 12GB"),
        ("RTX 3060 4GB", "no RTX 3060 with 4 GB.*RTX 3060 8GB or RTX 3060 12GB"),  # nobody takes memory off
        ("RTX 4080 12GB", "no RTX 4080 with 12 GB.*RTX 4080 16GB or RTX 4080 Laptop 12GB"),  # not a modified one
        ("RTX 3080 16GB", "RTX 3080 10GB or RTX 3080 12GB or RTX 3080 Laptop 16GB"),
        ("RTX 3060 Laptop 12GB", "no RTX 3060 Laptop with 12 GB.*RTX 3060 Laptop 6GB"),  # nobody changes a laptop's
        ("H100 40GB", "no H100 with 40 GB.*H100 80GB"),
        ("H20", "H20 96GB or H20 141GB"),
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
        assert find_card(text).name
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


def test_the_menu_is_short_and_has_every_yardstick():
    menu = menu_cards()
    assert len(set(menu)) == len(menu) <= 35
    assert {card.title for card in all_cards() if card.yardstick} <= {card.title for card in menu}
    assert {card.vendor for card in menu} == {"NVIDIA", "AMD", "Apple"}


def test_yardsticks_are_desktop_cards_of_different_sizes():
    yardsticks = [card for card in all_cards() if card.yardstick]
    assert [card.memory_gib for card in sorted(yardsticks, key=lambda c: c.memory_gib)] == [6, 8, 10, 12, 16, 24, 32]
    assert all(card.vendor == "NVIDIA" and card.kind == "desktop" and card.bf16 for card in yardsticks)


@pytest.mark.parametrize(
    ("title", "fp16", "fp32", "gbps"),
    [  # the makers' data sheets and white papers; fp16 dense, accumulated in fp32
        ("GTX 1080 Ti 11GB", 11.3, 11.3, 484),  # computes fp16 as fp32
        ("Tesla V100 16GB", 125, 15.7, 900),
        ("Tesla T4 16GB", 65, 8.1, 320),
        ("RTX 2080 Ti 11GB", 53.8, 13.4, 616),
        ("RTX 3060 12GB", 25.5, 12.7, 360),
        ("RTX 3090 24GB", 71, 35.6, 936),
        ("RTX A6000 48GB", 154.8, 38.7, 768),
        ("A100 80GB", 312, 19.5, 2039),
        ("RTX 4090 24GB", 165.2, 82.6, 1008),
        ("RTX 6000 Ada 48GB", 364.2, 91.1, 960),
        ("L4 24GB", 121, 30.3, 300),
        ("L40S 48GB", 362, 91.6, 864),
        ("H100 80GB", 989, 67, 3350),
        ("H200 141GB", 989, 67, 4800),
        ("H20 96GB", 148, 44, 4000),
        ("RTX 5090 32GB", 209.5, 104.8, 1792),
        ("RTX PRO 6000 96GB", 503.8, 126, 1792),
        ("B200 180GB", 2250, 75, 7700),
        ("RX 7900 XTX 24GB", 123, 61.4, 960),
        ("RX 9070 XT 16GB", 195, 48.7, 640),
        ("Instinct MI300X 192GB", 1307, 163.4, 5300),
        ("M1 Max 64GB", 10.4, 10.4, 400),
    ],
)
def test_speeds_are_the_published_ones(title, fp16, fp32, gbps):
    assert find_card(title).speed[:3] == pytest.approx((fp16, fp32, gbps), rel=0.015)


def test_every_card_has_a_sensible_speed():
    for card in all_cards():
        fp16, fp32, gbps, like_measured = card.speed
        assert not like_measured or (card.vendor == "NVIDIA" and card.bf16), card
        assert 1 <= fp32 <= fp16 <= 2600, card
        assert fp16 / fp32 <= 32, card
        assert 60 <= gbps <= 8000, card
        assert 2 < fp16 * 1000 / gbps < 460, card  # operations for each byte of memory traffic

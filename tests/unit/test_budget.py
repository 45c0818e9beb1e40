"""What a run may use: the live machine, a named card, or a number of GiB."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sonic_guard.devices.budget import (
    Budget,
    amd_has_bf16,
    budget_for,
    cuda_free_bytes,
    live_budget,
    mps_free_bytes,
    visible_device,
)
from sonic_guard.devices.card_catalogue import find_card
from sonic_guard.errors import BudgetError

GIB = 1 << 30
REPO = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("total", "free", "reclaimable", "reserve", "available", "usable"),
    [
        (12 * GIB, 12 * GIB, 0, 0.0, 12 * GIB, 12 * GIB),
        (12 * GIB, 12 * GIB, 0, 0.5, 12 * GIB, 6 * GIB),
        (12 * GIB, 10 * GIB, 0, 0.1, 10 * GIB, 9 * GIB),  # the article's 90 % of what is free
        (12 * GIB, 4 * GIB, 6 * GIB, 0.1, 10 * GIB, 9 * GIB),  # ComfyUI gives its models' memory back
        (12 * GIB, 8 * GIB, 6 * GIB, 0.0, 12 * GIB, 12 * GIB),  # never more than the card has
        (12 * GIB, 0, 0, 0.1, 0, 0),
    ],
)
def test_usable_is_what_is_free_or_given_back_less_the_reserve(total, free, reclaimable, reserve, available, usable):
    budget = Budget("card", total, free, reclaimable, reserve)
    assert budget.available_bytes == available
    assert budget.usable_bytes == usable


@given(
    total=st.integers(1, 1 << 40),
    free=st.integers(0, 1 << 40),
    reclaimable=st.integers(0, 1 << 40),
    reserve=st.floats(0, 0.9, exclude_max=True),
)
def test_usable_never_exceeds_the_card_and_never_goes_below_nothing(total, free, reclaimable, reserve):
    budget = Budget("card", total, free, reclaimable, reserve)
    assert 0 <= budget.usable_bytes <= budget.available_bytes <= total


@pytest.mark.parametrize("reserve", [-0.01, 0.9, 1.0, float("nan"), float("inf")])
def test_a_reserve_outside_0_to_0_9_is_refused(reserve):
    with pytest.raises(BudgetError, match="reserve"):
        budget_for(8, reserve=reserve)
    with pytest.raises(BudgetError, match="reserve"):
        budget_for("auto", reserve=reserve)


@pytest.mark.parametrize("sizes", [(0, 0), (-1, 0), (1, -1), (1, 1, -1)])
def test_sizes_no_card_has_are_refused(sizes):
    with pytest.raises(BudgetError, match="memory"):
        Budget("card", *sizes)


@pytest.mark.parametrize("target", [8, 8.0, "8", "8.0", " 8 ", "8 GiB", "8GiB", "8GB", "8 gb", "8G", "+8"])
def test_a_number_of_gib_may_be_written_in_many_ways(target):
    budget = budget_for(target)
    assert (budget.card, budget.source) == ("8 GiB", "number")
    assert budget.total_bytes == budget.free_bytes == 8 * GIB


def test_fractions_of_a_gib_count():
    assert budget_for("12.5").total_bytes == 25 * GIB // 2


@pytest.mark.parametrize(
    "target", ["24564 MB", "24564MiB", "24564 mb", "Total VRAM 24564 MB", "Total VRAM 24564 MB, total RAM 65298 MB"]
)
def test_figures_of_drivers_and_of_comfyuis_log_are_mebibytes(target):
    budget = budget_for(target)
    assert (budget.card, budget.total_bytes) == ("23.99 GiB", 24_564 << 20)


@pytest.mark.parametrize(
    "target",
    [
        0,
        -8,
        1e9,
        4090,
        float("nan"),
        float("inf"),
        10**400,
        1e-12,
        "0",
        "-8",
        "nan",
        "inf",
        "1e9 GiB",
        "1.2.3",
        "1e999 GB",
        "200 MB",
        "2000000 MB",
    ],
)
def test_amounts_no_machine_has_are_refused(target):
    with pytest.raises(BudgetError, match="memory"):
        budget_for(target)


@pytest.mark.parametrize("target", [True, None, [8]])
def test_neither_a_name_nor_a_number_is_refused(target):
    with pytest.raises(BudgetError, match="memory: expected"):
        budget_for(target)


def test_a_card_by_name_is_empty_and_knows_its_number_formats():
    budget = budget_for("RTX 3060 12GB", reserve=0.2, reclaimable_bytes=GIB)
    speed = find_card("RTX 3060 12GB").speed
    assert budget == Budget("RTX 3060 12GB", 12 * GIB, 12 * GIB, 0, 0.2, "catalogue", bf16=True, speed=speed)
    assert not budget_for("RTX 2080 Ti").bf16


def test_a_modified_card_is_called_so_and_keeps_its_chips_number_formats():
    budget = budget_for("RTX 2080 Ti 22GB")
    assert (budget.card, budget.total_bytes, budget.bf16) == ("RTX 2080 Ti 22GB (modified)", 22 * GIB, False)


def test_a_card_that_sonic_cannot_use_is_no_budget():
    with pytest.raises(BudgetError, match="Arc A770 16GB' cannot run Sonic"):
        budget_for("Arc A770 16GB")


def test_a_bare_model_number_is_a_card():
    assert budget_for("4090").card == "RTX 4090 24GB"


def test_apple_gives_the_gpu_a_part_of_the_machines_memory():
    assert budget_for("M2 Max 96GB").total_bytes == 72 * GIB


@pytest.mark.parametrize(("target", "hint"), [("RTX 6000", "RTX 6000 Ada"), ("RTX 4099", "RTX 4090"), ("", "GiB")])
def test_an_unknown_card_is_answered_with_close_ones(target, hint):
    with pytest.raises(BudgetError, match=hint):
        budget_for(target)


@pytest.mark.parametrize(
    ("free", "reserved", "active", "result"),
    [
        (5 * GIB, 0, 0, 5 * GIB),
        (5 * GIB, 3 * GIB, 1 * GIB, 7 * GIB),  # 2 GiB lie idle in torch's cache
        (5 * GIB, 3 * GIB, 3 * GIB, 5 * GIB),
    ],
)
def test_torchs_idle_cache_counts_as_free(free, reserved, active, result):
    assert cuda_free_bytes(free, reserved, active) == result


@pytest.mark.parametrize(
    ("limit", "driver", "allocated", "ram", "result"),
    [
        (24, 0, 0, 30, 24),  # Metal's limit binds
        (24, 0, 0, 10, 10),  # other programs have the memory
        (24, 8, 6, 10, 12),  # 2 more lie idle in torch's cache
        (24, 20, 20, 10, 4),
        (24, 26, 26, 10, 0),
    ],
)
def test_on_a_mac_both_metal_and_the_ram_bind(limit, driver, allocated, ram, result):
    assert mps_free_bytes(limit, driver, allocated, ram) == result


@pytest.mark.parametrize(
    ("setting", "index", "device"),
    [
        (None, 0, 0),
        (None, 1, 1),
        ("1", 0, 1),
        ("2, 0", 1, 0),
        ("GPU-8f1c", 0, "GPU-8f1c"),
        ("0,MIG-77", 1, "MIG-77"),
        ("1", 1, None),
        ("", 0, None),
        ("-1", 0, None),
        ("0,-1,1", 1, None),  # CUDA stops at the first entry it cannot read
    ],
)
def test_the_gpu_cuda_counts_is_found_in_nvml(setting, index, device):
    assert visible_device(setting, index) == device


@pytest.mark.parametrize(
    ("architecture", "bf16"),
    [
        ("gfx803", False),  # RX 580
        ("gfx906", False),  # MI50
        ("gfx1030", False),  # RX 6800
        ("gfx1032", False),  # RX 6600
        ("gfx908", True),  # MI100
        ("gfx90a:sramecc+:xnack-", True),  # MI210
        ("gfx1100", True),  # RX 7900 XTX
        ("gfx1201", True),  # RX 9070
    ],
)
def test_amd_has_bf16_from_rdna_3_and_cdna_on(architecture, bf16):
    assert amd_has_bf16(architecture) is bf16


needs_no_gpu = pytest.mark.skipif("live_budget().source != 'ram'", reason="this machine has a GPU")


@needs_no_gpu
def test_without_a_gpu_the_budget_is_the_ram():
    budget = budget_for("auto")
    assert (budget.card, budget.source, budget.bf16) == ("CPU (no GPU found)", "ram", False)
    assert budget.total_bytes == psutil.virtual_memory().total
    assert 0 < budget.free_bytes <= budget.total_bytes


@needs_no_gpu
def test_a_gpu_asked_for_by_number_has_to_be_there():
    with pytest.raises(BudgetError, match="no GPU 0"):
        live_budget(0)


def test_gpus_are_counted_from_zero():
    with pytest.raises(BudgetError, match="Count from 0"):
        live_budget(-1)


def test_a_live_budget_keeps_what_the_host_reports():
    budget = live_budget(reserve=0.25, reclaimable_bytes=3 * GIB)
    assert (budget.reserve, budget.reclaimable_bytes) == (0.25, 3 * GIB)


def test_planning_for_a_named_card_loads_neither_torch_nor_nvml():
    code = """
import sys
from sonic_guard.devices.budget import budget_for
budget_for("RTX 4090"), budget_for(8)
print(*({"torch", "cv2", "pynvml"} & sys.modules.keys()))
"""
    run = subprocess.run([sys.executable, "-c", code], cwd=REPO, capture_output=True, text=True, check=False)
    assert (run.stdout.strip(), run.stderr) == ("", "")

"""Figures of a card through NVML, over a replaced NVIDIA library; NVML is shut down afterwards."""

import sys
from types import SimpleNamespace

import pynvml
import pytest

from sonic_guard.devices.budget import NO_GPU, live_budget
from sonic_guard.devices.nvml import CardMemory, driver_version, read_card

GIB = 2**30
UUID = "GPU-1"


@pytest.fixture
def driver(monkeypatch):
    """A driver with one card of 24 GiB, 19 of them free; `open` counts the openings that were not closed."""
    state = SimpleNamespace(open=0, error=None, capability=(8, 9))

    def change(by):
        state.open += by

    def memory(handle):
        assert handle == UUID
        if state.error is not None:
            raise pynvml.NVMLError(state.error)
        return SimpleNamespace(total=24 * GIB, free=19 * GIB, used=5 * GIB)

    def by_index(index):
        if index:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_INVALID_ARGUMENT)
        return UUID

    for name, function in {
        "Init": lambda: change(1),
        "Shutdown": lambda: change(-1),
        "DeviceGetHandleByIndex": by_index,
        "DeviceGetHandleByUUID": lambda uuid: uuid,
        "DeviceGetName": lambda handle: "NVIDIA GeForce RTX 4090",
        "DeviceGetMemoryInfo": memory,
        "DeviceGetCudaComputeCapability": lambda handle: state.capability,
        "SystemGetDriverVersion": lambda: "580.159.04",
    }.items():
        monkeypatch.setattr(pynvml, f"nvml{name}", function)
    driver_version.cache_clear()
    yield state
    driver_version.cache_clear()
    assert state.open == 0, "every call shuts NVML down again"


@pytest.mark.parametrize("device", [0, UUID])
def test_a_card_is_read_by_index_and_by_uuid(driver, device):
    assert read_card(device) == CardMemory("NVIDIA GeForce RTX 4090", 24 * GIB, 19 * GIB, 8)


def test_a_missing_card_has_no_figures(driver):
    assert read_card(1) is None


def test_a_card_without_a_memory_size_has_no_figures_and_is_named_in_the_log(driver, caplog):
    driver.error = pynvml.NVML_ERROR_NOT_SUPPORTED
    assert read_card(0) is None
    assert "NVML has no memory size for GPU 0: Not Supported" in caplog.text


def test_the_drivers_version(driver):
    assert driver_version() == "580.159.04"


@pytest.mark.parametrize(("capability", "bf16"), [((7, 5), False), ((8, 0), True), ((12, 0), True)])
def test_the_live_budget_is_that_of_the_card(driver, monkeypatch, capability, bf16):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    driver.capability = capability
    budget = live_budget(reserve=0.1)
    assert (budget.card, budget.total_bytes, budget.free_bytes) == ("NVIDIA GeForce RTX 4090", 24 * GIB, 19 * GIB)
    assert (budget.source, budget.bf16) == ("nvml", bf16)


def test_a_card_that_the_loaded_torch_cannot_use_is_not_planned_for(driver, monkeypatch):
    """A torch for the CPU beside an NVIDIA card: Sonic runs on the CPU."""
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("this torch can use a card")
    monkeypatch.setitem(sys.modules, "torch", torch)
    assert (live_budget().card, live_budget().device) == (NO_GPU, "cpu")


def test_without_a_driver_there_are_neither_figures_nor_a_version(driver, monkeypatch):
    def init():
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    monkeypatch.setattr(pynvml, "nvmlInit", init)
    assert (read_card(0), driver_version()) == (None, "")

"""A memory snapshot: cards by NVIDIA's library, torch's share, and the report where either is missing.

NVIDIA's library and torch's CUDA are stood in for, since a test machine has neither; what they stand for is written
in their own documentation. The real ones are read where a machine has them.
"""

import json
import subprocess
import sys
from importlib.util import find_spec
from types import SimpleNamespace

import psutil
import pynvml
import pytest

from sonic_guard.devices.memory_reader import MemoryReader
from sonic_guard.devices.nvml import RENEW_S, Nvml
from tests.support import installed

GIB = 2**30
A, B = "GPU-8f1c0000-aaaa", "GPU-77770000-bbbb"
PART = "MIG-12340000-cccc"


class Driver:
    """NVIDIA's library over two cards: used and total bytes by UUID, or the error it answers with."""

    def __init__(self, monkeypatch, cards=(A, B)):
        self.cards, self.opened, self.open = list(cards), 0, False
        self.memory = {A: (1 * GIB, 8 * GIB), B: (5 * GIB, 24 * GIB), PART: (2 * GIB, 10 * GIB)}
        self.names = {A: "NVIDIA GeForce RTX 4060", B: "NVIDIA GeForce RTX 4090", PART: "NVIDIA A100 MIG 1g.10gb"}
        for name, function in {
            "Init": self.init,
            "Shutdown": self.shutdown,
            "DeviceGetCount": lambda: self.answer(len(self.cards)),
            "DeviceGetHandleByIndex": lambda index: self.answer(self.cards[index]),
            "DeviceGetHandleByUUID": lambda uuid: self.answer(uuid),
            "DeviceGetName": lambda uuid: self.answer(self.names[uuid]),
            "DeviceGetUUID": lambda uuid: self.answer(uuid),
            "DeviceGetMemoryInfo": self.get_memory,
        }.items():
            monkeypatch.setattr(pynvml, f"nvml{name}", function)

    def init(self):
        self.open, self.opened = True, self.opened + 1

    def shutdown(self):
        self.answer(None)
        self.open = False

    def answer(self, value):
        if not self.open:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_UNINITIALIZED)
        return value

    def get_memory(self, uuid):
        memory = self.answer(self.memory[uuid])
        if isinstance(memory, int):
            raise pynvml.NVMLError(memory)
        used, total = memory
        return SimpleNamespace(used=used - GIB // 4, free=total - used, total=total)


@pytest.fixture(autouse=True)
def bare(monkeypatch):
    """A process without torch, on a machine whose cards are all visible."""
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.fixture
def driver(monkeypatch):
    return Driver(monkeypatch)


def no_driver(monkeypatch, code=pynvml.NVML_ERROR_LIBRARY_NOT_FOUND):
    def init():
        raise pynvml.NVMLError(code)

    monkeypatch.setattr(pynvml, "nvmlInit", init)


@pytest.mark.parametrize("code", [pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, pynvml.NVML_ERROR_DRIVER_NOT_LOADED])
def test_no_gpu_is_a_plain_state(monkeypatch, caplog, code):
    no_driver(monkeypatch, code)
    event = MemoryReader().read().to_event()
    memory = psutil.virtual_memory()
    assert 0 < event.pop("host_used") < event.pop("host_total") == memory.total
    assert event == {
        "gpu": False,
        "source": "none",
        "card": "",
        "index": 0,
        "device_used": None,
        "device_total": None,
        "trouble": "",
        "allocated": None,
        "reserved": None,
        "cards": [],
    }
    assert caplog.records == []


def test_every_card_is_read_and_the_first_is_in_use(driver):
    event = MemoryReader().read().to_event()
    assert event["source"] == "nvml"
    assert (event["gpu"], event["card"], event["index"]) == (True, "NVIDIA GeForce RTX 4060", 0)
    assert (event["device_used"], event["device_total"]) == (GIB, 8 * GIB)
    assert event["cards"] == [
        {"index": 0, "name": "NVIDIA GeForce RTX 4060", "used": GIB, "total": 8 * GIB},
        {"index": 1, "name": "NVIDIA GeForce RTX 4090", "used": 5 * GIB, "total": 24 * GIB},
    ]
    assert json.loads(json.dumps(event)) == event


@pytest.mark.parametrize(
    ("visible", "in_use"),
    [("1", B), ("1,0", B), ("GPU-7777", B), (f"{A},{B}", A), ("", None), ("-1", None), ("5", None), ("GPU-0", None)],
)
def test_the_card_in_use_is_the_first_that_cuda_sees(driver, monkeypatch, visible, in_use):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    snapshot = MemoryReader().read()
    assert (snapshot.in_use and snapshot.in_use.uuid) == in_use
    assert [card.uuid for card in snapshot.cards] == [A, B]


def test_a_part_of_a_card_is_a_card(driver, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", PART)
    snapshot = MemoryReader().read()
    assert snapshot.in_use is not None
    assert (snapshot.in_use.uuid, snapshot.device_bytes) == (PART, 2 * GIB)
    assert [card.uuid for card in snapshot.cards] == [A, B, PART]


def test_the_driver_is_opened_once_and_let_go(driver):
    memory_reader = MemoryReader()
    for _ in range(3):
        memory_reader.read()
    assert (driver.opened, driver.open) == (1, True)
    memory_reader.close()
    memory_reader.close()
    assert driver.open is False
    assert memory_reader.read().device_bytes == GIB
    assert driver.opened == 2


def test_a_card_without_memory_of_its_own_has_no_figures_and_no_trouble(driver, caplog):
    driver.memory[A] = pynvml.NVML_ERROR_NOT_SUPPORTED
    event = MemoryReader().read().to_event()
    assert (event["gpu"], event["device_used"], event["device_total"], event["trouble"]) == (True, None, None, "")
    assert event["cards"][1]["used"] == 5 * GIB
    assert caplog.records == []


def test_a_card_that_stops_answering_is_reported_once_and_comes_back(driver, caplog):
    now = [0.0]
    nvml = Nvml(clock=lambda: now[0])
    nvml.read()
    driver.memory[A] = pynvml.NVML_ERROR_GPU_IS_LOST
    for _ in range(3):
        lost, other = nvml.read()
        assert (lost.used_bytes, lost.trouble, other.used_bytes) == (None, "GPU is lost", 5 * GIB)
    assert [record.getMessage() for record in caplog.records] == [
        "NVIDIA GeForce RTX 4060 does not answer: GPU is lost"
    ]
    assert driver.opened == 1
    now[0] = RENEW_S
    nvml.read()
    nvml.read()
    assert driver.opened == 2
    driver.memory[A] = (3 * GIB, 8 * GIB)
    assert (nvml.read()[0].used_bytes, nvml.read()[0].trouble) == (3 * GIB, "")
    assert len(caplog.records) == 1


def test_a_driver_that_was_shut_elsewhere_is_opened_again(driver):
    now = [0.0]
    nvml = Nvml(clock=lambda: now[0])
    nvml.read()
    driver.open = False
    assert [card.trouble for card in nvml.read()] == ["Uninitialized"] * 2
    now[0] = RENEW_S
    nvml.read()
    assert [card.used_bytes for card in nvml.read()] == [GIB, 5 * GIB]


# torch


class Torch(SimpleNamespace):
    """The functions of torch that a snapshot calls, over a card of 16 GiB with 6 in use."""

    def __init__(self, *, ready=True, context=True, uuid=B[4:], hip=None, built=True, mps=False, broken=""):
        self.asked = []

        def memory_info(index):
            self.asked.append("mem_get_info")
            if broken:
                raise RuntimeError(broken)
            return 10 * GIB, 16 * GIB

        properties = SimpleNamespace(name="AMD Radeon RX 7900 XT" if hip else "NVIDIA GeForce RTX 4090", uuid=uuid)
        super().__init__(
            cuda=SimpleNamespace(
                is_initialized=lambda: ready,
                get_device_properties=lambda index: properties,
                memory_stats=lambda index: {"allocated_bytes.all.current": 3, "reserved_bytes.all.current": 4},
                mem_get_info=memory_info,
            ),
            mps=SimpleNamespace(
                current_allocated_memory=lambda: 3,
                driver_allocated_memory=lambda: 4,
                recommended_max_memory=lambda: 12 * GIB,
            ),
            backends=SimpleNamespace(
                cuda=SimpleNamespace(is_built=lambda: built), mps=SimpleNamespace(is_available=lambda: mps)
            ),
            version=SimpleNamespace(hip=hip),
            _C=SimpleNamespace(_cuda_hasPrimaryContext=lambda index: context),
        )


def put(monkeypatch, **kind):
    torch = Torch(**kind)
    monkeypatch.setitem(sys.modules, "torch", torch)
    return torch


def test_torch_knows_the_card_it_uses_better_than_its_number(driver, monkeypatch):
    torch = put(monkeypatch)  # CUDA counts the fastest card first, NVML by the bus
    snapshot = MemoryReader().read()
    assert snapshot.in_use is not None
    assert (snapshot.in_use.index, snapshot.in_use.uuid, snapshot.device_bytes) == (1, B, 5 * GIB)
    assert (snapshot.allocated_bytes, snapshot.reserved_bytes, snapshot.source) == (3, 4, "nvml+torch")
    assert torch.asked == []


def test_torch_that_has_not_begun_is_not_asked(driver, monkeypatch):
    torch = put(monkeypatch, ready=False)
    snapshot = MemoryReader().read()
    assert (snapshot.device_bytes, snapshot.allocated_bytes, snapshot.source) == (GIB, None, "nvml")
    assert torch.asked == []


def test_without_nvml_torch_reports_its_card(monkeypatch):
    no_driver(monkeypatch)
    put(monkeypatch, hip="6.4", uuid="gfx")
    event = MemoryReader().read().to_event()
    assert (event["card"], event["source"]) == ("AMD Radeon RX 7900 XT", "torch")
    assert (event["device_used"], event["device_total"], event["allocated"]) == (6 * GIB, 16 * GIB, 3)
    assert event["cards"] == [{"index": 0, "name": "AMD Radeon RX 7900 XT", "used": 6 * GIB, "total": 16 * GIB}]


def test_where_nvml_has_no_figures_torch_has(driver, monkeypatch):
    driver.memory[B] = pynvml.NVML_ERROR_NOT_SUPPORTED
    put(monkeypatch)
    snapshot = MemoryReader().read()
    assert (snapshot.device_bytes, snapshot.source) == (6 * GIB, "torch")
    assert sorted((card.index, card.used_bytes) for card in snapshot.cards) == [(0, GIB), (1, 6 * GIB)]


def test_no_context_is_made_to_ask_for_figures(monkeypatch):
    no_driver(monkeypatch)
    torch = put(monkeypatch, context=False)
    snapshot = MemoryReader().read()
    assert snapshot.in_use is not None
    assert (snapshot.device_bytes, snapshot.allocated_bytes, torch.asked) == (None, 3, [])


def test_an_amd_card_is_not_taken_for_an_nvidia_card_in_the_same_machine(driver, monkeypatch):
    put(monkeypatch, hip="6.4", uuid="gfx")
    snapshot = MemoryReader().read()
    assert snapshot.in_use is not None
    assert (snapshot.in_use.name, snapshot.device_bytes) == ("AMD Radeon RX 7900 XT", 6 * GIB)
    assert len(snapshot.cards) == 3


def test_a_torch_built_for_the_cpu_uses_no_card(driver, monkeypatch):
    put(monkeypatch, ready=False, built=False)
    snapshot = MemoryReader().read()
    assert (snapshot.in_use, len(snapshot.cards)) == (None, 2)


def test_on_a_mac_metal_is_asked(monkeypatch):
    no_driver(monkeypatch)
    put(monkeypatch, ready=False, built=False, mps=True)
    event = MemoryReader().read().to_event()
    assert (event["card"], event["source"], event["device_used"], event["device_total"]) == (
        "Apple GPU",
        "torch",
        4,
        12 * GIB,
    )


def test_a_card_that_fails_under_torch_is_reported_once(monkeypatch, caplog):
    no_driver(monkeypatch)
    put(monkeypatch, broken="CUDA error: an illegal memory access was encountered")
    memory_reader = MemoryReader()
    for _ in range(3):
        snapshot = memory_reader.read()
        assert (snapshot.device_bytes, snapshot.host_used_bytes > 0) == (None, True)
    assert [record.getMessage() for record in caplog.records] == [
        "torch cannot read GPU 0: CUDA error: an illegal memory access was encountered"
    ]


# The real ones

READ = "from sonic_guard.devices.memory_reader import MemoryReader; import sys; snapshot = MemoryReader().read(); "


needs_torch = pytest.mark.skipif(find_spec("torch") is None, reason="torch is not installed")


@pytest.mark.parametrize(
    "code",
    [
        READ + "assert 'torch' not in sys.modules",
        pytest.param("import torch; " + READ + "assert not torch.cuda.is_initialized()", marks=needs_torch),
    ],
)
def test_a_snapshot_neither_imports_torch_nor_starts_cuda(code):
    result = subprocess.run([sys.executable, "-c", code], cwd=installed.PACK, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    "module",
    [
        *("devices.memory_reader", "devices.torch_memory", "devices.nvml", "runtime.monitor", "runtime.run_watch"),
        *("runtime.sampler_hooks", "runtime.stage_peaks"),
    ],
)
def test_the_package_imports_without_torch_opencv_or_comfyui(module):
    code = (
        f"import sys, sonic_guard.{module}; "
        "sys.exit(', '.join({'torch', 'cv2', 'pynvml', 'comfy', 'folder_paths'} & set(sys.modules)) or None)"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=installed.PACK, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr

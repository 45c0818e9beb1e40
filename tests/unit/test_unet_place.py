"""Where the UNet is while SONICTLoader builds it and while SONIC_PreData runs, if a node of the graph offloads it."""

import importlib
import sys
from contextlib import nullcontext
from types import ModuleType, SimpleNamespace

import pytest

from sonic_guard.comfy.sonic_objects import LOADER, PREDATA
from sonic_guard.job import Job
from sonic_guard.memory.stage_model import predict
from sonic_guard.relatives import ADAPTERS, Relative

STOCK = {"1": {"class_type": LOADER, "inputs": {}}, "2": {"class_type": "SONICSampler", "inputs": {}}}
DICE_LOADER = ADAPTERS[Relative.DICE_TALK].loader


def low_vram(**inputs):
    return {"3": {"class_type": "SonicGuardLowVRAM", "inputs": inputs}}


TALKING_HEAD = {"3": {"class_type": "SonicGuardTalkingHead", "inputs": {"mode": "off"}}}


class Tensor:
    def __init__(self, device):
        self.device = SimpleNamespace(type=device)


class Pipe:
    """The wrapper's pipeline, as far as it is moved."""

    def __init__(self):
        self.place = "cuda"
        self.unet = SimpleNamespace(parameters=lambda: [Tensor(self.place)])

    def to(self, device):
        self.place = str(device)


class Sonic:
    """The wrapper's object, known by the parameters of its `process`."""

    def __init__(self):
        self.pipe = Pipe()

    def process(
        self, audio_tensor_list, uncond_audio_tensor_list, motion_buckets, test_data, config, image_embeds, vae
    ):
        raise AssertionError("not called here")


@pytest.fixture
def wrapper():
    """A loader as the wrapper has it: the device is a name in the module of the function that builds."""
    module = ModuleType("node_utils")
    exec(  # noqa: S102 - a module of its own, whose names are replaced
        "device = 'cuda'\n"
        "def convert_cf2diffuser(model):\n"
        "    if model is None:\n"
        "        raise ValueError('no model')\n"
        "    return device\n",
        module.__dict__,
    )
    return module


def run(monkeypatch, graph):
    """Have ComfyUI run `graph`."""
    queue = SimpleNamespace(currently_running={0: (0, "prompt", graph)})
    server = SimpleNamespace(PromptServer=SimpleNamespace(instance=SimpleNamespace(prompt_queue=queue)))
    monkeypatch.setitem(sys.modules, "server", server)


def instrumented(pack, classes):
    """The nodes as the pack makes them."""
    module = importlib.import_module(f"{pack.__name__}.nodes.web_api.instrumentation")
    module.instrument(classes, lambda *_: nullcontext())
    return classes


def load(pack, wrapper, monkeypatch, graph, model="svd", free_gib=3.0, loader=LOADER, **inputs):
    """The device on which the instrumented loader builds in a running `graph`, on a GPU with `free_gib` free."""
    names = ("nodes.comfyui.host", "sonic_guard.devices.budget")
    host, budget = (importlib.import_module(f"{pack.__name__}.{name}") for name in names)
    free = budget.Budget("a card", 24 << 30, int(free_gib * (1 << 30)), source="torch")
    monkeypatch.setattr(host, "live_budget", lambda reserve: free)
    nodes = ModuleType("sonic_node")
    nodes.convert_cf2diffuser = wrapper.convert_cf2diffuser
    exec(  # noqa: S102
        "class Loader:\n"
        "    FUNCTION = 'main'\n"
        "    def main(self, model, dtype='fp16'):\n"
        "        return convert_cf2diffuser(model)\n",
        nodes.__dict__,
    )
    run(monkeypatch, graph)
    return instrumented(pack, {loader: nodes.Loader})[loader]().main(model=model, **inputs)


@pytest.mark.parametrize(
    ("graph", "device"),
    [
        (STOCK, "cuda"),
        (STOCK | low_vram(), "cpu"),
        (STOCK | low_vram(mode="least_memory"), "cpu"),
        (STOCK | low_vram(mode="off"), "cuda"),
        (STOCK | low_vram(unet_offload="off"), "cuda"),
        (STOCK | TALKING_HEAD, "cpu"),
        ({}, "cuda"),
    ],
    ids=["stock", "Low VRAM", "least memory", "off", "not this one", "Talking Head", "no graph"],
)
def test_where_it_builds(pack, wrapper, monkeypatch, graph, device):
    assert load(pack, wrapper, monkeypatch, graph) == device
    assert wrapper.device == "cuda", "afterwards it is the wrapper's own again"


@pytest.mark.parametrize(
    ("dtype", "free_gib", "device"),
    [("fp16", 3.5, "cpu"), ("fp16", 4.0, "cuda"), ("bf16", 4.0, "cuda"), ("fp32", 4.0, "cpu"), ("fp32", 7.0, "cuda")],
)
def test_where_the_gpu_has_room_it_builds_there(pack, wrapper, monkeypatch, dtype, free_gib, device):
    """In host memory the UNet would be there together with the file of its weights."""
    graph = STOCK | TALKING_HEAD
    assert load(pack, wrapper, monkeypatch, graph, free_gib=free_gib, dtype=dtype) == device


def test_a_relative_s_loader_needs_room_for_its_own_network(pack, wrapper, monkeypatch):
    """DICE Talk's has more parameters, and a pose network beside it."""
    needs = [predict(Job(512, 512, 1.0, relative=each)).most("load") / (1 << 30) for each in Relative]
    between = sum(needs) / 2
    assert needs[0] < between < needs[1]
    graph = STOCK | low_vram()
    assert load(pack, wrapper, monkeypatch, graph, free_gib=between) == "cuda"
    assert load(pack, wrapper, monkeypatch, graph, free_gib=between, loader=DICE_LOADER) == "cpu"
    assert load(pack, wrapper, monkeypatch, graph, free_gib=needs[1] + 0.01, loader=DICE_LOADER) == "cuda"


def test_an_error_of_the_loader_leaves_its_device(pack, wrapper, monkeypatch):
    with pytest.raises(ValueError, match="no model"):
        load(pack, wrapper, monkeypatch, STOCK | TALKING_HEAD, None)
    assert wrapper.device == "cuda"


@pytest.mark.parametrize("missing", ["device", "convert_cf2diffuser"])
def test_a_fork_that_builds_otherwise_is_left_alone(pack, wrapper, monkeypatch, missing):
    if missing == "device":
        del wrapper.device
        wrapper.convert_cf2diffuser = eval("lambda model: 'its own'", {})  # noqa: S307
        assert load(pack, wrapper, monkeypatch, STOCK | TALKING_HEAD) == "its own"
    else:
        wrapper.convert_cf2diffuser = str.upper  # a function without a module's names
        assert load(pack, wrapper, monkeypatch, STOCK | TALKING_HEAD) == "SVD"


@pytest.mark.parametrize(
    ("graph", "place"),
    [
        (STOCK, "cuda"),
        (STOCK | low_vram(), "cpu"),
        (STOCK | low_vram(mode="off"), "cuda"),
        (STOCK | low_vram(unet_offload="off"), "cuda"),
        (STOCK | TALKING_HEAD, "cpu"),
    ],
    ids=["stock", "Low VRAM", "off", "not this one", "Talking Head"],
)
def test_predata_runs_without_the_unet(pack, monkeypatch, graph, place):
    """No link tells it: the model is one that the loader has made, perhaps for an earlier graph."""

    class Loader:
        FUNCTION = "main"

        def main(self):
            return Sonic(), "fp16"

    class PreData:
        FUNCTION = "main"

        def main(self, weight_dtype):
            return (model.pipe.place,)

    classes = instrumented(pack, {LOADER: Loader, PREDATA: PreData})
    run(monkeypatch, STOCK)
    model, dtype = classes[LOADER]().main()
    run(monkeypatch, graph)
    assert classes[PREDATA]().main(dtype) == (place,)

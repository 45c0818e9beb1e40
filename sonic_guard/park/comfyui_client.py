"""The HTTP API and websocket of one ComfyUI server, as far as a farm uses it.

It reads, uploads its own inputs, and adds to and removes from the queue what it has put there itself. Nothing else is
changed on the server. A token comes from the environment and goes to this server alone: no redirect is followed.
"""

import asyncio
import contextlib
import hashlib
import json
import os
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import aiohttp

from ..comfy.talking_head_prompt import HEAD, NODES, packs_of
from ..errors import FarmError, brief
from .content import file_digest

TOKEN = "SONIC_GUARD_FARM_TOKEN"  # noqa: S105
"""Environment variable with what a server's proxy wants as ``Authorization: Bearer …``; never logged or stored."""
FOLDER = "sonic_guard_farm"
"""Of the uploads, in the server's input folder."""
POLL_S = 1.0
"""Between two looks at the queue: the websocket tells sooner, but may break."""
ANSWER_S = 30.0
"""Most seconds for an answer; a server that loads its models is slow to give one."""
GONE_S, DEAD_S = 20.0, 3.0
"""Seconds without any answer, and of refused connections, after which the server counts as gone, or dead."""
MAX_JSON = 64 << 20
MAX_VIDEO = 64 << 30
_BLOCK = 1 << 20
LOOPBACK = re.compile(r"localhost|127(\.\d{1,3}){3}|::1", re.ASCII)


class ServerGoneError(Exception):
    """The server does not answer."""


class ServerDeadError(ServerGoneError):
    """There is no server at its address."""


class ServerStuckError(Exception):
    """The server answers, and nothing happens on it."""


class RefusedError(Exception):
    """The server does not accept the graph: another version, a missing node or file."""


class LackingError(RefusedError):
    """The server lacks nodes that a video needs. It listens only when it has loaded all it will: they do not come."""

    def __init__(self, nodes: Sequence[str]) -> None:
        packs = ", ".join(packs_of(nodes))
        super().__init__(
            f"this server lacks {packs} (nodes {', '.join(nodes)}). "
            "Install what is missing, or see in its log why it is not loaded, and start it again."
        )


class Facts(NamedTuple):
    """What a server is."""

    version: str
    """Of ComfyUI."""
    device: str
    """torch's type: cuda, mps, cpu …"""
    device_name: str
    """As torch reports it."""
    total_bytes: int
    """Of the card; of the machine where the device is a CPU."""
    free_bytes: int


class Finished(NamedTuple):
    """A prompt in the server's history."""

    is_success: bool
    is_interrupted: bool
    error_type: str
    """Name of the exception's class; "" where there was none."""
    error_text: str
    outputs: Mapping[str, Any]


OnProgress = Callable[[float], object]
"""Receives the share of the video that is done, 0 … 1."""


def check_url(url: str) -> str:
    """The address of a server without a final slash. Raises `FarmError` for one that is none, or holds a password."""
    parts = urlsplit(url) if len(url) < 500 else urlsplit("")  # noqa: PLR2004
    try:
        is_plain = parts.port is None or parts.port > 0
    except ValueError:
        is_plain = False
    if parts.scheme not in ("http", "https") or not parts.hostname or not is_plain or parts.query or parts.fragment:
        raise FarmError("server: expected an address such as http://127.0.0.1:8188.")
    if parts.username or parts.password:
        raise FarmError(f"server: an address holds no password. Set the environment variable {TOKEN}.")
    return url.rstrip("/")


class ComfyUiClient:
    """One server. Raises `ServerGoneError` where it does not answer, `FarmError` for an answer that is none."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session, self._url = session, url

    async def facts(self) -> Facts:
        """Version, card and memory. Raises `LackingError` where a node that a job needs is missing."""
        stats = await self._json("GET", "/system_stats")
        try:
            device, system = stats["devices"][0], stats["system"]
            found = Facts(
                str(system.get("comfyui_version", ""))[:100], str(device["type"])[:20], str(device["name"])[:200],
                int(device["vram_total"]), int(device["vram_free"]),
            )  # fmt: skip
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise FarmError(f"server: its answer is not that of a ComfyUI ({brief(error)}).") from error
        if missing := [node for node in NODES if node not in await self._json("GET", f"/object_info/{node}")]:
            raise LackingError(missing)
        return found

    async def upload(self, path: Path, name: str, digest: str) -> str:
        """Put the file `path` into the server's input folder; its name there. Raises `FarmError` if it has changed."""
        if await asyncio.to_thread(file_digest, path) != digest:
            raise FarmError(f"{path.name}: the file has been changed since the farm began. Start it again.")
        with path.open("rb") as file:  # read as it is sent: a voice may have gigabytes
            form = aiohttp.FormData()
            form.add_field("image", file, filename=name, content_type="application/octet-stream")
            form.add_field("subfolder", FOLDER)
            form.add_field("overwrite", "true")
            answer = await self._json("POST", "/upload/image", data=form, timeout=_no_limit())
        return f"{answer['subfolder']}/{answer['name']}"

    async def queue(self, graph: Mapping[str, Any], prompt_id: str, beside: Mapping[str, Any]) -> None:
        """Queue a graph under an id, with what goes beside it. Raises `RefusedError` with the server's reasons."""
        body = {"prompt": graph, "prompt_id": prompt_id, "client_id": prompt_id, "extra_data": beside}
        answer = await self._json("POST", "/prompt", json=body, may_refuse=True)
        if answer.get("error"):
            raise RefusedError(_reasons(answer))
        if answer.get("prompt_id") != prompt_id:
            raise RefusedError("this ComfyUI gives a prompt another id than asked for: it is too old")

    async def finished(self, prompt_id: str) -> Finished | None:
        """The prompt in the server's history; None while it is not there."""
        entry = (await self._json("GET", f"/history/{prompt_id}")).get(prompt_id)
        return None if entry is None else _finished(entry)

    async def is_queued(self, prompt_id: str) -> bool:
        """Whether the prompt is running or waits on the server."""
        running, pending = await self._queue()
        return prompt_id in running or prompt_id in pending

    async def wait(self, prompt_id: str, notify: OnProgress, patience_s: float) -> Finished | None:
        """The prompt's end; None where the server does not know it any more: it has been restarted.

        Raises `ServerGoneError` after `GONE_S` without an answer, and `ServerStuckError` after `patience_s` in which
        the prompt made no progress, or none that runs before it came to its end.
        """
        share, news, moved = 0.0, None, time.monotonic()

        def heard_of(done: float) -> None:
            nonlocal share
            share = done
            notify(done)

        async with self._listening(prompt_id, heard_of) as woken:
            heard = time.monotonic()
            while True:
                try:
                    running, pending = await self._queue()
                    if found := await self.finished(prompt_id):
                        return found
                    if prompt_id not in running and prompt_id not in pending:  # asked before: it may end in between
                        return None
                    heard = time.monotonic()
                    if news != (share, running):
                        news, moved = (share, running), heard
                    if heard - moved > patience_s:
                        raise ServerStuckError(f"nothing has happened on the server for {patience_s / 60:.0f} min")
                except ServerGoneError as error:
                    if time.monotonic() - heard > (DEAD_S if isinstance(error, ServerDeadError) else GONE_S):
                        raise
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(woken.wait(), POLL_S)
                woken.clear()

    async def _queue(self) -> tuple[set[str], set[str]]:
        """The prompts that run, and those that wait."""
        queue = await self._json("GET", "/queue")
        running, pending = (
            {str(item[1]) for item in queue.get(f"queue_{name}", ())} for name in ("running", "pending")
        )
        return running, pending

    async def cancel(self, prompt_id: str) -> None:
        """Remove the prompt from the queue, or interrupt it."""
        await self._json("POST", "/queue", json={"delete": [prompt_id]})
        if await self.is_queued(prompt_id):
            await self._json("POST", "/interrupt", json={"prompt_id": prompt_id})

    async def fetch(self, shown: Mapping[str, Any], target: Path) -> tuple[str, int]:
        """Write an output to `target`, synced to disk; its SHA-256 and bytes. Raises `OSError` for a full disk."""
        names = {name: str(shown[name]) for name in ("filename", "subfolder", "type")}
        digest, size = hashlib.sha256(), 0
        async with self._answer("GET", "/view", params=names, timeout=_no_limit()) as answer:
            if answer.status != 200:  # noqa: PLR2004
                raise FarmError(f"server: the finished video is not there (status {answer.status}).")
            with target.open("wb") as file:
                async for block in answer.content.iter_chunked(_BLOCK):
                    size += len(block)
                    if size > MAX_VIDEO:
                        raise FarmError(f"server: a video has at most {MAX_VIDEO >> 30} GiB.")
                    digest.update(block)
                    file.write(block)
                file.flush()
                os.fsync(file.fileno())
            if answer.content_length not in (None, size):
                raise ServerGoneError("the connection broke while the video came")
        return digest.hexdigest(), size

    async def used_bytes(self) -> int | None:
        """The measured peak of the newest run, of the card; None where it was not measured."""
        with contextlib.suppress(FarmError, ServerGoneError, KeyError, IndexError, TypeError):
            runs = (await self._json("GET", "/sonic_guard/history", params={"limit": "1"}))["runs"]
            return runs[0]["actual_peak"]
        return None

    @contextlib.asynccontextmanager
    async def _listening(self, prompt_id: str, notify: OnProgress) -> AsyncIterator[asyncio.Event]:
        """Inside the block, a task reads the websocket; the event is set when the prompt may have ended."""
        woken = asyncio.Event()
        task = asyncio.create_task(self._listen(prompt_id, notify, woken))
        try:
            yield woken
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _listen(self, prompt_id: str, notify: OnProgress, woken: asyncio.Event) -> None:
        while True:
            with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError, ValueError):
                address = f"{self._url}/ws?clientId={prompt_id}"
                async with self._session.ws_connect(address, max_msg_size=MAX_JSON, heartbeat=ANSWER_S) as socket:
                    async for message in socket:
                        if message.type is aiohttp.WSMsgType.TEXT:
                            _react(json.loads(message.data), prompt_id, notify, woken)
            await asyncio.sleep(POLL_S)

    async def _json(self, method: str, path: str, *, may_refuse: bool = False, **more: Any) -> dict[str, Any]:
        async with self._answer(method, path, **more) as answer:
            accepted = (200, 400) if may_refuse else (200,)
            if answer.status not in accepted:
                raise FarmError(f"server: {path} is answered with status {answer.status}.")
            content = bytearray()
            async for block in answer.content.iter_chunked(_BLOCK):
                content += block
                if len(content) > MAX_JSON:
                    raise FarmError(f"server: {path} is answered with more than {MAX_JSON >> 20} MiB.")
        if not content:
            return {}
        try:
            data = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise FarmError(f"server: {path} is answered with what is no JSON.") from error
        if not isinstance(data, dict):
            raise FarmError(f"server: {path} is answered with what is no object.")
        return data

    @contextlib.asynccontextmanager
    async def _answer(self, method: str, path: str, **more: Any) -> AsyncIterator[aiohttp.ClientResponse]:
        try:
            async with self._session.request(method, self._url + path, allow_redirects=False, **more) as answer:
                yield answer
        except aiohttp.ClientConnectorError as error:
            raise ServerDeadError(str(error)) from error
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            raise ServerGoneError(str(error) or type(error).__name__) from error


@contextlib.asynccontextmanager
async def connected(url: str, *, with_token: bool = True) -> AsyncIterator[ComfyUiClient]:
    """A client of the server at `url`, with the token of the environment if there is one."""
    token = os.environ.get(TOKEN) if with_token else None
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    timeout = aiohttp.ClientTimeout(total=ANSWER_S)
    async with aiohttp.ClientSession(headers=headers, timeout=timeout, trust_env=False) as session:
        yield ComfyUiClient(session, check_url(url))


def _no_limit() -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=None, sock_read=ANSWER_S)


def _react(event: Any, prompt_id: str, notify: OnProgress, woken: asyncio.Event) -> None:
    kind, data = (event.get("type"), event.get("data")) if isinstance(event, dict) else (None, None)
    if not isinstance(data, dict) or data.get("prompt_id", prompt_id) != prompt_id:
        return
    if kind == "progress" and data.get("node") == HEAD:
        value, most = data.get("value"), data.get("max")
        if isinstance(value, int | float) and isinstance(most, int | float) and most > 0:
            notify(min(max(value / most, 0.0), 1.0))
    elif kind in ("execution_success", "execution_error", "execution_interrupted"):
        woken.set()


def _finished(entry: Any) -> Finished:
    try:
        status = entry["status"]
        messages = {name: data for name, data in status.get("messages", ())}
        error = messages.get("execution_error", {})
        return Finished(
            status["status_str"] == "success", "execution_interrupted" in messages,
            str(error.get("exception_type", ""))[:200], str(error.get("exception_message", ""))[:2000],
            entry.get("outputs", {}),
        )  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise FarmError(f"server: its history is not that of a ComfyUI ({brief(error)}).") from error


def _reasons(answer: Mapping[str, Any]) -> str:
    """Why a graph is refused, in a line: the server's words for the whole and for its nodes."""
    parts = [answer["error"]]
    for node in (answer.get("node_errors") or {}).values():
        parts += node.get("errors", ()) if isinstance(node, dict) else ()
    texts = (f"{part.get('message', '')} {part.get('details', '')}" for part in parts if isinstance(part, dict))
    return "; ".join(" ".join(text.split()) for text in texts)[:2000] or brief(answer["error"])

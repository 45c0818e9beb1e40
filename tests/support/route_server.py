"""A server with the pack's routes and nothing else, and a page that asks it."""

import asyncio
import importlib
import json
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.support.graphs import write_files
from tests.support.installed import PACK


def site_next_to_secrets(pack: ModuleType, base: Path) -> "Site":
    """A site in the empty folder `base`, with links in its input folder to what lies outside of it."""
    (base / "presets").mkdir()
    (base / "secret.png").write_bytes((PACK / "demo" / "portrait.jpg").read_bytes())
    folder = write_files(base / "input")
    (folder / "out.png").symlink_to(base / "secret.png")
    (folder / "outside").symlink_to(base)
    return Site(pack, folder)


class Site:
    """A running server with the pack's routes, asked from outside its event loop.

    `folder` is its input folder; presets and history are next to that. "auto" is an RTX 4060. A prediction waits up to
    `glance_s` for the history.
    """

    def __init__(self, pack: ModuleType, folder: Path, glance_s: float = 30.0) -> None:
        def module(name: str) -> Any:
            return importlib.import_module(f"{pack.__name__}.{name}")

        routes, store = module("nodes.web_api.routes"), module("sonic_guard.history.history_store")
        history_cache = module("sonic_guard.history.history_cache").HistoryCache
        files, budget = module("sonic_guard.preview.input_files").Files, module("sonic_guard.devices.budget").budget_for
        self.pack, self.folder = module, folder
        self.watched: list[tuple[str, float]] = []
        self.lease_s = 15.0
        self.history = store.History(folder.parent / "history.db")
        cache = history_cache(lambda: self.history, glance_s=glance_s)

        def card(target: str, reserve: float) -> Any:
            return budget("RTX 4060" if target == "auto" else target, reserve=reserve)

        def watch(client: str, rate_hz: float) -> float:
            self.watched.append((client, rate_hz))
            return self.lease_s

        home = module("sonic_guard.preview.context").Machine(
            files(lambda: folder), lambda: folder.parent / "presets", card, cache.of
        )
        self.services = routes.Services(home, lambda: self.history, cache.forget, watch)
        self.loop = asyncio.new_event_loop()
        self.thread = ThreadPoolExecutor(1)
        self.thread.submit(self.loop.run_forever)
        self.run(self._start(routes.routes(self.services)))

    async def _start(self, routes: list[web.RouteDef]) -> None:
        app = web.Application(client_max_size=100 << 20)  # as ComfyUI's own: the routes have their own limit
        app.add_routes(routes)
        self.server = TestServer(app)
        await self.server.start_server()
        self.client = aiohttp.ClientSession(self.server.make_url("/"))

    def close(self) -> None:
        """Stop the server."""

        async def stop() -> None:
            await self.client.close()
            await self.server.close()

        self.run(stop())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.shutdown()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """What `work` gives, done in the server's event loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout=120)

    def ask(self, method: str, path: str, **request: Any) -> SimpleNamespace:
        """The response: status, headers, and the body as JSON where it is."""
        return self.run(self.asking(method, path, **request))

    async def asking(self, method: str, path: str, **request: Any) -> SimpleNamespace:
        """The same, in the server's event loop."""
        async with self.client.request(method, path, **request) as response:
            text = await response.text()
            kind = response.headers.get("Content-Type", "")
            data = json.loads(text) if kind.startswith("application/json") else text
            return SimpleNamespace(status=response.status, headers=response.headers, data=data)

    def predict(self, graph: Any, asked: str, **more: Any) -> SimpleNamespace:
        """The response to a question for a prediction."""
        return self.ask("POST", "/sonic_guard/predict", json={"graph": graph, "node": asked, **more})

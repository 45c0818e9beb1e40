"""What the pages ask of the server: predictions, a lease on live figures, and the history of runs.

There is no log-in in front of them, so every route is harmless in anybody's hands: no page of another site is
answered, names of files stand for files of the input folder only, and no body is longer than `MAX_BODY_BYTES`.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from aiohttp import web

from ..sonic_guard.errors import (
    FileNameError,
    GraphError,
    HistoryError,
    RequestError,
    SonicGuardError,
    UnknownNameError,
)
from ..sonic_guard.preview.answer import answer, run_dict
from ..sonic_guard.preview.context import Machine
from ..sonic_guard.preview.evaluate import preview
from ..sonic_guard.preview.files import NotYetError
from ..sonic_guard.preview.graph import parse_graph
from ..sonic_guard.words import LANGUAGES

if TYPE_CHECKING:  # it needs SQLAlchemy; without it there are predictions all the same
    from ..sonic_guard.vram.history.store import History

log = logging.getLogger(__name__)

MAX_BODY_BYTES = 64 * 1024
MAX_AT_ONCE = 4
"""Requests worked on at the same time. The others wait without a thread."""
MAX_NAME = 200
"""Longest name of a client or a card."""
MAX_RUNS = 10_000
MAX_RATE_HZ = 10.0
PRESENCE_S = 0.5
"""How often it is looked whether a page still waits for its answer."""
CLIENT_GONE = 499
"""What nginx notes for a client that has closed the connection."""
_PORTS = {"http": 80, "https": 443}
_STATUS = {GraphError: 400, RequestError: 400, FileNameError: 400, UnknownNameError: 404}
"""Of what is not simply impossible, 422."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Result = TypeVar("Result")


@dataclass(frozen=True)
class Services:
    """What the routes stand in front of."""

    machine: Machine
    history: Callable[[], History]
    forget: Callable[[], object]
    """Called when runs have been deleted: `Experience.forget`."""
    watch: Callable[[str, float, bool], float]
    """A page watches: its client id, how many times a second (0: no more), and whether to keep a history. The result
    is the seconds its lease lasts."""


def routes(services: Services) -> list[web.RouteDef]:
    """Every route of the pack."""
    desk = _Desk(services)
    return [
        web.post("/sonic_guard/predict", _guarded(desk.predict)),
        web.post("/sonic_guard/watch", _guarded(desk.watch)),
        web.get("/sonic_guard/history", _guarded(desk.runs)),
        web.get("/sonic_guard/history.csv", _guarded(desk.csv)),
        web.post("/sonic_guard/history/delete", _guarded(desk.delete)),
    ]


class _Desk:
    """The handlers. Work that takes more than a blink is done in threads, `MAX_AT_ONCE` at a time."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._hasty = replace(services.machine, files=services.machine.files.hasty())
        self._free = asyncio.Semaphore(MAX_AT_ONCE)

    async def predict(self, request: web.Request) -> web.StreamResponse:
        """What a node's run would need."""
        body = await _body(request)
        language = _field(body, "language", str, "en")
        if language not in LANGUAGES:
            raise RequestError(f"language: choose one of {', '.join(LANGUAGES)}.")
        graph, node = parse_graph(body.get("graph")), _field(body, "node", str)
        target = _name(_field(body, "target_card", str, "auto"), "target_card")

        def foresee() -> dict[str, Any]:
            seen = preview(graph, node, self._hasty, target)
            return answer(seen, self._services.machine.lesson(seen.judged.plan.budget.card), language)

        while True:
            try:
                return web.json_response(await self._work(foresee))
            except NotYetError as file:  # a file is being looked at; nobody else has to wait for it
                looked = asyncio.wrap_future(file.future)
                with file.wanted():
                    while not looked.done():
                        await asyncio.wait([looked], timeout=PRESENCE_S)
                        if request.transport is None or request.transport.is_closing():
                            return web.Response(status=CLIENT_GONE)  # which nobody gets

    async def watch(self, request: web.Request) -> web.StreamResponse:
        """A page looks at the live figures, or no more."""
        body = await _body(request)
        client, record = _name(_field(body, "client", str), "client"), _field(body, "record", bool, True)
        rate_hz = body.get("rate_hz")
        if isinstance(rate_hz, bool) or not isinstance(rate_hz, (int, float)) or not 0 <= rate_hz <= MAX_RATE_HZ:
            raise RequestError(f"rate_hz: expected a number from 0 to {MAX_RATE_HZ:g}.")
        if rate_hz:
            self._services.machine.files.warm_up()
        return web.json_response({"lease_s": self._services.watch(client, float(rate_hz), record)})

    async def runs(self, request: web.Request) -> web.StreamResponse:
        """The history, newest first."""
        card, limit = _card(request), _limit(request)

        def read() -> str:
            history = self._services.history()
            from ..sonic_guard.vram.history.export import calibration_dict

            cards, lesson = history.cards(), self._services.machine.lesson
            return json.dumps({
                "runs": [run_dict(run) for run in history.runs(card, limit=limit)],
                "cards": cards,
                "calibration": {name: calibration_dict(lesson(name).calibration) for name in cards},
            })  # fmt: skip

        return web.json_response(text=await self._work(read))

    async def csv(self, request: web.Request) -> web.StreamResponse:
        """The history as a file."""
        card = _card(request)

        def read() -> str:
            runs = self._services.history().runs(card)
            from ..sonic_guard.vram.history.export import export_csv

            return "\ufeff" + export_csv(runs)  # the mark by which a spreadsheet knows UTF-8

        text = await self._work(read)
        name = {"Content-Disposition": 'attachment; filename="sonic-guard-history.csv"'}
        return web.Response(text=text, content_type="text/csv", charset="utf-8", headers=name)

    async def delete(self, request: web.Request) -> web.StreamResponse:
        """Delete runs: by id, of a card, or all."""
        match await _body(request):
            case {"ids": list(ids), **others} if not others and all(type(each) is int for each in ids):
                if any(abs(each) >= 1 << 63 for each in ids):
                    raise RequestError("ids: there is no run of such a number.")
                work: Callable[[History], int] = lambda history: history.delete(ids)  # noqa: E731
            case {"card": str(card), **others} if not others:
                name = _name(card, "card")
                work = lambda history: history.delete_card(name)  # noqa: E731
            case {"all": True, **others} if not others:
                work = lambda history: history.clear()  # noqa: E731
            case _:
                raise RequestError('expected {"ids": [numbers]}, {"card": "name"} or {"all": true}.')
        deleted = await self._work(lambda: work(self._services.history()))
        self._services.forget()
        return web.json_response({"deleted": deleted})

    async def _work(self, work: Callable[[], Result]) -> Result:
        async with self._free:
            return await asyncio.to_thread(work)


def _guarded(handler: Handler) -> Handler:
    """`handler` for this server's own pages only, its errors as JSON."""

    @wraps(handler)
    async def guarded(request: web.Request) -> web.StreamResponse:
        if not _is_own_page(request):
            return _refusal(403, "Only pages of this server are answered.")
        try:
            response = await handler(request)
        except HistoryError as error:
            log.warning("%s", error)  # it names files of this machine
            return _refusal(500, "The history cannot be used; ComfyUI's log says why.")
        except SonicGuardError as error:
            return _refusal(_STATUS.get(type(error), 422), str(error))
        except RecursionError:
            return _refusal(400, "The request is nested too deeply.")
        except _RefusedError as error:
            return _refusal(error.status, str(error))
        response.headers.update({"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"})
        return response

    return guarded


class _RefusedError(Exception):
    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def _refusal(status: int, text: str) -> web.Response:
    return web.json_response({"error": text}, status=status)


def _is_own_page(request: web.Request) -> bool:
    """Whether the request comes from this server's own page, or from no page at all.

    The host's own check is off where it was started with --enable-cors-header, and lets other sites on the same
    machine through.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:  # a browser's own word, and right where a proxy has changed the name of the host
        return site in ("same-origin", "none")
    origin = request.headers.get("Origin")
    if origin is None:
        return True
    try:
        page = urlsplit(origin)
        port = _PORTS.get(page.scheme)
        host = urlsplit(f"//{request.headers.get('Host', '')}")
        return bool(page.hostname) and (page.hostname, page.port or port) == (host.hostname, host.port or port)
    except ValueError:  # a port that is none
        return False


async def _body(request: web.Request) -> Mapping[str, Any]:
    """The JSON object in the body."""
    if request.content_type != "application/json":
        raise _RefusedError(415, "Expected a body of type application/json.")
    data = bytearray()
    too_large = (request.content_length or 0) > MAX_BODY_BYTES
    while not too_large and (part := await request.content.read(MAX_BODY_BYTES)):
        data += part
        too_large = len(data) > MAX_BODY_BYTES
    if too_large:
        raise _RefusedError(413, f"More than {MAX_BODY_BYTES // 1024} KiB.")
    try:
        body = json.loads(data, parse_constant=_no_constant)
    except ValueError as error:  # of UTF-8, of JSON, or of a number of thousands of digits
        raise RequestError(f"The body is not JSON: {error}.") from error
    if not isinstance(body, dict):
        raise RequestError("The body is not a JSON object.")
    return body


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number in JSON")


def _field(body: Mapping[str, Any], name: str, kind: type[Result], default: Result | None = None) -> Result:
    """A field of the body, of the `kind` it has to be; without a default it has to be there."""
    value = body.get(name, default)
    if not isinstance(value, kind):
        raise RequestError(f"{name}: expected {'a text' if kind is str else 'true or false'}.")
    return value


def _name(text: str, field: str) -> str:
    if not (0 < len(text) <= MAX_NAME and text.isprintable()):
        raise RequestError(f"{field}: expected 1 to {MAX_NAME} printable characters.")
    return text


def _card(request: web.Request) -> str | None:
    card = request.query.get("card")
    return _name(card, "card") if card else None


def _limit(request: web.Request) -> int:
    text = request.query.get("limit", "200")
    if not (text.isascii() and text.isdecimal() and len(text) < 9 and 1 <= int(text) <= MAX_RUNS):
        raise RequestError(f"limit: expected a whole number from 1 to {MAX_RUNS}.")
    return int(text)

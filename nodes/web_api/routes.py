"""The routes for the pages: predictions, a lease on live figures, and the history of runs.

There is no log-in, so every route must be harmless to anyone: requests from pages of other sites are refused, file
names are names in the input folder only, and no body is longer than `MAX_BODY_BYTES`, also when decompressed.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from aiohttp import web

from ...sonic_guard.comfy.api_graph import parse_graph
from ...sonic_guard.errors import HistoryError, RequestError, reject_json_constant
from ...sonic_guard.history.history_cache import WAIT_S
from ...sonic_guard.messages.catalogue import LANGUAGES
from ...sonic_guard.operations.input_values import is_amount
from ...sonic_guard.preview.answer import answer, run_dict
from ...sonic_guard.preview.context import Machine
from ...sonic_guard.preview.evaluation import evaluate, preview
from ...sonic_guard.preview.input_files import NotYetError
from ...sonic_guard.preview.upscaling import UPSCALING, upscale_answer
from ..comfyui.languages import heard_from_page
from .request_guard import LANGUAGE, PRIVATE, RefusedError, guarded

if TYPE_CHECKING:  # it needs SQLAlchemy, which predictions do not
    from ...sonic_guard.history.history_store import History

log = logging.getLogger(__name__)

MAX_BODY_BYTES = 64 * 1024
MAX_AT_ONCE = 4
"""Requests that are processed at the same time. The others wait without a thread."""
MAX_PAST_AT_ONCE = 2
"""The same for the history, whose database may block its readers: predictions do not wait for them."""
MAX_NAME = 200
"""Longest name of a client or a card."""
MAX_RUNS = 1000
"""Most runs in an answer; the next page starts after the last."""
MAX_CARDS = 1000
MAX_CALIBRATIONS = 3
"""Cards whose calibration is in an answer on all cards: those of the latest runs."""
MAX_RATE_HZ = 10.0
PRESENCE_S = 0.5
"""Interval at which the connection of a waiting page is checked."""
_CSV_FILE = {
    "Content-Type": "text/csv; charset=utf-8",
    "Content-Disposition": 'attachment; filename="sonic-guard-history.csv"',
}
Result = TypeVar("Result")


@dataclass(frozen=True)
class Services:
    """What the routes use."""

    machine: Machine
    history: Callable[[], History]
    forget: Callable[[], object]
    """Called when runs have been deleted: `HistoryCache.forget`."""
    watch: Callable[[str, float], float]
    """Subscribes a page: its client id, and how many times a second (0: no more). Returns the seconds of its lease; 0
    where there are too many others."""


def routes(services: Services) -> list[web.RouteDef]:
    """Every route of the pack."""
    handlers = _Handlers(services)
    return [
        web.post("/sonic_guard/predict", guarded(handlers.predict)),
        web.post("/sonic_guard/watch", guarded(handlers.watch)),
        web.get("/sonic_guard/history", guarded(handlers.runs)),
        web.get("/sonic_guard/history.csv", guarded(handlers.csv)),
        web.post("/sonic_guard/history/delete", guarded(handlers.delete)),
    ]


class _Handlers:
    """The handlers of the routes. Slow work is done in threads, `MAX_AT_ONCE` at a time."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._machine = replace(services.machine, files=services.machine.files.without_waiting())
        # Separate threads: ComfyUI uses those of asyncio, which may be few.
        self._predictions = ThreadPoolExecutor(MAX_AT_ONCE, "sonic-guard-predict")
        self._past_runs = ThreadPoolExecutor(MAX_PAST_AT_ONCE, "sonic-guard-past")

    async def predict(self, request: web.Request) -> web.StreamResponse:
        """What a node's run will need."""
        body = await _body(request)
        language = _text(body, "language", "en")
        if language not in LANGUAGES:
            raise RequestError(f"language: choose one of {', '.join(LANGUAGES)}.")
        heard_from_page(language)
        request[LANGUAGE] = language
        graph, node = parse_graph(body.get("graph")), _text(body, "node")
        target = _name(_text(body, "target_card", "auto"), "target_card")

        def predict() -> dict[str, Any]:
            if node in graph and graph[node].type in UPSCALING:
                outputs = evaluate(graph, node, self._machine, target).outcome.outputs
                return upscale_answer(outputs[0], self._machine, language)
            predicted = preview(graph, node, self._machine, target)
            plan = predicted.judged.plan
            known = self._services.machine.known_of(plan.budget, plan.job.relative)
            return answer(predicted, known, language, (graph, node))

        while True:
            try:
                return web.json_response(await self._work(predict))
            except NotYetError as file:  # a file is being read; the thread is free for other requests
                lookup = asyncio.wrap_future(file.future)
                lookup.add_done_callback(_retrieved)
                with file.wanted():
                    while not lookup.done():
                        await asyncio.wait([lookup], timeout=PRESENCE_S)
                        if request.transport is None or request.transport.is_closing():
                            raise ConnectionResetError("the page has gone") from None

    async def watch(self, request: web.Request) -> web.StreamResponse:
        """Subscribe a page to the live figures, or unsubscribe it."""
        body = await _body(request)
        client = _name(_text(body, "client"), "client")
        rate_hz: Any = body.get("rate_hz")
        if not is_amount(rate_hz, MAX_RATE_HZ):
            raise RequestError(f"rate_hz: expected a number from 0 to {MAX_RATE_HZ:g}.")
        if rate_hz:
            self._services.machine.files.warm_up()
        lease_s = self._services.watch(client, float(rate_hz))
        if rate_hz and not lease_s:
            raise RefusedError(429, "Too many pages watch already.")
        return web.json_response({"lease_s": lease_s})

    async def runs(self, request: web.Request) -> web.StreamResponse:
        """A page of the history, newest first, and the calibration of its cards."""
        card, limit, before = _card(request), _number(request, "limit", MAX_RUNS) or 200, _number(request, "before")

        def read() -> str:
            history = self._services.history()
            from ...sonic_guard.history.export import calibration_dict

            page, card_history = history.page(card, limit=limit, before=before), self._services.machine.card_history
            latest = dict.fromkeys(run.environment.card for run in page.runs)
            shown = [card] if card else list(latest)[:MAX_CALIBRATIONS]
            return json.dumps({
                "runs": list(map(run_dict, page.runs)),
                "unreadable": page.unreadable,
                "before": page.before,
                "cards": history.cards(MAX_CARDS),
                "calibration": {name: calibration_dict(card_history(name, WAIT_S).calibration) for name in shown},
            })  # fmt: skip

        return web.json_response(text=await self._past(read))

    async def csv(self, request: web.Request) -> web.StreamResponse:
        """The history as a file, page by page: it may be long, and the connection slow."""
        card = _card(request)

        def begin() -> tuple[Callable[[], str | None], str | None]:
            from ...sonic_guard.history.export import csv_parts

            parts = csv_parts(self._services.history().pages(card))
            following = lambda: next(parts, None)  # noqa: E731
            return following, following()

        following, part = await self._past(begin)  # what fails here is still answered with an error
        response = web.StreamResponse(headers=PRIVATE | _CSV_FILE)
        await response.prepare(request)
        try:
            while part is not None:
                await response.write(part.encode())
                part = await self._past(following)
        except HistoryError as error:
            log.warning("The history's table was cut off: %s", error)
            if request.transport:
                request.transport.abort()  # so that the browser does not take it for the complete file
        return response

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
        deleted = await self._past(lambda: work(self._services.history()))
        self._services.forget()
        return web.json_response({"deleted": deleted})

    async def _work(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._predictions, work)

    async def _past(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._past_runs, work)


def _retrieved(future: asyncio.Future[Any]) -> None:
    """Its error is raised when the fact is asked for again; asyncio would log it if the page has gone."""
    if not future.cancelled():
        future.exception()


async def _body(request: web.Request) -> Mapping[str, Any]:
    """The JSON object in the body, decompressed if needed."""
    if request.content_type != "application/json":
        raise RefusedError(415, "Expected a body of type application/json.")
    data = bytearray()
    too_large = (request.content_length or 0) > MAX_BODY_BYTES
    try:
        while not too_large and (part := await request.content.read(MAX_BODY_BYTES)):
            data += part
            too_large = len(data) > MAX_BODY_BYTES
    except web.RequestPayloadError as error:
        raise RequestError("The body cannot be unpacked.") from error
    if too_large:
        raise RefusedError(413, f"More than {MAX_BODY_BYTES // 1024} KiB.")
    try:
        body = json.loads(data, parse_constant=reject_json_constant)
    except ValueError as error:  # of UTF-8, of JSON, or of a number of thousands of digits
        raise RequestError(f"The body is not JSON: {error}.") from error
    if not isinstance(body, dict):
        raise RequestError("The body is not a JSON object.")
    return body


def _text(body: Mapping[str, Any], name: str, default: str | None = None) -> str:
    """A text of the body; without a default it is required."""
    value = body.get(name, default)
    if not isinstance(value, str):
        raise RequestError(f"{name}: expected a text.")
    return value


def _name(text: str, field: str) -> str:
    if not (0 < len(text) <= MAX_NAME and text.isprintable()):
        raise RequestError(f"{field}: expected 1 to {MAX_NAME} printable characters.")
    return text


def _card(request: web.Request) -> str | None:
    card = request.query.get("card")
    return _name(card, "card") if card else None


def _number(request: web.Request, name: str, most: int = (1 << 63) - 1) -> int | None:
    text = request.query.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 20 and 1 <= int(text) <= most):
        raise RequestError(f"{name}: expected a whole number from 1 to {most}.")
    return int(text)

"""Which requests are accepted, and how errors are reported.

Every page in the user's browser can reach a server on the user's own machine. So the headers that the browser sets
decide: requests of other sites are refused, and so are those of a site whose name was made to point at this machine.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import wraps
from typing import Any
from urllib.parse import SplitResult, urlsplit

from aiohttp import web

from ...sonic_guard.errors import (
    FileNameError,
    GraphError,
    HistoryError,
    RequestError,
    SonicGuardError,
    UnknownNameError,
)
from ...sonic_guard.messages.error_messages import error_text
from ..comfyui.languages import interface_language

log = logging.getLogger(__name__)

LINGER_S = 1.0
"""Most seconds for reading the rest of a body that is not needed, so that its sender reads the answer."""
LANGUAGE = "sonic_guard_language"
"""Key of a request under which a handler notes the language of its page."""
_PORTS = {"http": 80, "https": 443}
_STATUS = {GraphError: 400, RequestError: 400, FileNameError: 400, UnknownNameError: 404}
"""By the error's class; 422 for every other."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class RefusedError(Exception):
    """The request is answered with `status` and a text."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def guarded(handler: Handler) -> Handler:
    """`handler` for this server's own pages only, its errors as JSON."""

    @wraps(handler)
    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            response = await _answer(handler, request)
        except ConnectionError:  # the client has closed the connection
            return web.Response(status=400)
        await _read_the_rest(request)
        return response

    return answer


async def _answer(handler: Handler, request: web.Request) -> web.StreamResponse:
    if not _is_own_page(request):
        return _refusal(request, 403, "Only pages of this server are answered.")
    if _is_rebound(request):
        return _refusal(
            request, 403, "This server is not known by that name. Open ComfyUI as localhost or by its IP address."
        )
    try:
        response = await handler(request)
    except HistoryError as error:
        log.warning("%s", error)  # the text names files of this machine
        return _refusal(request, 500, "The history cannot be used; ComfyUI's log says why.")
    except SonicGuardError as error:
        return _refusal(request, _STATUS.get(type(error), 422), str(error))
    except RecursionError:
        return _refusal(request, 400, "The request is nested too deeply.")
    except RefusedError as error:
        return _refusal(request, error.status, str(error))
    if not response.prepared:
        response.headers.update(PRIVATE)
    return response


PRIVATE = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
"""Headers of every answer."""


def _refusal(request: web.Request, status: int, text: str) -> web.Response:
    language = request.get(LANGUAGE) or interface_language()
    return web.json_response({"error": error_text(text, language)}, status=status)


async def _read_the_rest(request: web.Request) -> None:
    """Read the rest of the body here: aiohttp would log a body that it cannot decode as an error of this pack."""
    body: Any = request.content
    with suppress(web.RequestPayloadError, ConnectionError, TimeoutError):
        async with asyncio.timeout(LINGER_S):
            while not body.is_eof():
                await body.readany()
    if body.exception() is not None and not body.is_eof():
        request.protocol.close()
        body.feed_eof()


def _is_own_page(request: web.Request) -> bool:
    """Whether the request comes from this server's own page, or from no page at all.

    ComfyUI's own check is off if it was started with --enable-cors-header, and it accepts other sites on the same
    machine.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:  # set by the browser, and right even where a proxy has changed the host's name
        return site in ("same-origin", "none")
    origin = request.headers.get("Origin")
    if origin is None:
        return True
    try:
        page = urlsplit(origin)
        port, host = _PORTS.get(page.scheme), _host(request)
        return bool(page.hostname) and (page.hostname, page.port or port) == (host.hostname, host.port or port)
    except ValueError:  # not a port
        return False


def _is_rebound(request: web.Request) -> bool:
    """Whether a browser has connected to this machine under another site's name: DNS rebinding.

    To the browser that site's page and this server are then one origin, but the Host header still has the site's name:
    on a connection from this machine it must be a name of this machine. The header also has the port that the browser
    connected to. If that is not this server's, a proxy has forwarded the request, which then has to check host names
    itself.
    """
    transport = request.transport
    here = transport and transport.get_extra_info("sockname")
    if not (isinstance(here, tuple) and _is_loopback(here[0])):
        return False  # other machines may know this one by any name
    try:
        host = _host(request)
        name, port = (host.hostname or "").rstrip("."), host.port or _PORTS[request.scheme]
    except ValueError:  # not a port
        return True
    own = not name or name == "localhost" or name.endswith(".localhost") or name == socket.gethostname().lower()
    return port == here[1] and not own and not _is_address(name)


def _host(request: web.Request) -> SplitResult:
    return urlsplit(f"//{request.headers.get('Host', '')}")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_loopback(name: str) -> bool:
    address = ipaddress.ip_address(name.partition("%")[0])
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback

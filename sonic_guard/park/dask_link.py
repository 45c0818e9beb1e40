"""The client's side of Dask: which workers there are, what they are making, and what has ended.

Dask's scheduler holds its state in memory only, so nothing here is relied on: where contact breaks, all that was
submitted counts as lost, and the farm goes on from its journal.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from ..errors import FarmError
from ..plain_files import shown
from ..quiet_logs import quiet
from .comfyui_client import LOOPBACK
from .cpu_call import CpuCall
from .dask_worker import TOPIC, VRAM, Bound, cancel, describe, run_call
from .outcomes import Ended, Outcome
from .server_call import Call

log = logging.getLogger(__name__)

ANSWER_S = 10.0
"""Seconds for the scheduler or a worker to answer."""
CONNECT_S = 3.0
"""Seconds for a connection: it is tried again and again."""
LOOK_S = 0.02
"""Between two looks at what was submitted."""


class LostError(Exception):
    """Contact with the scheduler is broken."""


class Result(NamedTuple):
    """A task that has ended, however."""

    task: str
    attempt: int
    ended: Ended


@dataclass(frozen=True)
class Security:
    """Files in PEM of the cluster's certificate authority, and of the client's certificate and key."""

    ca: str
    certificate: str
    key: str

    def check(self) -> None:
        """Raises `FarmError` for a file that is not there: the farm would wait for a scheduler it can never reach."""
        for each in (self.ca, self.certificate, self.key):
            if not Path(each).is_file():
                raise FarmError(f"{shown(each)}: there is no such file. Check the path.", path=Path(each))

    def to_dask(self) -> Any:
        """As Dask takes it."""
        from distributed.security import Security as DaskSecurity

        return DaskSecurity(
            tls_ca_file=self.ca, tls_client_cert=self.certificate, tls_client_key=self.key, require_encryption=True
        )


def check_address(address: str, security: Security | None) -> str:
    """The scheduler's address. Raises `FarmError` for one that leaves this machine without encryption."""
    parts = urlsplit(address)
    if parts.scheme not in ("tcp", "tls") or not parts.hostname:
        raise FarmError("scheduler: expected an address such as tcp://127.0.0.1:8786 or tls://HOST:8786.")
    if parts.scheme == "tcp" and not LOOPBACK.fullmatch(parts.hostname):
        raise FarmError(
            "scheduler: tcp:// leaves this machine without encryption, and whoever reaches a Dask scheduler runs "
            "programs on its workers. Use tls:// with --tls-ca, --tls-cert and --tls-key."
        )
    if parts.scheme == "tls" and security is None:
        raise FarmError("scheduler: tls:// needs --tls-ca, --tls-cert and --tls-key.")
    return address


def configured_security() -> Security | None:
    """The files that Dask's own configuration names, in its files or in the environment; None if not all of them."""
    import distributed  # noqa: F401 - brings its part of the configuration
    from dask import config

    names = ("ca-file", "client.cert", "client.key")
    files = [config.get(f"distributed.comm.tls.{name}", None) for name in names]
    return Security(*files) if all(files) else None


@contextmanager
def without_tracebacks() -> Iterator[None]:
    """Dask's and tornado's loggers held down: a lost scheduler is told in a line of ours."""
    import distributed  # noqa: F401  # sets levels of its own when it is first imported

    with quiet(logging.CRITICAL, "distributed", "distributed.client", "tornado"):
        yield


class DaskLink:
    """A connection to a scheduler. Raises `LostError` from every method once it is broken."""

    def __init__(self, address: str, security: Security | None, on_share: Callable[[str, float], object]) -> None:
        from distributed import Client

        self._futures: dict[tuple[str, int], Any] = {}
        """By task and attempt."""
        try:
            self._client = Client(
                check_address(address, security), timeout=CONNECT_S, set_as_default=False,
                security=security and security.to_dask(), name="sonic-guard",
            )  # fmt: skip
            self._client.subscribe_topic(TOPIC, lambda event: _share(event, on_share))
        except (OSError, TimeoutError, RuntimeError, ValueError) as error:
            raise LostError(str(error)) from error

    @property
    def dashboard(self) -> str:
        """Address of Dask's dashboard; "" where it has none."""
        link = self._client.dashboard_link
        return link if isinstance(link, str) and link.startswith("http") else ""

    def workers(self) -> dict[str, str]:
        """Address of each worker by its name."""
        scheduler: Any = self._client.scheduler
        identity = lambda: self._client.sync(scheduler.identity, n_workers=-1, callback_timeout=ANSWER_S)  # noqa: E731
        found = self._ask(identity)
        return {str(each["name"]): address for address, each in found["workers"].items()}

    def describe(self, addresses: Sequence[str]) -> dict[str, Bound]:
        """The server of each worker, by its address; a worker that does not answer is left out."""
        if not addresses:
            return {}
        found = self._ask(lambda: self._client.run(describe, workers=list(addresses), on_error="return"))
        for address, bound in found.items():
            if not isinstance(bound, Bound):
                log.warning("%s: %s", address, bound)
        return {address: bound for address, bound in found.items() if isinstance(bound, Bound)}

    def submit(self, call: Call | CpuCall, attempt: int, address: str, size_bytes: int = 0) -> None:
        """Have a worker make a file that takes so many bytes of its card. What comes of it, `next_result` gives.

        It stays with that worker: Dask steals no task that is bound to one.
        """
        resources = None if isinstance(call, CpuCall) else {VRAM: size_bytes}
        future = self._ask(
            lambda: self._client.submit(
                run_call, call, key=f"{call.task}-{attempt}", workers=[address], allow_other_workers=False,
                pure=False, retries=0, resources=resources,
            )
        )  # fmt: skip
        self._futures[call.task, attempt] = future

    def next_result(self, wait_s: float) -> Result | None:
        """What has ended next, waiting for it; None if nothing does.

        Looked for here, not in Dask's callbacks: all of a process share one thread, and in it one worker that dies
        between the end of a task and the fetch of its result holds up all others.
        """
        until = time.monotonic() + wait_s
        while True:
            for (task, attempt), future in self._futures.items():
                if future.done():
                    del self._futures[task, attempt]
                    return Result(task, attempt, _ended(future))
            if time.monotonic() >= until:
                return None
            time.sleep(LOOK_S)

    def forget(self, task: str, attempt: int) -> None:
        """A worker is gone: what it was making will not come from it."""
        if future := self._futures.pop((task, attempt), None):
            self._ask(lambda: future.cancel(force=True))

    def cancel(self, task: str, address: str) -> None:
        """Have a worker stop; its result says so."""
        self._ask(lambda: self._client.run(cancel, task, workers=[address], on_error="return"))

    def close(self) -> None:
        """End the connection, whatever its state."""
        try:
            self._client.close(timeout=2)
        except Exception as error:  # of a broken connection, anything
            log.debug("%s", error)

    def _ask(self, question: Callable[[], Any]) -> Any:
        if self._client.status != "running":
            raise LostError(f"the client is {self._client.status}")
        try:
            return question()
        except Exception as error:  # Dask raises of its own, of tornado, asyncio and the system
            raise LostError(f"{type(error).__name__}: {error}") from error


def _share(event: Any, on_share: Callable[[str, float], object]) -> None:
    _, message = event
    on_share(message["task"], message["share"])


def _ended(future: Any) -> Ended:
    """The end that a future tells, or that there is none."""
    if future.status == "error":
        return Ended(Outcome.LOST, f"{type(future.exception()).__name__}: {future.exception()}"[:500])
    if future.status != "finished":
        return Ended(Outcome.LOST, f"Dask's task was {future.status}")
    try:
        return future.result(timeout=ANSWER_S)  # it is on the worker, and gone with it
    except Exception as error:  # Dask raises of its own, of tornado, asyncio and the system
        return Ended(Outcome.LOST, f"its result did not come: {type(error).__name__}: {error}"[:500])

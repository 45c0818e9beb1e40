"""Lets a run of Sonic begin when its card has room for it beside those of other processes.

The lease is taken before the first of Sonic's nodes that a graph executes, replaced before one whose run needs more,
and given back when the graph has ended, however it did.
"""

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from enum import StrEnum
from typing import Any, Protocol

from ..farm.leases import CardLeases, LeaseRequest, Place
from ..job import Job
from ..memory.stage_model import predict

log = logging.getLogger(__name__)

LOOK_S = 0.5
"""Seconds between two looks at whether the graph still runs."""


class Sharing(StrEnum):
    """Whether runs wait for those of other processes."""

    AUTO = "auto"
    """Where there are others."""
    ON = "on"
    """Also for room that other programs take, where there are none."""
    OFF = "off"


class GateHost(Protocol):
    """What the gate needs of ComfyUI."""

    def executing(self) -> tuple[str, str]:
        """Ids of the prompt and the node that this thread executes."""
        ...

    def expected(self, prompt: str, node: str) -> Job | None:
        """The job to which `node` of the running graph belongs; None if unknown."""
        ...

    def device(self) -> str:
        """Torch's type of the device that Sonic uses."""
        ...

    def is_running(self, prompt_id: str) -> bool:
        """Whether a prompt is still being executed."""
        ...

    def sharing(self) -> Sharing:
        """The user's setting."""
        ...

    def card_leases(self) -> CardLeases:
        """The leases of the card that Sonic uses. Raises `LeaseError`."""
        ...

    def show_place(self, place: Place) -> None:
        """Show on the executing node where its run stands in line."""
        ...

    def stop_if_interrupted(self) -> None:
        """Raise if the user has cancelled."""
        ...


class RunGate:
    """The lease of this process's run; ComfyUI executes one graph at a time."""

    def __init__(self, host: GateHost, look_s: float = LOOK_S) -> None:
        self._host, self._look_s = host, look_s
        self._lock = threading.Lock()
        self._prompt, self._leased_bytes = "", 0
        self._lease = ExitStack()
        self.place: Place | None = None
        """Where the run stands in line; None while none waits."""

    @contextmanager
    def around(self, name: str, arguments: Mapping[str, Any]) -> Iterator[None]:
        """Execute one of Sonic's nodes inside the block, with a lease for its run. Raises `LeaseError`."""
        self._enter(*self._host.executing())
        yield

    def _enter(self, prompt: str, node: str) -> None:
        """Lease what the node's run needs, unless an earlier run of the graph has needed as much."""
        if prompt != self._prompt:
            self.release(self._prompt)
        sharing = self._host.sharing()
        job = None if sharing is Sharing.OFF else self._known(lambda: self._host.expected(prompt, node))
        leases = None if job is None else self._known(self._host.card_leases)
        if job is None or leases is None:
            return
        size, needed = job.frame_size, predict(job, device=self._host.device()).peak_bytes
        if needed <= self._leased_bytes:
            return
        self.release(self._prompt)
        request = LeaseRequest(
            needed,
            f"Sonic {size.width}×{size.height}, {job.duration_s:.0f} s",
            alone_at_once=sharing is Sharing.AUTO,
        )
        try:
            self._lease.enter_context(leases.lease(request, notify=self._waits, check=self._host.stop_if_interrupted))
        finally:
            self.place = None
        self._prompt, self._leased_bytes = prompt, needed
        threading.Thread(target=self._watch, args=(prompt,), name="sonic-guard-gate", daemon=True).start()

    def release(self, prompt: str) -> None:
        """Give the lease of a graph back, if there is one."""
        with self._lock:
            if prompt != self._prompt:
                return
            self._prompt, self._leased_bytes = "", 0
            self._lease.close()
            self._lease = ExitStack()

    def _waits(self, place: Place) -> None:
        self.place = place
        self._host.show_place(place)

    def _watch(self, prompt: str) -> None:
        """Give the lease back when the graph has ended."""
        over = threading.Event()
        while self._prompt == prompt:
            if not self._host.is_running(prompt):
                self.release(prompt)
                return
            over.wait(self._look_s)

    def _known(self, query: Callable[[], Any]) -> Any:
        """The answer to `query`; None, with an entry in the log, if it fails: a run must not end by it."""
        try:
            return query()
        except Exception as error:
            log.warning("Sonic Guard lets the run begin without a lease: %s", error)
            return None

"""The service of this pack: it answers the pages, shows the machine's memory, and records runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from ...sonic_guard.devices.environment import RunEnvironment, environment_of
from ...sonic_guard.devices.memory_reader import MemoryReader, MemorySnapshot
from ...sonic_guard.farm.leases import CardLeases, Place
from ...sonic_guard.history.run_record import Outcome
from ...sonic_guard.job import Job
from ...sonic_guard.messages.lease_messages import place_text
from ...sonic_guard.planning.capabilities import TALKING_HEAD
from ...sonic_guard.preview.context import Machine
from ...sonic_guard.preview.evaluation import job_for
from ...sonic_guard.preview.input_files import Files
from ...sonic_guard.relatives import SAMPLERS, Relative
from ...sonic_guard.runtime.monitor import Monitor
from ...sonic_guard.runtime.recorder import Recorder
from ...sonic_guard.runtime.run_gate import RunGate, Sharing
from ..comfyui import host
from ..comfyui.card_leases import card_leases
from ..comfyui.languages import interface_language
from ..comfyui.sonic_pack import check_import
from . import run_history
from .instrumentation import instrument
from .routes import Services, routes

if TYPE_CHECKING:
    from ...sonic_guard.devices.budget import Budget
    from ...sonic_guard.history.history_store import History

RUNS = 2
"""Most runs of all processes on a card at a time, unless the user sets another number."""


class _Expected(NamedTuple):
    """What was found last."""

    prompt: str
    node: str
    job: Job | None


class Service:
    """One for the whole process. A `Recorder` uses it as its interface to ComfyUI."""

    def __init__(self) -> None:
        memory_reader = MemoryReader()
        self._monitor = Monitor(memory_reader.read, self._push, memory_reader.close, is_there=host.is_connected)
        self._recorder = Recorder(self, self._monitor)
        self._gate = RunGate(self)
        self._expected: _Expected | None = None
        self._machine = Machine(
            Files(host.input_folder),
            host.user_presets,
            self._budget,
            run_history.history_cache.of,
            host.has_weights,
            host.upscale_model,
            host.has_models,
            host.video_track(),
        )

    def start(self) -> None:
        """Serve the pages, and instrument Sonic's nodes when a graph is queued: by then every pack is loaded."""
        host.add_routes(
            routes(Services(self._machine, run_history.history, run_history.history_cache.forget, self._monitor.watch))
        )
        host.on_prompt(lambda: instrument(host.node_classes(), self._around))

    @contextmanager
    def _around(self, name: str, arguments: Mapping[str, Any]) -> Iterator[None]:
        """In which Sonic's nodes do their work: when the card has room, and followed."""
        with self._gate.around(name, arguments), self._recorder.around(name, arguments):
            yield

    def _budget(self, target: str, reserve: float) -> Budget:
        """The memory of a card, for a prediction. Raises `WrapperError` where Sonic cannot run at all."""
        check_import()
        return host.budget(target, reserve)

    def _push(self, snapshot: MemorySnapshot, clients: tuple[str, ...]) -> None:
        place = self._gate.place
        waits = None if place is None else place_text(place, interface_language())
        event = {**snapshot.to_event(), "run": self._recorder.event(), "waits": waits}
        for client in clients:
            host.send("sonic_guard.live", event, client)

    # The interface that a gate uses

    def sharing(self) -> Sharing:
        """The setting of the users; auto where they differ."""
        chosen = set(host.saved("SonicGuard.Leases"))
        return Sharing(chosen.pop()) if len(chosen) == 1 and chosen <= set(Sharing) else Sharing.AUTO

    def card_leases(self) -> CardLeases:
        """The leases of the card that Sonic uses."""
        runs = [value for value in host.saved("SonicGuard.MaxRuns") if isinstance(value, int) and value > 0]
        return card_leases(min(runs, default=RUNS))

    def show_place(self, place: Place) -> None:
        """Show where the run stands in line on the node that waits."""
        host.show_text(place_text(place, interface_language()))

    # The interface that a recorder uses

    def expected(self, prompt: str, node: str) -> Job | None:
        """The job that one of Sonic's nodes belongs to; None where the running graph does not show it.

        The gate asks it first, and the recorder gets the same answer, however long the run has waited in between.
        """
        if self._expected is None or self._expected[:2] != (prompt, node):
            graph = host.running_graph(prompt)
            samples = any(each.get("class_type") in (*SAMPLERS, TALKING_HEAD) for each in graph.values())
            job = job_for(graph, node, self._machine, host.target_setting()) if samples else None
            self._expected = _Expected(prompt, node, job)
        return self._expected.job

    def device(self) -> str:
        """Torch's type of the device that Sonic uses."""
        return host.device()

    def kind_of(self, prompt: str, node: str) -> str:
        """The class of a node in the running graph; empty if it is not in it, such as a node of an expansion."""
        return str(host.running_graph(prompt).get(node, {}).get("class_type", ""))

    def fed_by(self, prompt: str, node: str) -> str:
        """The node that is linked to the input ``data_dict`` of `node` in the running graph; empty if none is."""
        link = host.running_graph(prompt).get(node, {}).get("inputs", {}).get("data_dict")
        return str(link[0]) if isinstance(link, list) and link else ""

    def environment(self, held_bytes: int, relative: Relative) -> RunEnvironment:
        """This machine for `relative`, with the memory that is free now, `held_bytes` of a loaded model included."""
        budget = host.live_budget(0.0)
        own = replace(budget, reclaimable_bytes=budget.reclaimable_bytes + held_bytes)
        return environment_of(own, comfyui=host.version(), wrapper=run_history.wrapper_version(relative) or "")

    def notify(self, run: Mapping[str, Any]) -> None:
        """Send a run to every page."""
        if run["outcome"] != Outcome.RUNNING:
            run_history.history_cache.renew()
        host.send("sonic_guard.run", run)

    def log(self) -> History | None:
        """The history; None if a user has switched it off. Only saved settings count: anyone can send a request."""
        return run_history.history() if all(host.saved("SonicGuard.Record")) else None

    def ended(self, prompt_id: str) -> Outcome | None:
        """How a prompt has ended; None while it is running. One that ended without an error was cancelled."""
        if host.is_running(prompt_id):
            return None
        return Outcome.ERROR if host.has_failed(prompt_id) else Outcome.INTERRUPTED

    executing = staticmethod(host.executing)
    is_running = staticmethod(host.is_running)
    interrupted = staticmethod(host.interrupted)
    stop_if_interrupted = staticmethod(host.stop_if_interrupted)
    progress_bar = staticmethod(host.progress_bar)

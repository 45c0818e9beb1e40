"""A graph with Sonic's nodes has one lease, from its first node to its end, and waits for it where others run."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sonic_guard.comfy.sonic_objects import LOADER, PREDATA, SAMPLER
from sonic_guard.errors import LeaseError
from sonic_guard.farm.leases import CardLeases, CardMemory, LeaseRequest, Place
from sonic_guard.farm.ledger import Entry, Ledger, State
from sonic_guard.job import Job
from sonic_guard.memory.stage_model import predict
from sonic_guard.messages.lease_messages import place_text
from sonic_guard.runtime.run_gate import RunGate, Sharing

JOB = Job(512, 512, 5.0)
NEEDED = predict(JOB).peak_bytes


class Cancelled(Exception):  # noqa: N818  (ComfyUI's has no such ending either)
    pass


class Comfy:
    """What a gate asks of ComfyUI."""

    def __init__(self, folder: Path) -> None:
        memory = CardMemory(lambda: NEEDED + 1, lambda: 0, lambda: 0)
        self.leases = CardLeases(Ledger(folder), memory)
        self.prompt, self.running, self.setting = "p1", {"p1", "p2"}, Sharing.AUTO
        self.job: Job | None = JOB
        self.places: list[Place] = []
        self.cancelled = self.has_no_ledger = False

    def executing(self) -> tuple[str, str]:
        return self.prompt, "1"

    def expected(self, prompt: str, node: str) -> Job | None:
        if self.job is None:
            raise RuntimeError("the graph cannot be read")
        return self.job

    def device(self) -> str:
        return "cuda"

    def is_running(self, prompt_id: str) -> bool:
        return prompt_id in self.running

    def sharing(self) -> Sharing:
        return self.setting

    def card_leases(self) -> CardLeases:
        if self.has_no_ledger:
            raise LeaseError("the folder is gone")
        return self.leases

    def show_place(self, place: Place) -> None:
        self.places.append(place)

    def stop_if_interrupted(self) -> None:
        if self.cancelled:
            raise Cancelled


@pytest.fixture
def comfy(tmp_path: Path) -> Iterator[Comfy]:
    comfy = Comfy(tmp_path)
    yield comfy
    comfy.leases.close()


@pytest.fixture
def gate(comfy: Comfy) -> Iterator[RunGate]:
    gate = RunGate(comfy, look_s=0.01)
    yield gate
    for prompt in ("p1", "p2"):
        gate.release(prompt)


@pytest.fixture
def other(tmp_path: Path) -> Iterator[CardLeases]:
    leases = CardLeases(Ledger(tmp_path), CardMemory(lambda: NEEDED + 1, lambda: 0, lambda: 0))
    yield leases
    leases.close()


def running(folder: Path) -> list[Entry]:
    return [entry for entry in Ledger(folder).look() if entry.state is State.RUNNING]


def until(condition: Callable[[], bool]) -> None:
    for _ in range(500):
        if condition():
            return
        time.sleep(0.01)
    pytest.fail("it does not happen")


def test_one_lease_from_the_first_node_to_the_end_of_the_graph(comfy: Comfy, gate: RunGate, tmp_path: Path) -> None:
    for node in (LOADER, PREDATA, SAMPLER):
        with gate.around(node, {}):
            [entry] = running(tmp_path)
            assert (entry.size_bytes, entry.label) == (NEEDED, "Sonic 512×512, 5 s")
        assert running(tmp_path), "the models stay on the card between two nodes"
    comfy.running.clear()
    until(lambda: not running(tmp_path))


def test_a_later_run_of_the_graph_that_needs_more_leases_more(comfy: Comfy, gate: RunGate, tmp_path: Path) -> None:
    small, large = Job(256, 256, 5.0, min_resolution=256), JOB
    for comfy.job, needed in ((small, predict(small).peak_bytes), (large, NEEDED), (small, NEEDED)):
        with gate.around(SAMPLER, {}):
            assert [entry.size_bytes for entry in running(tmp_path)] == [needed]
    comfy.running.clear()
    until(lambda: not running(tmp_path))


def test_a_graph_that_is_over_gives_back_no_other_graph_s_lease(comfy: Comfy, gate: RunGate, tmp_path: Path) -> None:
    for comfy.prompt in ("p1", "p2"):
        with gate.around(SAMPLER, {}):
            pass
    gate.release("p1")
    assert running(tmp_path)


def test_a_graph_waits_for_the_run_of_another_process(
    comfy: Comfy, gate: RunGate, other: CardLeases, tmp_path: Path
) -> None:
    begun = threading.Event()

    def work() -> None:
        with gate.around(LOADER, {}):
            begun.set()

    with other.lease(LeaseRequest(1 << 30)):
        thread = threading.Thread(target=work)
        thread.start()
        until(lambda: bool(comfy.places))
        assert comfy.places[0][:2] == (1, 1)
        assert gate.place == comfy.places[0]
        assert not begun.is_set()
    assert begun.wait(5)
    thread.join()
    assert gate.place is None


def test_cancel_ends_the_wait(comfy: Comfy, gate: RunGate, other: CardLeases, tmp_path: Path) -> None:
    comfy.cancelled = True
    with other.lease(LeaseRequest(1 << 30)), pytest.raises(Cancelled), gate.around(LOADER, {}):
        pytest.fail("it began")
    assert gate.place is None
    assert not running(tmp_path)


def test_a_run_that_the_shared_card_can_never_hold_says_so(comfy: Comfy, gate: RunGate, other: CardLeases) -> None:
    comfy.job = Job(1024, 1024, 5.0, min_resolution=1024)
    with pytest.raises(LeaseError, match="needs"), gate.around(LOADER, {}):
        pytest.fail("it began")


@pytest.mark.parametrize("why", ["off", "no ledger", "no plan"])
def test_without_a_lease_a_graph_runs_at_once(
    comfy: Comfy, gate: RunGate, other: CardLeases, tmp_path: Path, why: str
) -> None:
    if why == "off":
        comfy.setting = Sharing.OFF
    elif why == "no ledger":
        comfy.has_no_ledger = True
    else:
        comfy.job = None
    with other.lease(LeaseRequest(NEEDED)), gate.around(LOADER, {}):
        assert len(running(tmp_path)) == 1


def test_the_next_graph_has_its_own_lease(comfy: Comfy, gate: RunGate, tmp_path: Path) -> None:
    with gate.around(SAMPLER, {}):
        pass
    comfy.prompt, comfy.job = "p2", Job(384, 384, 2.0, min_resolution=384)
    with gate.around(SAMPLER, {}):
        assert [entry.label for entry in running(tmp_path)] == ["Sonic 384×384, 2 s"]


def test_what_others_have_leased_is_as_good_as_taken(comfy: Comfy, gate: RunGate, other: CardLeases) -> None:
    assert other.promised_bytes() == 0
    with gate.around(SAMPLER, {}):
        assert other.promised_bytes() == NEEDED
        assert comfy.leases.promised_bytes() == 0


@pytest.mark.parametrize(
    ("place", "lang", "text"),
    [
        (Place(2, 1, 3 << 30, 0), "en", "Waiting for the graphics card, place 2 in line: 1 run on it, 3.0 GiB free"),
        (
            Place(1, 2, 0, 1 << 30), "en",
            "Waiting for the graphics card, place 1 in line: 2 runs on it, 0.0 GiB free · "
            "1.0 GiB in use by other programs",
        ),
        (Place(2, 1, 3 << 30, 0), "zh", "正在等待显卡，排在第 2 位：有 1 个运行，空闲 3.0 GiB"),
    ],
)  # fmt: skip
def test_where_a_run_stands_in_words(place: Place, lang: str, text: str) -> None:
    assert place_text(place, lang) == text

"""A run in a real ComfyUI waits while another process holds the memory, says so on its node, and can be cancelled."""

import threading
import time

import pytest

from sonic_guard.farm.card_ledger import HOST
from sonic_guard.farm.leases import CardLeases, CardMemory, LeaseRequest
from sonic_guard.farm.ledger import Ledger, State
from tests.support.graphs import node
from tests.support.watched_runs import graph, watched

pytest.importorskip("aiohttp")
TOTAL = 1 << 50


@pytest.fixture
def folder(host):
    return host.base / "leases" / HOST


@pytest.fixture
def other(folder):
    leases = CardLeases(Ledger(folder), CardMemory(lambda: TOTAL, lambda: 0, lambda: 0))
    yield leases
    leases.close()


def sonic(seed):
    """PreData, whose job the graph shows, and a node behind it that fails: what is tested comes before."""
    made = graph(seed) | {
        "picture": node("LoadImage", image="portrait.png"),
        "voice": node("LoadAudio", audio="voice.wav"),
        "data": node(
            "SONIC_PreData", clip_vision=["small", 2], vae=["small", 3], audio=["voice", 0], image=["picture", 0],
            weight_dtype=["small", 4], min_resolution=128, duration=1.0, expand_ratio=seed / 100,
        ),
        "failing": node("FailingSonic", model=["small", 0], data_dict=["data", 0]),
    }  # fmt: skip
    made["sampler"]["inputs"] |= {"model": ["failing", 0], "data_dict": ["data", 0]}
    return made


def running(folder):
    return [entry for entry in Ledger(folder).look() if entry.state is State.RUNNING]


def test_a_run_waits_its_turn_and_says_so(host, folder, other):
    held, seen = threading.Event(), []
    runner = threading.Thread(target=lambda: seen.append(watched(host, sonic(21), node="data")))
    with other.lease(LeaseRequest(TOTAL // 2)):
        runner.start()
        for _ in range(300):
            if any(entry.state is State.WAITING for entry in Ledger(folder).look()):
                held.set()
                break
            time.sleep(0.1)
        assert held.is_set(), "it waits"
        time.sleep(1)
    runner.join(120)
    [run] = seen
    assert run.ended == "execution_error", "of the node behind it: it came that far"
    texts = [text for _, text in run.report_text]
    assert any(text.startswith("Waiting for the graphics card, place 1 in line: 1 run on it") for text in texts)
    for _ in range(40):
        if not running(folder):
            break
        time.sleep(0.1)
    assert not running(folder), "its lease ends with the graph"


def test_a_run_that_waits_can_be_cancelled(host, folder, other):
    ended = []
    with other.lease(LeaseRequest(TOTAL // 2)):
        runner = threading.Thread(target=lambda: ended.append(watched(host, sonic(22), node="data").ended))
        runner.start()
        for _ in range(300):
            if any(entry.state is State.WAITING for entry in Ledger(folder).look()):
                break
            time.sleep(0.1)
        host.request("POST", "/interrupt", {})
        runner.join(60)
    assert ended == ["execution_interrupted"]

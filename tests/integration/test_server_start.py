"""How a server of a farm starts: a process of its own, before and after it listens."""

import multiprocessing
import socket

import pytest

pytest.importorskip("psutil")

from sonic_guard.park.local_children import CLIENT, Place, run_comfyui

MAIN = """
import gc, socket, sys, time

seen = [gc.isenabled()]
with socket.create_server(("127.0.0.1", int(sys.argv[1]))):
    until = time.monotonic() + 30
    while not gc.isenabled() and time.monotonic() < until:
        time.sleep(0.01)
    seen.append(gc.isenabled())
print("collects:", *seen)
"""


def test_garbage_is_collected_from_when_it_listens(tmp_path):
    (tmp_path / "main.py").write_text(MAIN)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    (tmp_path / CLIENT).touch()
    place = Place(tmp_path, "server 1")
    process = multiprocessing.get_context("spawn").Process(
        target=run_comfyui, args=(place, tmp_path, [str(port)], port)
    )
    process.start()
    process.join(60)
    assert place.log.read_text() == "collects: False True\n"

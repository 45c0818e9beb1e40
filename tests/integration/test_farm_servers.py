"""Servers of a farm that cannot be used at its beginning: which are waited for, and what is said of each."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("distributed")
pytest.importorskip("aiohttp")

from sonic_guard.cli import main
from sonic_guard.cli.commands import EXIT_BAD_INPUT, EXIT_OK
from sonic_guard.comfy.talking_head_prompt import LOAD_IMAGE, LOAD_VOICE
from sonic_guard.park.farm_run import FLEET_S
from tests.support.dask_cluster import FAKE, free_ports
from tests.support.farm_chaos import Setup, digests, write_jobs
from tests.support.installed import PACK


@pytest.fixture
def made(tmp_path):
    setup = Setup(tmp_path, FAKE.parent, Path(sys.executable), 1, call_s=0.0)
    write_jobs(setup, 1, (0.6, 0.8))
    return setup


@contextmanager
def server(folder: Path, **environment: str) -> Iterator[str]:
    """The address of a server that the user has started."""
    [port] = free_ports(1)
    command = [sys.executable, FAKE, "--port", str(port), "--output-directory", folder / str(port) / "output"]
    process = subprocess.Popen(command, env=os.environ | environment, cwd=PACK)
    try:
        while not is_taken(port):  # else a Dask worker may get the port, which takes any that is free
            assert process.poll() is None
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def is_taken(port: int) -> bool:
    """Whether somebody has the port, listening or not."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def only(*nodes: str) -> str:
    """The variable of a server that has only these nodes."""
    return json.dumps({"nodes": nodes})


@pytest.mark.parametrize(
    ("nodes", "lang", "text"),
    [
        ((), "en", "this server lacks ComfyUI, ComfyUI_Sonic, Sonic Guard (nodes ImageOnlyCheckpointLoader, SONICT"),
        (("ImageOnlyCheckpointLoader", "SONICTLoader", LOAD_IMAGE, LOAD_VOICE), "en",
         "this server lacks Sonic Guard (nodes SonicGuardTalkingHead). Install what is missing, or see in its log"),
        (("ImageOnlyCheckpointLoader", LOAD_IMAGE), "zh",
         "此服务器缺少 ComfyUI_Sonic, Sonic Guard（节点 SONICTLoader, SonicGuardLoadVoice, SonicGuardTalkingHead）。请"
         "安装所缺内容"),
    ],
)  # fmt: skip
def test_a_server_without_the_packs_is_refused_at_once(nodes, lang, text, made, tmp_path, capsys):
    begun = time.monotonic()
    with server(tmp_path, FARM_SERVER=only(*nodes)) as url:
        options = ["farm", "run", made.jobs, "--out", tmp_path / "out", "--servers", url, "--lang", lang]
        assert main([*map(str, options)]) == EXIT_BAD_INPUT
    assert f"sonic-guard: {url}{'：' if lang == 'zh' else ': '}{text}" in capsys.readouterr().err
    assert time.monotonic() - begun < FLEET_S / 2


@contextmanager
def loads_until_told(log: Path, text: str) -> Iterator[Path]:
    """A file for FARM_LOADS, which is there until `log` has `text`, or the block ends."""
    file, ended = log.with_name("loads"), threading.Event()
    file.touch()

    def watch() -> None:
        while not ended.wait(0.1) and not (log.is_file() and text in " ".join(log.read_text().split())):
            pass
        file.unlink()

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield file
    finally:
        ended.set()
        watcher.join()


def test_a_server_that_loads_is_waited_for_beside_one_without_the_packs(made, tmp_path):
    out, log = tmp_path / "out", tmp_path / "out.log"
    silent = "worker 2 cannot be used yet: it does not answer"
    with (
        loads_until_told(log, silent) as loads,
        server(tmp_path, FARM_SERVER=only()) as bare,
        server(tmp_path, FARM_LOADS=str(loads)) as late,
        log.open("wb") as told,
    ):
        options = ["run", made.jobs, "--out", out, "--servers", bare, late]
        command = [sys.executable, "-m", "sonic_guard", "farm", *map(str, options)]
        subprocess.run(command, stdout=told, stderr=told, check=True, timeout=240, cwd=PACK, env=made.environment(out))
    assert set(digests(out)) == {"video 0.mp4"}
    said = " ".join(log.read_text().split())
    assert silent in said
    assert f"{bare} is not used: this server lacks ComfyUI" in said


def test_a_server_that_the_farm_has_started_is_loading_until_it_listens(made, tmp_path):
    out, log, loading = tmp_path / "out", tmp_path / "out.log", "the ComfyUI of worker 1 is loading"
    with loads_until_told(log, loading) as loads:
        slow = replace(made, more=(("FARM_LOADS", str(loads)),))
        assert slow.client(out, resume=False).wait(240) == EXIT_OK
    told = log.read_text(encoding="utf-8")
    assert told.count(loading) == 1
    assert "does not answer" not in told

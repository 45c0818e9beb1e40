"""A farm on a Dask cluster that was started as a user starts one, with and without TLS."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("distributed")
pytest.importorskip("aiohttp")
pytest.importorskip("cryptography", reason="certificates need cryptography; see requirements-dev.txt")

from sonic_guard.comfy.talking_head_prompt import Loaded
from sonic_guard.finishing.finish_presets import FinishPreset
from sonic_guard.media.video_writer import Encoding
from sonic_guard.optimizations import Mode
from sonic_guard.park.content import file_digest
from sonic_guard.park.cpu_call import CpuCall, Finish, MadeFile
from sonic_guard.park.dask_link import DaskLink, LostError, Security, configured_security
from sonic_guard.park.job_plans import widgets
from sonic_guard.park.jobs import JobSettings
from sonic_guard.park.outcomes import Outcome
from sonic_guard.park.server_call import Call
from tests.support.dask_cluster import cluster, tls_files
from tests.support.fake_comfyui import RTX_4090
from tests.support.farm_chaos import Setup, digests, write_jobs
from tests.support.graphs import write_wav
from tests.support.installed import PACK


def farm(*arguments, environment=None):
    """Begin the command `farm`."""
    command = [sys.executable, "-m", "sonic_guard", "farm", *map(str, arguments)]
    return subprocess.Popen(
        command, cwd=PACK, env=os.environ | (environment or {}), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def done(process):
    out, _ = process.communicate(timeout=240)
    assert process.returncode == 0, out.decode()[-3000:]


def attempts(out):
    return json.loads((out / "farm-report.json").read_text())["attempts"]


def jobs(folder, count):
    made = Setup(folder, PACK, Path(sys.executable), 0)
    write_jobs(made, count, (0.6, 1.0))
    return made.jobs


def test_a_cluster_over_tls_makes_the_videos(tmp_path):
    """With the certificate from the options, and from Dask's own variables; nobody else gets in."""
    files, file, out = tls_files(tmp_path / "pem"), jobs(tmp_path, 3), tmp_path / "out"
    with cluster(tmp_path, 2, files) as found:
        options = ["--tls-ca", files.ca, "--tls-cert", files.cert, "--tls-key", files.key]
        done(farm("run", file, "--out", out, "--scheduler", found.scheduler, *options))
        assert {(each["worker"], each["server"]) for each in attempts(out)} <= {
            ("w1", found.servers[0]), ("w2", found.servers[1]),
        }  # fmt: skip
        assert len(digests(out)) == 3
        tls = "DASK_DISTRIBUTED__COMM__TLS__"
        variables = {
            f"{tls}CA_FILE": str(files.ca), f"{tls}CLIENT__CERT": str(files.cert), f"{tls}CLIENT__KEY": str(files.key),
        }  # fmt: skip
        other = tmp_path / "other"
        done(farm("run", file, "--out", other, "--scheduler", found.scheduler, environment=variables))
        assert digests(other) == digests(out)
        stranger = tls_files(tmp_path / "stranger")
        with pytest.raises(LostError):
            DaskLink(found.scheduler, Security(*map(str, stranger)), lambda *_: None)


def test_a_task_takes_its_bytes_of_its_card_and_stays_there(tmp_path):
    """Of Dask's resource, bytes of the card; with Dask's stealing on, as it is by default."""
    from distributed import Client

    out = tmp_path / "out"
    with cluster(tmp_path, 2, environment=[("FARM_CALL_S", "3")]) as found:
        client = farm("run", jobs(tmp_path, 2), "--out", out, "--scheduler", found.scheduler)
        with Client(found.scheduler, set_as_default=False) as watcher:
            seen = wait_for(lambda: both_taken(watcher.run_on_scheduler(resources)))
        done(client)
    taken = {each["worker"]: each["predicted_bytes"] for each in attempts(out)}
    assert seen == {name: (RTX_4090, taken[name]) for name in ("w1", "w2")}
    assert 0 < taken["w1"] < RTX_4090


def resources(dask_scheduler):
    """What each worker has of its card, and what of it is taken."""
    return {
        worker.name: (worker.resources.get("VRAM", 0), worker.used_resources.get("VRAM", 0))
        for worker in dask_scheduler.workers.values()
    }


def both_taken(found):
    return found if len(found) == 2 and all(taken for _, taken in found.values()) else None


def test_a_worker_that_is_killed_costs_one_attempt(tmp_path):
    out = tmp_path / "out"
    with cluster(tmp_path, 2, environment=[("FARM_CALL_S", "2")]) as found:
        client = farm("run", jobs(tmp_path, 4), "--out", out, "--scheduler", found.scheduler)
        wait_for(lambda: list((tmp_path / "out").glob("*.mp4")))
        found.processes["w1"].kill()
        done(client)
    assert len(digests(out)) == 4
    assert sum(each["outcome"] != "done" for each in attempts(out)) <= 1


def test_a_worker_that_dies_with_a_result_holds_up_no_other(tmp_path):
    """Its task has ended, and what came of it is gone with it."""
    with cluster(tmp_path, 2) as found:
        link = DaskLink(found.scheduler, None, lambda *_: None)
        try:
            workers = wait_for(lambda: len(there := link.workers()) == 2 and there)
            # Files that do not exist: the calls end at once, as failed.
            link.submit(call("one", tmp_path), 1, workers["w1"])
            time.sleep(3)
            found.processes["w1"].kill()
            found.processes["w1"].wait()
            link.submit(call("two", tmp_path), 1, workers["w2"])
            results = {}
            begun = time.monotonic()
            while "two" not in results:
                assert time.monotonic() - begun < 30
                if result := link.next_result(0.25):
                    results[result.task] = result.ended.outcome
            assert results.pop("two") is Outcome.SERVER_FAILED
            assert results in ({}, {"one": Outcome.LOST})
        finally:
            link.close()


def test_a_server_on_which_a_video_hangs_gets_no_other(tmp_path):
    stalls = [("FARM_SERVER", json.dumps({"stalls": "for ever"}))]
    with cluster(tmp_path, 1, environment=stalls) as found:
        link = DaskLink(found.scheduler, None, lambda *_: None)
        try:
            (address,) = wait_for(link.workers).values()
            wait_for(lambda: link.describe([address])[address].fault == "")
            link.submit(on_server("one", found.servers[0], tmp_path), 1, address)
            result = wait_for(lambda: link.next_result(0.25))
            assert result.ended.outcome is Outcome.SERVER_STUCK
            assert link.describe([address])[address].fault == "a video hangs on it; restart it"
            found.processes["s1"].kill()
            found.processes["s1"].wait()
            assert "does not answer" in link.describe([address])[address].fault
        finally:
            link.close()


def on_server(task, server, folder):
    image, audio = folder / "p.png", folder / "v.wav"
    image.write_bytes(b"picture")
    write_wav(audio, 1.0)
    return Call(
        task, 0, server, image, audio, file_digest(image), file_digest(audio),
        Loaded("", "", 1, "svd.safetensors", "unet.pth", True, "fp16"),
        widgets(JobSettings(), Mode.AUTO, f"sonic_guard_farm/{task}-0"), folder / "out", ".mp4", 23, patience_s=1.5,
    )  # fmt: skip


def call(task, out):
    made = MadeFile("0" * 64, 1, ".mp4")
    return CpuCall(task, (made,), Finish(FinishPreset.HD), Encoding(), out, ".mp4")


def wait_for(condition, limit_s=120):
    deadline = time.monotonic() + limit_s
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


def test_dasks_configuration_counts_only_as_a_whole(tmp_path):
    from dask import config

    with config.set({"distributed.comm.tls.ca-file": "ca", "distributed.comm.tls.client.cert": "cert"}):
        assert configured_security() is None
        with config.set({"distributed.comm.tls.client.key": "key"}):
            assert configured_security() == Security("ca", "cert", "key")

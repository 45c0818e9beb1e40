"""Runs of the wrapper's own sampler in a real ComfyUI, as the pages and the history see them.

Its networks have few channels (`tests/support/hostpack`), its code is all there.
"""

import pytest

from sonic_guard.history.run_record import Outcome
from tests.support.graphs import node
from tests.support.watched_runs import FRAMES, PAGE, STEPS, WINDOW, graph, runs, watched

aiohttp = pytest.importorskip("aiohttp")


def test_the_page_sees_every_stage_and_step(host):
    seen = watched(host, graph(1))
    assert seen.ended == "execution_success"
    stages = list(dict.fromkeys(run["stage"] for run in seen.runs))
    assert stages == ["denoise", "decode", "interpolate"]
    steps = [run["step"] for run in seen.runs]
    assert steps == sorted(steps)
    assert seen.runs[-1]["step"] == seen.runs[-1]["steps"] == STEPS
    assert [run["outcome"] for run in seen.runs] == ["running"] * (len(seen.runs) - 1) + ["done"]
    assert seen.runs[-1]["nodes"] == {"SONICSampler": "sampler"}
    assert seen.bar[-1] == STEPS, "ComfyUI's own bar on the node"


def test_the_page_sees_the_machines_memory_and_that_there_is_no_gpu(host):
    seen = watched(host, graph(2, call_s=0.1))
    assert len(seen.live) > 3
    for snapshot in seen.live:
        assert snapshot["gpu"] is False
        assert 0 < snapshot["host_used"] < snapshot["host_total"]
    assert any(snapshot["run"] and snapshot["run"]["stage"] == "denoise" for snapshot in seen.live)


def test_a_run_is_written_down_with_the_job_that_really_ran(host):
    row = watched(host, graph(3)).row
    assert row.outcome is Outcome.DONE
    assert (row.job.frame_size.width, row.job.latent_frames, row.job.window) == (64, FRAMES, int(WINDOW))
    assert row.job.dtype == "fp32"
    assert row.job.steps == STEPS
    assert list(row.stages) == ["denoise", "decode", "interpolate"]
    assert all(took.seconds > 0 for took in row.stages.values())
    assert row.environment.comfyui
    assert row.environment.torch
    assert row.environment.wrapper.startswith("1.0.0+")


@pytest.mark.parametrize("stage", ["denoise", "decode", "interpolate"])
def test_out_of_memory_is_remembered_with_its_stage(host, stage):
    seen = watched(host, graph(4, fail=stage))
    assert seen.ended == "execution_error"
    assert (seen.row.outcome, seen.row.stage) == (Outcome.OUT_OF_MEMORY, stage)
    assert (seen.runs[-1]["outcome"], seen.runs[-1]["stage"]) == ("oom", stage)


def test_another_failure_is_no_lack_of_memory(host):
    seen = watched(host, graph(5, fail="error"))
    assert (seen.row.outcome, seen.row.stage) == (Outcome.ERROR, "denoise")


def test_a_node_that_fails_between_sonics_nodes_ends_the_run_with_an_error(host):
    """Not as cancelled: a node that refuses what cannot run is one of them."""
    made = graph(11) | {
        "picture": node("LoadImage", image="portrait.png"),
        "voice": node("LoadAudio", audio="voice.wav"),
        "data": node(
            "SONIC_PreData", clip_vision=["small", 2], vae=["small", 3], audio=["voice", 0], image=["picture", 0],
            weight_dtype=["small", 4], min_resolution=128, duration=1.0, expand_ratio=0.5,
        ),
        "failing": node("FailingSonic", model=["small", 0], data_dict=["data", 0]),
    }  # fmt: skip
    made["sampler"]["inputs"] |= {"model": ["failing", 0], "data_dict": ["data", 0]}
    assert watched(host, made).ended == "execution_error"
    row = watched(host, graph(12)).row
    assert row.outcome is Outcome.DONE
    failed = runs(host, 2)[1]
    assert (failed.outcome, failed.stage) == (Outcome.ERROR, "predata")


def test_cancelling_stops_the_sampler_between_two_calls_of_its_network(host):
    seen = watched(host, graph(6, steps=200, call_s=0.05), interrupt_at=2)
    assert seen.ended == "execution_interrupted"
    assert (seen.row.outcome, seen.row.stage) == (Outcome.INTERRUPTED, "denoise")
    assert max(run["step"] for run in seen.runs) < 50


def test_the_history_of_the_pages_is_the_one_that_was_written(host):
    newest = watched(host, graph(7)).row
    shown = host.get("/api/sonic_guard/history")["runs"][0]
    assert (shown["id"], shown["outcome"]) == (newest.id, "done")
    assert shown["stages"]["denoise"]["seconds"] == newest.stages["denoise"].seconds


def test_recording_is_switched_off_by_the_saved_setting_only(host):
    before = watched(host, graph(8)).row.id
    try:
        assert host.request("POST", "/settings/SonicGuard.Record", False)[0] == 200
        assert watched(host, graph(9)).row.id == before
    finally:
        host.request("POST", "/settings/SonicGuard.Record", True)
    host.request("POST", "/api/sonic_guard/watch", {"client": PAGE, "rate_hz": 1, "record": False})
    assert watched(host, graph(10)).row.id > before

"""DICE Talk in a real ComfyUI: its own pack and sampler over small networks, with this pack beside them."""

import numpy as np
import pytest

from sonic_guard.optimizations import EVERY, Optimization, without_redundant
from sonic_guard.relatives import Relative
from tests.support import comfyui_server, installed
from tests.support.comfyui_server import error_of
from tests.support.graphs import node
from tests.support.watched_runs import low_vram, pixels, runs, small

pytest.importorskip("aiohttp")

FRAMES = 2
"""Of the sound."""
DICE = ("dice", 0)
"""The model."""


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    """A host with the packs of Sonic and of DICE Talk, which do not know each other."""
    base = tmp_path_factory.mktemp("dice")
    support = installed.PACK / "tests" / "support"
    comfyui_server.install(base, installed.sonic(), "hostpack", installed.dice_talk(), support / "dicepack")
    with comfyui_server.started(base) as running:
        yield running


def dice():
    return {"small": small(), "dice": node("SmallDice", vae=["small", 3], frames=FRAMES)}


def sampler(model, seed=1):
    return node(
        "Dice_Talk_Sampler", model=model, data_dict=["dice", 1], seed=seed, inference_steps=2, ref_scale=1.0,
        emo_scale=1.0, fps=12.0,
    )  # fmt: skip


def test_low_vram_gives_its_own_frames_and_its_runs_are_recorded_as_its_own(host):
    result = host.run(
        {
            **dice(),
            "stock": sampler(["dice", 0]),
            "low": low_vram(DICE, mode="least_memory"),
            "optimized": sampler(["low", 0]),
            "a": node("PreviewImage", images=["stock", 0]),
            "b": node("PreviewImage", images=["optimized", 0]),
        }
    )
    assert result["status"]["status_str"] == "success", result["status"]
    stock, optimized = pixels(host, result, "a"), pixels(host, result, "b")
    assert stock.shape == optimized.shape == (2 * (FRAMES + 25) - 1, 64, 64, 3)
    assert np.abs(stock - optimized).max() <= 1
    found = runs(host, 2)
    assert {run.job.relative for run in found} == {Relative.DICE_TALK}
    assert {frozenset(run.job.optimizations) for run in found} == {frozenset(), without_redundant(EVERY)}
    assert all(run.predicted["denoise"] > 0 for run in found)


def test_with_auto_it_runs_with_what_it_needs(host):
    """On a card of 80 GiB it needs nothing more than what is always on."""
    result = host.run(
        {
            **dice(),
            "low": low_vram(DICE),
            "auto": sampler(["low", 0], seed=2),
            "a": node("PreviewImage", images=["auto", 0]),
        }
    )
    assert result["status"]["status_str"] == "success", result["status"]
    (run,) = runs(host, 1)
    assert (run.job.relative, run.job.optimizations) == (Relative.DICE_TALK, {Optimization.UNET_OFFLOAD})


def test_its_model_in_sonic_s_sampler_is_an_error_that_says_so(host):
    """ComfyUI links it, for Sonic Low VRAM passes on any model."""
    sonic = node(
        "SONICSampler", model=["low", 0], data_dict=["small", 1], seed=1, inference_steps=2, dynamic_scale=1.0, fps=5.0
    )
    shown = node("PreviewImage", images=["wrong", 0])
    error = error_of(host.run({**dice(), "low": low_vram(DICE), "wrong": sonic, "a": shown}))
    assert error["node_id"] == "wrong"
    assert (
        "DICE Talk's model does not run in SONICSampler. Connect the model of SONICTLoader."
        in (error["exception_message"])
    )

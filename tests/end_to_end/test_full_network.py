"""Weights of the published shapes: the wrapper's three nodes, Low VRAM against them, and every example workflow."""

import re

import av
import numpy as np
import pytest

from sonic_guard.job import latent_frames
from sonic_guard.media.video_file import verify
from tests.end_to_end import graphs
from tests.support import comfyui_server
from tests.support.workflows import EXAMPLES

PICTURES = 2 * latent_frames(graphs.VOICE_S) - 1
SAME = 2e-5
"""Difference of optimized frames from stock ones in fp32, as a share of their root mean square."""


@pytest.fixture(scope="module")
def host(full):
    with comfyui_server.started(full) as host:
        yield host


@pytest.fixture(scope="module")
def stock_frames(host):
    """The frames of the wrapper's own nodes, which the first test makes."""
    return np.load(host.base / "output" / "stock.npy")


def video_of(host, entry):
    """The one video file that a graph has written."""
    (shown,) = (
        file
        for output in entry["outputs"].values()
        for file in output.get("images", [])
        if file["type"] == "output" and file["filename"].endswith(".mp4")
    )
    return host.base / "output" / shown["subfolder"] / shown["filename"]


def check_video(file):
    """Every frame can be decoded, there is one for each moment, and the sound is as long and is heard."""
    info = verify(file)
    assert info == (PICTURES, 25)
    with av.open(str(file)) as container:
        sound = np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)
        rate = container.streams.audio[0].rate
    assert sound.shape[1] / rate == pytest.approx(PICTURES / 25, abs=0.1)  # AAC counts in blocks
    assert np.abs(sound).max() > 0.1


def apart(frames, others):
    """The difference's root mean square, as a share of that of `others`."""
    return np.sqrt(np.mean((frames - others) ** 2) / np.mean(others**2))


def test_stock_nodes(host, watch):
    entry = watch.run(host, graphs.stock("stock"))
    check_video(video_of(host, entry))
    assert not re.search(r"missing|left over|unexpected", host.log_text(), re.I), "every tensor has found its place"
    frames = np.load(host.base / "output" / "stock.npy")
    assert frames.shape == (PICTURES, 128, 128, 3)
    assert frames.std(axis=0).mean() > 0.01, "a picture that never changes would show no error"


def test_low_vram_with_every_optimization_makes_the_stock_frames(host, watch, stock_frames):
    check_video(video_of(host, watch.run(host, graphs.optimized("optimized"))))
    difference = apart(np.load(host.base / "output" / "optimized.npy"), stock_frames)
    watch.found = f"{difference:.1e} of the frames' rms apart"
    assert difference < SAME


def test_a_second_run_of_the_same_model_makes_the_same_frames(host, watch):
    watch.run(host, graphs.optimized("again"))
    first, again = (np.load(host.base / "output" / f"{name}.npy") for name in ("optimized", "again"))
    assert np.array_equal(first, again)


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_workflow_ends_with_a_video(host, watch, name):
    graph = graphs.from_template(EXAMPLES[name], host.get("/object_info"))
    check_video(video_of(host, watch.run(host, graph)))

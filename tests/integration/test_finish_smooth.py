"""Smoothing of files and of ComfyUI's pictures: what users get, from the command line and from the node."""

import json
import re
import sys
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from sonic_guard.cli import main
from sonic_guard.finishing.brightness_plot import SIZE as PLOT
from sonic_guard.finishing.brightness_plot import brightness_plot
from sonic_guard.finishing.pipeline import FinishRequest, finish
from sonic_guard.finishing.smooth import SmoothNotes, smooth_filters
from sonic_guard.media.footage import open_footage, shots
from sonic_guard.media.video_writer import FFV1, Encoding, VideoWriter
from tests.support.head_scenes import Scene, gain_errors, psnr, pulsed, rms, shake

SCENE = Scene(128, 48)
CLEAN = SCENE.render()
PULSED, GAINS = pulsed(CLEAN, first=12)
JITTERY = SCENE.render(shake(48, 128, 0.5))
LOSSLESS = Encoding(FFV1.name)


def write(path: Path, frames) -> Path:
    with VideoWriter(path, Fraction(25), LOSSLESS) as writer:
        for frame in frames:
            writer.write(frame[None])
    return path


def read(path: Path) -> list[np.ndarray]:
    return [shot.picture for shot in shots(open_footage(path, lambda: None), 0, lambda: None)]


def smooth(capsys, source: Path, target: Path, *options: str) -> dict:
    main(["finish", "smooth", str(source), "--out", str(target), "--format", "ffv1", "--json", *options])
    return json.loads(capsys.readouterr().out)


def test_a_pulse_is_removed_from_a_file(tmp_path, capsys):
    answer = smooth(capsys, write(tmp_path / "in.mkv", PULSED), tmp_path / "out.mkv", "--strength", "0")
    assert answer["pulse_frames"] == answer["changed"] == sum(gain != 1 for gain in GAINS)
    assert answer["largest_pulse"] == pytest.approx(0.06, abs=0.003)
    result = read(tmp_path / "out.mkv")
    assert rms(gain_errors(result, CLEAN)) <= 0.1
    assert all((a == b).all() for a, b, gain in zip(result, PULSED, GAINS, strict=True) if gain == 1)


def test_a_clean_file_is_not_encoded_again(tmp_path, capsys):
    source = write(tmp_path / "in.mkv", CLEAN)
    answer = smooth(capsys, source, tmp_path / "out.mkv", "--strength", "0")
    assert answer["is_copy"]
    assert answer["changed"] == answer["pulse_frames"] == 0
    assert all((a == b).all() for a, b in zip(read(tmp_path / "out.mkv"), CLEAN, strict=True))


def test_jitter_is_removed_from_a_file(tmp_path, capsys):
    answer = smooth(capsys, write(tmp_path / "in.mkv", JITTERY), tmp_path / "out.mkv", "--no-deflicker")
    assert answer["strength"] == 1
    assert psnr(read(tmp_path / "out.mkv")[6:-6], CLEAN[6:-6]) >= psnr(JITTERY[6:-6], CLEAN[6:-6]) + 1.5


def test_a_strength_that_is_none_is_refused(tmp_path, capsys):
    source = write(tmp_path / "in.mkv", CLEAN[:4])
    code = main(
        ["--lang", "zh", "finish", "smooth", str(source), "--out", str(tmp_path / "out.mkv"), "--strength", "2"]
    )
    assert code != 0
    assert "应为 0 到 1 之间的数字" in capsys.readouterr().err
    assert not (tmp_path / "out.mkv").exists()


def test_a_refused_finish_leaves_nothing_behind(tmp_path, capsys):
    source, there = write(tmp_path / "in.mkv", CLEAN[:4]), tmp_path / "out.mkv"
    there.write_bytes(b"another video")
    assert main(["finish", "smooth", str(source), "--out", str(there)]) != 0
    assert "there is a file of that name" in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == [source, there]


class StoppedError(Exception):
    pass


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
@pytest.mark.parametrize("strength", [0.0, 1.0])
def test_a_run_that_was_stopped_gives_the_same_pictures_and_the_same_report(tmp_path, monkeypatch, strength, share):
    monkeypatch.setattr("sonic_guard.finishing.pipeline.SEGMENT_S", 0.4)
    source = write(tmp_path / "in.mkv", PULSED)

    def smoothed(name, notify=lambda event: None):
        notes = SmoothNotes()
        request = FinishRequest(source, smooth_filters(True, strength, notes), LOSSLESS, notes=(notes,))
        return finish(request, tmp_path / name, tmp_path / "work", notify=notify), notes

    def stop(event):
        if event.share > share:
            raise StoppedError

    whole, all_notes = smoothed("whole.mkv")
    assert len(all_notes.frames) == len(PULSED)
    with pytest.raises(StoppedError):
        smoothed("resumed.mkv", stop)
    resumed, notes = smoothed("resumed.mkv")
    assert resumed.kept > 0
    assert notes.frames == all_notes.frames
    assert all((a == b).all() for a, b in zip(read(resumed.path), read(whole.path), strict=True))


def test_brightness_is_drawn_before_and_after():
    picture = brightness_plot([100.0] * 20 + [106.0] * 3 + [100.0] * 20, [100.0] * 43)
    assert picture.shape == (*PLOT[::-1], 3)
    red = (picture[..., 0].astype(int) - picture[..., 2] > 100).any(1).nonzero()[0]
    blue = (picture[..., 2].astype(int) - picture[..., 0] > 100).any(1).nonzero()[0]
    assert red.min() < PLOT[1] / 3 < blue.min()


@pytest.mark.parametrize("values", [[], [90.0], [90.0, 91.0], list(range(1000))])
def test_a_plot_of_any_number_of_frames(values):
    assert brightness_plot(values, values).shape == (*PLOT[::-1], 3)


def as_images(frames):
    return torch.from_numpy(np.stack(frames)).float() / 255


@pytest.fixture
def run_node_of_images(run_node, monkeypatch):
    """`run_node` where ComfyUI's own class for outputs without a value is missing."""
    monkeypatch.setitem(sys.modules, "comfy_execution.graph", SimpleNamespace(ExecutionBlocker=str))
    return run_node


def test_the_node_smooths_images(run_node_of_images):
    images = as_images(PULSED)
    result = run_node_of_images("SonicGuardSmooth", video=images, strength=0.0)
    kept = [number for number, gain in enumerate(GAINS) if gain == 1]
    assert torch.equal(result["images"][kept], images[kept])
    frames = list((result["images"] * 255).round().byte().numpy())
    assert rms(gain_errors(frames, CLEAN)) <= 0.1
    assert re.fullmatch(r"Brightness pulses removed from 6 frames, at most \+[56].\d%\.", result["report"])
    assert result["brightness"].shape == (1, *PLOT[::-1], 3)


def test_the_node_leaves_clean_images_as_they_are(run_node_of_images):
    images = as_images(CLEAN[:1] * 20)
    result = run_node_of_images("SonicGuardSmooth", video=images)
    assert torch.equal(result["images"], images)
    assert result["report"] == "No brightness pulses found.\nJitter removed with strength 1."

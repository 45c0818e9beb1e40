"""What may be used again is decided by content: the same is found again wherever it lies, and nothing else is."""

from dataclasses import replace

import numpy as np
import pytest

from sonic_guard.long_video.video_request import VideoRequest
from sonic_guard.media.audio import Sound
from sonic_guard.media.video_writer import Encoding
from sonic_guard.resume.manifest import FileNote, Manifest, content_key, weights_key
from tests.support.numbered_frames import order

PLAIN = order(300)


def changed(**fields) -> VideoRequest:
    return replace(PLAIN, **fields)


def with_sample(at: int) -> Sound:
    waveform = PLAIN.sound.waveform.copy()
    waveform[0, at] += 1e-3
    return Sound(waveform, PLAIN.sound.sample_rate)


OTHERS = {
    "picture": changed(picture=np.ones((64, 64, 3), np.uint8)),
    "picture's shape": changed(picture=np.zeros((32, 128, 3), np.uint8)),
    "sound": changed(sound=with_sample(1000)),
    "weights": changed(weights="others"),
    "seed": changed(settings={"seed": 7}),
    "steps": changed(job=replace(PLAIN.job, steps=20)),
    "dynamic_scale": changed(job=replace(PLAIN.job, dynamic_scale=1.2)),
    "dtype": changed(job=replace(PLAIN.job, dtype="fp32")),
    "frame size": changed(job=replace(PLAIN.job, min_resolution=128)),
    "format": changed(encoding=Encoding("h264")),
}
SAME = {
    "once more": order(300),
    "a copy": changed(picture=PLAIN.picture.copy(), sound=Sound(PLAIN.sound.waveform.copy(), 16000)),
    "unused settings": changed(job=replace(PLAIN.job, expand_ratio=0.5)),
    "another order of settings": changed(settings={}),
    "a quality that ffv1 does not have": changed(encoding=Encoding("ffv1", crf=20, preset="slow")),
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_whatever_changes_the_pixels_changes_the_keys(other):
    assert other.key != PLAIN.key
    assert other.part_keys[0] != PLAIN.part_keys[0]


def test_the_quality_of_h264_changes_the_keys():
    keys = {changed(encoding=Encoding("h264", **how)).key for how in ({}, {"crf": 20}, {"preset": "slow"})}
    assert len(keys) == 3


@pytest.mark.parametrize("same", SAME.values(), ids=SAME)
def test_what_changes_nothing_keeps_the_keys(same):
    assert same.key == PLAIN.key
    assert same.part_keys == PLAIN.part_keys


def test_parts_of_one_video_have_keys_of_their_own():
    assert len(set(PLAIN.part_keys)) == len(PLAIN.parts) == 3


def test_a_change_of_the_sound_concerns_the_parts_that_use_it():
    other = changed(sound=with_sample(10))
    assert other.part_keys[0] != PLAIN.part_keys[0]
    assert other.part_keys[1:] == PLAIN.part_keys[1:]


def test_the_order_of_settings_does_not_matter():
    one, other = changed(settings={"seed": 1, "scale": 2}), changed(settings={"scale": 2, "seed": 1})
    assert one.key == other.key


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("ab", "c"), ("a", "bc")),
        ((1,), ("1",)),
        (("/home/m\udcfcller",), ("/home/m\udcfdller",)),  # a path with bytes that are no UTF-8
        ((np.zeros(2, np.float32),), (np.zeros(2, np.float64),)),
        ((np.arange(6).reshape(2, 3),), (np.arange(6).reshape(3, 2),)),
        ((Sound(np.zeros((1, 4), np.float32), 8000),), (Sound(np.zeros((1, 4), np.float32), 16000),)),
    ],
)
def test_what_is_reported_apart(one, other):
    assert content_key(*one) != content_key(*other)
    assert content_key(*one) == content_key(*one)


def test_a_tensor_is_what_its_numbers_are():
    torch = pytest.importorskip("torch")
    numbers = np.random.default_rng(0).random((2, 3, 5), np.float32)
    assert content_key(torch.from_numpy(numbers)) == content_key(numbers)
    assert content_key(torch.from_numpy(numbers).transpose(0, 2)) == content_key(numbers.transpose(2, 1, 0))
    assert content_key(torch.from_numpy(numbers).bfloat16()) != content_key(numbers)


def test_weights_are_known_by_their_numbers():
    torch = pytest.importorskip("torch")

    def network(seed: int) -> torch.nn.Module:
        torch.manual_seed(seed)
        return torch.nn.Sequential(torch.nn.Linear(100, 70), torch.nn.LayerNorm(70), torch.nn.Linear(70, 3))

    def key(module) -> str:
        return weights_key(module.state_dict().items())

    merged = network(0)
    with torch.no_grad():
        merged[0].weight += 0.01 * torch.outer(torch.randn(70), torch.randn(100))
    keys = [key(network(0)), key(network(1)), key(network(0).half()), key(merged), weights_key([])]
    assert len(set(keys)) == 5
    assert key(network(0)) == keys[0]


def test_finished_parts_are_found_again(tmp_path):
    one, two = {"a.mp4": FileNote(7, "1f")}, {"b.mp4": FileNote(8, "2e"), "c.mkv": FileNote(1 << 40, "3d")}
    Manifest(tmp_path).add("one", one)
    Manifest(tmp_path).add("two", two)
    again = Manifest(tmp_path)
    assert again.files("one") == one
    assert again.files("two") == two
    assert again.files("three") is None
    assert [file.name for file in tmp_path.iterdir()] == ["manifest.json"]


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"version": 0, "parts": {"one": {}}}', '{"version": 1}', '{"version": 1, "parts": 3}'],
)
def test_a_list_that_cannot_be_read_is_none(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    manifest = Manifest(tmp_path)
    assert manifest.files("one") is None
    manifest.add("one", {})
    assert Manifest(tmp_path).files("one") == {}

"""What is read of ComfyUI's settings and folders, for values that a page or a file may hold."""

import importlib
import json
from types import SimpleNamespace

import pytest

from sonic_guard.comfy.weight_files import WEIGHT_FILES
from sonic_guard.media.audio_file import Pick


@pytest.fixture
def host(pack, user_folder):
    return importlib.import_module(f"{pack.__name__}.nodes.comfyui.host")


@pytest.mark.parametrize(
    ("saved", "card"),
    [({}, "auto"), ({"a": "8 GiB"}, "8 GiB"), ({"a": ""}, "auto"), ({"a": None}, "auto"),
     ({"a": "8 GiB", "b": "8 GiB"}, "8 GiB"), ({"a": "8 GiB", "b": ""}, "auto")],
    ids=["never set", "a card", "cleared", "null", "two agree", "two differ"],
)  # fmt: skip
def test_the_card_in_the_settings(host, user_folder, monkeypatch, saved, card):
    monkeypatch.setattr("comfy.cli_args.args.multi_user", True, raising=False)
    for user, value in saved.items():
        (user_folder / user).mkdir()
        (user_folder / user / "comfy.settings.json").write_text(json.dumps({"SonicGuard.TargetCard": value}))
    assert host.target_setting() == card


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("unet.pth", True),
        ("sub/unet.pth", True),
        ("other.pth", False),
        ("../secret.txt", False),
        ("sub/../unet.pth", False),
        ("{home}/secret.txt", False),
        ("x" * 300, False),
        ("a\0b", False),
        ("", False),
    ],
)
def test_a_weight_file_is_looked_for_in_its_folder_only(host, tmp_path, monkeypatch, name, there):
    (file,) = (each for each in WEIGHT_FILES if each.name == "unet.pth")
    folder = tmp_path / file.folder
    (folder / "sub").mkdir(parents=True)
    for path in (folder / "unet.pth", folder / "sub" / "unet.pth", tmp_path / "secret.txt"):
        path.touch()
    monkeypatch.setattr(host, "models_folder", lambda: tmp_path)
    assert host.has_weights(file, name.format(home=tmp_path)) is there


@pytest.mark.parametrize(("methods", "track"), [((), 1), (("as_trimmed",), Pick.LAST)], ids=["0.3.64", "0.33"])
def test_the_track_of_a_video_follows_comfyuis_version(host, monkeypatch, methods, track):
    """What each version does is asked of it in ``tests/comfyui/test_core_nodes.py``."""
    videos = SimpleNamespace(VideoFromFile=SimpleNamespace(**dict.fromkeys(methods)))
    monkeypatch.setattr(importlib.import_module("comfy_api.latest"), "InputImpl", videos)
    assert host.video_track() == track

"""The weight files: where they are put, and which are missing for a graph."""

from dataclasses import replace
from pathlib import Path
from urllib.parse import urlparse

import pytest

from sonic_guard.comfy.api_graph import parse_graph
from sonic_guard.comfy.sonic_objects import LOADER
from sonic_guard.comfy.weight_files import (
    CHECKPOINT_LOADER,
    DICE_TALK_FILES,
    WEIGHT_FILES,
    WeightFile,
    as_properties,
    files_on,
    missing,
)
from sonic_guard.history.history_cache import CardHistory
from sonic_guard.messages.catalogue import LANGUAGES
from sonic_guard.preview.answer import answer
from sonic_guard.preview.evaluation import preview
from sonic_guard.relatives import Relative
from tests.support import installed
from tests.support.graphs import dice_trio, machine, node, sources, write_files

PATHS = {file.path for file in WEIGHT_FILES}


def in_models(models: Path):
    """Whether a file is below a folder `models`."""
    return lambda file, name: (models / file.folder / name).is_file()


def put(models: Path, *names: str) -> None:
    for name in names:
        (models / name).parent.mkdir(parents=True, exist_ok=True)
        (models / name).touch()


def test_they_are_those_that_the_wrapper_reads():
    assert {
        "models/checkpoints/svd_xt_1_1.safetensors", "models/sonic/unet.pth", "models/sonic/audio2token.pth",
        "models/sonic/audio2bucket.pth", "models/sonic/yoloface_v5m.pt", "models/sonic/RIFE/flownet.pkl",
        "models/sonic/whisper-tiny/config.json", "models/sonic/whisper-tiny/model.safetensors",
        "models/sonic/whisper-tiny/preprocessor_config.json",
    } == PATHS  # fmt: skip


OWN = ("unet.pth", "pose_guider.pth", "audio_linear.pth", "emo_model.pth")
SHARED = (
    "RIFE/flownet.pkl", "yoloface_v5m.pt", "whisper-tiny/config.json", "whisper-tiny/model.safetensors",
    "whisper-tiny/preprocessor_config.json",
)  # fmt: skip


@pytest.mark.parametrize(("folders", "shared"), [(["sonic"], "sonic"), (["dice_talk"], "dice_talk"), ([], "dice_talk")])
def test_those_of_dice_talk_are_read_in_sonic_s_folder_where_there_is_one(folders, shared):
    found = files_on(Relative.DICE_TALK, folders.__contains__)
    assert [file.path for file in found if file.node == CHECKPOINT_LOADER] == [WEIGHT_FILES[0].path]
    assert {file.path for file in found if file.node != CHECKPOINT_LOADER} == {
        *(f"models/dice_talk/{name}" for name in OWN), *(f"models/{shared}/{name}" for name in SHARED),
    }  # fmt: skip
    assert files_on(Relative.SONIC, folders.__contains__) == WEIGHT_FILES


@pytest.mark.parametrize(
    "file", [*WEIGHT_FILES, *(file for file in DICE_TALK_FILES if not file.otherwise)], ids=lambda file: file.path
)
def test_an_address_is_of_the_file_itself(file: WeightFile):
    address = urlparse(file.url)
    assert (address.scheme, address.hostname) == ("https", "huggingface.co")
    assert address.path.endswith(file.name.rpartition("/")[2])
    assert "/resolve/main/" in address.path


@pytest.mark.parametrize(
    ("there", "selected", "absent"),
    [
        ([], {}, PATHS),
        ([path.removeprefix("models/") for path in PATHS], {}, set()),
        (["checkpoints/svd_xt.safetensors"], {}, PATHS - {"models/checkpoints/svd_xt_1_1.safetensors"}),
        (
            ["checkpoints/mine/svd.safetensors"],
            {CHECKPOINT_LOADER: "mine/svd.safetensors"},
            PATHS - {"models/checkpoints/svd_xt_1_1.safetensors"},
        ),
        (["checkpoints/svd_xt.safetensors"], {CHECKPOINT_LOADER: "svd_xt_1_1.safetensors"}, PATHS),
        (["sonic/unet_fp16.pth"], {LOADER: "unet_fp16.pth"}, PATHS - {"models/sonic/unet.pth"}),
        (["sonic/RIFE/flownet.pkl"], {LOADER: "unet.pth"}, PATHS - {"models/sonic/RIFE/flownet.pkl"}),
    ],
    ids=[
        "none", "all", "the older checkpoint", "another checkpoint in the graph", "one that the graph does not select",
        "another network in the graph", "a name fixed in the wrapper",
    ],
)  # fmt: skip
def test_what_is_missing(tmp_path, there, selected, absent):
    put(tmp_path, *there)
    assert {file.path for file in missing(WEIGHT_FILES, in_models(tmp_path), selected)} == absent


def test_a_workflow_carries_those_that_comfyui_lists():
    assert {each["name"] for each in as_properties(WEIGHT_FILES)} == {
        file.name for file in WEIGHT_FILES if not file.name.endswith(".json")
    }
    assert as_properties(WEIGHT_FILES)[0].keys() == {"name", "url", "directory"}


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("count", [0, 1, 9])
def test_a_preview_names_the_missing_ones(tmp_path, lang, count):
    models = tmp_path / "models"
    put(models, *(file.path.removeprefix("models/") for file in WEIGHT_FILES[count:]))
    here = machine(write_files(tmp_path / "input"))
    here = type(here)(here.files, here.user_presets, here.budget, here.card_history, in_models(models))
    graph = parse_graph({"1": node("SonicGuardTalkingHead", preset="fast", target_card="auto")})
    shown = answer(preview(graph, "1", here), CardHistory(), lang)
    assert [each["name"] for each in shown["missing_files"]] == [file.name for file in WEIGHT_FILES[:count]]


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("asked", ["5", "6", "7"])
@pytest.mark.parametrize(("selected", "unet"), [("none", ["unet.pth"]), ("other.pth", ["unet.pth"]), ("mine.pth", [])])
def test_a_preview_of_dice_talk_names_its_own(tmp_path, lang, asked, selected, unet):
    """What is in a folder that its nodes do not read does not count."""
    models = tmp_path / "models"
    put(models, "checkpoints/svd_xt_1_1.safetensors", "sonic/yoloface_v5m.pt", "sonic/unet.pth", "dice_talk/mine.pth")
    put(models, "dice_talk/RIFE/flownet.pkl")
    here = replace(
        machine(write_files(tmp_path / "input")),
        has_weights=in_models(models), has_models=lambda folder: (models / folder).is_dir(),
    )  # fmt: skip
    graph = sources() | dice_trio()
    graph["5"]["inputs"]["dice_talk_unet"] = selected
    shown = answer(preview(parse_graph(graph), asked, here), CardHistory(), lang)
    assert [(each["folder"], each["name"]) for each in shown["missing_files"]] == [
        *(("models/dice_talk", name) for name in unet), ("models/dice_talk", "pose_guider.pth"),
        ("models/sonic", "RIFE/flownet.pkl"), ("models/dice_talk", "audio_linear.pth"),
        ("models/dice_talk", "emo_model.pth"), ("models/sonic", "whisper-tiny/model.safetensors"),
        ("models/sonic", "whisper-tiny/config.json"), ("models/sonic", "whisper-tiny/preprocessor_config.json"),
    ]  # fmt: skip
    for each in shown["missing_files"]:
        assert each["url"].startswith("https://huggingface.co/")


def test_dice_talk_s_own_code_reads_those():
    """The names of its files in the source of its nodes, but for those that Whisper's own loader looks for."""
    source = (installed.dice_talk() / "dice_talk_node.py").read_text(encoding="utf-8")
    for name in ("pose_guider.pth", "audio_linear.pth", "emo_model.pth"):
        assert f'os.path.join(Dice_Talk_weigths_path, "{name}")' in source
    for name in ("RIFE", "yoloface_v5m.pt", "whisper-tiny"):
        assert f'os.path.join(SONIC_weigths_path, "{name}")' in source
        assert f'os.path.join(Dice_Talk_weigths_path, "{name}")' in source

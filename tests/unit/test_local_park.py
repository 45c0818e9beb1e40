"""What a farm prepares before it starts ComfyUI servers."""

import os
import sys
from pathlib import Path

import pytest

pytest.importorskip("psutil")

from sonic_guard.park.comfyui_start import ServerStart
from sonic_guard.park.fleet import ask_pause_s

PYTHON = Path(sys.executable)


@pytest.mark.parametrize(
    "given",
    [(), ("--base-directory", "{}"), ("--cpu", "--base-directory={}", "--port", "1"),
     ("--base-directory", "/nowhere", "--models-directory", "{}/models")],
)  # fmt: skip
def test_the_folder_that_sonic_creates_when_imported_is_there_before(given, tmp_path):
    """Two servers that begin at once would both create it, and one of them fails."""
    base = tmp_path / ("elsewhere" if given else "ComfyUI")
    (base / "models").mkdir(parents=True)
    start = ServerStart(tmp_path / "ComfyUI", PYTHON, tuple(each.format(base) for each in given))
    for _ in range(2):
        start.prepare()
    assert (base / "models" / "sonic").is_dir()
    assert not given or not (tmp_path / "ComfyUI").exists()


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="the superuser may write everywhere")
def test_models_that_may_not_be_changed_are_no_error(tmp_path):
    (tmp_path / "models").mkdir(mode=0o500)
    ServerStart(tmp_path, PYTHON).prepare()


def test_nothing_is_created_where_there_are_no_models(tmp_path):
    ServerStart(tmp_path, PYTHON).prepare()
    assert not list(tmp_path.iterdir())


CLI_ARGS = "".join(
    f'parser.add_argument("{name}")\n'
    for name in ("--disable-api-nodes", "--disable-all-custom-nodes", "--whitelist-custom-nodes")
)


def comfyui_of(folder: Path, options: str = CLI_ARGS, base: Path | None = None) -> Path:
    """A ComfyUI with that module of options, and packs in `base`: Sonic, this one, another, and one that is off."""
    (folder / "comfy").mkdir(parents=True)
    (folder / "comfy" / "cli_args.py").write_text(options)
    packs = (base or folder) / "custom_nodes"
    for name, file, text in (
        ("a fork of Sonic", "nodes.py", 'NODE_CLASS_MAPPINGS = {"SONICTLoader": SONICTLoader}'),
        ("sonic-guard", "sonic_guard/__init__.py", ""),
        ("Manager", "__init__.py", ""),
        ("ComfyUI_Sonic.disabled", "sonic_node.py", '"SONICTLoader"'),
    ):
        (packs / name / file).parent.mkdir(parents=True)
        (packs / name / file).write_text(text)
    return folder


NEEDED = ("--disable-all-custom-nodes", "--whitelist-custom-nodes", "sonic-guard", "a fork of Sonic")


@pytest.mark.parametrize(
    ("given", "options"),
    [
        ((), NEEDED),
        (("--cpu", "--reserve-vram", "1"), NEEDED),
        (("--whitelist-custom-nodes", "Manager", "--cpu"), (*NEEDED, "Manager")),
        (("--disable-all-custom-nodes", "--whitelist-custom-nodes", "sonic-guard", "Manager"), (*NEEDED, "Manager")),
    ],
)
def test_a_server_loads_what_the_graph_needs_and_what_the_user_names(given, options, tmp_path):
    start = ServerStart(comfyui_of(tmp_path), PYTHON, given)
    assert start.lean_options() == ("--disable-api-nodes", *options)
    assert ServerStart(tmp_path, PYTHON, given, all_packs=True).lean_options() == ()


def test_the_packs_are_those_of_the_base_directory(tmp_path):
    comfyui = comfyui_of(tmp_path / "ComfyUI", base=tmp_path / "base")
    assert ServerStart(comfyui, PYTHON).lean_options() == ("--disable-api-nodes",), "they are elsewhere: all are loaded"
    start = ServerStart(comfyui, PYTHON, ("--base-directory", str(tmp_path / "base")))
    assert start.lean_options() == ("--disable-api-nodes", *NEEDED)


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ("", ()),
        ('parser.add_argument("--disable-api-nodes")', ("--disable-api-nodes",)),
        ('parser.add_argument("--disable-all-custom-nodes")', ()),
    ],
)
def test_an_option_that_this_comfyui_lacks_is_not_given(options, kept, tmp_path):
    assert ServerStart(comfyui_of(tmp_path, options), PYTHON).lean_options() == kept


def test_a_comfyui_without_its_module_of_options_gets_none(tmp_path):
    (comfyui_of(tmp_path) / "comfy" / "cli_args.py").unlink()
    assert ServerStart(tmp_path, PYTHON).lean_options() == ()


@pytest.mark.parametrize(("took_s", "pause_s"), [(0.0, 0.5), (0.02, 0.5), (1.0, 3.0), (30.0, 90.0)])
def test_a_server_that_starts_is_asked_often_and_one_that_hangs_seldom(took_s, pause_s):
    assert ask_pause_s(took_s) == pause_s

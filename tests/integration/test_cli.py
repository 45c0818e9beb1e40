"""The command line on real files: tables, JSON, files written, exit codes, errors for people."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sonic_guard.cli.commands import EXIT_BAD_INPUT, EXIT_NOTHING_FITS, EXIT_OK, main
from sonic_guard.history.history_store import History
from sonic_guard.history.run_record import Outcome
from sonic_guard.memory.overhead import overhead
from sonic_guard.optimizations import ESCALATION_ORDER, EVERY, without_redundant
from sonic_guard.planning.selection import STREAMED
from tests.support import processes
from tests.support.history_runs import begin
from tests.support.sound_files import RATE, encode, encode_tracks

DEMO = Path(__file__).resolve().parents[2] / "demo"
PORTRAIT, SPEECH = str(DEMO / "portrait.jpg"), str(DEMO / "speech.mp3")
STAGES = ["load", "predata", "denoise", "decode", "interpolate"]
ESTIMATE_KEYS = {
    "frames", "output_frames", "width", "height", "stages", "overhead_bytes", "peak_bytes", "peak_stage",
    "host_ram_bytes", "limits",
}  # fmt: skip


def _plan(*more: str) -> list[str]:
    return ["plan", "--image", PORTRAIT, "--audio", SPEECH, *more]


def _json(capsys, *arguments: str) -> dict:
    assert main([*arguments, "--json"]) in (EXIT_OK, EXIT_NOTHING_FITS)
    return json.loads(capsys.readouterr().out)


def test_estimate_as_json(capsys):
    data = _json(capsys, "estimate", "--width", "512", "--height", "512", "--duration", "10")
    assert data.keys() >= ESTIMATE_KEYS
    assert (data["frames"], data["output_frames"], data["width"], data["height"]) == (125, 249, 512, 512)
    assert list(data["stages"]) == STAGES
    assert data["peak_bytes"] == data["stages"][data["peak_stage"]] + data["overhead_bytes"]


def test_estimate_of_a_relative(capsys):
    base = ["estimate", "--width", "512", "--height", "512", "--duration", "10"]
    sonic, dice = _json(capsys, *base), _json(capsys, *base, "--relative", "dice_talk")
    assert (sonic["frames"], dice["frames"], dice["window"]) == (125, 150, 25)
    assert dice["peak_bytes"] > sonic["peak_bytes"]


def test_estimate_of_a_relative_that_does_not_run_in_bf16(capsys):
    base = ["estimate", "--width", "512", "--height", "512", "--duration", "10", "--dtype", "bf16"]
    assert main([*base, "--relative", "dice_talk"]) == EXIT_BAD_INPUT
    assert "Choose fp16 or fp32." in capsys.readouterr().err


def test_estimate_without_interpolation_has_none(capsys):
    data = _json(capsys, "estimate", "--width", "512", "--height", "512", "--duration", "10", "--no-interframe")
    assert (data["output_frames"], data["stages"]["interpolate"]) == (125, 0)


def test_optimizations_on_the_command_line(capsys):
    base = ["estimate", "--width", "1024", "--height", "1024", "--duration", "10"]
    stock = _json(capsys, *base)
    some = ["sequential_cfg", "layer_chunking", "streaming_decode"]
    optimized = _json(capsys, *base, *(part for name in some for part in ("--optimize", name)))
    assert (stock["optimizations"], optimized["optimizations"]) == ([], sorted(some, key=ESCALATION_ORDER.index))
    assert optimized["stages"]["denoise"] < stock["stages"]["denoise"] / 4
    assert optimized["stages"]["interpolate"] < stock["stages"]["interpolate"] / 4
    assert stock["limits"] == []
    wide = _json(capsys, "estimate", "--width", "1280", "--height", "1280", "--duration", "10")
    assert "65,535" in wide["limits"][0]


def test_all_optimizations_are_all_without_the_redundant(capsys):
    base = ["estimate", "--width", "512", "--height", "512", "--duration", "10"]
    found = _json(capsys, *base, "--optimize", "all")
    assert found["optimizations"] == [each for each in ESCALATION_ORDER if each in without_redundant(EVERY)]
    named = _json(capsys, *base, "--optimize", *found["optimizations"])
    assert found["stages"]["predata"] < named["stages"]["predata"], "Sonic Talking Head encodes the picture before"


def test_an_estimate_takes_what_a_plan_would_not_combine(capsys):
    """Whoever names both gets the needs of both."""
    both = ["feed_forward_chunking", "layer_chunking"]
    base = ["estimate", "--width", "512", "--height", "512", "--duration", "10"]
    assert _json(capsys, *base, "--optimize", *both)["optimizations"] == both


def test_an_estimate_reports_which_optimizations_it_is_for(capsys):
    base = ["estimate", "--width", "512", "--height", "512", "--duration", "10"]
    assert main(base) == EXIT_OK
    assert "stock Sonic" in capsys.readouterr().out
    assert main([*base, "--optimize", "unet_offload"]) == EXIT_OK
    assert "enabled: unet_offload" in capsys.readouterr().out


@pytest.mark.parametrize("command", [["estimate", "--width", "512", "--height", "512", "--duration", "1"], "plan"])
def test_an_unknown_optimization_is_answered_with_the_known_ones(capsys, command):
    assert main([*(_plan() if command == "plan" else command), "--optimize", "turbo", "all"]) == EXIT_BAD_INPUT
    err_text = capsys.readouterr().err
    assert "unknown turbo; known are " in err_text
    assert all(name in err_text for name in (*ESCALATION_ORDER, "all"))


def test_a_plan_is_as_sonic_talking_head_makes_it(capsys):
    """All optimizations where they are needed: 768 px on 8 GiB."""
    every = _json(capsys, *_plan("--gpu", "8"))
    assert every["available_optimizations"] == [each for each in ESCALATION_ORDER if each in EVERY]
    assert every["job"]["min_resolution"] == 768
    assert [change["name"] for change in every["changes"]] == ["sequential_cfg", "feed_forward_chunking"]
    assert set(every["optimizations"]) == {"sequential_cfg", "feed_forward_chunking", *map(str, STREAMED)}
    assert _json(capsys, *_plan("--gpu", "8", "--optimize", "all")) == every


def test_a_plan_enables_what_is_named_and_nothing_else(capsys):
    one = _json(capsys, *_plan("--gpu", "12", "--optimize", "sequential_cfg"))
    assert one["available_optimizations"] == ["sequential_cfg"]
    assert set(one["optimizations"]) == {"sequential_cfg", *map(str, STREAMED)}


def test_a_plan_for_the_wrapper_alone(capsys):
    stock = _json(capsys, *_plan("--gpu", "8", "--stock"))
    assert (stock["optimizations"], stock["available_optimizations"], stock["stock"]) == ([], [], None)
    assert [change["name"] for change in stock["changes"]] == ["min_resolution"]
    beside = _json(capsys, *_plan("--gpu", "8"))["stock"]
    assert beside["job"] == stock["job"]
    assert (beside["fits"], beside["peak_bytes"]) == (True, stock["estimate"]["peak_bytes"])
    assert (beside["requested"]["width"], beside["requested"]["peak_bytes"]) == (
        768, stock["changes"][0]["before_bytes"],
    )  # fmt: skip


def test_stock_and_optimizations_exclude_each_other(capsys):
    with pytest.raises(SystemExit) as ended:
        main(_plan("--stock", "--optimize", "all"))
    assert ended.value.code == EXIT_BAD_INPUT


@pytest.mark.parametrize(
    ("gpu", "message"),
    [
        ("8", "at 768×768 px: 17.4 GiB in denoise. On this card they would end at 320×320 px, 25 fps."),
        ("5", "They fit on this card at no size."),
        ("80", "It fits, too."),
    ],
)
def test_the_table_shows_sonic_alone_beside_the_plan(capsys, gpu, message):
    assert main(_plan("--gpu", gpu)) == EXIT_OK
    out = " ".join(capsys.readouterr().out.split())
    assert "Sonic's own nodes alone" in out
    assert message in out


@pytest.mark.parametrize(
    ("optimize", "message"),
    [
        (["--stock"], "stock Sonic"),
        ([], "enabled: streaming_decode + unet_offload + sequential_cfg + feed_forward_chunking"),
        (["--optimize", "sequential_cfg", "--gpu", "80"], "enabled: streaming_decode + unet_offload"),
    ],
)
def test_the_table_of_a_plan_names_optimizations(capsys, optimize, message):
    assert main(_plan("--gpu", "8", *optimize)) == EXIT_OK
    assert message in " ".join(capsys.readouterr().out.split())


def _nodes(workflow: Path) -> dict[str, list]:
    """The widgets of a written workflow's nodes."""
    return {node["type"]: node["widgets_values"] for node in json.loads(workflow.read_text("utf-8"))["nodes"]}


LOADERS = {"LoadImage", "LoadAudio", "ImageOnlyCheckpointLoader", "SONICTLoader"}


@pytest.mark.parametrize(
    ("options", "types"),
    [
        ([], {"SonicGuardTalkingHead"}),
        (["--optimize", "all"], {"SonicGuardTalkingHead"}),
        (["--optimize", "sequential_cfg"], {"SonicGuardLowVRAM", "SonicGuardTalkingHead"}),
        (["--stock"], {"SonicGuardPreflight", "SONIC_PreData", "SONICSampler", "CreateVideo", "SaveVideo"}),
    ],
    ids=["default", "all", "one", "stock"],
)
def test_the_workflow_has_the_nodes_that_run_the_plan(tmp_path, options, types):
    file = tmp_path / "w.json"
    assert main(_plan("--gpu", "12", *options, "--workflow", str(file))) == EXIT_OK
    assert set(_nodes(file)) == LOADERS | types


def test_single_optimizations_are_set_on_sonic_low_vram(tmp_path):
    file = tmp_path / "w.json"
    named = ["sequential_cfg", "stream_weights"]
    assert main(_plan("--gpu", "8", "--optimize", *named, "--workflow", str(file))) == EXIT_OK
    mode, *switches = _nodes(file)["SonicGuardLowVRAM"]
    assert mode == "off"
    assert dict(zip(ESCALATION_ORDER, switches, strict=False)) == {
        each: "auto" if each in named else "mode" for each in ESCALATION_ORDER
    }


@pytest.mark.parametrize("optimize", [["--stock"], []])
@pytest.mark.parametrize(("gpu", "preset"), [("M4 Max 64GB", "fast"), ("RTX PRO 6000", "hd"), ("M4 Max 128GB", "hd")])
def test_a_plan_meets_no_hard_limit(capsys, gpu, preset, optimize):
    data = _json(capsys, *_plan("--gpu", gpu, "--preset", preset, *optimize))
    assert (data["verdict"], data["estimate"]["limits"]) == ("safe", [])


def test_a_hard_limit_that_nothing_clears_is_exit_code_3(capsys):
    """The article's policy changes nothing on a card of that size."""
    plan = _plan("--gpu", "M3 Ultra 512GB", "--policy", "article", "--stock")
    assert main([*plan, "--json"]) == EXIT_NOTHING_FITS
    data = json.loads(capsys.readouterr().out)
    assert (data["verdict"], data["fits"], len(data["estimate"]["limits"])) == ("fail", False, 1)
    assert data["headroom_bytes"] > 20 * 2**30
    assert main(plan) == EXIT_NOTHING_FITS
    out = capsys.readouterr().out
    assert "Will fail at a hard limit" in out
    assert "headroom" not in out


def test_what_clears_a_hard_limit_is_reported(capsys):
    data = _json(capsys, *_plan("--gpu", "M4 Max 64GB"))
    assert [(change["name"], change["clears"]) for change in data["changes"]] == [("layer_chunking", ["mps"])]
    assert "hard limit" in data["changes"][0]["why"]


def test_plan_as_json(capsys):
    data = _json(capsys, *_plan("--gpu", "RTX 3060 12GB"))
    assert data.keys() >= {
        "job", "changes", "verdict", "budget_bytes", "estimate", "duration_s", "expand_ratio", "face"
    }  # fmt: skip
    assert data["estimate"].keys() >= ESTIMATE_KEYS
    assert data["verdict"] == "safe"
    assert data["estimate"]["peak_bytes"] <= data["budget_bytes"] == int(12 * 2**30 * 0.9)
    assert data["duration_s"] == pytest.approx(18.6, abs=0.05)
    assert data["expand_ratio"] == 0.20
    assert data["face"].keys() >= {"box", "ratio", "score"}
    assert data["changes"][0].keys() == {"name", "before", "after", "before_bytes", "after_bytes", "clears", "why"}


def test_the_request_of_a_preset_survives_where_it_fits(capsys):
    data = _json(capsys, *_plan("--gpu", "RTX 4090", "--preset", "minimal"))
    assert data["changes"] == []
    assert (data["job"]["min_resolution"], data["job"]["steps"]) == (384, 15)


def test_reasons_in_chinese(capsys):
    data = _json(capsys, *_plan("--gpu", "8", "--lang", "zh"))
    assert "画面不变" in data["changes"][0]["why"]


def test_tables_for_people(capsys):
    assert main(_plan("--gpu", "8", "--stock")) == EXIT_OK
    out = capsys.readouterr().out
    for word in ("Made smaller: 768 → 320 px", "denoise", "budget", "min_resolution"):
        assert word in out


LATIN = re.compile(r"[A-Za-z][A-Za-z0-9_]+")
NAMES = {
    *ESCALATION_ORDER, "min_resolution", "expand_ratio", "off", "on", "px", "fps", "fp16", "GiB", "GB", "Sonic", "UNet",
    "CFG", "ComfyUI", "input", "H200", "RTX", "NVIDIA", "GeForce", "UTC", "id", "bold", "json", "jpg", "mp3", "png",
    "portrait", "speech",
}  # fmt: skip
"""What is written alike in every language: names, values and units."""


@pytest.mark.parametrize(
    "command", [_plan("--gpu", "8"), ["estimate", "--width", "512", "--height", "512", "--duration", "10"]]
)
def test_what_of_the_overhead_is_an_assumption_is_said_and_no_more(capsys, command):
    """Context and workspace were measured, and are most of it."""
    assert main(command) == EXIT_OK
    said = " ".join(capsys.readouterr().out.split())
    assert overhead().fraction == 0.01
    assert "1% of the tensors for what the allocator cannot reuse is an assumption; the rest was measured" in said


@pytest.mark.parametrize("before", [True, False], ids=["before the command", "after it"])
@pytest.mark.parametrize("options", [[], ["--stock"], ["--gpu", "6"]], ids=str)
def test_a_plan_in_chinese_is_in_chinese_to_the_end(capsys, tmp_path, monkeypatch, options, before):
    monkeypatch.chdir(tmp_path)
    plan = _plan("--gpu", "8", *options, "--workflow", "w.json", "--chart", "c.png")
    assert main(["--lang", "zh", *plan] if before else [*plan, "--lang", "zh"]) == EXIT_OK
    assert set(LATIN.findall(capsys.readouterr().out)) <= NAMES


def test_an_estimate_and_the_history_in_chinese(capsys, history_file):
    assert main(["--lang", "zh", "estimate", "--width", "512", "--height", "512", "--duration", "10"]) == EXIT_OK
    assert main(["--lang", "zh", "history", "--db", str(history_file)]) == EXIT_OK
    out = capsys.readouterr().out
    assert "已取消" in out
    assert set(LATIN.findall(out)) <= NAMES


@pytest.mark.parametrize("command", ["plan", "estimate", "trace", "measure", "history"])
def test_help_in_chinese(capsys, command):
    with pytest.raises(SystemExit) as ended:
        main([command, "--help", "--lang", "zh"])
    assert ended.value.code == 0
    out = capsys.readouterr().out
    assert "用法：" in out
    assert "显示此帮助并退出" in out
    assert "usage" not in out


def test_errors_of_the_command_line_in_chinese(capsys):
    assert main(["--lang", "zh", "estimate", "--width", "0", "--height", "512", "--duration", "10"]) == EXIT_BAD_INPUT
    assert "width：0 超出 " in capsys.readouterr().err
    assert main(["--lang", "zh", *_plan("--optimize", "turbo")]) == EXIT_BAD_INPUT
    assert "未知的 turbo；可用的有" in capsys.readouterr().err


def test_workflow_and_chart_are_written(capsys, tmp_path):
    workflow, chart = tmp_path / "w.json", tmp_path / "c.png"
    files = ["--workflow", str(workflow), "--chart", str(chart)]
    data = _json(capsys, *_plan("--gpu", "8", "--stock", *files))
    assert _nodes(workflow)["SONIC_PreData"][0] == data["job"]["min_resolution"]
    assert _nodes(workflow)["LoadImage"][0] == "portrait.jpg"
    assert _nodes(workflow)["LoadAudio"][0] == "speech.mp3"
    with Image.open(chart) as picture:
        assert picture.width > 800
        assert np.asarray(picture.convert("L")).std() > 10, "the chart is blank"


def test_the_last_line_says_what_was_made_and_what_to_do_next(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(_plan("--gpu", "8", "--workflow", "w.json", "--chart", "c.png")) == EXIT_OK
    out = " ".join(capsys.readouterr().out.split())
    assert out.endswith(
        "Chart: c.png Workflow: w.json. Put portrait.jpg and speech.mp3 into ComfyUI's input folder, drag the workflow "
        "into ComfyUI, and run it."
    )


def test_nothing_fits_is_its_own_exit_code(capsys):
    assert main(_plan("--gpu", "2", "--json")) == EXIT_NOTHING_FITS
    data = json.loads(capsys.readouterr().out)
    assert (data["verdict"], data["fits"], data["stock"]["fits"]) == ("fail", False, False)
    assert data["smallest_card"]


@pytest.fixture
def bad(tmp_path):
    Image.new("RGB", (300, 300), "grey").save(tmp_path / "grey.png")
    (tmp_path / "text.mp3").write_text("not a sound", encoding="utf-8")
    (tmp_path / "text.png").write_text("not a picture", encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--audio", "{bad}/text.mp3"], "text.mp3"),
        (["--audio", "{bad}/none.mp3"], "none.mp3"),
        (["--image", "{bad}/text.png"], "text.png"),
        (["--image", "{bad}/grey.png"], "face"),
        (["--preset", "../fast"], "preset"),
        (["--preset", "nope"], "nope"),
        (["--preset-dir", "{bad}/none"], "--preset-dir: there is no folder {bad}/none."),
        (["--gpu", "RTX 9999"], "RTX 9999"),
        (["--gpu", "-1"], "-1"),
        (["--policy", "bold"], "bold"),
        (["--aspect", "2:1"], "2:1"),
        (["--reserve", "2"], "reserve"),
        (["--face", "7"], "face"),
        (["--face-box", "1,2,3"], "face box"),
        (["--workflow", "{bad}/none/w.json"], "w.json"),
        (["--chart", "{bad}/none/c.png"], "c.png"),
        (["--chart", "{bad}/chart"], "suffix"),
        (["--gpu", "1e-9"], "1e-9"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_bad_input_is_reported_in_a_line(capsys, bad, arguments, message):
    assert main(_plan("--gpu", "8", *[part.format(bad=bad) for part in arguments])) == EXIT_BAD_INPUT
    error = capsys.readouterr().err.strip()
    assert message.format(bad=bad) in error
    assert "Traceback" not in error
    assert len(error.splitlines()) == 1


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes and devices as POSIX has them")
@pytest.mark.parametrize(
    ("option", "what"), [("--image", "a picture"), ("--audio", "a sound file"), ("--weights", "a checkpoint")]
)
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("pipe", "pipe: a pipe cannot be read twice: save it to a file. ({bad}/pipe)"),
        ("link", "link: a pipe cannot be read twice: save it to a file. ({bad}/link)"),
        ("folder", "folder: this is a folder, not {what}. ({bad}/folder)"),
        ("/dev/zero", "zero: this is a device, not {what}. (/dev/zero)"),
        ("none", "none: there is no such file. Check the path. ({bad}/none)"),
        ("grey.png/none", "none: there is no such file. Check the path. ({bad}/grey.png/none)"),
        ("broken", "broken: this is a link to a file that is not there. Choose the file itself. ({bad}/broken)"),
        ("x" * 300, "x" * 100 + "…: no file has so long a name. Check the path. ({bad}/" + "x" * 300 + ")"),
        (os.fsdecode(b"\xff"), r"\udcff: there is no such file. Check the path. ({bad}/\udcff)"),
        ("two\nlines", r"two\nlines: there is no such file. Check the path. ({bad}/two\nlines)"),
    ],
    ids=repr,
)
def test_what_is_no_plain_file_is_reported_at_once(bad, option, what, name, message):
    os.mkfifo(bad / "pipe")
    (bad / "link").symlink_to("pipe")
    (bad / "folder").mkdir()
    (bad / "broken").symlink_to("nothing")
    start = ["estimate", "--width", "512", "--height", "512", "--duration", "1"] if option == "--weights" else _plan()
    result = processes.sonic_guard(*start, option, bad / name)
    assert result.code == EXIT_BAD_INPUT
    assert result.err.decode() == f"sonic-guard: {message.format(bad=bad, what=what)}\n"


@pytest.mark.skipif(not Path("/dev/fd").exists(), reason="needs /dev/fd")
@pytest.mark.parametrize("option", ["--image", "--audio"])
def test_what_a_shell_makes_of_a_command_in_brackets_is_a_pipe(capsys, option):
    read_end, write_end = os.pipe()
    try:
        assert main(_plan(option, f"/dev/fd/{read_end}")) == EXIT_BAD_INPUT
    finally:
        os.close(read_end)
        os.close(write_end)
    assert "a pipe cannot be read twice: save it to a file." in capsys.readouterr().err


@pytest.mark.skipif(sys.platform != "linux", reason="names of any bytes are Linux's")
def test_a_picture_whose_name_is_no_text_is_planned_for_but_not_put_into_a_workflow(capsys, tmp_path):
    picture = tmp_path / os.fsdecode(b"\xff.jpg")
    shutil.copy(PORTRAIT, picture)
    plan = _plan("--gpu", "8", "--image", str(picture))
    assert main(plan) == EXIT_OK
    assert main([*plan, "--workflow", str(tmp_path / "w.json")]) == EXIT_BAD_INPUT
    assert "Rename that file" in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == [picture]


def test_a_faulty_preset_is_named_with_its_folder_here(capsys, tmp_path):
    (tmp_path / "mine.json").write_text('{"name": "mine", "fps": 1000}')
    assert main(_plan("--preset", "mine", "--preset-dir", str(tmp_path))) == EXIT_BAD_INPUT
    err_text = capsys.readouterr().err
    assert err_text.startswith("sonic-guard: mine.json: fps: 1000 is not allowed.")
    assert err_text.endswith(f" ({tmp_path / 'mine.json'})\n")


@pytest.mark.parametrize("duration", ["0", "nan", "-3", "1e12"])
def test_impossible_durations(capsys, duration):
    assert main(["estimate", "--width", "512", "--height", "512", f"--duration={duration}"]) == EXIT_BAD_INPUT
    assert "duration" in capsys.readouterr().err


def test_it_runs_as_a_module():
    command = [sys.executable, "-m", "sonic_guard", "estimate", "--width", "512", "--height", "512", "--duration", "1"]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=DEMO.parent)
    assert result.returncode == EXIT_OK, result.stderr
    assert "denoise" in result.stdout


def test_weights_of_a_real_file_count(capsys, tmp_path):
    torch = pytest.importorskip("torch")
    torch.save({"unet.weight": torch.zeros(1000, 1000, dtype=torch.float16)}, tmp_path / "unet.pth")
    base = ["estimate", "--width", "512", "--height", "512", "--duration", "1"]
    stock, small = _json(capsys, *base), _json(capsys, *base, "--weights", str(tmp_path / "unet.pth"))
    assert stock["stages"]["load"] - small["stages"]["load"] == 2 * (1_575_741_162 - 1_000_000)


@pytest.mark.parametrize(("options", "planner"), [(["--stock"], "SonicGuardPreflight"), ([], "SonicGuardTalkingHead")])
def test_a_workflow_holds_what_was_asked_for(tmp_path, options, planner):
    file = tmp_path / "w.json"
    asked = ["--face-box", "150,40,300,200", "--reserve", "0.3", "--lang", "zh"]
    assert main(_plan("--gpu", "20", *asked, *options, "--workflow", str(file))) == EXIT_OK
    widgets = _nodes(file)[planner]
    assert widgets[:5] == ["fast", "20 GiB", "original", 0, "150,40,300,200"]
    assert widgets[13] == 0.3
    assert "zh" in widgets[-3:]


@pytest.mark.parametrize(
    "optimizations",
    [
        ["--optimize", "sequential_cfg", "feed_forward_chunking"],
        ["--optimize", "sequential_cfg", "--optimize", "feed_forward_chunking"],
    ],
)
def test_optimizations_may_be_named_together_or_apart(capsys, optimizations):
    base = ["estimate", "--width", "512", "--height", "512", "--duration", "10"]
    assert _json(capsys, *base, *optimizations)["stages"]["denoise"] < 5 * 2**30


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_output_survives_a_narrow_encoding(encoding):
    command = [sys.executable, "-m", "sonic_guard", *_plan("--gpu", "8", "--lang", "zh")]
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    result = subprocess.run(command, capture_output=True, check=False, cwd=DEMO.parent, env=environment)
    assert result.returncode == EXIT_OK, result.stderr
    assert "显存" in result.stdout.decode("utf-8")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_reported():
    command = [sys.executable, "-m", "sonic_guard", "estimate", "--width", "512", "--height", "512", "--duration", "1"]
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, cwd=DEMO.parent)
    assert result.returncode == EXIT_BAD_INPUT
    assert "No space left" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.fixture
def history_file(tmp_path):
    file = tmp_path / "history.db"
    history = History(file)
    begin(history, outcome=Outcome.DONE)
    begin(history, card="=RTX [bold]3060", outcome=Outcome.INTERRUPTED)
    return file


def test_history_for_people(capsys, history_file):
    assert main(["history", "--db", str(history_file)]) == EXIT_OK
    out = capsys.readouterr().out
    assert out.index("=RTX [bold]3060") < out.index("NVIDIA GeForce RTX 4060")
    for word in ("predicted", "actual", "done", "interrupted", "448×640 × 126"):
        assert word in out


def test_history_as_json(capsys, history_file):
    data = _json(capsys, "history", "--db", f"sqlite:///{history_file}")
    assert data["cards"] == ["=RTX [bold]3060", "NVIDIA GeForce RTX 4060"]
    assert [(run["id"], run["outcome"]) for run in data["runs"]] == [(2, "interrupted"), (1, "done")]
    assert data["calibration"]["NVIDIA GeForce RTX 4060"].keys() == {
        "runs", "median_error_model", "median_error", "upper_factor",
    }  # fmt: skip
    one = _json(capsys, "history", "--db", str(history_file), "--card", "NVIDIA GeForce RTX 4060")
    assert ([run["id"] for run in one["runs"]], list(one["calibration"])) == ([1], ["NVIDIA GeForce RTX 4060"])
    assert [run["id"] for run in _json(capsys, "history", "--db", str(history_file), "--limit", "1")["runs"]] == [2]


def test_history_as_a_table_for_spreadsheets(capsys, history_file, tmp_path):
    assert main(["history", "--db", str(history_file), "--csv", str(tmp_path / "runs.csv")]) == EXIT_OK
    with (tmp_path / "runs.csv").open(encoding="utf-8-sig", newline="") as file:
        assert [row["card"] for row in csv.DictReader(file)] == ["'=RTX [bold]3060", "NVIDIA GeForce RTX 4060"]


def test_history_of_a_card_is_deleted(capsys, history_file):
    assert _json(capsys, "history", "--db", str(history_file), "--delete-card", "=RTX [bold]3060") == {"deleted": 1}
    assert main(["history", "--db", str(history_file), "--delete-card", "none"]) == EXIT_OK
    assert "Runs deleted: 0" in capsys.readouterr().out
    assert [run.id for run in History(history_file).runs()] == [1]


def test_the_environment_sets_the_location_of_the_history(capsys, history_file, monkeypatch):
    monkeypatch.setenv("SONIC_GUARD_DB", str(history_file))
    assert len(_json(capsys, "history")["runs"]) == 2


def test_an_empty_history(capsys, tmp_path):
    History(tmp_path / "h.db").runs()
    assert main(["history", "--db", str(tmp_path / "h.db")]) == EXIT_OK
    assert "No runs" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "user/sonic_guard/history.db"),
        (["--db", "{bad}/none.db"], "there is no file"),
        (["--db", "{bad}/text.mp3"], "not a database"),
        (["--db", "nonsense://here"], "nonsense"),
        (["--db", "{bad}/none.db", "--limit", "0"], "--limit"),
    ],
    ids=str,
)
def test_a_history_that_is_none_is_reported_in_a_line(capsys, bad, monkeypatch, arguments, message):
    monkeypatch.delenv("SONIC_GUARD_DB", raising=False)
    before = sorted(bad.iterdir())
    assert main(["history", *[part.format(bad=bad) for part in arguments]]) == EXIT_BAD_INPUT
    error = capsys.readouterr().err.strip()
    assert message in error
    assert len(error.splitlines()) == 1
    assert sorted(bad.iterdir()) == before


def test_a_silent_track_is_said_and_another_one_can_be_chosen(tmp_path, capsys):
    file = tmp_path / "film.mp4"
    voice = 0.4 * np.sin(np.arange(3 * RATE) / 10)
    encode_tracks(file, np.zeros(5 * RATE), voice)
    command = ["plan", "--image", PORTRAIT, "--audio", str(file), "--gpu", "24"]
    first, second = _json(capsys, *command), _json(capsys, *command, "--track", "2")
    (warning,) = first["sound_warnings"]
    assert warning.endswith("Track 2 has sound. Choose it with --track 2.")
    assert second["sound_warnings"] == []
    assert first["estimate"]["output_s"] > second["estimate"]["output_s"] + 1
    assert main(command) == EXIT_OK
    assert "Audio track 1 of 2 is silent" in " ".join(capsys.readouterr().out.split())
    assert main([*command, "--track", "3"]) == EXIT_BAD_INPUT
    assert "there is no track 3" in capsys.readouterr().err


def test_a_workflow_loads_what_load_audio_does_not_read_with_load_voice(tmp_path, capsys):
    encode(tmp_path / "old.wav", "pcm_u8")
    encode_tracks(tmp_path / "film.mp4", np.zeros(5 * RATE), 0.4 * np.sin(np.arange(3 * RATE) / 10))
    graph = tmp_path / "graph.json"
    for name, track in (("old.wav", 1), ("film.mp4", 2)):
        command = ["plan", "--image", PORTRAIT, "--audio", str(tmp_path / name), "--gpu", "24", "--track", str(track)]
        assert main([*command, "--workflow", str(graph)]) == EXIT_OK
        nodes = _nodes(graph)
        assert nodes["SonicGuardLoadVoice"][:2] == [name, track]
        assert "LoadAudio" not in nodes

"""The command line's options, where the command's name and a file's may be taken for each other."""

from pathlib import Path

import pytest

from sonic_guard.cli.arguments import parse_arguments


@pytest.mark.parametrize(
    "line",
    [
        "finish talk.mp4 --out x.mp4",
        "finish --out x.mp4 talk.mp4",
        "finish --lang zh talk.mp4 --out x.mp4",
        "finish --lang=zh --out x.mp4 talk.mp4",
        "--lang zh finish talk.mp4 --out x.mp4",
        "finish all talk.mp4 --out x.mp4",
        "finish --lang zh all talk.mp4 --out x.mp4",
    ],
)
def test_a_video_is_finished_whole_where_no_step_is_named(line):
    asked = parse_arguments(line.split())
    assert (asked.command, asked.step, asked.input, asked.out) == ("finish", "all", Path("talk.mp4"), Path("x.mp4"))
    assert asked.lang == ("zh" if "zh" in line else "en")


def test_one_step_alone():
    asked = parse_arguments(["finish", "--lang", "zh", "smooth", "talk.mp4", "--out", "x.mp4"])
    assert (asked.step, asked.lang) == ("smooth", "zh")


def test_another_command_may_have_a_folder_of_that_name():
    asked = parse_arguments(["farm", "run", "--out", "finish", "jobs.csv"])
    assert (asked.command, asked.out.name, asked.jobs) == ("farm", "finish", Path("jobs.csv"))


@pytest.mark.parametrize("line", ["finish", "finish --lang zh"])
def test_the_steps_are_listed_where_nothing_is_named(line, capsys):
    with pytest.raises(SystemExit):
        parse_arguments(line.split())
    assert "lipsync" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("plan", "错误: 缺少参数：--image, --audio"),
        ("leases --nonsense", "无法识别的参数：--nonsense"),
        ("finish talk.mp4 --out x.mp4 --crf many", "参数 --crf：'many' 不是有效的值（int）"),
        ("finish talk.mp4 --out x.mp4 --preset slow", "参数 --preset：没有 'slow'；可选："),
        ("finish talk.mp4 --out", "参数 --out：需要一个值"),
        ("farm run jobs.csv --out o --servers", "参数 --servers：至少需要一个值"),
        ("farm run jobs.csv --out o --scheduler s --comfyui c", "参数 --comfyui：不能与 --scheduler 同时使用"),
        ("farm run jobs.csv --out o --cpu-workers 0", "参数 --cpu-workers：应为从 1 起的整数，实际为 0"),
        ("leases --json=1", "参数 --json：不接受值 '1'"),
    ],
)
def test_what_cannot_be_parsed_is_said_in_the_user_s_language(line, text, capsys):
    with pytest.raises(SystemExit):
        parse_arguments(["--lang", "zh", *line.split()])
    said = capsys.readouterr().err
    assert text in said
    assert "argument" not in said and "error" not in said

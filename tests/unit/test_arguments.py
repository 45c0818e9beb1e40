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

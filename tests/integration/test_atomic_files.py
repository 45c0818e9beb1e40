"""What the command line writes is whole, or what was there before: full disks, links, devices, permissions."""

import errno
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import pytest

from sonic_guard.atomic_files import write_file, write_text
from sonic_guard.cli.commands import EXIT_BAD_INPUT, EXIT_OK, main
from sonic_guard.errors import OutputError
from tests.support.footage_files import write

DEMO = Path(__file__).resolve().parents[2] / "demo"
PLAN = ["plan", "--image", str(DEMO / "portrait.jpg"), "--audio", str(DEMO / "speech.mp3"), "--gpu", "8", "--json"]
posix = pytest.mark.skipif(os.name != "posix", reason="limits, links and devices as POSIX has them")


_ALMOST_FULL = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (1024, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
from sonic_guard.cli import main
sys.exit(main(sys.argv[1:]))
"""


def on_an_almost_full_disk(arguments):
    """The command line where no file may grow beyond a kilobyte: writing ends in the middle, as on a full disk.

    In a process of its own: the limit holds for whatever that process writes, a test's log included.
    """
    return subprocess.run([sys.executable, "-c", _ALMOST_FULL, *arguments], capture_output=True, text=True, check=False)


@posix
def test_a_folder_that_cannot_be_synced_is_no_error(tmp_path, monkeypatch):
    """As on some network drives: the file is there by then."""
    sync = os.fsync

    def refuse_folders(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", refuse_folders)
    write_text(tmp_path / "text", "whole")
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("text", "whole")]


@pytest.fixture
def full_disk(tmp_path):
    """A file system of 64 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    root = sys.platform == "linux" and os.geteuid() == 0
    if not root or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], check=False).returncode:
        pytest.skip("only root may mount a small file system, and not in every container")
    (folder / "filler").write_bytes(bytes(60 * 1024))
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_a_chart_is_written_in_the_format_of_its_suffix(tmp_path, suffix):
    chart = tmp_path / f"chart{suffix}"
    assert main([*PLAN, "--chart", str(chart)]) == EXIT_OK
    start = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}[suffix]
    assert chart.read_bytes().startswith(start)
    assert sorted(tmp_path.iterdir()) == [chart]


@posix
@pytest.mark.parametrize(("option", "name"), [("--workflow", "w.json"), ("--chart", "c.png"), ("--chart", "c.svg")])
@pytest.mark.parametrize("before", [None, b"what was there"])
def test_on_a_full_disk_what_was_there_stays(tmp_path, option, name, before):
    file = tmp_path / name
    if before:
        file.write_bytes(before)
    done = on_an_almost_full_disk([*PLAN, option, str(file)])
    assert done.returncode == EXIT_BAD_INPUT
    assert f"{name}: there is no space left on this disk" in done.stderr
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == ({name: before} if before else {})


@pytest.mark.parametrize(("option", "name"), [("--workflow", "w.json"), ("--chart", "c.png")])
def test_a_really_full_disk_is_reported_and_left_as_it_was(full_disk, capsys, option, name):
    (full_disk / name).write_bytes(b"what was there")
    free = os.statvfs(full_disk).f_bavail
    assert main([*PLAN, option, str(full_disk / name)]) == EXIT_BAD_INPUT
    assert "there is no space left on this disk" in capsys.readouterr().err
    assert sorted(each.name for each in full_disk.iterdir()) == sorted(["filler", name])
    assert (full_disk / name).read_bytes() == b"what was there"
    assert os.statvfs(full_disk).f_bavail == free


@posix
def test_a_link_stays_a_link_and_a_file_its_permissions(tmp_path):
    (tmp_path / "there").mkdir()
    real, link = tmp_path / "there" / "w.json", tmp_path / "w.json"
    real.write_text("old")
    real.chmod(0o640)
    link.symlink_to("there/w.json")
    write_file(link, [b"new"])
    assert link.is_symlink()
    assert (real.read_bytes(), real.stat().st_mode & 0o777) == (b"new", 0o640)
    assert [each.name for each in real.parent.iterdir()] == ["w.json"]


@posix
def test_a_device_or_pipe_takes_what_it_is_given(tmp_path):
    device = os.stat("/dev/null")
    write_file(Path("/dev/null"), [b"new"])
    assert os.stat("/dev/null").st_ino == device.st_ino
    read_end, write_end = os.pipe()
    write_file(Path(f"/dev/fd/{write_end}"), [b"new"])
    assert os.read(read_end, 10) == b"new"
    os.close(read_end)
    os.close(write_end)
    if Path("/dev/full").exists():
        with pytest.raises(OutputError, match="no space left"):
            write_file(Path("/dev/full"), [b"new"])


@posix
def test_a_write_protected_file_stays():
    folder = Path(tempfile.mkdtemp())  # pytest's own is closed to all others
    before = os.geteuid()
    try:
        (folder / "w.json").write_text("old")
        (folder / "w.json").chmod(0o444)
        folder.chmod(0o777)
        if before == 0:  # who may write everything
            os.seteuid(65534)
        write_file(folder / "new.json", [b"new"])
        with pytest.raises(OutputError, match="write-protected"):
            write_file(folder / "w.json", [b"new"])
        assert (folder / "w.json").read_text() == "old"
    finally:
        os.seteuid(before)
        shutil.rmtree(folder)


@pytest.mark.parametrize(("name", "message"), [("", "could not be written"), ("none/w.json", "there is no folder")])
def test_what_cannot_be_a_file_is_reported(tmp_path, name, message):
    with pytest.raises(OutputError, match=message):
        write_file(tmp_path / name, [b"new"])


@posix
def test_a_name_too_long_is_reported(tmp_path):
    with pytest.raises(OutputError, match="could not be written"):
        write_file(tmp_path / ("x" * 300), [b"new"])


@pytest.fixture
def inputs(tmp_path):
    """A portrait and a voice, and the command that plans with them."""
    for name in ("portrait.jpg", "speech.mp3"):
        shutil.copy(DEMO / name, tmp_path)
    return ["plan", "--image", str(tmp_path / "portrait.jpg"), "--audio", str(tmp_path / "speech.mp3"), "--gpu", "8"]


@pytest.mark.parametrize(
    "outputs",
    [
        ["--chart", "portrait.jpg"],
        ["--workflow", "speech.mp3"],
        ["--chart", "sub/../portrait.jpg"],
        ["--chart", "a.png", "--workflow", "a.png"],
    ],
)
def test_no_input_is_written_over_and_no_output_twice(inputs, outputs, tmp_path, capsys):
    (tmp_path / "sub").mkdir()
    paths = [each if each.startswith("--") else str(tmp_path / each) for each in outputs]
    assert main([*inputs, *paths]) == EXIT_BAD_INPUT
    assert "this is a source, or another output" in capsys.readouterr().err
    assert {name: (tmp_path / name).read_bytes() for name in ("portrait.jpg", "speech.mp3")} == {
        name: (DEMO / name).read_bytes() for name in ("portrait.jpg", "speech.mp3")
    }
    assert not (tmp_path / "a.png").exists()


def test_the_history_is_not_written_over(tmp_path, capsys):
    file = tmp_path / "history.db"
    file.write_bytes(b"what there is")
    assert main(["history", "--db", str(file), "--csv", str(file)]) == EXIT_BAD_INPUT
    assert "this is a source" in capsys.readouterr().err
    assert file.read_bytes() == b"what there is"


@posix
def test_ctrl_c_ends_with_a_line_that_says_how_to_go_on(tmp_path):
    clip = write(tmp_path / "clip.mp4", 400, size=(640, 360))
    command = [
        sys.executable,
        "-m",
        "sonic_guard",
        "finish",
        "interpolate",
        str(clip),
        "--out",
        str(tmp_path / "x.mp4"),
    ]
    # A shell starts what it puts into the background with the signal ignored, and a process hands that on.
    heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=heard) as process:
        until = time.monotonic() + 60
        while not list(tmp_path.glob(".sonic-guard/*/*")) and time.monotonic() < until:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, "Traceback" in errors) == (130, False), errors
    assert errors.splitlines()[-1] == "sonic-guard: stopped. The same command goes on with what is done so far."

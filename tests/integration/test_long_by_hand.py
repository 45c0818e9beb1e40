"""Changes by hand to the files of an unfinished video: a part is made again or is right, and nothing outside the work
folder is touched."""

import json
import logging
import os
import shutil
import tracemalloc
from pathlib import Path

import pytest

from sonic_guard.errors import OutputError
from sonic_guard.long_video.rendering import run
from sonic_guard.resume.manifest import file_digest
from sonic_guard.resume.work_folder import sweep
from tests.support import installed
from tests.support.child_tasks import print_made_parts
from tests.support.numbered_frames import digest, make_part, order
from tests.support.numbered_runs import age, interrupt_in_part, made_parts, video_of
from tests.support.processes import ended

KEYS = [key[:16] for key in order(300).part_keys]
TEN_TERABYTES = 10 << 40
OUTSIDE = ("head.mkv", "manifest.json", f".{KEYS[0]}-body.mkv.part", "old.latents")
"""Files in a folder that links lead to."""


@pytest.fixture(scope="module")
def calm(tmp_path_factory):
    folder = tmp_path_factory.mktemp("calm")
    return digest(run(order(300), make_part, folder / "video.mkv", folder / "work").path)


@pytest.fixture(scope="module")
def waiting(tmp_path_factory):
    """Two of three parts are finished."""
    folder = tmp_path_factory.mktemp("waiting")
    interrupt_in_part(2, folder)
    return folder / "work"


@pytest.fixture
def folder(tmp_path, waiting):
    """The order's folder, to work in by hand; next to the work folder is one whose files must not change."""
    shutil.copytree(waiting, tmp_path / "work")
    (tmp_path / "outside").mkdir()
    for name in OUTSIDE:
        (tmp_path / "outside" / name).write_text(name)
    (folder,) = (tmp_path / "work").glob("*/")
    yield folder
    found = {path.name: path.read_text() for path in (tmp_path / "outside").iterdir()}
    assert found == {name: name for name in OUTSIDE}, "files outside the work folder were touched"


def outside(path: Path) -> Path:
    return next(parent for parent in path.parents if parent.name == "work").parent / "outside"


def a_link(path):
    path.symlink_to(outside(path) / OUTSIDE[0])


def a_link_to_a_folder(path):
    path.symlink_to(outside(path), target_is_directory=True)


def a_link_to_itself(path):
    path.symlink_to(path)


def a_link_to_nothing(path):
    path.symlink_to(outside(path) / "new")


def a_folder(path):
    path.mkdir()
    (path / "mine").touch()
    (path / "link").symlink_to(outside(path), target_is_directory=True)


def a_fifo(path):
    os.mkfifo(path)


NAMES = {
    "finished parts": ([f"{KEYS[0]}-body.mkv", f"{KEYS[1]}-tail.mkv"], [0, 1, 2]),
    "the list": (["manifest.json"], [0, 1, 2]),
    "what is to come": (
        [
            f"{KEYS[2]}-body.mkv",
            f".{KEYS[2]}-body.mkv.part",
            f"{KEYS[2]}-3.latents",
            "seam-1.mkv",
            ".seam-1.mkv.part",
            ".manifest.json.part",
            "unused",
            "../.lock",
            f"../{order(300).key[:16]}.lock",
        ],
        [2],
    ),
}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="on Windows links need rights, and there are no such FIFOs")
@pytest.mark.parametrize(
    "thing",
    [a_link, a_link_to_a_folder, a_link_to_itself, a_link_to_nothing, a_folder, a_fifo],
    ids=lambda x: x.__name__,
)
@pytest.mark.parametrize("where", NAMES)
def test_what_is_no_file_is_neither_followed_nor_opened(tmp_path, folder, calm, where, thing):
    names, made = NAMES[where]
    for name in names:
        (folder / name).unlink(missing_ok=True)
        thing(folder / name)
    result = ended(print_made_parts, tmp_path, limit_s=120)  # where it hangs
    assert result.code == 0, result.err
    assert [int(word) for word in result.out.partition(b"made")[2].split()] == made
    assert digest(tmp_path / "video.mkv") == calm
    assert [path.name for path in (tmp_path / "work").iterdir()] == [".lock"]


@pytest.mark.parametrize("thing", [a_link_to_a_folder, a_link_to_itself, a_link_to_nothing, a_link])
def test_a_link_as_the_folder_is_taken_away_and_not_followed(tmp_path, folder, calm, thing, caplog):
    shutil.rmtree(folder)
    thing(folder)
    for _ in range(2):
        age(tmp_path / "work")
        sweep(tmp_path / "work", days=14)
    with caplog.at_level(logging.WARNING):
        assert made_parts(tmp_path) == [0, 1, 2]
    assert "is a link, and is removed" in caplog.text
    assert digest(tmp_path / "video.mkv") == calm


@pytest.mark.parametrize("thing", [Path.touch, a_fifo])
def test_something_else_as_the_folder_is_reported_and_stays(tmp_path, folder, thing):
    shutil.rmtree(folder)
    thing(folder)
    for _ in range(2):
        os.utime(folder, (0, 0))
        sweep(tmp_path / "work", days=14)
    with pytest.raises(OutputError, match=r"is no folder\. Move it away"):
        run(order(300), pytest.fail, tmp_path / "video.mkv", tmp_path / "work")
    assert folder.exists()


def test_the_work_folder_may_be_a_link(tmp_path, folder, calm):
    """To a larger disk."""
    (tmp_path / "work").rename(tmp_path / "disk")
    (tmp_path / "work").symlink_to(tmp_path / "disk", target_is_directory=True)
    sweep(tmp_path / "work", days=14)
    assert made_parts(tmp_path) == [2]
    assert digest(tmp_path / "video.mkv") == calm
    (tmp_path / "work").unlink()
    (tmp_path / "disk").rename(tmp_path / "work")


def listed(change):
    """An edit of what the list holds."""

    def edit(text):
        content = json.loads(text)
        change(content, next(iter(content["parts"].values())))
        return json.dumps(content).encode()

    return edit


LISTS = {
    "deep": lambda text: b"[" * 200_000,
    "deep in a part": lambda text: b'{"version": 1, "parts": {"a": ' + b'{"b":' * 200_000,
    "no UTF-8": lambda text: text.replace(b"mkv", b"\xff\xfe", 1),
    "a lone surrogate": lambda text: text.replace(b"mkv", b"\\ud800", 1),
    "NULs": lambda text: bytes(len(text)),
    "a huge version": listed(lambda content, part: content.update(version=10**18)),
    "a version of 5,000 digits": lambda text: text.replace(b"1", b"1" * 5000, 1),
    "parts that are a list": listed(lambda content, part: content.update(parts=[])),
    "a part that is null": listed(lambda content, part: content["parts"].update(a=None)),
    "files as in an older version": listed(lambda content, part: part.update(dict.fromkeys(part, "0" * 64))),
    "a size of 10^18": listed(
        lambda content, part: part.update({name: (10**18, key) for name, (_, key) in part.items()})
    ),
    "a size below 0": listed(lambda content, part: part.update({name: (-1, key) for name, (_, key) in part.items()})),
    "a size of NaN": listed(lambda content, part: part.update({name: (float("nan"), "") for name in part})),
    "no digests": listed(lambda content, part: part.update({name: (size, "") for name, (size, _) in part.items()})),
    "no files": listed(lambda content, part: part.clear()),
    "other names": listed(lambda content, part: part.update({"../" + name: part.pop(name) for name in [*part]})),
}


@pytest.mark.parametrize("edit", LISTS.values(), ids=LISTS)
def test_a_changed_list_costs_at_most_its_parts(tmp_path, folder, calm, edit, caplog):
    path = folder / "manifest.json"
    path.write_bytes(edit(path.read_bytes()))
    with caplog.at_level(logging.WARNING):
        made = made_parts(tmp_path)
    assert made in ([0, 1, 2], [0, 2])
    assert "made again" in caplog.text
    assert max(len(record.getMessage()) for record in caplog.records) < 1000
    assert digest(tmp_path / "video.mkv") == calm


def test_a_list_of_2_gb_is_not_read(tmp_path, folder, calm):
    os.truncate(folder / "manifest.json", 2 << 30)
    tracemalloc.start()
    try:
        assert made_parts(tmp_path) == [0, 1, 2]
        assert tracemalloc.get_traced_memory()[1] < 100 << 20
    finally:
        tracemalloc.stop()
    assert digest(tmp_path / "video.mkv") == calm


def of_another_part(path, asked):
    shutil.copy(path.with_name(path.name.replace(KEYS[1], KEYS[0])), path)


def too_few_frames(path, asked):
    video_of(path, asked.encoding, 30, None)


def a_sound(path, asked):
    shutil.copy(installed.PACK / "demo" / "speech.mp3", path)


def text(path, asked):
    path.write_text("No video.")


def nothing(path, asked):
    path.write_bytes(b"")


def huge(path, asked):
    os.truncate(path, TEN_TERABYTES)


EDITS = (of_another_part, too_few_frames, a_sound, text, nothing)


@pytest.mark.parametrize(
    ("edit", "noted"), [*((edit, noted) for edit in EDITS for noted in (False, True)), (huge, False)]
)
def test_a_changed_part_is_made_again(tmp_path, folder, calm, edit, noted, caplog):
    asked = order(300)
    path = folder / f"{KEYS[1]}-body.mkv"
    try:
        edit(path, asked)
    except OSError as error:
        pytest.skip(f"this disk has no such files: {error}")
    if noted:  # in the list, as if it were right
        content = json.loads((folder / "manifest.json").read_text())
        content["parts"][asked.part_keys[1]][path.name] = path.stat().st_size, file_digest(path)
        (folder / "manifest.json").write_text(json.dumps(content))
    with caplog.at_level(logging.WARNING):
        assert made_parts(tmp_path) == [1, 2]
    assert "part 2 is made again" in caplog.text
    assert digest(tmp_path / "video.mkv") == calm

"""A farm's job file: what it may say, and that it reads nothing outside of its folders."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sonic_guard.errors import FarmError
from sonic_guard.messages.error_messages import error_text
from sonic_guard.park.job_file import read_job_file
from sonic_guard.park.jobs import MAX_NAME, read_settings

LINKS = pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")


@pytest.fixture
def folder(tmp_path):
    home = tmp_path / "farm"
    (home / "sub").mkdir(parents=True)
    for name in ("a.png", "b.png", "a.wav", "sub/c.wav"):
        (home / name).write_bytes(name.encode())
    (tmp_path / "secret.png").write_bytes(b"secret")
    return home


def read(folder: Path, text: str | bytes, name: str = "jobs.csv", roots=()):
    content = text.encode() if isinstance(text, str) else text
    (folder / name).write_bytes(content)
    return read_job_file(folder / name, roots)


def test_columns_are_settings_and_an_empty_cell_is_the_default(folder):
    first, second = read(folder, "image,audio,seconds,seed,cut_silence\na.png,a.wav,1.5,7,yes\nb.png,sub/c.wav,,,\n")
    assert (first.name, first.settings.seconds, first.settings.seed, first.settings.cut_silence) == (
        "a a",
        1.5,
        7,
        True,
    )
    assert (second.name, second.settings.seconds, second.audio) == ("b c", 0.0, folder / "sub" / "c.wav")


@pytest.mark.parametrize(
    "content",
    [
        "image;audio\na.png;a.wav\n",
        "image\taudio\na.png\ta.wav\n",
        "\ufeffImage, Audio \r\n a.png , a.wav \r\n\r\n",
        'image,audio\n"a.png","a.wav"',
        "image,audio\na.png,a.wav\n".encode("utf-16"),
    ],
    ids=["semicolons", "tabs", "of a spreadsheet", "quoted", "UTF-16"],
)
def test_a_spreadsheets_csv_is_read(folder, content):
    [job] = read(folder, content)
    assert (job.image, job.audio) == (folder / "a.png", folder / "a.wav")


def test_json_says_the_same(folder):
    rows = [{"image": "a.png", "audio": "a.wav", "seed": 7, "margin": 0.5}]
    [plain] = read(folder, json.dumps(rows), "jobs.json")
    [inside] = read(folder, json.dumps({"jobs": rows}), "jobs.json")
    [csv] = read(folder, "image,audio,seed,margin\na.png,a.wav,7,0.5\n")
    assert plain == inside == csv


def test_a_folder_of_pairs(folder):
    (folder / "b.mp3").write_bytes(b"b")
    jobs = {job.name: (job.image.name, job.audio.name) for job in read_job_file(folder)}
    assert jobs == {"a": ("a.png", "a.wav"), "b": ("b.png", "b.mp3")}


def test_one_portrait_speaks_with_all_voices(folder):
    (folder / "b.png").unlink()
    (folder / "other.wav").write_bytes(b"o")
    assert [job.image.name for job in read_job_file(folder)] == ["a.png", "a.png"]


def test_the_id_follows_from_the_content(folder):
    [job] = read(folder, "image,audio,name\na.png,a.wav,one\n")
    [renamed] = read(folder, "name,audio,image,seed\ntwo,a.wav,a.png,0\n")
    [seeded] = read(folder, "image,audio,seed\na.png,a.wav,1\n")
    (folder / "a.wav").write_bytes(b"another")
    [changed] = read(folder, "image,audio\na.png,a.wav\n")
    assert job.id == renamed.id
    assert len({job.id, seeded.id, changed.id}) == 3


def test_names_are_unique_whatever_the_case(folder):
    jobs = read(folder, "image,audio\n" + 3 * "a.png,a.wav\n")
    assert [job.name for job in jobs] == ["a a", "a a 2", "a a 3"]
    with pytest.raises(FarmError, match="line 3: name: 'ONE' is used by another job"):
        read(folder, "image,audio,name\na.png,a.wav,one\nb.png,a.wav,ONE\n")


OUTSIDE = [
    "../secret.png", "/etc/passwd", "sub/../../secret.png", "~/x.png", "C:\\x.png", "C:x.png", "..\\secret.png",
    "http://127.0.0.1/a.png", "file:///etc/passwd", "https://host/a.png", "s3://bucket/a.png", "a\u0000.png",
    "=HYPERLINK(1)", "@a.png", "+a.png", "-a.png", "\\\\host\\share\\a.png", "a.png:stream", ".", "sub", "x" * 5000,
]  # fmt: skip


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_file_lies_below_the_job_files_folder(folder, name):
    with pytest.raises(FarmError):
        read(folder, json.dumps([{"image": name, "audio": "a.wav"}]), "jobs.json")


@LINKS
@pytest.mark.parametrize("link", ["file", "folder"])
def test_a_link_that_leads_out_is_refused(folder, link):
    target = folder.parent / "secret.png" if link == "file" else folder.parent
    (folder / "link").symlink_to(target)
    name = "link" if link == "file" else "link/secret.png"
    with pytest.raises(FarmError, match="leads out of its folder"):
        read(folder, f"image,audio\n{name},a.wav\n")


@LINKS
def test_what_is_no_plain_file_is_refused(folder):
    os.mkfifo(folder / "pipe")
    with pytest.raises(FarmError, match="a pipe cannot be read twice"):
        read(folder, "image,audio\npipe,a.wav\n")


def test_a_folder_that_the_user_adds_may_be_named(folder):
    with pytest.raises(FarmError, match="there is no file"):
        read(folder, "image,audio\nsecret.png,a.wav\n")
    [job] = read(folder, "image,audio\nsecret.png,a.wav\n", roots=[folder.parent])
    assert job.image == folder.parent / "secret.png"


HOSTILE = [
    pytest.param("jobs.csv", b"image,audio\na.png,\xff.wav\n", "no text in UTF-8", id="bytes"),
    pytest.param("jobs.csv", b"image,audio\0\na.png,a.wav\n", "zero byte", id="zero"),
    pytest.param("jobs.csv", b"image\na.png\n", "audio is missing", id="no column"),
    pytest.param("jobs.csv", b"image,audio,audio\n", "two columns 'audio'", id="column twice"),
    pytest.param("jobs.csv", b"image,audio\na.png,a.wav,more\n", "3 cells are more than columns", id="cells"),
    pytest.param("jobs.csv", b"image,audio,password\na.png,a.wav,x\n", "password: no such setting", id="setting"),
    pytest.param("jobs.csv", b'image,audio\n"a.png', "no CSV", id="quote"),
    pytest.param("jobs.csv", b'image,audio\n"' + 300_000 * b"a" + b'",a.wav', "no CSV", id="huge field"),
    pytest.param("jobs.csv", b"image,audio\n", "no job in it", id="empty"),
    pytest.param("jobs.csv", b"", "image and audio is missing", id="nothing"),
    pytest.param("jobs.json", b"[NaN]", "no JSON", id="NaN"),
    pytest.param("jobs.json", 100_000 * b"[", "no JSON", id="deep"),
    pytest.param("jobs.json", b'{"image": 1}', "expected a list", id="object"),
    pytest.param("jobs.json", b"[1]", "expected a list", id="number"),
]


@pytest.mark.parametrize(("name", "content", "fault"), HOSTILE)
def test_a_hostile_file_is_refused_with_a_reason(folder, name, content, fault):
    with pytest.raises(FarmError, match=fault) as raised:
        read(folder, content, name)
    assert len(str(raised.value)) < 5000


def test_the_faults_of_all_rows_are_listed(folder):
    rows = "".join(f"a.png,no{number}.wav\n" for number in range(30))
    with pytest.raises(FarmError, match=r"(?s)line 2: audio: .*\nline 11: .*20 more"):
        read(folder, "image,audio\n" + rows)


def test_every_fault_is_in_the_user_s_language(folder):
    rows = "a.png,a.wav,one,foo,\na.png,a.wav,=cmd(),,\na.png,a.wav,two,,wow\n"
    with pytest.raises(FarmError) as raised:
        read(folder, "image,audio,name,finish,preset\n" + rows)
    first, second, third = error_text(raised.value, "zh").splitlines()
    assert third == "第 4 行：预设：没有 'wow'。现有：fast, hd, minimal。"
    assert first.endswith("：第 2 行：finish：没有 'foo'；可选：none, fast, hd。")
    assert second == "第 3 行：name：'=cmd()' 不是普通的文件名。请使用字母、数字、空格、_ 和 -。"


VALUES = [
    ("seed", "-1"), ("seed", "1e3"), ("seed", "99999999999"), ("seed", True), ("seconds", "nan"), ("seconds", "inf"),
    ("seconds", -1), ("seconds", "１"), ("min_resolution", 100), ("inference_steps", 1025), ("margin", "1.01"),
    ("preset", "../fast"), ("preset", "FAST"), ("aspect", "2:1"), ("mode", "fast"), ("format", "gif"), ("crf", 0),
    ("encoder_preset", "x"), ("face_box", "1;2"), ("cut_silence", "maybe"), ("track", 0), ("part_s", [1]),
    ("face_index", 10**40),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), VALUES)
def test_a_value_that_the_node_does_not_take_is_refused(name, value):
    with pytest.raises(FarmError, match=f"^{name}: "):
        read_settings({name: value})


NAMES = ["a/b", "..", ".hidden", "con", "NUL.txt", "a\nb", "=1+1", "x" * (MAX_NAME + 1), "a:b", " a", "a.", "\ud800"]


@pytest.mark.parametrize("name", NAMES)
def test_a_videos_name_is_a_plain_file_name(folder, name):
    with pytest.raises(FarmError, match="name: "):
        read(folder, json.dumps([{"image": "a.png", "audio": "a.wav", "name": name}]), "jobs.json")


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_jobs_or_an_error(tmp_path_factory, content):
    folder = tmp_path_factory.getbasetemp() / "any"
    folder.mkdir(exist_ok=True)
    for prefix, name in ((b"image,audio\n", "jobs.csv"), (b"", "jobs.json")):
        with pytest.raises(FarmError):
            read(folder, prefix + content, name)

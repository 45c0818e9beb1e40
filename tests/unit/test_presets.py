"""Presets: the built-in ones, the user's own, and everything that can be wrong with a file or a name."""

import json
import logging
import os
import re
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sonic_guard.errors import PresetError
from sonic_guard.job import Dtype
from sonic_guard.operations.preset_files import MAX_BYTES, MAX_ENTRIES, builtin_dir, list_presets, load_preset
from sonic_guard.planning.presets import Preset, schema_text

BUILT_IN = ["fast", "hd", "minimal"]


def write(folder, stem, **fields):
    path = folder / f"{stem}.json"
    path.write_text(json.dumps({"name": stem} | fields), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "min_resolution", "inference_steps", "dynamic_scale"),
    [("fast", 768, 20, 1.0), ("hd", 1024, 30, 1.2), ("minimal", 384, 15, 1.0)],
)
def test_the_built_in_presets_are_the_articles(name, min_resolution, inference_steps, dynamic_scale):
    preset = load_preset(name)
    assert preset.min_resolution == min_resolution
    assert preset.inference_steps == inference_steps
    assert preset.dynamic_scale == dynamic_scale
    assert (preset.duration, preset.fps, preset.dtype, preset.use_interframe) == ("auto", 25.0, Dtype.FP16, True)


def test_the_built_in_presets_have_texts_in_both_languages():
    for name in BUILT_IN:
        preset = load_preset(name)
        for text in (preset.title, preset.description):
            assert text is not None and text.en and re.search(r"[\u4e00-\u9fff]", text.zh)


def test_the_list_holds_the_built_in_presets_and_not_the_schema():
    assert list_presets() == {name: builtin_dir() / f"{name}.json" for name in BUILT_IN}


def test_the_schema_file_is_current_and_every_preset_points_to_it():
    schema_file = builtin_dir() / "schema.json"
    assert schema_file.read_text(encoding="utf-8") == schema_text(), "renew it: write presets.schema_text() to it"
    for path in list_presets().values():
        assert json.loads(path.read_text(encoding="utf-8"))["$schema"] == "./schema.json"


def test_every_limit_of_the_schema_is_reported_in_the_keys_description():
    for name, key in json.loads(schema_text())["properties"].items():
        for rule in [key, *key.get("anyOf", [])]:
            for limit in ("minimum", "maximum", "multipleOf", "const"):
                if limit in rule:
                    limit_text = rule[limit] if limit == "const" else f"{rule[limit]:g}"
                    assert limit_text in key["description"], f"{name}: {limit}"


def test_users_presets_come_after_the_built_in_ones(tmp_path):
    path = write(tmp_path, "my-tall_one2", min_resolution=640, duration=12, expand_ratio=0.15, dtype="bf16")
    assert list(list_presets(tmp_path)) == [*BUILT_IN, "my-tall_one2"]
    assert list_presets(tmp_path)["my-tall_one2"] == path
    preset = load_preset("my-tall_one2", tmp_path)
    assert (preset.min_resolution, preset.duration, preset.expand_ratio) == (640, 12.0, 0.15)
    assert preset.dtype is Dtype.BF16


def test_what_a_preset_leaves_out_has_the_nodes_default(tmp_path):
    write(tmp_path, "bare")
    preset = load_preset("bare", tmp_path)
    assert (preset.min_resolution, preset.inference_steps, preset.dynamic_scale, preset.fps) == (512, 25, 1.0, 25.0)
    assert (preset.duration, preset.expand_ratio) == ("auto", "auto")


def test_a_preset_cannot_be_changed():
    with pytest.raises(ValidationError):
        load_preset("fast").min_resolution = 64


def test_a_missing_user_folder_has_no_presets(tmp_path):
    assert list(list_presets(tmp_path / "nowhere")) == BUILT_IN


def test_a_built_in_name_means_the_same_everywhere(tmp_path, caplog):
    write(tmp_path, "fast", min_resolution=128)
    with caplog.at_level(logging.WARNING):
        assert load_preset("fast", tmp_path).min_resolution == 768
    assert "Rename the file" in caplog.text


@pytest.mark.parametrize(
    "name",
    ["", "Fast", "fast.json", "../fast", "..", ".", "a/b", "a\\b", "/etc/passwd", "C:fast", "fast\0", "fast\n", "été",
     "-fast", "_fast", "a" * 65, "con", "nul", "com1", "lpt9", "aux", "schema", "fast ", "${HOME}", "~"],
)  # fmt: skip
def test_names_that_are_no_names_are_refused(name, tmp_path):
    with pytest.raises(PresetError, match="not a preset's name"):
        load_preset(name, tmp_path)


@given(st.text(max_size=80))
def test_any_name_is_loaded_or_a_clear_error(name):
    try:
        assert load_preset(name).name == name
    except PresetError as error:
        assert str(error).startswith("preset: ")


def test_an_unknown_name_is_answered_with_the_known_ones(tmp_path):
    write(tmp_path, "mine")
    with pytest.raises(PresetError, match="no 'ultra'. There are: fast, hd, minimal, mine"):
        load_preset("ultra", tmp_path)


def test_links_out_of_the_folder_are_not_followed(tmp_path, caplog):
    outside, folder = tmp_path / "outside", tmp_path / "presets"
    outside.mkdir()
    folder.mkdir()
    (folder / "leak.json").symlink_to(write(outside, "leak"))
    (folder / "broken.json").symlink_to(folder / "nothing")
    (folder / "alias.json").symlink_to(write(folder, "real"))
    assert list(list_presets(folder)) == [*BUILT_IN, "alias", "real"]
    assert "leak.json is ignored" in caplog.text


def test_the_folder_itself_may_be_a_link(tmp_path):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    write(folder, "mine")
    (tmp_path / "presets").symlink_to(folder)
    assert load_preset("mine", tmp_path / "presets").name == "mine"


ANY_BYTES_ARE_A_NAME = sys.platform == "linux"
"""Elsewhere the file system takes only names that are text."""


def _odd(folder):
    """All that a folder of presets may hold and should not."""
    (folder / "folder.json").mkdir()
    os.mkfifo(folder / "pipe.json")
    (folder / "circle.json").symlink_to(folder / "circle.json")
    (folder / "zero.json").symlink_to("/dev/zero")
    (folder / "Bad Name.json").write_text("{}")
    (folder / "line\nbreak.json").write_text("{}")
    if ANY_BYTES_ARE_A_NAME:
        (folder / os.fsdecode(b"\xff\xfe.json")).write_text("{}")
    (folder / ("x" * 100 + ".json")).write_text("{}")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in the file system")
def test_what_is_not_a_file_is_ignored(tmp_path, caplog):
    _odd(tmp_path)
    assert list(list_presets(tmp_path)) == BUILT_IN
    log_lines = caplog.messages
    assert len(log_lines) == len(list(tmp_path.iterdir()))
    assert all("is ignored" in text and len(text.splitlines()) == 1 for text in log_lines)
    assert (
        b"\\udcff" in "".join(log_lines).encode("utf-8")
    ) is ANY_BYTES_ARE_A_NAME  # and so that a log can be written
    for name in ("folder", "pipe", "circle", "zero"):
        with pytest.raises(PresetError, match=f"there is no '{name}'"):
            load_preset(name, tmp_path)
    list_presets(tmp_path)
    assert caplog.messages == log_lines, "the same is logged again"


def _file(path):
    path.write_text("no folder")


def _circle(path):
    path.symlink_to(path)


def _broken_link(path):
    path.symlink_to("nothing")


@pytest.mark.parametrize("make", [_file, _circle, _broken_link])
def test_a_folder_that_is_none_leaves_the_built_in_presets(tmp_path, caplog, make):
    folder = tmp_path / "presets"
    make(folder)
    for _ in range(2):
        assert list(list_presets(folder)) == BUILT_IN
        assert load_preset("hd", folder).min_resolution == 1024
        with pytest.raises(PresetError, match="there is no 'mine'. There are: fast, hd, minimal"):
            load_preset("mine", folder)
    (log_lines,) = caplog.messages
    assert str(folder) in log_lines
    assert "cannot be read" in log_lines


@pytest.mark.skipif(os.name != "posix", reason="permissions as POSIX has them")
def test_a_folder_that_may_not_be_read_leaves_the_built_in_presets(tmp_path, caplog):
    (tmp_path / "presets").mkdir()
    write(tmp_path / "presets", "mine")
    (tmp_path / "presets").chmod(0)
    before = os.geteuid()
    try:
        if before == 0:  # who may read everything
            os.seteuid(65534)
        assert list(list_presets(tmp_path / "presets")) == BUILT_IN
        assert load_preset("fast", tmp_path / "presets").min_resolution == 768
        with pytest.raises(PresetError, match="there is no 'mine'"):
            load_preset("mine", tmp_path / "presets")
    finally:
        os.seteuid(before)
        (tmp_path / "presets").chmod(0o700)
    assert "cannot be read: Permission denied" in caplog.text


def test_of_a_crowded_folder_a_thousand_files_are_listed_and_any_is_found(tmp_path, caplog):
    for number in range(MAX_ENTRIES + 50):
        (tmp_path / f"p{number}.json").write_text("{}")
    write(tmp_path, "mine", fps=50)
    names = list(list_presets(tmp_path))
    assert len(names) == len(BUILT_IN) + MAX_ENTRIES
    assert names[3:] == sorted(names[3:])
    assert f"only {MAX_ENTRIES} of its files are listed" in caplog.text
    assert load_preset("mine", tmp_path).fps == 50
    with pytest.raises(PresetError, match=r"There are: fast, hd, minimal, .* … \(and 983 more\)") as caught:
        load_preset("ultra", tmp_path)
    assert len(str(caught.value)) < 500


def test_an_edited_preset_is_read_as_it_is_now(tmp_path):
    for fps in (30, 50, 30):
        before = os.stat(write(tmp_path, "mine", fps=fps))
        os.utime(tmp_path / "mine.json", ns=(before.st_atime_ns, 10**18))  # of the same size, at the same time
        assert load_preset("mine", tmp_path).fps == fps


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"stepz": 3}, "stepz: unknown key. Known are: .*inference_steps"),
        ({"min_resolution": 700}, "min_resolution: 700 is not allowed.*128 to 2048 in steps of 64"),
        ({"min_resolution": 64}, "min_resolution: 64 is not allowed"),
        ({"min_resolution": 4096}, "min_resolution: 4096 is not allowed"),
        ({"min_resolution": "768"}, "min_resolution: '768' is not allowed"),
        ({"min_resolution": 768.5}, "min_resolution: 768.5 is not allowed"),
        ({"inference_steps": True}, "inference_steps: True is not allowed.*1 to 1024"),
        ({"inference_steps": 0}, "inference_steps: 0 is not allowed"),
        ({"duration": "long"}, "duration: 'long' is not allowed.*1 to 360000.*auto"),
        ({"duration": 0.5}, "duration: 0.5 is not allowed"),
        ({"duration": None}, "duration: None is not allowed"),
        ({"dynamic_scale": 3}, "dynamic_scale: 3 is not allowed.*0.5 to 2.0"),
        ({"dynamic_scale": float("nan")}, "dynamic_scale: nan is not allowed"),
        ({"expand_ratio": 0}, "expand_ratio: 0 is not allowed.*0.1 to 1.0.*auto"),
        ({"fps": 1000}, "fps: 1000 is not allowed.*5 to 120"),
        ({"dtype": "fp8"}, "dtype: 'fp8' is not allowed.*fp16, bf16 or fp32"),
        ({"use_interframe": "yes"}, "use_interframe: 'yes' is not allowed.*true or false"),
        ({"title": "Mine"}, "title: 'Mine' is not allowed.*object with en and zh"),
        ({"title": {"zh": "我的"}}, "title.en: is missing"),
        ({"name": "other"}, "name: 'other' differs from the file's name. Make it 'mine'"),
        ({"min_resolution": 1, "fps": 1}, "min_resolution: 1 .* fps: 1 "),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(tmp_path, fields, message):
    path = write(tmp_path, "mine", **fields)
    with pytest.raises(PresetError, match=message) as caught:
        load_preset("mine", tmp_path)
    assert str(caught.value).startswith("mine.json: ")
    assert str(tmp_path) not in str(caught.value)
    assert caught.value.path == path


def test_of_many_faults_the_first_are_reported_and_the_others_counted(tmp_path):
    write(tmp_path, "mine", **{f"key{number}": number for number in range(3000)})
    with pytest.raises(PresetError) as caught:
        load_preset("mine", tmp_path)
    text = str(caught.value)
    assert [f"key{number}: unknown key" in text for number in range(6)] == [True] * 5 + [False]
    assert text.endswith(" … (and 2,995 more)")
    assert len(text) < 1500


def test_a_key_of_kilobytes_or_several_lines_is_reported_in_a_short_line(tmp_path):
    write(tmp_path, "mine", **{"k" * 60_000: 1, "a\nb\x1b[2J": 2, "fps": "9" * 1000})
    with pytest.raises(PresetError) as caught:
        load_preset("mine", tmp_path)
    text = str(caught.value)
    assert r"a\nb\x1b[2J: unknown key" in text
    assert (len(text.splitlines()), len(text) < 1000) == (1, True)


def test_a_value_that_fails_in_two_ways_is_named_once(tmp_path):
    write(tmp_path, "mine", duration="long")
    with pytest.raises(PresetError) as caught:
        load_preset("mine", tmp_path)
    assert str(caught.value).count("duration:") == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{\n  "name": "mine",\n  "fps": 25,,\n}', "line 3 column"),
        (b"", "line 1 column 0"),
        (b"[]", "object"),
        (b"{}", "name: is missing"),
        (b'{"name": "mine"', "line 1"),
        (b"\xff\xfe{", "line 1"),
        (b"[" * 60_000, "recursion"),
        (b'{"name": "mine"}' + b" " * MAX_BYTES, "longer than 64 kB"),
    ],
)
def test_a_file_that_is_not_a_preset_is_refused_with_line_and_column(tmp_path, content, message):
    (tmp_path / "mine.json").write_bytes(content)
    with pytest.raises(PresetError, match=message):
        load_preset("mine", tmp_path)


def test_the_mark_some_editors_put_before_the_text_is_no_fault(tmp_path):
    (tmp_path / "mine.json").write_bytes(b'\xef\xbb\xbf{"name": "mine"}')
    assert load_preset("mine", tmp_path) == Preset(name="mine")

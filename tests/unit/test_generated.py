"""Everything that is made from something else is up to date; `make generate` renews it."""

import json
import shutil

import pytest
from PIL import Image

from tools import doc_tables, generate, locale_files, thumbnails
from tools.import_graph import ROOT

PLAIN = {path.relative_to(ROOT).as_posix(): (path, text) for path, text in generate.plain_files().items()}
RENEW = "out of date; `make generate` renews it"


@pytest.mark.parametrize("name", PLAIN)
def test_it_is_up_to_date(name):
    path, text = PLAIN[name]
    assert path.read_text(encoding="utf-8") == text, RENEW


def test_every_generated_file_is_known():
    """A picture, a workflow or a schema that nothing makes any more would stay for ever."""
    made = set(PLAIN)
    assert {f"example_workflows/{file.name}" for file in (ROOT / "example_workflows").glob("*.json")} <= made
    assert {"presets/schema.json", "docs/architecture.svg", "README.md"} <= made


def test_the_texts_of_the_nodes_are_up_to_date_in_every_language(nodes):
    schemas = [node.GET_SCHEMA() for node in nodes.values()]
    assert not generate.out_of_date(locale_files.locale_files(schemas, None)), RENEW


@pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not installed; it reads the page's modules")
def test_the_texts_of_the_page_are_up_to_date_in_every_language():
    page = locale_files.page_texts()
    assert sorted(page) == ["commands", "settings"]
    assert not generate.out_of_date(locale_files.locale_files(None, page)), RENEW


def test_every_text_is_translated():
    assert not locale_files.untranslated()


@pytest.mark.parametrize("workflow", sorted((ROOT / "example_workflows").glob("*.json")), ids=lambda path: path.stem)
def test_the_picture_of_a_workflow_shows_it_as_it_is(workflow):
    assert workflow.with_suffix(".jpg") not in thumbnails.out_of_date(), f"out of date; {thumbnails.HOW}"


def test_a_skeleton_has_the_keys_of_the_source_and_keeps_what_is_translated():
    source = {"a": {"name": "Name", "tooltip": "What it does"}, "b": {"name": "New"}}
    translated = {"gone": {"name": "weg"}, "b": "no longer a text", "a": {"tooltip": "Was es tut"}}
    made = locale_files.skeleton(source, translated)
    assert made == {"a": {"name": "", "tooltip": "Was es tut"}, "b": {"name": ""}}
    assert list(made) == list(source)
    assert list(locale_files.missing(made)) == ["a.name", "b.name"]
    assert locale_files.skeleton(source, source) == source


def test_a_new_language_begins_empty_and_is_reported(tmp_path):
    for language in ("en", "de"):
        (tmp_path / language).mkdir()
    known = {"nodeCategories": {"Sonic Guard": "Sonic Guard"}}
    (tmp_path / "en" / "main.json").write_text(json.dumps(known), encoding="utf-8")
    generate.write(locale_files.locale_files(None, None, tmp_path))
    made = {path: json.loads(path.read_text(encoding="utf-8")) for path in sorted(tmp_path.rglob("*.json"))}
    assert made == {
        tmp_path / "de" / "main.json": {"nodeCategories": {"Sonic Guard": ""}},
        tmp_path / "en" / "main.json": known,
    }
    assert locale_files.untranslated(tmp_path) == ["de main: nodeCategories.Sonic Guard"]


def test_a_file_is_out_of_date_until_it_is_written(tmp_path):
    files = {tmp_path / name: f"text of {name}\n" for name in ("one", "two", "three")}
    (tmp_path / "one").write_text("text of one\n", encoding="utf-8")
    (tmp_path / "two").write_text("an older text\n", encoding="utf-8")
    assert generate.out_of_date(files) == [tmp_path / "two", tmp_path / "three"]
    generate.write(files)
    assert generate.out_of_date(files) == []


def test_a_table_replaces_what_stood_between_its_marks_and_nothing_else():
    text = "a\n<!-- table article -->\nold\nlines\n<!-- end -->\nb\n<!-- end -->\n"
    made = doc_tables.filled(text)
    assert made.startswith("a\n<!-- table article -->\n| run |")
    assert made.endswith("|\n<!-- end -->\nb\n<!-- end -->\n")
    assert "369.8" in made
    assert doc_tables.filled(made) == made
    with pytest.raises(KeyError):
        doc_tables.filled("<!-- table unknown -->\n<!-- end -->")


def test_a_picture_without_a_digest_or_of_another_workflow_is_out_of_date(tmp_path):
    workflow, picture = tmp_path / "one.json", tmp_path / "one.jpg"
    workflow.write_text(json.dumps({"nodes": [{"type": "SonicGuardPreset"}]}), encoding="utf-8")
    assert thumbnails.out_of_date(tmp_path) == [picture]
    Image.new("RGB", (4, 4)).save(picture)
    assert thumbnails.out_of_date(tmp_path) == [picture]
    Image.new("RGB", (4, 4)).save(picture, comment=thumbnails.digest(workflow))
    assert thumbnails.out_of_date(tmp_path) == []
    workflow.write_text(json.dumps({"nodes": [{"type": "SonicGuardPreflight"}]}), encoding="utf-8")
    assert thumbnails.out_of_date(tmp_path) == [picture]

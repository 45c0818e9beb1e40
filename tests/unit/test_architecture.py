"""The ways through the code that the documents describe are in the code, and the picture shows what it imports."""

import ast
import xml.etree.ElementTree as ElementTree

import pytest

from tools.architecture_picture import count_importers, draw, rows
from tools.import_graph import read_modules
from tools.layers import LAYERS
from tools.ways import JOB, MOST_FILES, OUT_OF_MEMORY, TARGET_CARD

MODULES = read_modules()
WAYS = {"job": JOB, "out of memory": OUT_OF_MEMORY, "target_card": TARGET_CARD}


def defined(module):
    """The names at the top of a module."""
    for node in MODULES[module].tree.body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                yield name


@pytest.mark.parametrize("way", WAYS)
def test_every_stop_of_a_way_is_in_the_code(way):
    for step in WAYS[way]:
        assert step.symbol in set(defined(step.module)), step


def test_target_card_reaches_the_planner_within_ten_files():
    files = [step.module for step in TARGET_CARD]
    assert len(set(files)) == len(files) <= MOST_FILES == 10


def test_every_file_on_that_way_is_imported_by_one_before_it():
    for index, step in enumerate(TARGET_CARD[1:], start=1):
        before = [MODULES[earlier.module] for earlier in TARGET_CARD[:index]]
        assert step.module in {each.module for module in before for each in module.imports}, step


def test_the_planner_asks_for_no_card_by_itself():
    """Its budget comes from that way only: what reads a card stays out of `planning`."""
    readers = {"budget_for", "live_budget", "read_card"}
    taken = {each.name for name, module in MODULES.items() if ".planning." in name for each in module.imports}
    assert not readers & taken


def test_the_picture_is_an_svg_with_every_layer_and_every_import():
    root = ElementTree.fromstring(draw(MODULES))  # noqa: S314 - our own text
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    circles = list(root.iter("{http://www.w3.org/2000/svg}circle"))
    names = [row.name for row in rows()]
    assert len(names) == len(LAYERS) - 1
    assert all(texts.count(name) == 2 for name in names), "once as a row, once as a column"
    shown = [pair for pair in count_importers(MODULES) if set(pair) <= set(names)]
    assert len(circles) == len(shown) + len(JOB) + len(OUT_OF_MEMORY)

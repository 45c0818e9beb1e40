"""Who may import whom: the table of `tools/layers.py`, held against what the code really imports."""

from collections import Counter

import pytest

from tools.import_graph import Import, calls, find_cycle, is_own, layer_imports, layer_of, private_uses, read_modules
from tools.layers import (
    ASKED_FROM_OUTSIDE,
    BASE,
    COMFYUI,
    COMFYUI_READERS,
    DISK,
    ENTRY,
    FROM_DEVICES,
    HIDDEN_IMPORTS,
    IMPURE,
    LAYERS,
    NODES,
    NOT_FOR_NODES,
    NVML_READER,
    PURE,
)

MODULES = read_modules()
ORDER = {layer.name: index for index, layer in enumerate(LAYERS)}
IMPORTS = [each for module in MODULES.values() for each in module.imports]
OWN = [each for each in IMPORTS if is_own(each.module)]


def lines(found):
    """For the message of a failing test."""
    return "\n".join(["", *map(str, found)])


def top(module):
    return module.partition(".")[0]


def test_the_table_names_every_layer_once():
    real = {layer_of(name) for name in MODULES} - {"sonic_guard"}
    assert sorted(ORDER) == sorted(real)
    assert len(ORDER) == len(LAYERS)


def test_a_layer_imports_only_layers_above_it_in_the_table():
    wrong = [each for each in OWN if ORDER.get(layer_of(each.module), -1) > ORDER.get(layer_of(each.importer), -1)]
    assert not wrong, lines(wrong)


def test_the_library_never_imports_the_nodes():
    wrong = [each for each in OWN if layer_of(each.module) == NODES != layer_of(each.importer)]
    assert not wrong, lines(wrong)


def test_comfyuis_side_does_without_the_command_line_and_the_development_tools():
    wrong = [each for each in OWN if layer_of(each.importer) == NODES and layer_of(each.module) in NOT_FOR_NODES]
    assert not wrong, lines(wrong)


def test_the_library_imports_nothing_of_comfyui():
    outside = [each for each in IMPORTS if not is_own(each.module) and layer_of(each.importer) != NODES]
    wrong = [each for each in outside if top(each.module) in COMFYUI and each.importer not in COMFYUI_READERS]
    assert not wrong, lines(wrong)


@pytest.mark.parametrize("layer", PURE)
def test_a_pure_layer_computes_and_nothing_else(layer):
    inside = [each for each in IMPORTS if layer_of(each.importer) == layer]
    wrong = [each for each in inside if top(each.module) in IMPURE]
    wrong += [each for each in inside if {each.module, top(each.module)} & DISK and each.importer not in PURE[layer]]
    assert not wrong, lines(wrong)


@pytest.mark.parametrize("layer", PURE)
def test_a_pure_layer_opens_no_file_and_asks_no_machine(layer):
    inside = {name: module for name, module in MODULES.items() if layer_of(name) == layer}
    wrong = [
        f"{name}:{line} calls {call}"
        for name, module in inside.items()
        for call, line in calls(module)
        if call == "open" or call.endswith((".open", ".read_text", ".read_bytes")) and name not in PURE[layer]
    ]
    wrong += [
        str(each)
        for module in inside.values()
        for each in module.imports
        if each.module.startswith("sonic_guard.devices") and each.name not in FROM_DEVICES
    ]
    assert not wrong, "\n".join(wrong)  # fmt: skip


def test_no_import_is_hidden_in_a_call():
    wrong = [
        f"{name}:{line} calls {call}"
        for name, module in MODULES.items()
        for call, line in calls(module)
        if call in HIDDEN_IMPORTS and layer_of(name) != "devtools"
    ]
    assert not wrong, "\n".join(wrong)  # fmt: skip


@pytest.mark.parametrize("layer", PURE)
def test_a_pure_layers_readers_of_files_are_there_and_read_files(layer):
    disk_users = {each.importer for each in IMPORTS if {each.module, top(each.module)} & DISK}
    assert PURE[layer] <= disk_users


def test_no_plan_depends_on_a_file_of_the_user():
    wrong = [each for each in OWN if each.module in ASKED_FROM_OUTSIDE and layer_of(each.importer) in PURE]
    assert not wrong, lines(wrong)


def test_no_package_is_on_a_cycle():
    assert not find_cycle(layer_imports(MODULES))


def test_no_module_is_on_a_cycle():
    edges = {
        name: {each.module for each in module.imports if each.module in MODULES} for name, module in MODULES.items()
    }
    assert not find_cycle(edges)


def test_no_module_uses_private_names_of_another():
    wrong = [use for module in MODULES.values() for use in private_uses(module, MODULES)]
    assert not wrong, lines(wrong)


def test_the_modules_at_the_top_of_the_library():
    found = {name for name in map(layer_of, MODULES) if f"sonic_guard.{name}" in MODULES}
    files = {name for name in found if MODULES[f"sonic_guard.{name}"].path.name != "__init__.py"}
    assert files == {*BASE, ENTRY}
    assert len(BASE) <= 7


def test_every_name_of_a_module_is_unique_in_the_tree():
    names = Counter(module.path.stem for module in MODULES.values())
    assert not [name for name, times in names.items() if times > 1 and not name.startswith("__")]


def test_one_module_reads_nvml():
    assert {each.importer for each in IMPORTS if top(each.module) == "pynvml"} == {NVML_READER}


@pytest.mark.parametrize(
    ("edges", "cycle"),
    [
        ({}, []),
        ({"a": {"b"}, "b": {"c"}, "c": set()}, []),
        ({"a": {"b", "c"}, "b": {"c"}}, []),
        ({"a": {"b"}, "b": {"c"}, "c": {"b"}}, ["b", "c", "b"]),
        ({"a": {"a"}}, ["a", "a"]),
    ],
)
def test_cycles_are_found(edges, cycle):
    assert find_cycle(edges) == cycle


SOURCE = """
import sonic_guard.job
from . import one
from .one import _hidden, open_name
from ..errors import SonicGuardError
from ...sonic_guard.devices import nvml
import torch.nn as nn

def late():
    from .two import __version__
    return one._secret, nvml.read_card, nn._private
"""


def test_imports_are_read_as_python_reads_them(tmp_path):
    for folder in ("sonic_guard/pack", "nodes"):
        (tmp_path / folder).mkdir(parents=True)
    for name in ("one", "two"):
        (tmp_path / "sonic_guard" / "pack" / f"{name}.py").touch()
    (tmp_path / "sonic_guard" / "pack" / "__init__.py").write_text(SOURCE)
    (tmp_path / "nodes" / "deep.py").write_text("from ..sonic_guard.pack import one\nfrom ..sonic_guard import pack\n")
    modules = read_modules(tmp_path)
    pack = "sonic_guard.pack"
    assert [each[1:3] for each in modules[pack].imports] == [
        ("sonic_guard.job", ""),
        (f"{pack}.one", ""),
        (f"{pack}.one", "_hidden"),
        (f"{pack}.one", "open_name"),
        ("sonic_guard.errors", "SonicGuardError"),
        ("sonic_guard.devices", "nvml"),
        ("torch.nn", ""),
        (f"{pack}.two", "__version__"),
    ]
    assert modules["nodes.deep"].imports == (
        Import("nodes.deep", f"{pack}.one", "", 1),
        Import("nodes.deep", pack, "", 2),
    )
    assert list(private_uses(modules[pack], modules)) == [
        f"{pack}:4 imports {pack}.one._hidden",
        f"{pack}:11 uses {pack}.one._secret",
    ]
    assert layer_imports(modules) == {"pack": {"job", "errors", "devices"}, "nodes": {"pack"}}

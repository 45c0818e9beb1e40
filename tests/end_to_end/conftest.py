"""Hosts with a kit of random weights, and the log of their runs."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.graphs import NARROW_PRESET, PICTURE, PRESET, SPEECH, SPEECH_S, VOICE, VOICE_S
from tests.support import comfyui_server, installed, random_kit
from tests.support.graphs import write_wav
from tests.support.run_log import Stopwatch, renew
from tests.support.watched_runs import voice

LOG = "SONIC_GUARD_END_TO_END_LOG"
"""Environment variable: the file to write the log to."""


@pytest.fixture
def watch(request: pytest.FixtureRequest) -> Iterator[Stopwatch]:
    """Measures the runs of a test, which become a row of the log."""
    watch = Stopwatch(installed.sonic())
    yield watch
    if target := os.environ.get(LOG):
        title = request.node.name.removeprefix("test_").replace("_", " ")
        renew(installed.PACK / target, watch.row(title, request.node.stash.get(PASSED, False)))


PASSED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo):
    report = yield
    if call.when == "call":
        item.stash[PASSED] = report.passed
    if report.failed and (base := item.funcargs.get("full") or item.funcargs.get("narrow")):
        text = (base / "host.log").read_text(encoding="utf-8", errors="replace")
        report.sections.append(("ComfyUI's log", text[-6000:]))
    return report


@pytest.fixture(scope="session")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A host's data, with weights of the published shapes."""
    with random_kit.kit(random_kit.FULL) as kit:
        yield _prepare(tmp_path_factory.mktemp("full"), kit)


@pytest.fixture(scope="session")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A host's data, with a UNet of few channels."""
    with random_kit.kit(random_kit.NARROW) as kit:
        yield _prepare(tmp_path_factory.mktemp("narrow"), kit)


def _prepare(base: Path, kit: random_kit.Kit) -> Path:
    comfyui_server.install(base, kit.sonic, "framepack")
    (base / "models").symlink_to(kit.models, target_is_directory=True)
    shutil.copy(installed.PACK / "demo" / "portrait.jpg", base / "input" / PICTURE)
    write_wav(base / "input" / VOICE, VOICE_S)
    voice(base / "input" / SPEECH, SPEECH_S)
    presets = base / "user" / "sonic_guard" / "presets"
    presets.mkdir(parents=True)
    for preset in (PRESET, NARROW_PRESET):
        (presets / f"{preset['name']}.json").write_text(json.dumps(preset), encoding="utf-8")
    return base

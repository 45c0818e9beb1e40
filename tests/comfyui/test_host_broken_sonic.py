"""A ComfyUI whose Sonic pack does not import: the report, before anything is queued.

As with diffusers 0.34 and transformers 5, which the wrapper's own requirements allow.
"""

import shutil

import pytest

from tests.support import comfyui_server, installed
from tests.support.comfyui_server import error_of
from tests.support.graphs import node
from tests.support.watched_runs import talking_head

REASON = "cannot import name 'FLAX_WEIGHTS_NAME' from 'transformers.utils'"
FILE = "/home/me/my own venv/lib/transformers/utils/__init__.py"


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    """A host with a copy of the wrapper that fails where the real one would."""
    base = tmp_path_factory.mktemp("broken")
    sonic = shutil.copytree(
        installed.sonic(), base / "copy" / "Sonic", ignore=shutil.ignore_patterns(".git", "examples")
    )
    (sonic / "__init__.py").write_text(f'raise ImportError("{REASON} ({FILE})")\n', encoding="utf-8")
    with comfyui_server.running(base, sonic) as host:
        yield host


def predict(host, graph, node):
    status, body = host.request("POST", "/api/sonic_guard/predict", {"graph": graph, "node": node})
    return status, body.decode()


def test_the_card_reports_before_queueing_that_sonic_did_not_import_and_why(broken):
    graph = {"down": {"class_type": "SonicGuardAutoDowngrade", "inputs": {"target_card": "8"}}}
    status, message = predict(broken, graph, "down")
    assert status == 422
    assert (
        f"pack Sonic is installed, but ComfyUI could not import it: {REASON} (__init__.py). With ComfyUI's" in message
    )
    assert "/home" not in message, "a page needs no folders"


def test_where_sonic_imports_there_is_a_prediction(host):
    graph = {"down": {"class_type": "SonicGuardAutoDowngrade", "inputs": {"target_card": "8"}}}
    assert predict(host, graph, "down")[0] == 200


def test_talking_head_reports_the_same(broken):
    shutil.copy(installed.PACK / "demo" / "portrait.jpg", broken.base / "input")
    shutil.copy(installed.PACK / "demo" / "speech.mp3", broken.base / "input")
    # Its model and VAE come from the tests' pack, which needs the wrapper's files and not its nodes.
    picture = {"picture": node("LoadImage", image="portrait.jpg")}
    error = error_of(broken.run(talking_head("speech.mp3", prefix="video/none") | picture))
    assert f"could not import it: {REASON}" in error["exception_message"]

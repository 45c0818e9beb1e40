"""A running ComfyUI with its input files, and its own page in a browser."""

import mimetypes
import shutil
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest
import skimage.data
from PIL import Image

from tests.support import chromium, comfyui_frontends, comfyui_server, installed
from tests.support.comfyui_page import FRONT_ENDS, RENDERERS, set_to
from tests.support.graphs import RATE, save_wav


@pytest.fixture(scope="session")
def host(tmp_path_factory: pytest.TempPathFactory):
    """A running ComfyUI with the pack, the Sonic wrapper, and pictures and sounds to work on."""
    base = tmp_path_factory.mktemp("comfyui")
    files = base / "input"
    files.mkdir()
    for name in ("portrait.jpg", "speech.mp3"):
        shutil.copy(installed.PACK / "demo" / name, files)
    Image.fromarray(skimage.data.astronaut()).save(files / "portrait.png")
    Image.fromarray(skimage.data.coffee()).save(files / "no face.png")
    time_s = np.arange(5 * RATE) / RATE
    voice = 0.5 * np.sin(2 * np.pi * 220 * time_s) * (np.sin(5 * time_s) > 0)
    save_wav(files / "voice.wav", 32767 * voice)
    save_wav(files / "short.wav", 32767 * voice[: RATE * 3 // 10])
    save_wav(files / "silence.wav", 0 * voice)
    with comfyui_server.running(base) as host:
        yield host


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item):
    """If a test fails, show the host's log: it has more details than the test."""
    report = yield
    running = getattr(item, "funcargs", {}).get("host")
    if report.failed and running:
        report.sections.append(("ComfyUI's log", running.log_text()[-6000:]))
    return report


@pytest.fixture(scope="module")
def browser():
    with chromium.chromium() as running:
        yield running


@pytest.fixture(scope="module", params=FRONT_ENDS)
def page(request, host, browser):
    """ComfyUI's page with the front end `request.param`."""
    files = comfyui_frontends.front_end(request.param)

    def give(route):
        path = unquote(urlsplit(route.request.url).path).lstrip("/") or "index.html"
        file = files / path
        if path.startswith(("api/", "extensions/sonic-guard/")) or not file.is_file():
            route.continue_()
            return
        kind = "text/javascript" if file.suffix in (".js", ".mjs") else mimetypes.guess_type(file.name)[0]
        route.fulfill(body=file.read_bytes(), content_type=kind or "application/octet-stream")

    page = browser.new_page(viewport={"width": 1500, "height": 1000})
    page.set_default_timeout(60_000)
    page.route("**/*", give)
    page.goto(f"http://127.0.0.1:{host.port}/", wait_until="domcontentloaded")
    page.wait_for_function("window.app?.graph && app.extensionManager && app.canvas && app.extensionManager.setting")
    page.wait_for_timeout(2000)  # the front end loads its own first graph
    page.front_end = request.param
    set_to(page, "Comfy.Minimap.Visible", False)
    set_to(page, "Comfy.Workflow.WarnBlueprintOverwrite", False)
    set_to(page, "Comfy.Workflow.ShowMissingModelsWarning", False)  # a dialog in the oldest: no weights are here
    yield page
    page.close()


@pytest.fixture(params=RENDERERS)
def renderer(request, page):
    """ComfyUI's two ways to draw nodes."""
    if request.param == "vue" and page.front_end == comfyui_frontends.OLDEST:
        pytest.skip("this front end's second renderer is a preview that draws no DOM widget, ComfyUI's own included")
    set_to(page, "Comfy.VueNodes.Enabled", RENDERERS[request.param])
    yield request.param
    set_to(page, "Comfy.VueNodes.Enabled", False)

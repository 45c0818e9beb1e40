"""The pictures of the example workflows: ``python -m tools.thumbnails http://127.0.0.1:8188``.

They are taken in Chromium from a running ComfyUI that has this pack and ComfyUI_Sonic, with demo/portrait.jpg and
demo/speech.mp3 in its input folder, models/checkpoints/svd_xt_1_1.safetensors and models/sonic/unet.pth (empty files
will do: nothing is queued). Each picture holds, in a comment of the JPEG, a digest of what it shows: the
workflow and the names on this pack's nodes. By it a picture that is out of date is known without taking another.
"""

import argparse
import hashlib
import io
import json
import shutil
import sys
from pathlib import Path
from typing import Any

from PIL import Image

from .import_graph import ROOT
from .locale_files import SOURCE, read_texts

HOW = "python -m tools.thumbnails URL, with a running ComfyUI"
EXAMPLES = ROOT / "example_workflows"
WIDTH = 1280
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
MARGIN, SCALE = 40, 0.8
VIEWPORT = (2200, 1600)
ORIGIN = (160, 240)
"""Where the leftmost and the topmost node are put, in pixels: clear of the page's menus."""
SETTLE_MS = 8000
"""For the front end to draw the nodes, and for the predictions to arrive."""


def digest(workflow: Path) -> str:
    """What the picture of `workflow` shows, as a SHA-256."""
    graph = json.loads(workflow.read_text(encoding="utf-8"))
    names = {key: _names(text) for key, text in read_texts(SOURCE, "nodeDefs").items()}
    shown = {node["type"]: names.get(node["type"]) for node in graph["nodes"]}
    return hashlib.sha256(json.dumps([graph, shown], sort_keys=True).encode()).hexdigest()


def out_of_date(examples: Path = EXAMPLES) -> list[Path]:
    """The pictures in `examples` that show something other than their workflow."""
    return [
        picture
        for workflow in sorted(examples.glob("*.json"))
        if not (picture := workflow.with_suffix(".jpg")).is_file() or _digest_in(picture) != digest(workflow)
    ]


def take(url: str) -> None:
    """Take every picture from the ComfyUI at `url`."""
    from playwright.sync_api import ViewportSize, sync_playwright

    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        raise SystemExit("no Chromium found; install the package chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport=ViewportSize(width=VIEWPORT[0], height=VIEWPORT[1]))
        page.set_default_timeout(120_000)
        page.goto(url, wait_until="domcontentloaded")
        page.wait_for_function("window.app?.graph && app.canvas && app.extensionManager?.setting")
        page.wait_for_timeout(3000)  # the front end loads its own first graph
        for name, value in {"Comfy.Minimap.Visible": False, "Comfy.Sidebar.Size": "small"}.items():
            page.evaluate("([name, value]) => app.extensionManager.setting.set(name, value)", [name, value])
        for workflow in sorted(EXAMPLES.glob("*.json")):
            picture = workflow.with_suffix(".jpg")
            picture.write_bytes(_jpeg(_shot(page, json.loads(workflow.read_text(encoding="utf-8"))), digest(workflow)))
        browser.close()


def _shot(page: Any, graph: dict[str, Any]) -> bytes:
    """A PNG of the nodes of `graph` on the page's canvas."""
    page.keyboard.press("Escape")
    page.evaluate("(graph) => app.loadGraphData(graph)", graph)
    page.wait_for_timeout(1000)
    clip = page.evaluate(
        """([margin, scale, [x, y]]) => {
          const boxes = app.graph._nodes.map((node) => node.getBounding());
          const [left, top] = [0, 1].map((axis) => Math.min(...boxes.map((box) => box[axis])));
          const [right, bottom] = [0, 1].map((axis) => Math.max(...boxes.map((box) => box[axis] + box[axis + 2])));
          app.canvas.ds.scale = scale;
          app.canvas.ds.offset[0] = x / scale - left;
          app.canvas.ds.offset[1] = y / scale - top;
          app.canvas.setDirty(true, true);
          const area = app.canvas.canvas.getBoundingClientRect();
          return {
            x: area.left + x - margin, y: area.top + y - margin,
            width: (right - left) * scale + 2 * margin, height: (bottom - top) * scale + 2 * margin,
          };
        }""",
        [MARGIN, SCALE, ORIGIN],
    )
    page.wait_for_timeout(SETTLE_MS)
    return page.screenshot(clip=clip)


def _jpeg(png: bytes, note: str) -> bytes:
    image = Image.open(io.BytesIO(png)).convert("RGB")
    image = image.resize((WIDTH, round(image.height * WIDTH / image.width)), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=82, optimize=True, comment=note)
    return file.getvalue()


def _digest_in(picture: Path) -> str:
    with Image.open(picture) as image:
        return image.info.get("comment", b"").decode("ascii", "replace")


def _names(text: dict[str, Any]) -> Any:
    return [text["display_name"], *([slot["name"] for slot in text[kind].values()] for kind in ("inputs", "outputs"))]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tools.thumbnails", description=__doc__)
    parser.add_argument("url", help="address of a running ComfyUI")
    take(parser.parse_args().url)
    sys.exit(0)

"""The pictures of the example workflows: ``python -m tools.thumbnails http://127.0.0.1:8188``.

They are taken in Chromium from a running ComfyUI that has this pack and ComfyUI_Sonic, and every weight file of
`sonic_guard/comfy/weight_files.py` (empty files will do: nothing is queued). Below stands what the workflow makes of
what: a voice, and a video of the face. Its first frame is known without a run, because it is the crop of the portrait.
Each picture holds, in a comment of the JPEG, a digest of what it shows: the workflow and the names on this pack's
nodes. By it a picture that is out of date is known without taking another.
"""

import argparse
import hashlib
import io
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from sonic_guard.media import audio_file, picture
from sonic_guard.operations.example_files import PORTRAIT, VOICE, example_folder
from sonic_guard.operations.face_box import FaceBoxRequest, portrait_of, select_face

from .import_graph import ROOT
from .locale_files import SOURCE, read_texts

HOW = "python -m tools.thumbnails URL, with a running ComfyUI"
EXAMPLES = ROOT / "example_workflows"
SIZE = (960, 960)
"""The front end shows them in a square of about 260 pixels."""
FRAME = 470
"""Side of the video in the corner."""
BARS, BAR = 16, 10
"""Of the voice beside the video: how many, and their width in pixels."""
NOTE = "MarkdownNote"
"""Left out: nobody can read it at that size."""
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
MARGIN, SCALE = 40, 0.8
VIEWPORT = (2200, 1600)
ORIGIN = (160, 240)
"""Where the leftmost and the topmost node are put, in pixels: clear of the page's menus."""
SETTINGS = {
    "Comfy.Locale": "en", "Comfy.ColorPalette": "dark", "Comfy.VueNodes.Enabled": False, "Comfy.Minimap.Visible": False,
    "Comfy.Sidebar.Size": "small", "Comfy.RightSidePanel.IsOpen": False,
    "SonicGuard.TargetCard": "RTX 4060 8GB",
}  # fmt: skip
"""Of the page, so that every picture has the same look, only the graph is seen, and the cards on its nodes are those of
a common graphics card."""
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
        jpeg
        for workflow in sorted(examples.glob("*.json"))
        if not (jpeg := workflow.with_suffix(".jpg")).is_file() or _digest_in(jpeg) != digest(workflow)
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
        _open(page, url)
        for name, value in SETTINGS.items():
            page.evaluate("([name, value]) => app.extensionManager.setting.set(name, value)", [name, value])
        page.wait_for_timeout(SETTLE_MS)  # until they are saved
        _open(page, url)  # the names on nodes are those of the language the page was opened in
        for workflow in sorted(EXAMPLES.glob("*.json")):
            target = workflow.with_suffix(".jpg")
            graph = json.loads(workflow.read_text(encoding="utf-8"))
            graph["nodes"] = [node for node in graph["nodes"] if node["type"] != NOTE]
            target.write_bytes(_jpeg(_shot(page, graph), digest(workflow)))
        browser.close()


def _open(page: Any, url: str) -> None:
    page.goto(url, wait_until="domcontentloaded")
    page.wait_for_function("window.app?.graph && app.canvas && app.extensionManager?.setting")
    page.wait_for_timeout(3000)  # the front end loads its own first graph


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
    shot = Image.open(io.BytesIO(png)).convert("RGB")
    shot = shot.resize((SIZE[0], round(shot.height * SIZE[0] / shot.width)), Image.Resampling.LANCZOS)
    image = Image.new("RGB", SIZE, shot.getpixel((2, 2)))
    image.paste(shot, (0, 0))
    _add_video(image)
    _add_voice(image)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=85, optimize=True, comment=note)
    return file.getvalue()


def _add_video(image: Image.Image) -> None:
    """Put the first frame of the video into the lower right corner, with a player's signs and a shadow."""
    left, top = image.width - FRAME - MARGIN, image.height - FRAME - MARGIN
    shadow = Image.new("L", image.size)
    ImageDraw.Draw(shadow).rounded_rectangle((left - 10, top - 10, left + FRAME + 10, top + FRAME + 10), 30, fill=200)
    image.paste((0, 0, 0), (0, 0), shadow.filter(ImageFilter.GaussianBlur(14)))
    mask = Image.new("L", (FRAME, FRAME))
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, FRAME - 1, FRAME - 1), 20, fill=255)
    image.paste(_first_frame(), (left, top), mask)


def _add_voice(image: Image.Image) -> None:
    """Draw the loudness of the example voice to the left of the video."""
    sound = audio_file.load(example_folder() / VOICE)
    parts = np.array_split(np.abs(sound.waveform).max(axis=0), BARS)
    loudness = [float(np.sqrt(np.mean(part**2))) for part in parts]
    draw, middle = ImageDraw.Draw(image), image.height - MARGIN - FRAME // 2
    step = (image.width - FRAME - 3 * MARGIN - BAR) / (BARS - 1)
    for number, each in enumerate(loudness):
        left, half = MARGIN + number * step, 8 + 90 * each / max(loudness)
        draw.rounded_rectangle((left, middle - half, left + BAR, middle + half), BAR // 2, fill=(120, 170, 255))


def _first_frame() -> Image.Image:
    """The crop that Sonic Guard makes of the example portrait, as a player shows it before it plays."""
    rgb = picture.load(example_folder() / PORTRAIT)
    crop = select_face(FaceBoxRequest(portrait_of(rgb))).crop
    cut = Image.fromarray(rgb[crop.y1 : crop.y2, crop.x1 : crop.x2])
    frame = cut.resize((FRAME, FRAME), Image.Resampling.LANCZOS)
    draw = ImageDraw.Draw(frame, "RGBA")
    middle, radius, line = FRAME // 2, FRAME // 7, FRAME - 34
    across, down = middle, round(FRAME * 0.7)
    draw.ellipse((across - radius, down - radius, across + radius, down + radius), fill=(0, 0, 0, 150))
    tip = [(across - 0.35 * radius, down - 0.5 * radius), (across - 0.35 * radius, down + 0.5 * radius)]
    draw.polygon([*tip, (across + 0.6 * radius, down)], fill=(255, 255, 255, 255))
    draw.line((24, line, FRAME - 24, line), fill=(255, 255, 255, 110), width=8)
    draw.line((24, line, FRAME // 3, line), fill=(255, 255, 255, 255), width=8)
    return frame


def _digest_in(jpeg: Path) -> str:
    with Image.open(jpeg) as image:
        return image.info.get("comment", b"").decode("ascii", "replace")


def _names(text: dict[str, Any]) -> Any:
    return [text["display_name"], *([slot["name"] for slot in text[kind].values()] for kind in ("inputs", "outputs"))]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tools.thumbnails", description=__doc__)
    parser.add_argument("url", help="address of a running ComfyUI")
    take(parser.parse_args().url)
    sys.exit(0)

"""ComfyUI's own page in a browser, with the front end of any version."""

import os

from tests.support import comfyui_frontends

SHOTS = os.environ.get("SONIC_GUARD_SHOTS")
FRONT_ENDS = (comfyui_frontends.OLDEST, "newest")
RENDERERS = {"canvas": False, "vue": True}


def set_to(page, name, value):
    page.evaluate("([name, value]) => app.extensionManager.setting.set(name, value)", [name, value])


def speak(page, language):
    """Set the language. ComfyUI then loads the workflow again, and what is put in before that is lost."""
    page.evaluate("() => { app.graph.add(LiteGraph.createNode('LoadImage')); app.graph._nodes.at(-1).isOld = true; }")
    set_to(page, "Comfy.Locale", language)
    page.wait_for_function("() => !app.graph._nodes.some((node) => node.isOld)")


def load(page, workflow):
    """Put a workflow in, as the user would by dropping its file."""
    page.keyboard.press("Escape")
    page.evaluate("(workflow) => app.loadGraphData(workflow)", workflow)
    page.wait_for_timeout(1000)

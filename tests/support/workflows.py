"""The workflows this pack writes: its examples and those of a plan."""

import copy
from typing import Any

from sonic_guard.comfy.workflow_file import Way, WorkflowSettings, build_workflow
from sonic_guard.job import Dtype, Job
from tests.support.installed import PACK
from tools.example_workflows import example_workflows

FOLDER = PACK / "example_workflows"
EXAMPLES = example_workflows()
PLANNED = {
    f"planned, {way}": build_workflow(
        Job(1080, 1920, 0.48, min_resolution=128, dtype=Dtype.BF16, steps=15, interpolate=False),
        WorkflowSettings(
            "portrait.png", "voice.wav", preset="hd", target="RTX 3060 12GB", on_risk="warn", policy="article",
            aspect="9:16", way=way,
        ),
    )
    for way in Way
}  # fmt: skip
WORKFLOWS = EXAMPLES | PLANNED
PAGE_ONLY = "MarkdownNote"
"""A node that the page keeps to itself: the host does not know it."""


def without_low_vram(workflow: dict[str, Any]) -> dict[str, Any]:
    """A copy in which Sonic's nodes are given what the loader gives, with no Sonic Low VRAM between."""
    made = copy.deepcopy(workflow)
    (gone,) = (node for node in made["nodes"] if node["type"] == "SonicGuardLowVRAM")
    (loader,) = (node for node in made["nodes"] if node["type"] == "SONICTLoader")
    made["nodes"].remove(gone)
    made["links"] = [link for link in made["links"] if link[3] != gone["id"]]
    outputs = {output["name"]: number for number, output in enumerate(loader["outputs"])}
    for link in made["links"]:
        if link[1] == gone["id"]:
            link[1:3] = loader["id"], outputs[gone["outputs"][link[2]]["name"]]
    for node in made["nodes"]:
        for number, output in enumerate(node.get("outputs") or []):
            output["links"] = [link[0] for link in made["links"] if link[1:3] == [node["id"], number]]
    return made

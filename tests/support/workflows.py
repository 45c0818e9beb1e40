"""The workflows this pack writes: its examples and those of a plan."""

import json

from sonic_guard.comfy.workflow_file import Way, WorkflowSettings, build_workflow, example_texts
from sonic_guard.job import Dtype, Job
from tests.support.installed import PACK

FOLDER = PACK / "example_workflows"
EXAMPLES = {name: json.loads(text) for name, text in example_texts().items()}
FILES = {"image": "portrait.png", "audio": "voice.wav"}
PLANNED = {
    f"planned, {way}": build_workflow(
        Job(1080, 1920, 0.48, min_resolution=128, dtype=Dtype.BF16, steps=15, interpolate=False),
        WorkflowSettings(
            **FILES, preset="hd", target="RTX 3060 12GB", on_risk="warn", policy="article", aspect="9:16", way=way,
        ),
    )
    for way in Way
}  # fmt: skip
WORKFLOWS = EXAMPLES | PLANNED
PAGE_ONLY = "MarkdownNote"
"""A node that the page keeps to itself: the host does not know it."""

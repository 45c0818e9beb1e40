"""The workflows this pack writes: its examples and those of a plan."""

from sonic_guard.comfy.workflow_file import Way, WorkflowSettings, build_workflow
from sonic_guard.job import Dtype, Job
from tests.support.installed import PACK
from tools.example_workflows import example_workflows

FOLDER = PACK / "example_workflows"
EXAMPLES = example_workflows()
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

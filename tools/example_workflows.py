"""The templates and the blueprint: `example_workflows/*.json` and `subgraphs/*.json`, written by `make generate`."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from sonic_guard.comfy.weight_files import WEIGHT_FILES
from sonic_guard.comfy.workflow_file import Way, WorkflowSettings, build_blueprint, build_workflow
from sonic_guard.job import Job
from sonic_guard.messages.weight_messages import size_text
from sonic_guard.operations.example_files import PORTRAIT, VOICE

from .import_graph import ROOT

EXAMPLES, BLUEPRINTS = ROOT / "example_workflows", ROOT / "subgraphs"
BLUEPRINT = "Sonic Talking Head"


class Example(NamedTuple):
    """A template."""

    way: Way
    english: str
    """What to do, in Markdown, as in Chinese."""
    chinese: str


TEMPLATES = {
    "Sonic Guard - 1 Talking head": Example(
        Way.TALKING_HEAD,
        """## A portrait and a voice
1. Press **Run**, or choose your own picture and sound on the left first.
2. **Sonic Talking Head** chooses what fits your graphics card and writes the video to **output/video**. Its card \
shows the memory before the run, and what is missing.
3. A run that was stopped resumes: run the same graph again.
""",
        """## 一张人像，一段语音
1. 点击**运行**；也可先在左侧换成自己的图片和音频。
2. **Sonic 数字人**自动选择放得进显卡的设置，把视频写入 **output/video**。运行前，节点上的卡片显示显存用量与缺少的文件。
3. 运行中断后，再次运行同一工作流即可继续。
""",
    ),
    "Sonic Guard - 2 Sonic's own nodes": Example(
        Way.LOW_VRAM,
        """## Sonic's own nodes on a small card
1. Press **Run**, or choose your own picture and sound on the left first.
2. **Preflight** plans the size and the memory optimizations for your graphics card and hands them to Sonic's nodes. \
**Sonic Low VRAM** enables them: the same frames in less memory.
""",
        """## 在小显存上使用 Sonic 自己的节点
1. 点击**运行**；也可先在左侧换成自己的图片和音频。
2. **预检**为显卡选定尺寸与显存优化，并交给 Sonic 的节点。**Sonic 低显存**启用这些优化：画面相同，显存更少。
""",
    ),
}
"""By their names, in the order a newcomer needs."""
_FILES = "## Weight files · 权重文件\n"
_DESCRIPTION = (
    "Makes a talking-head video of any length from a portrait and a voice with Sonic: chooses what fits the graphics "
    "card, and writes the video to a file."
)


def note_of(example: Example) -> str:
    """The note in a template: what to do, and every weight file with its place. Notes have no language of their own."""
    files = "".join(f"- [{file.path}]({file.url}) {size_text(file)}\n" for file in WEIGHT_FILES)
    return f"{example.english}\n{example.chinese}\n{_FILES}{files}"


def workflow_files() -> dict[Path, str]:
    """Every workflow that comes with the pack, by its path."""
    settings = WorkflowSettings(PORTRAIT, VOICE)
    blueprint = build_blueprint(BLUEPRINT, _DESCRIPTION, "Sonic Guard", settings)
    return {
        **{EXAMPLES / f"{name}.json": _text(graph) for name, graph in example_workflows().items()},
        BLUEPRINTS / f"{BLUEPRINT}.json": _text(blueprint),
    }


def example_workflows() -> dict[str, dict[str, Any]]:
    """The templates by name."""
    return {
        name: build_workflow(
            Job(512, 512, 10.0), WorkflowSettings(PORTRAIT, VOICE, way=example.way, note=note_of(example))
        )
        for name, example in TEMPLATES.items()
    }


def _text(graph: dict[str, Any]) -> str:
    return json.dumps(graph, indent=1, ensure_ascii=False) + "\n"

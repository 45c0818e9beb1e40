"""The templates and the blueprint: `example_workflows/*.json` and `subgraphs/*.json`, written by `make generate`."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from sonic_guard.comfy.ui_graph import UiGraph
from sonic_guard.comfy.weight_files import WEIGHT_FILES, WeightFile
from sonic_guard.comfy.workflow_file import Way, WorkflowSettings, build_blueprint, build_workflow
from sonic_guard.job import Job
from sonic_guard.messages.weight_messages import size_text
from sonic_guard.operations.example_files import CLIP, PORTRAIT, VOICE

from .import_graph import ROOT

EXAMPLES, BLUEPRINTS = ROOT / "example_workflows", ROOT / "subgraphs"
BLUEPRINT = "Sonic Talking Head"


UPSCALER = WeightFile(
    "RealESRGAN_x4plus.safetensors", "upscale_models",
    "https://huggingface.co/Comfy-Org/Real-ESRGAN_repackaged/resolve/main/RealESRGAN_x4plus.safetensors",
    "UpscaleModelLoader",
)  # fmt: skip
"""The model that ComfyUI's own templates use."""
_FILES = {"en": "## Weight files\n", "zh": "## 权重文件\n"}


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
2. **预检**为显卡选定尺寸与显存优化，并交给 Sonic 的节点。**Sonic 低显存**启用这些优化：画面不变，显存更少。
""",
    ),
}
"""Those that run Sonic, by their names, in the order a newcomer needs."""
FINISHING = "Sonic Guard - 3 Make it full HD"
FINISHING_TEXTS = {
    "en": """## A finished video in full HD
1. Press **Run**, or choose your own video on the left first.
2. **Finish Video** removes brightness pulses and jitter, moves the sound to the lips, enlarges the video to 1080 px, \
and writes it to **output/video**. It takes no more memory for a longer video.
""",
    "zh": """## 把已完成的视频做成全高清
1. 点击**运行**；也可先在左侧换成自己的视频。
2. **视频后期**消除亮度闪烁与抖动，使声音与口型对齐，放大到 1080 像素，并写入 **output/video**。视频再长，\
内存占用也不增加。
""",
}
_DESCRIPTION = (
    "Makes a talking-head video of any length from a portrait and a voice with Sonic: chooses what fits the graphics "
    "card, and writes the video to a file."
)


def note_of(example: Example) -> str:
    """The note in a template: what to do, and every weight file with its place."""
    files = "".join(f"- [{file.path}]({file.url}) {size_text(file)}\n" for file in WEIGHT_FILES)
    return _note({"en": example.english, "zh": example.chinese}, files)


def _note(texts: dict[str, str], files: str) -> str:
    """A note in both languages. `web/lib/note_language.mjs` keeps the one that the user reads, by these comments."""
    return "".join(f"<!-- {language} -->\n{text}\n{_FILES[language]}{files}" for language, text in texts.items())


def workflow_files() -> dict[Path, str]:
    """Every workflow that comes with the pack, by its path."""
    settings = WorkflowSettings(PORTRAIT, VOICE)
    blueprint = build_blueprint(BLUEPRINT, _DESCRIPTION, "Sonic Guard", settings)
    return {
        **{EXAMPLES / f"{name}.json": _text(graph) for name, graph in example_workflows().items()},
        EXAMPLES / f"{FINISHING}.json": _text(finishing_workflow()),
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


def finishing_workflow() -> dict[str, Any]:
    """The template that finishes a video: three nodes and two links."""
    graph = UiGraph()
    video = graph.add("LoadVideo", (0, 0), (320, 380), {"VIDEO": "VIDEO"}, (CLIP, "image"))
    model = graph.add(
        UPSCALER.node, (0, 440), (320, 60), {"UPSCALE_MODEL": "UPSCALE_MODEL"}, (UPSCALER.name,), models=(UPSCALER,)
    )
    node = graph.add(
        "SonicGuardFinishVideo", (380, 0), (420, 560), {"video": "VIDEO", "images": "IMAGE", "report": "STRING"},
        ("hd", 0, 18, "video/finished"), "sonic-guard",
    )  # fmt: skip
    graph.link(video, "VIDEO", node, "video", kind="VIDEO,IMAGE")
    graph.link(model, "UPSCALE_MODEL", node, "upscale_model")
    graph.add(
        "MarkdownNote", (-500, 0), (460, 420), (), (_note(FINISHING_TEXTS, f"- [{UPSCALER.path}]({UPSCALER.url})\n"),)
    )
    return graph.to_dict([])


def _text(graph: dict[str, Any]) -> str:
    return json.dumps(graph, indent=1, ensure_ascii=False) + "\n"

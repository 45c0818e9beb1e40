"""A graph predicted by the pack, and the same graph run for real, node for node, without a host."""

import re
import sys
from types import SimpleNamespace

import pytest
import torch

from sonic_guard.comfy.api_graph import parse_graph
from sonic_guard.job import Dtype, Job
from sonic_guard.media import audio, audio_file, picture
from sonic_guard.optimizations import ESCALATION_ORDER
from sonic_guard.preview.evaluation import preview
from tests.support.graphs import write_files, write_wav


def write_speech_files(folder):
    """The files of `write_files`, and a voice of `SPEECH_S` seconds."""
    write_wav(write_files(folder) / "speech.wav", SPEECH_S)
    return folder


def foresee(graph, asked, here, target="auto"):
    return preview(parse_graph(graph), asked, here, target)


class Run:
    """Runs a graph for real, node for node, up to what Sonic's sampler would be given."""

    def __init__(self, graph, nodes, folder):
        self.graph, self.nodes, self.folder, self.done = graph, nodes, folder, {}

    def value(self, value):
        if isinstance(value, list):
            outputs = self.outputs(value[0])
            return outputs[value[1]] if outputs else None
        return value

    def outputs(self, node_id):
        if node_id not in self.done:
            self.done[node_id] = self.run(node_id, self.graph[node_id])
        return self.done[node_id]

    def run(self, node_id, node):
        kind = node["class_type"]
        if kind == "LoadImage":
            rgb = picture.load(self.folder / node["inputs"]["image"])
            return (torch.from_numpy(rgb).float().div(255)[None],)
        if kind == "LoadAudio":
            return (audio.to_dict(audio_file.load(self.folder / node["inputs"]["audio"])),)
        if kind == "ImageOnlyCheckpointLoader":
            return ()
        inputs = {name: self.value(value) for name, value in node["inputs"].items()}
        if kind.startswith("SonicGuard"):
            execute = self.nodes[kind].execute
            with pytest.MonkeyPatch.context() as patch:
                here = SimpleNamespace(prompt_id="id", node_id=node_id)
                patch.setattr("comfy_execution.utils.get_executing_context", lambda: here, raising=False)
                if kind == "SonicGuardFaceBox":  # it shows its preview with ComfyUI's own code
                    shown = SimpleNamespace(PreviewImage=lambda pictures, cls: None)
                    patch.setattr(sys.modules[execute.__module__], "ui", shown)
                results = execute(**inputs).args
            return [result[0] if isinstance(result, list) else result for result in results]
        if kind == "SONICTLoader":
            return inputs, inputs
        if kind == "SONIC_PreData":
            return (inputs,)
        raise AssertionError(kind)

    def job(self, sampler_id):
        inputs = {name: self.value(value) for name, value in self.graph[sampler_id]["inputs"].items()}
        loader, data = inputs["model"], inputs["data_dict"]
        sound_s = data["audio"]["waveform"].shape[-1] / data["audio"]["sample_rate"]
        _, height, width, _ = data["image"].shape
        return Job(
            width, height, min(data["duration"], sound_s), min_resolution=data["min_resolution"], fps=inputs["fps"],
            dtype=Dtype(loader["dtype"]), steps=inputs["inference_steps"], dynamic_scale=inputs["dynamic_scale"],
            interpolate=loader["use_interframe"],
        )  # fmt: skip


SPEECH_S = 200.0


def plan(graph, asked, here, target="auto"):
    return foresee(graph, asked, here, target).judged.plan


def switched(**settings):
    """Every switch off but those given."""
    return {str(optimization): "off" for optimization in ESCALATION_ORDER} | settings


def shown(plan):
    """A plan of either copy of the library as text, the members of its sets in one order."""
    sets = re.compile(r"frozenset\(\{(.*?)\}\)")
    return sets.sub(lambda found: ", ".join(sorted(found[1].split(", "))), repr(plan))

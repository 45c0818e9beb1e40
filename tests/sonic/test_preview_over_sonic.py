"""Before the run: what is foreseen is what Low VRAM and Talking Head do with the wrapper's own model."""

import importlib
import re
import sys
from contextlib import contextmanager
from dataclasses import asdict, replace
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sonic_guard.comfy.api_graph import parse_graph
from sonic_guard.errors import SonicGuardError
from sonic_guard.history.history_cache import CardHistory
from sonic_guard.job import LATENT_FPS
from sonic_guard.optimizations import ESCALATION_ORDER
from sonic_guard.planning.pace import Pace
from sonic_guard.preview.evaluation import evaluate
from tests.support import small_sonic
from tests.support.graph_runs import SPEECH_S, Run, foresee, plan, switched, write_speech_files
from tests.support.graphs import (
    PREFLIGHT_OUTPUTS,
    low_vram,
    low_vram_trio,
    machine,
    preflight,
    sources,
    talking_head,
)
from tests.support.node_inputs import PORTRAIT


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_speech_files(tmp_path_factory.mktemp("input"))


@pytest.fixture
def here(folder):
    return machine(folder)


@pytest.mark.parametrize(
    ("switches", "card", "size"),
    [
        ({}, "24 GiB", 512),
        ({}, "8 GiB", 512),
        ({}, "8 GiB", 768),
        ({}, "6 GiB", 1024),
        ({}, "3 GiB", 1024),
        (switched(), "6 GiB", 1024),
        (switched(sequential_cfg="on", layer_chunking="on"), "24 GiB", 512),
        (switched(sequential_cfg="auto", stream_weights="auto"), "6 GiB", 768),
        ({"mode": "off"}, "6 GiB", 1024),
        ({"mode": "off", "tensor_offload": "auto"}, "6 GiB", 1024),
        ({"mode": "least_memory"}, "80 GiB", 512),
        ({"mode": "least_memory", "layer_chunking": "auto"}, "24 GiB", 512),
        ({"reserve": 0.4}, "12 GiB", 768),
    ],
)
def test_it_enables_the_optimizations_that_the_node_itself_will_enable(switches, card, size, nodes, pack, sonic, here):
    widgets = low_vram(target_card=card, **switches)["10"]["inputs"]
    foreseen = plan(sources() | low_vram(**widgets) | low_vram_trio(min_resolution=size), "7", here)
    model = nodes["SonicGuardLowVRAM"].execute(**widgets | {"model": sonic}).args[0]
    job = importlib.import_module(f"{pack.__name__}.sonic_guard.job").Job(512, 512, 7.3, min_resolution=size)
    assert foreseen.job.optimizations == model.optimizations_for(job)
    assert foreseen.job.chunk_size == model.optimized_job(job).chunk_size
    assert foreseen.budget.card == card


@pytest.mark.parametrize(
    ("card", "preset", "switches"),
    [("8 GiB", "hd", {}), ("6 GiB", "fast", {"sequential_cfg": "off"}), ("24 GiB", "fast", {"mode": "off"})],
)
def test_a_run_by_a_plan_is_the_run_that_preflight_planned(card, preset, switches, nodes, pack, sonic, folder, here):
    """The same figures on Preflight, on Low VRAM and on the sampler, and they are what runs."""
    links = {name: ["3", slot] for name, slot in PREFLIGHT_OUTPUTS.items()}
    graph = sources() | preflight(target_card=card, preset=preset) | low_vram(plan=["3", 0], **switches)
    graph |= low_vram_trio(**links)
    planned, at_node, at_sampler = (plan(graph, node, here) for node in ("3", "10", "7"))
    assert planned.job == at_node.job == at_sampler.job
    assert planned.estimate.peak_bytes == at_sampler.estimate.peak_bytes
    assert planned.budget == at_sampler.budget
    with running(graph):
        run = Run(graph, nodes, folder)
        linked, job = run.outputs("3")[0], run.job("7")
    assert asdict(linked.result.plan.job) == asdict(planned.job)
    model = nodes["SonicGuardLowVRAM"].execute(**graph["10"]["inputs"] | {"model": sonic, "plan": linked}).args[0]
    assert asdict(model.optimized_job(pack_copy(pack, job))) == asdict(planned.job) | {"expand_ratio": job.expand_ratio}


@contextmanager
def running(graph):
    """Has ComfyUI run a graph, as far as the nodes can see."""
    queue = SimpleNamespace(currently_running={0: (0, "id", graph)})
    server = SimpleNamespace(PromptServer=SimpleNamespace(instance=SimpleNamespace(prompt_queue=queue)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "server", server)
        yield


def pack_copy(pack, job):
    """The same job, of the pack's own copy of the library."""
    return importlib.import_module(f"{pack.__name__}.sonic_guard.job").Job(**asdict(job))


class Node:
    """Talking Head on a machine with an RTX 4060, over the wrapper's model, as far as its plan."""

    def __init__(self, pack, patch, sonic, dtype="fp16", low_vram_switches=None):
        """`low_vram_switches`: those of Low VRAM in front of it; None: there is none."""
        self.modules = {
            name.rpartition(".")[2]: importlib.import_module(f"{pack.__name__}.{name}")
            for name in (
                *("nodes.comfyui.talking_head_inputs", "nodes.comfyui.planning_inputs", "nodes.comfyui.host"),
                *("nodes.low_vram_node", "sonic_guard.devices.budget", "sonic_guard.operations.talking_head"),
                *("sonic_guard.planning.selection", "sonic_guard.planning.capabilities"),
            )
        }
        budget = self.modules["budget"].budget_for
        patch.setattr(
            self.modules["host"],
            "budget",
            lambda target, reserve, held_bytes=0: budget("RTX 4060" if target == "auto" else target, reserve=reserve),
        )
        patch.setattr(self.modules["talking_head_inputs"], "model_dtype", lambda model: dtype)
        self.model = sonic
        if low_vram_switches is not None:
            widgets = low_vram(**low_vram_switches)["10"]["inputs"]
            self.model = self.modules["low_vram_node"].LowVRAM.execute(**widgets | {"model": sonic}).args[0]

    def planned(self, widgets, waveform, rate=8000):
        """What it plans with its widgets, but for where the voice pauses."""
        inputs, operation = self.modules["talking_head_inputs"], self.modules["talking_head"]
        own = self.modules["selection"].read_switches(widgets["mode"])
        model = inputs.low_vram_model(self.model, own)
        can = self.modules["capabilities"].GraphCapabilities(model.choice.switches, to_file=True)
        names = self.modules["planning_inputs"].PlanningInputs.__dataclass_fields__
        planning = self.modules["planning_inputs"].PlanningInputs(**{name: widgets[name] for name in names})
        sound = {"waveform": waveform, "sample_rate": rate}
        source = inputs.read_source(None, PORTRAIT, sound, planning, can)
        old = "2060" in widgets["target_card"]
        vae = SimpleNamespace(first_stage_model=None, vae_dtype=torch.float32 if old else torch.bfloat16)
        asked = inputs.planning_request(source, widgets["part_s"], widgets["preview_s"])
        return operation.plan_talking_head(replace(inputs.with_model(asked, model, vae), pause=operation.middle))


SPEECH = torch.zeros(1, 1, round(SPEECH_S * 8000))


@pytest.mark.parametrize(
    ("widgets", "dtype", "low_vram_switches"),
    [
        ({"min_resolution": 512}, "fp16", None),
        ({}, "fp16", None),
        ({}, "fp16", {}),
        ({"preset": "hd"}, "fp32", None),
        ({"min_resolution": 2048}, "fp32", None),
        ({}, "fp16", {"tensor_offload": "off"}),
        ({"min_resolution": 512}, "fp16", switched(sequential_cfg="on")),
        ({"min_resolution": 512}, "fp16", {"mode": "least_memory"}),
        ({"mode": "off"}, "fp16", None),
        ({"mode": "least_memory"}, "fp16", None),
        ({"target_card": "4 GiB"}, "fp16", None),
        ({"on_risk": "warn", "preset": "hd", "target_card": "4 GiB"}, "fp16", None),
        ({"policy": "article", "target_card": "6 GiB"}, "fp16", None),
        ({"seconds": 30.0, "inference_steps": 7, "dynamic_scale": 1.5}, "fp16", None),
        ({"aspect": "9:16", "margin": 1.0}, "fp16", None),
        ({"part_s": 60.0}, "fp16", None),
        ({"preview_s": 5.0}, "fp16", None),
    ],
)
def test_a_video_is_planned_as_the_node_itself_plans_it(widgets, dtype, low_vram_switches, pack, sonic, here):
    linked = {} if low_vram_switches is None else {"model": ["10", 0]}
    graph = sources(audio="speech.wav") | talking_head(**widgets, **linked) | low_vram(**low_vram_switches or {})
    graph["5"]["inputs"]["dtype"] = dtype
    foreseen = plan(graph, "11", here)
    with pytest.MonkeyPatch.context() as patch:
        made = Node(pack, patch, sonic, dtype, low_vram_switches).planned(graph["11"]["inputs"], SPEECH)
    assert asdict(foreseen.job) == asdict(made.preflight.plan.job)
    assert foreseen.parts == len(made.parts)
    assert foreseen.job.optimizations == made.part.optimizations
    assert made.part.latent_frames <= foreseen.job.latent_frames
    assert foreseen.budget.card == made.preflight.plan.budget.card


def test_the_time_and_the_parts_of_a_preview_are_its_own(folder):
    """5 of 200 s, in 10 of 20 steps; the memory is that of the whole video, whose size it has."""
    here = machine(folder, CardHistory(pace=Pace(2.0, 1)))
    widgets = {"min_resolution": 512, "part_s": 60.0}
    whole, part = (
        foresee(sources(audio="speech.wav") | talking_head(**widgets, preview_s=preview_s), "11", here).judged
        for preview_s in (0.0, 5.0)
    )
    assert (whole.plan.parts, part.plan.parts) == (5, 1)
    assert part.time.seconds == pytest.approx(whole.time.seconds * 5 / 200 / 2, rel=0.4)  # parts overlap
    assert part.plan.job == whole.plan.job


@pytest.mark.parametrize(("part_s", "parts"), [(0.0, 3), (30.0, 9), (50.0, 5), (1000.0, 3)])
def test_no_part_is_longer_than_a_wav_can_be(part_s, parts, pack, monkeypatch):
    """SONIC_PreData writes one; here it would be full after 90 s."""
    node = Node(pack, monkeypatch, small_sonic.build(torch.float16))
    inputs = node.modules["talking_head_inputs"]
    monkeypatch.setattr(sys.modules[inputs.longest_sound_s.__module__], "WAV_BYTES", 90 * 2 * 8000 * 4)
    widgets = talking_head(min_resolution=512, part_s=part_s)["11"]["inputs"]
    made = node.planned(widgets, SPEECH.expand(1, 2, -1))
    assert len(made.parts) == parts
    assert max(part.latent_frames for part in made.parts) <= LATENT_FPS * min(90, part_s or 90)


SWITCHES = {str(optimization): st.sampled_from(["mode", "auto", "on", "off"]) for optimization in ESCALATION_ORDER}
SWITCHES["unet_offload"] = st.sampled_from(["mode", "on", "off"])
SWITCHES["mode"] = st.sampled_from(["auto", "auto", "least_memory", "off"])
CHOICES = {
    "target_card": st.sampled_from(["6 GiB", "8 GiB", "24 GiB", "RTX 9999"]),
    "reserve": st.sampled_from([0.0, 0.1, 0.4]),
    "mode": st.sampled_from(["auto", "least_memory", "off", "turbo"]),
}


def test_any_switches_of_low_vram_are_read_as_the_node_reads_them(nodes, pack, sonic, here):
    error = importlib.import_module(f"{pack.__name__}.sonic_guard.errors").SonicGuardError

    @settings(max_examples=60, deadline=None)
    @given(st.fixed_dictionaries(SWITCHES | CHOICES))
    def holds(widgets):
        graph = sources() | {"5": talking_head()["5"]} | low_vram(**widgets)
        try:
            model, _ = evaluate(parse_graph(graph), "10", here).outcome.outputs
        except SonicGuardError as refusal:
            with pytest.raises(error, match=re.escape(str(refusal))):
                nodes["SonicGuardLowVRAM"].execute(**graph["10"]["inputs"] | {"model": sonic})
            return
        made = nodes["SonicGuardLowVRAM"].execute(**graph["10"]["inputs"] | {"model": sonic}).args[0]
        assert asdict(model.low_vram) == asdict(made.choice)

    holds()


def test_any_video_is_planned_as_the_node_plans_it(pack, sonic, here):
    error = importlib.import_module(f"{pack.__name__}.sonic_guard.errors").SonicGuardError
    widgets = {
        "preset": st.sampled_from(["fast", "hd", "minimal"]),
        "target_card": st.sampled_from(["auto", "4 GiB", "8 GiB", "24 GiB", "RTX 2060 12GB"]),
        "on_risk": st.sampled_from(["downgrade", "downgrade", "warn", "stop"]),
        "policy": st.sampled_from(["lossless_first", "article"]),
        "min_resolution": st.sampled_from([0, 128, 512, 768, 1024, 2048]),
        "inference_steps": st.sampled_from([0, 1, 25]),
        "seconds": st.sampled_from([0.0, 0.2, 10.0, 1e5]),
        "margin": st.sampled_from([0.0, 0.5]),
        "aspect": st.sampled_from(["original", "1:1", "9:16"]),
        "part_s": st.sampled_from([0.0, 0.0, 5.0, 40.0, 100.0, 36000.0]),
        "preview_s": st.sampled_from([0.0, 0.0, 3.0, 60.0]),
        "mode": st.sampled_from(["auto", "least_memory", "off"]),
    }
    switches = st.none() | st.fixed_dictionaries(SWITCHES)

    @settings(max_examples=40, deadline=None)
    @given(st.fixed_dictionaries(widgets), switches, st.sampled_from(["fp16", "fp32"]))
    def holds(widgets, switches, dtype):
        linked = {} if switches is None else {"model": ["10", 0]}
        graph = sources(audio="speech.wav") | talking_head(**widgets, **linked) | low_vram(**switches or {})
        graph["5"]["inputs"]["dtype"] = dtype
        with pytest.MonkeyPatch.context() as patch:
            node = Node(pack, patch, sonic, dtype, switches)
            try:
                judged = foresee(graph, "11", here).judged
            except SonicGuardError as refusal:
                with pytest.raises(error, match=re.escape(str(refusal))):
                    node.planned(graph["11"]["inputs"], SPEECH)
                return
            made = node.planned(graph["11"]["inputs"], SPEECH)
        assert asdict(judged.plan.job) == asdict(made.preflight.plan.job)
        assert judged.refused == made.preflight.refused

    holds()

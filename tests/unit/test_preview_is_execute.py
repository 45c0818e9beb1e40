"""For any settings, the preview of a node gives what its `execute` gives, and is refused where that is refused."""

import importlib
import sys
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sonic_guard.comfy.api_graph import parse_graph
from sonic_guard.errors import SonicGuardError
from sonic_guard.media.crop import Aspect
from sonic_guard.operations.preflight import ON_RISK
from sonic_guard.planning.planner import Policy
from sonic_guard.preview.evaluation import evaluate
from sonic_guard.preview.node_inputs import UNKNOWN, Picture, Plan, Voice
from tests.support.graph_runs import Run, shown, switched
from tests.support.graphs import low_vram, machine, node, sources, talking_head, write_files

CARDS = ["4 GiB", "6 GiB", "8 GiB", "12 GiB", "24 GiB", "80 GiB", "RTX 2060 12GB"]
FACES = {
    "aspect": st.sampled_from(list(map(str, Aspect))),
    "face_index": st.sampled_from([0, 0, 0, 1, 7]),
    "face_box": st.sampled_from(["", "", "", "100, 50, 300, 250", "1, 2", "0, 0, 5000, 5000"]),
}
RUN = {
    "min_resolution": st.sampled_from([128, 384, 512, 640, 768, 1024, 2048]),
    "duration": st.sampled_from([0.04, 0.5, 3.04, 10.0, 200.0, 20_000.0]),
    "fps": st.sampled_from([5.0, 12.5, 25.0, 50.0]),
    "dtype": st.sampled_from(["fp16", "bf16", "fp32"]),
    "use_interframe": st.booleans(),
    "target_card": st.sampled_from(CARDS),
    "reserve": st.sampled_from([0.0, 0.1, 0.5]),
    "language": st.just("en"),
    "image": st.just(["1", 0]),
}
NODES = {
    "SonicGuardPreflight": FACES
    | {
        "image": st.just(["1", 0]),
        "audio": st.just(["2", 0]),
        "preset": st.sampled_from(["minimal", "fast", "hd", "none"]),
        "target_card": st.sampled_from(CARDS),
        "on_risk": st.sampled_from(ON_RISK),
        "policy": st.sampled_from(list(map(str, Policy))),
        "cut_silence": st.booleans(),
        "reserve": st.sampled_from([0.0, 0.1, 0.5]),
        "margin": st.sampled_from([0.0, 0.0, 0.3, 1.0]),
        "min_resolution": st.sampled_from([0, 0, 64, 384, 1024]),
        "inference_steps": st.sampled_from([0, 40]),
        "seconds": st.sampled_from([0.0, 0.0, 0.1, 3.0, 9000.0]),
        "dynamic_scale": st.sampled_from([0.0, 1.5]),
        "language": st.just("en"),
    },
    "SonicGuardAudioDuration": {
        "audio": st.just(["2", 0]),
        "cut_silence": st.booleans(),
        "use_interframe": st.booleans(),
    },
    "SonicGuardFaceBox": FACES | {"image": st.just(["1", 0])},
    "SonicGuardPreset": {
        "preset": st.sampled_from(["minimal", "fast", "hd", "none"]),
        "audio": st.sampled_from([["2", 0], None]),
    },
    "SonicGuardOOMRisk": RUN | {"stop": st.booleans()},
    "SonicGuardAutoDowngrade": RUN
    | {"inference_steps": st.sampled_from([1, 25, 40]), "policy": st.sampled_from(list(map(str, Policy)))},
}
AROUND = [
    {},
    low_vram(),
    low_vram(**switched(sequential_cfg="on")),
    low_vram(mode="least_memory"),
    talking_head(),
    low_vram(tensor_offload="off") | talking_head(model=["10", 0]),
]
SOURCES = [
    sources(image, audio)
    for image in ("portrait.png", "sub/wide.jpg", "no face.png")
    for audio in ("voice.wav", "short.wav", "quiet.wav")
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_files(tmp_path_factory.mktemp("input"))


@pytest.fixture(scope="module")
def here(folder):
    return machine(folder)


@pytest.fixture(scope="module")
def execute(nodes, pack, folder):
    """The outputs of node 3 in a ComfyUI that runs the graph, or the text of its refusal."""
    error = importlib.import_module(f"{pack.__name__}.sonic_guard.errors").SonicGuardError

    def run(graph):
        queue = SimpleNamespace(currently_running={0: (0, "id", graph)})
        server = SimpleNamespace(PromptServer=SimpleNamespace(instance=SimpleNamespace(prompt_queue=queue)))
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(sys.modules, "server", server)
            try:
                return Run(graph, nodes, folder).outputs("3")
            except error as refusal:
                return str(refusal)

    return run


def agrees(predicted, real):
    """Whether a predicted output is the real one, as far as it is known."""
    if predicted is UNKNOWN:
        return True
    if isinstance(predicted, Picture):
        return (predicted.height, predicted.width) == tuple(real.shape[1:3])
    if isinstance(predicted, Voice):
        return predicted.seconds == pytest.approx(real["waveform"].shape[-1] / real["sample_rate"], abs=1e-9)
    if isinstance(predicted, Plan):
        return shown(predicted.run.result.plan) == shown(real.result.plan)
    return predicted == real


@pytest.mark.parametrize("kind", NODES)
def test_the_preview_gives_what_execute_gives(kind, execute, here):
    @settings(max_examples=30, deadline=None)
    @given(st.sampled_from(SOURCES), st.sampled_from(AROUND), st.fixed_dictionaries(NODES[kind]))
    def holds(media, around, widgets):
        graph = media | around | {"3": node(kind, **{name: each for name, each in widgets.items() if each is not None})}
        real = execute(graph)
        try:
            outputs, judged = evaluate(parse_graph(graph), "3", here).outcome
        except SonicGuardError as error:
            assert str(error) == real
            return
        assert (judged.refused if judged else False) == isinstance(real, str)
        if not isinstance(real, str):
            assert outputs
            assert [pair for pair in zip(outputs, real, strict=True) if not agrees(*pair)] == []

    holds()

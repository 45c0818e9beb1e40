"""Before the run: what a card says on the nodes of a relative of Sonic."""

import pytest

from sonic_guard.comfy.api_graph import parse_graph
from sonic_guard.errors import WrapperError
from sonic_guard.history.history_cache import CardHistory
from sonic_guard.job import duration_of
from sonic_guard.memory.stage_model import predict
from sonic_guard.optimizations import Optimization
from sonic_guard.preview.answer import answer
from sonic_guard.preview.evaluation import job_for, preview
from sonic_guard.relatives import ADAPTERS, Relative
from tests.support.graphs import (
    dice_trio,
    low_vram,
    machine,
    node,
    preflight,
    sources,
    talking_head,
    trio,
    write_files,
)

PADDING = ADAPTERS[Relative.DICE_TALK].padding


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    return machine(write_files(tmp_path_factory.mktemp("input")))


def plan(graph, asked, here):
    return preview(parse_graph(graph), asked, here).judged.plan


@pytest.mark.parametrize("asked", ["5", "6", "7"])
def test_each_of_its_nodes_shows_the_run_with_its_own_figures(here, asked):
    job = plan(sources() | dice_trio(fps=12.0), asked, here).job
    assert (job.relative, job.window, job.frame_size.width) == (Relative.DICE_TALK, 25, 512)
    assert (job.latent_frames, job.sound_frames) == (91 + PADDING, 91)  # 7.3 s
    assert predict(job).peak_bytes != predict(plan(sources() | trio(), "7", here).job).peak_bytes


@pytest.mark.parametrize("kind", ["Dice_Talk_Loader", "Dice_Talk_PreData", "Dice_Talk_Sampler"])
def test_a_node_that_is_alone_is_judged_with_the_defaults_of_the_others(here, kind):
    assert plan({"1": node(kind)}, "1", here).job.relative is Relative.DICE_TALK


def test_low_vram_enables_what_it_needs_and_the_unet_is_offloaded_first(here):
    graph = sources() | low_vram(target_card="6 GiB") | dice_trio(model=["10", 0], min_resolution=768)
    found = {each: plan(graph, each, here) for each in ("5", "6", "7", "10")}
    assert len({each.job for each in found.values()}) == 1
    assert found["7"].job.relative is Relative.DICE_TALK
    assert Optimization.UNET_OFFLOAD in found["7"].job.optimizations
    assert job_for(graph, "7", here) == found["7"].job


def test_the_button_puts_low_vram_in_front_of_its_sampler(here):
    graph = parse_graph(sources() | dice_trio(min_resolution=768))
    shown = answer(preview(graph, "7", here, "8 GiB"), CardHistory(), "en", (graph, "7"))
    assert shown["advice"]["actions"] == [{"do": "insert_low_vram", "sampler": "7", "values": {}}]
    assert shown["missing_files"] == []


def test_an_advice_names_its_nodes(here):
    graph = parse_graph(sources() | dice_trio(min_resolution=256))
    shown = answer(preview(graph, "7", here, "24 GiB"), CardHistory(), "en", (graph, "7"))
    assert "Dice_Talk_PreData" in shown["advice"]["text"]
    assert [each["do"] for each in shown["advice"]["actions"]] == ["set"]


def test_preflight_plans_for_the_relative_that_the_graph_runs(here):
    planned = {"min_resolution": ["3", 3], "duration": ["3", 4], "image": ["3", 1], "audio": ["3", 2]}
    graph = sources() | preflight() | low_vram(plan=["3", 0]) | dice_trio(model=["10", 0], **planned)
    found = plan(graph, "3", here)
    assert found.job.relative is Relative.DICE_TALK
    assert plan(graph, "7", here).job.optimizations >= found.job.optimizations
    assert found.job.duration_s <= duration_of(92)
    mixed = graph | {"20": node("SONICSampler")}
    assert plan(mixed, "3", here).job.relative is Relative.SONIC


@pytest.mark.parametrize("graph", [low_vram() | {"9": node("SONICSampler", model=["10", 0])}, low_vram()])
def test_its_model_in_a_node_of_sonic_s_is_an_error(here, graph):
    """ComfyUI lets it be linked through Sonic Low VRAM, which passes on any model."""
    loader = {"5": node("Dice_Talk_Loader", dtype="fp16", use_interframe=True)}
    runs, asked = (graph, "9") if "9" in graph else (graph | talking_head(model=["10", 0]), "11")
    with pytest.raises(WrapperError, match=r"DICE Talk's model does not run in S.* Connect the model of SONICTLoader"):
        preview(parse_graph(sources() | runs | loader), asked, here)


def test_sonic_s_model_in_its_sampler_is_an_error(here):
    graph = sources() | trio() | {"9": node("Dice_Talk_Sampler", model=["5", 0])}
    with pytest.raises(WrapperError, match="Sonic's model does not run in Dice_Talk_Sampler"):
        preview(parse_graph(graph), "9", here)

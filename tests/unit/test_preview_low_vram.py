"""Before the run: what Low VRAM and Talking Head will do, and what the other nodes count on because of them."""

import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest

from sonic_guard.devices.budget import budget_for
from sonic_guard.devices.card_catalogue import GIB
from sonic_guard.errors import GraphError, JobError
from sonic_guard.history.history_cache import CardHistory
from sonic_guard.job import LATENT_FPS, Dtype
from sonic_guard.memory.stage_model import predict
from sonic_guard.optimizations import ESCALATION_ORDER, EVERY, Optimization
from sonic_guard.planning.advice import LOW_VRAM, Where, advise
from sonic_guard.planning.capacity import Verdict
from sonic_guard.planning.pace import Pace, TimeSource, predict_time
from sonic_guard.preview.answer import answer
from sonic_guard.preview.evaluation import job_for
from tests.support.graph_runs import SPEECH_S, Run, foresee, plan, shown, switched, write_speech_files
from tests.support.graphs import (
    PREFLIGHT_OUTPUTS,
    after_preflight,
    low_vram,
    low_vram_trio,
    machine,
    node,
    preflight,
    sources,
    talking_head,
    trio,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_speech_files(tmp_path_factory.mktemp("input"))


@pytest.fixture
def here(folder):
    return machine(folder)


@pytest.fixture
def running(monkeypatch):
    """Has ComfyUI run a graph, as far as the nodes can see."""

    def run(graph):
        queue = SimpleNamespace(currently_running={0: (0, "id", graph)})
        server = SimpleNamespace(PromptServer=SimpleNamespace(instance=SimpleNamespace(prompt_queue=queue)))
        monkeypatch.setitem(sys.modules, "server", server)

    return run


def ask(graph, asked, here, lang="en"):
    return answer(foresee(graph, asked, here), CardHistory(), lang)


# ---- Low VRAM


@pytest.mark.parametrize("asked", ["5", "6", "7", "10"])
def test_each_node_on_the_way_shows_the_same_run(asked, here):
    graph = sources() | low_vram(target_card="6 GiB") | low_vram_trio(min_resolution=768)
    assert foresee(graph, asked, here)[:2] == foresee(graph, "7", here)[:2]
    assert plan(graph, asked, here).job.optimizations


@pytest.mark.parametrize("asked", ["5", "10"])
def test_what_leads_to_talking_head_shows_that(asked, here):
    graph = sources() | low_vram() | talking_head(model=["10", 0], min_resolution=768)
    assert foresee(graph, asked, here)[:2] == foresee(graph, "11", here)[:2]


def test_low_vram_alone_is_judged_with_what_is_assumed(here):
    graph = {"5": trio()["5"]} | low_vram(target_card="6 GiB", sequential_cfg="on")
    foreseen = foresee(graph, "10", here)
    assert Optimization.SEQUENTIAL_CFG in foreseen.judged.plan.job.optimizations
    assert {assumed.key for assumed in foreseen.assumed} == {"picture", "sound", "default"}


def test_predata_runs_without_the_unet_where_low_vram_offloads_it(here):
    on, off = (
        plan(sources() | low_vram(unet_offload=setting) | low_vram_trio(), "7", here) for setting in ("mode", "off")
    )
    assert [Optimization.UNET_OFFLOAD in each.job.optimizations for each in (on, off)] == [True, False]
    assert on.estimate.stages["predata"] + 2 * GIB < off.estimate.stages["predata"]


@pytest.mark.parametrize("asked", ["5", "6", "10"])
def test_without_a_sampler_yet_the_run_is_one_through_low_vram(asked, here):
    graph = {key: each for key, each in (sources() | low_vram() | low_vram_trio()).items() if key != "7"}
    assert plan(graph, asked, here).job.optimizations >= {Optimization.UNET_OFFLOAD}


def test_each_of_two_low_vrams_shows_its_own_sampler(here):
    """One loader and one SONIC_PreData for both."""
    second = {"20": low_vram(layer_chunking="on")["10"], "27": low_vram_trio(model=["20", 0])["7"]}
    graph = sources() | low_vram() | low_vram_trio() | second
    first, other = (plan(graph, asked, here).job.optimizations for asked in ("10", "20"))
    assert Optimization.LAYER_CHUNKING in other
    assert Optimization.LAYER_CHUNKING not in first
    assert (first, other) == tuple(plan(graph, asked, here).job.optimizations for asked in ("7", "27"))


@pytest.mark.parametrize(
    ("front", "own", "target", "card"),
    [
        ("12 GiB", "auto", "auto", "12 GiB"),
        ("12 GiB", "6 GiB", "auto", "6 GiB"),
        ("auto", "6 GiB", "auto", "6 GiB"),
        ("12 GiB", "6 GiB", "10 GiB", "10 GiB"),
        ("12 GiB", "auto", "10 GiB", "10 GiB"),
        ("auto", "auto", "auto", "RTX 4060 8GB"),
    ],
)
def test_it_guards_as_the_others_do(front, own, target, card, here):
    links = {"dtype": ["3", 9], "use_interframe": ["3", 10], "image": ["3", 1], "min_resolution": ["3", 3]}
    graph = sources() | preflight(target_card=front) | low_vram(target_card=own) | low_vram_trio(**links)
    assert plan(graph, "7", here, target).budget.card == card
    assert foresee(graph | preflight(on_risk="warn"), "7", here).judged.where is Where.ON_RISK


def test_auto_is_the_card_that_is_judged(here):
    graph = sources() | low_vram() | low_vram_trio(min_resolution=768)
    small, large = (plan(graph, "7", here, card) for card in ("8 GiB", "80 GiB"))
    assert small.job.optimizations > large.job.optimizations == {Optimization.UNET_OFFLOAD}
    assert small.fits


# ---- Talking Head


def test_a_long_video_that_does_not_fit_in_one_pass_is_cut(here):
    """Nothing but the clip's own share is left to save where its optimizations are off."""
    graph = sources(audio="speech.wav") | low_vram(**switched(sequential_cfg="on"))
    settings = {"model": ["10", 0], "min_resolution": 512}
    whole = plan(graph | talking_head(**settings), "11", here, "80 GiB").estimate
    first = predict(replace(whole.job, duration_s=40.0))
    card = f"{(first.peak_bytes + whole.peak_bytes) / 2 / 0.9 / GIB:.4f} GiB"
    cut = plan(graph | talking_head(target_card=card, **settings), "11", here)
    assert cut.parts > 1
    assert cut.fits
    assert SPEECH_S / cut.parts < cut.job.duration_s < SPEECH_S


@pytest.mark.parametrize(
    ("part_s", "parts"), [(0.0, 1), (300.0, 1), (100.0, 3), (60.0, 5)]
)  # fmt: skip
def test_the_user_may_want_parts(part_s, parts, here):
    foreseen = plan(sources(audio="speech.wav") | talking_head(part_s=part_s), "11", here)
    assert foreseen.parts == parts
    assert foreseen.job.latent_frames <= LATENT_FPS * (part_s or SPEECH_S)


def test_a_part_too_short_to_be_made_is_refused(here):
    with pytest.raises(JobError, match="part length"):
        plan(sources(audio="speech.wav") | talking_head(part_s=5.0), "11", here)


def test_frames_that_go_to_a_file_do_not_pile_up(here):
    """On a card of the machine's own, whose host memory counts."""
    job = plan(sources(audio="speech.wav") | talking_head(min_resolution=1024), "11", here)
    assert job.job.to_file
    assert job.estimate.host_ram_bytes < predict(replace(job.job, to_file=False)).host_ram_bytes


def test_the_time_is_that_of_all_parts(folder):
    here = machine(folder, CardHistory(pace=Pace(2.0, 1)))
    whole, cut = (
        foresee(sources(audio="speech.wav") | talking_head(part_s=part_s), "11", here).judged for part_s in (0.0, 60.0)
    )
    assert whole.time == predict_time(whole.plan.job, whole.plan.budget, Pace(2.0, 1))
    assert whole.time.source is TimeSource.MEASURED
    assert 1.0 < cut.time.seconds / whole.time.seconds < 1.6  # every part is longer than what it shows


@pytest.mark.parametrize(
    ("own", "setting", "card"),
    [
        ("auto", "auto", "10 GiB"),
        ("auto", "16 GiB", "16 GiB"),
        ("12 GiB", "16 GiB", "12 GiB"),
    ],
)
def test_auto_is_the_setting_then_preflights_card(own, setting, card, here):
    graph = sources() | preflight(target_card="10 GiB") | talking_head(image=["3", 1], audio=["3", 2], target_card=own)
    assert plan(graph, "11", here, setting).budget.card == card
    unlinked = sources() | preflight(target_card="10 GiB") | talking_head(target_card=own)
    assert plan(unlinked, "11", here, setting).budget.card == card


@pytest.mark.parametrize(("wishes", "where"), [({}, Where.THIS_NODE), ({"on_risk": "warn"}, Where.ON_RISK)])
def test_talking_head_plans_by_itself(wishes, where, here):
    judged = foresee(sources() | talking_head(target_card="8 GiB", **wishes), "11", here).judged
    assert judged.where == where
    assert judged.plan.job.min_resolution == 768
    assert judged.plan.fits
    assert judged.plan.job.optimizations <= EVERY


def test_a_newcomer_on_8_gib_gets_the_size_that_was_asked_for(here):
    """The example workflow, with the preset and the card of a newcomer."""
    planned = plan(sources() | talking_head(target_card="RTX 4060"), "11", here)
    assert planned.fits and str(planned.job.frame_size) == "768×768"


OVERRIDES = {"min_resolution": 576, "inference_steps": 7, "seconds": 3.0, "dynamic_scale": 1.7, "margin": 0.5}


@pytest.mark.parametrize("name", OVERRIDES)
def test_an_override_replaces_the_presets_value(name, here):
    asked, wished = (
        plan(sources() | talking_head(target_card="24 GiB", **wishes), "11", here).job
        for wishes in ({}, {name: OVERRIDES[name]})
    )
    field = {"inference_steps": "steps", "seconds": "duration_s", "margin": "expand_ratio"}.get(name, name)
    assert getattr(wished, field) == OVERRIDES[name] != getattr(asked, field)


def test_a_preview_is_planned_like_the_whole(here):
    whole, short = (
        foresee(sources() | talking_head(target_card="8 GiB", preview_s=seconds), "11", here).judged.plan
        for seconds in (0.0, 2.0)
    )
    assert short == whole


@pytest.mark.parametrize(
    ("lang", "whole", "short"),
    [
        ("en", "181 frames · 7.24 s · fp16 · 20 steps", "Preview: 768×768 · 49 frames · 1.96 s · fp16 · 10 steps"),
        ("zh", "181 帧 · 7.24 秒 · fp16 · 20 步", "预览：768×768 · 49 帧 · 1.96 秒 · fp16 · 10 步"),
    ],
)
def test_the_card_says_what_a_preview_makes(lang, whole, short, here):
    graphs = (sources() | talking_head(target_card="8 GiB", preview_s=seconds) for seconds in (0.0, 2.0))
    said = [answer(foresee(graph, "11", here), CardHistory(), lang)["frame_text"] for graph in graphs]
    assert said == [f"768×768 · {whole}", short]


# ---- one truth


@pytest.mark.parametrize("card", ["4 GiB", "6 GiB", "8 GiB", "12 GiB", "24 GiB"])
@pytest.mark.parametrize("preset", ["minimal", "fast", "hd"])
@pytest.mark.parametrize("linked", [True, False])
def test_the_same_job_has_the_same_figure_on_every_node(preset, card, linked, here):
    links = {name: ["3", slot] for name, slot in PREFLIGHT_OUTPUTS.items()}
    wishes = {"preset": preset, "target_card": card}
    own = {"plan": ["3", 0]} if linked else {}
    graph = sources() | preflight(**wishes) | low_vram(**own) | low_vram_trio(**links)
    planned = plan(graph, "3", here)
    for other in ("5", "6", "7", "10"):
        judged = plan(graph, other, here)
        assert (judged.estimate, judged.risk) == (planned.estimate, planned.risk)


@pytest.mark.parametrize("card", ["4 GiB", "6 GiB", "8 GiB", "12 GiB", "24 GiB"])
@pytest.mark.parametrize("preset", ["minimal", "fast", "hd"])
def test_a_linked_plan_is_what_talking_head_would_plan(preset, card, here):
    wishes = {"preset": preset, "target_card": card}
    linked = sources(audio="speech.wav") | preflight(**wishes) | talking_head(plan=["3", 0])
    planned, used = (plan(linked, each, here) for each in ("3", "11"))
    alone = plan(sources(audio="speech.wav") | talking_head(**wishes), "11", here)
    assert planned == used == alone


# ---- the judges


SETTINGS = {
    "image": ["1", 0], "min_resolution": 768, "duration": 5.0, "fps": 25.0, "dtype": "fp16", "use_interframe": True,
    "target_card": "8 GiB", "reserve": 0.1, "language": "en",
}  # fmt: skip
LONG = {"duration": 20_000.0, "min_resolution": 512}
JUDGES = {
    "Preflight": preflight(preset="hd", target_card="8 GiB"),
    "Preflight that warns": preflight(preset="hd", target_card="8 GiB", on_risk="warn"),
    "OOM Risk": {"3": node("SonicGuardOOMRisk", stop=False, **SETTINGS)},
    "Auto Downgrade": {"3": node("SonicGuardAutoDowngrade", inference_steps=30, policy="lossless_first", **SETTINGS)},
    "OOM Risk, long": {"3": node("SonicGuardOOMRisk", stop=False, **SETTINGS | LONG)},
    "Auto Downgrade, long": {
        "3": node("SonicGuardAutoDowngrade", inference_steps=30, policy="lossless_first", **SETTINGS | LONG)
    },
}
AROUND = {
    "nothing": {},
    "Low VRAM": low_vram(),
    "Low VRAM, some switches": low_vram(sequential_cfg="off", tensor_offload="on"),
    "Low VRAM, a switch by link": low_vram(layer_chunking=["9", 0]),
    "Low VRAM, all": low_vram(mode="least_memory"),
    "Talking Head": talking_head(),
    "both": low_vram() | talking_head(model=["10", 0]),
}


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("judge", JUDGES)
def test_a_judge_counts_on_what_the_graph_can_do(judge, around, nodes, running, folder, here):
    """What the node really gives, run inside of such a graph, is what is foreseen of it."""
    graph = sources() | JUDGES[judge] | AROUND[around]
    foreseen, can_cut = foresee(graph, "3", here).judged, "11" in graph
    running(graph)
    if judge == "Auto Downgrade, long" and not foreseen.plan.fits:
        assert not can_cut
        with pytest.raises(Exception, match="No change of settings makes it fit"):
            execute(graph, nodes, folder)
        return
    real = execute(graph, nodes, folder)
    job = foreseen.plan.job
    if judge.startswith("Preflight"):
        assert shown(real[0].result.plan) == shown(foreseen.plan)
        assert tuple(real[slot] for slot in (3, 6, 9, 10)) == (
            job.min_resolution, job.steps, str(job.dtype), job.interpolate,
        )  # fmt: skip
    elif judge.startswith("OOM Risk"):
        assert real[1:3] == (str(foreseen.plan.risk.verdict), foreseen.plan.risk.stage)
        assert real[3] == pytest.approx(foreseen.plan.risk.headroom_bytes / GIB)
    else:
        seconds = graph["3"]["inputs"]["duration"] if can_cut else job.duration_s
        assert real[:6] == (
            job.min_resolution, seconds, job.fps, str(job.dtype), job.interpolate, job.steps,
        )  # fmt: skip


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("card", ["6 GiB", "8 GiB", "12 GiB", "24 GiB"])
@pytest.mark.parametrize("preset", ["fast", "hd"])
def test_preflight_that_keeps_the_request_judges_it_as_oom_risk_does(preset, card, around, here):
    graph = sources() | preflight(preset=preset, target_card=card, on_risk="stop") | AROUND[around]
    links = {name: ["3", slot] for name, slot in (("image", 1), ("min_resolution", 3), ("duration", 4), ("fps", 8))}
    graph["4"] = node("SonicGuardOOMRisk", stop=False, **SETTINGS | links | {"target_card": card})
    first, second = (plan(graph, asked, here) for asked in ("3", "4"))
    assert (first.risk, first.job.optimizations) == (second.risk, second.job.optimizations)


def test_a_request_that_fits_with_optimizations_is_not_stopped(nodes, running, folder, here):
    graph = sources() | preflight(preset="fast", target_card="8 GiB", on_risk="stop") | low_vram()
    running(graph)
    assert plan(graph, "3", here).job.optimizations > {Optimization.UNET_OFFLOAD}
    assert execute(graph, nodes, folder)[0].result.plan.job.optimizations
    alone = {number: graph[number] for number in graph if number != "10"}
    running(alone)
    with pytest.raises(Exception, match="Will run out of memory"):
        execute(alone, nodes, folder)


@pytest.mark.parametrize("asked", ["3", "4", "11"])
def test_no_part_is_longer_than_the_sound(asked, here):
    """Nor where nothing fits, and the shortest part worth making is longer."""
    graph = sources() | preflight(preset="hd", target_card="2 GiB", on_risk="warn")
    graph |= talking_head(preset="hd", target_card="2 GiB", on_risk="warn")
    graph["4"] = node("SonicGuardOOMRisk", stop=False, **SETTINGS | {"target_card": "2 GiB"})
    judged = plan(graph, asked, here, "2 GiB")
    assert not judged.fits
    assert judged.parts == 1
    assert judged.job.duration_s <= 10.0


@pytest.mark.parametrize("on_risk", ["warn", "downgrade"])
def test_preflight_counts_the_time_of_all_parts(on_risk, folder):
    here = machine(folder, CardHistory(pace=Pace(2.0, 1)))
    settings = {"preset": "minimal", "target_card": "8.4 GiB", "on_risk": on_risk}
    graph = sources(audio="speech.wav") | preflight(**settings) | low_vram(**switched()) | talking_head(model=["10", 0])
    judged = foresee(graph, "3", here).judged
    assert judged.plan.parts > 1
    whole = replace(judged.plan.job, duration_s=SPEECH_S)
    in_one = predict_time(whole, judged.plan.budget, Pace(2.0, 1))
    assert 1.0 <= judged.time.seconds / in_one.seconds < 1 + 1 / judged.plan.parts + 0.5


def execute(graph, nodes, folder):
    run = Run(graph, nodes, folder)
    return tuple(run.outputs("3"))


def test_optimizations_keep_the_picture_large(here):
    stock = plan(sources() | JUDGES["Preflight"], "3", here)
    optimized = plan(sources() | JUDGES["Preflight"] | low_vram(), "3", here)
    assert stock.job.min_resolution < optimized.job.min_resolution
    enabled = [
        optimization
        for optimization in ESCALATION_ORDER
        if optimization in optimized.job.optimizations - {Optimization.UNET_OFFLOAD}
    ]
    assert enabled
    assert [change.name for change in optimized.changes][: len(enabled)] == enabled


def test_talking_head_is_given_the_whole_sound_and_where_to_cut_it(nodes, running, folder, here):
    """For the sampler Preflight would cut the sound to what fits; Talking Head cuts for itself."""
    graph = sources(audio="speech.wav") | preflight(preset="minimal", target_card="8.4 GiB") | low_vram(**switched())
    graph |= talking_head(model=["10", 0], plan=["3", 0])
    planned, made = plan(graph, "3", here), plan(graph, "11", here)
    running(graph)
    real = execute(graph, nodes, folder)
    assert planned.parts > 1
    assert real[0].sound.duration_s == pytest.approx(SPEECH_S)
    assert real[2]["waveform"].shape[-1] / real[2]["sample_rate"] == pytest.approx(SPEECH_S, abs=0.1)
    assert made == planned


@pytest.mark.parametrize("asked", ["10", "7"])
def test_a_word_no_switch_knows_is_reported(asked, here):
    for name in ("sequential_cfg", "mode"):
        graph = sources() | preflight() | low_vram(**{name: "maybe"}) | low_vram_trio()
        with pytest.raises(GraphError, match=f"{name}: there is no 'maybe'"):
            plan(graph, asked, here)


# ---- texts


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_optimizations_and_parts_are_in_the_answer(lang, here):
    graph = (
        sources(audio="speech.wav")
        | low_vram(**switched(sequential_cfg="on", layer_chunking="on"))
        | low_vram_trio(duration=500.0)
    )
    assert ask(graph, "7", here, lang)["optimizations"] == ["sequential_cfg", "layer_chunking"]
    assert ask(graph, "7", here, lang)["parts"] == 1
    assert ask(sources() | trio(), "7", here, lang)["optimizations"] == []
    assert ask(sources(audio="speech.wav") | talking_head(part_s=60.0), "11", here, lang)["parts"] == 5


@pytest.mark.parametrize(
    ("graph", "asked", "offered"),
    [
        (sources() | trio(min_resolution=768), "7", True),
        (sources() | trio(min_resolution=768) | low_vram(), "7", True),
        (sources() | low_vram(**switched()) | low_vram_trio(min_resolution=768), "7", False),
        (sources() | JUDGES["OOM Risk"], "3", True),
        (sources() | JUDGES["OOM Risk"] | low_vram(), "3", False),
        (sources() | JUDGES["OOM Risk"] | talking_head(), "3", False),
        (sources() | JUDGES["Preflight that warns"], "3", True),
    ],
    ids=["sampler", "not its own", "has it", "judge", "judge that has it", "Talking Head", "keeps more than a planner"],
)
def test_low_vram_is_proposed_where_there_is_none(graph, asked, offered, here):
    text = (ask(graph, asked, here)["advice"] or {"text": ""})["text"]
    assert text.startswith("Sonic Low VRAM reduces the peak to ") is offered


@pytest.mark.parametrize("size", [640, 768])
def test_low_vram_does_what_was_proposed(size, here):
    """Inserted as proposed, with its defaults, the run's peak is the one the advice gave."""
    judged = foresee(sources() | trio(min_resolution=size), "7", here).judged
    advice = advise(judged.plan, judged.where, low_vram=True)
    assert advice
    assert [change.name for change in advice.changes] == [LOW_VRAM]
    after = plan(sources() | low_vram() | low_vram_trio(min_resolution=size), "7", here)
    assert after.risk.verdict is Verdict.SAFE
    assert after.estimate.peak_bytes <= advice.changes[0].after_bytes


@pytest.mark.parametrize("asked", ["5", "6", "7", "10", "11"])
def test_the_job_of_a_whole_prompt(asked, here):
    prompt = after_preflight() | low_vram(plan=["3", 0]) | low_vram_trio()
    prompt |= {"12": node("SaveVideo", video=["11", 0])} | {"11": talking_head(model=["10", 0])["11"]}
    assert job_for(prompt, asked, here) == plan(prompt, asked, here).job
    assert job_for(prompt, asked, here, "4 GiB") == plan(prompt, asked, here, "4 GiB").job


def test_a_card_without_bf16_is_known(here):
    """Its VAE runs in fp32, in Talking Head too."""
    graph = sources() | preflight(target_card="RTX 2060 12GB") | talking_head()
    assert not budget_for("RTX 2060 12GB").bf16
    assert plan(graph, "11", here).job.vae_dtype is Dtype.FP32

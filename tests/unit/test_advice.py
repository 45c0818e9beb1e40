"""The one sentence of help: the mildest change that is enough, and only what is true."""

import re
from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sonic_guard.devices.budget import budget_for
from sonic_guard.devices.card_catalogue import GIB
from sonic_guard.job import Dtype, Job
from sonic_guard.memory.stage_model import predict
from sonic_guard.messages.advice_messages import advice_sentence
from sonic_guard.messages.catalogue import LANGUAGES
from sonic_guard.optimizations import ESCALATION_ORDER, EVERY, OPTIMIZATIONS, Optimization, without_redundant
from sonic_guard.planning.advice import LOW_VRAM, MUCH_LARGER, Where, advise, plan_that_shows_more
from sonic_guard.planning.capacity import Capacity
from sonic_guard.planning.planner import make_plan
from sonic_guard.planning.selection import CHUNK_SIZE_FACTORS

JOB = Job(2048, 2048, 10.0, min_resolution=768)


def capacity_of(gib: float, ram_gib: float | None = None) -> Capacity:
    return Capacity(budget_for(gib), None if ram_gib is None else int(ram_gib * GIB))


def sentence_for(
    job: Job, capacity: Capacity, where: Where = Where.THIS_NODE, lang: str = "en", *, low_vram: bool = False
) -> str | None:
    advice = advise(make_plan(job, capacity, None), where, low_vram=low_vram)
    return advice and advice_sentence(advice, where, lang)


@pytest.mark.parametrize(
    ("job", "gib", "sentence"),
    [
        (JOB, 12, "min_resolution 512 reduces the peak to 9.8 GiB."),
        (replace(JOB, dtype=Dtype.FP32), 24, "dtype fp16 reduces the peak to 17.3 GiB."),
        (replace(JOB, min_resolution=384, duration_s=90.0), 9, "use_interframe off reduces the peak to 7.7 GiB."),
        (
            replace(JOB, dtype=Dtype.FP32, duration_s=120.0), 12,
            "dtype fp16, use_interframe off and min_resolution 512 together reduce the peak to 10.6 GiB.",
        ),
        (JOB, 2, "The smallest common card on which it fits is the RTX 4060 8GB."),
        (replace(JOB, min_resolution=512), 12, None),
        (replace(JOB, min_resolution=384), 24, "min_resolution 832 also fits, with a peak of 19.7 GiB."),
        (replace(JOB, min_resolution=384, width=500, height=2000), 24, None),
    ],
    ids=["resolution", "dtype", "rate", "together", "card", "just right", "larger", "no pixels for more"],
)  # fmt: skip
def test_the_sentence(job, gib, sentence):
    assert sentence_for(job, capacity_of(gib)) == sentence


@pytest.mark.parametrize(
    ("where", "lang", "sentence"),
    [
        (Where.SONIC_NODES, "en", "min_resolution 512 on SONIC_PreData reduces the peak to 9.8 GiB."),
        (Where.ON_RISK, "en", "on_risk “downgrade” makes it fit: min_resolution 512, peak 9.8 GiB."),
        (Where.POLICY, "en", "policy “lossless_first” makes it fit: min_resolution 512, peak 9.8 GiB."),
        (Where.THIS_NODE, "zh", "min_resolution 设为 512，峰值可降到 9.8 GiB。"),
        (Where.SONIC_NODES, "zh", "SONIC_PreData 的 min_resolution 设为 512，峰值可降到 9.8 GiB。"),
        (Where.ON_RISK, "zh", "将 on_risk 设为 downgrade 即可放下：min_resolution 设为 512，峰值 9.8 GiB。"),
    ],
)
def test_it_reports_where(where, lang, sentence):
    assert sentence_for(JOB, capacity_of(12), where, lang) == sentence


def test_what_a_planner_has_done_without_a_loss_needs_no_advice():
    plan = make_plan(replace(JOB, dtype=Dtype.FP32), capacity_of(24))
    assert [change.name for change in plan.changes] == ["dtype"]
    assert advise(plan, low_vram=True) is None


@pytest.mark.parametrize(
    ("gib", "available", "low_vram", "sentence"),
    [
        (8, (), True, "Sonic Low VRAM keeps 768×768 px at 25 fps."),
        (8, (), False, "sequential_cfg on and feed_forward_chunking on together keep 768×768 px at 25 fps."),
        (8, EVERY, False, None),
    ],
)
def test_where_a_planner_made_the_picture_smaller_it_names_what_keeps_it(gib, available, low_vram, sentence):
    plan = make_plan(JOB, capacity_of(gib), available=available)
    advice = advise(plan, available=available, low_vram=low_vram)
    assert (advice and advice_sentence(advice)) == sentence
    if advice:
        assert plan.losses
        assert advice.keeps
        assert advice.keeps.min_resolution == 768


def test_what_a_planner_could_not_do_names_a_card():
    plan = make_plan(JOB, capacity_of(1.5))
    advice = advise(plan, Where.ON_RISK)
    assert advice
    assert advice.card == plan.smallest_card
    assert advice_sentence(advice, Where.ON_RISK).startswith("The smallest common card")


@pytest.mark.parametrize(
    ("ram_gib", "sentence"),
    [(128, None), (64, "min_resolution 576 reduces the peak to 16.1 GiB."), (8, "It fits on no common card.")],
)
def test_too_little_host_memory_is_helped_too(ram_gib, sentence):
    """Ten minutes at 768 px are 100 GiB of frames."""
    job = replace(JOB, width=768, height=768, duration_s=600.0, interpolate=False)
    assert sentence_for(job, capacity_of(80, ram_gib)) == sentence


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize(
    ("optimization", "duration_s", "gib"), [("streaming_decode", 300.0, 24), ("sequential_cfg", 10.0, 12)]
)
def test_an_optimization_that_keeps_the_pixels_comes_first(optimization, duration_s, gib, lang):
    advice = advise(make_plan(replace(JOB, duration_s=duration_s), capacity_of(gib), None), available=ESCALATION_ORDER)
    assert advice
    assert [change.name for change in advice.changes] == [optimization]
    name = OPTIMIZATIONS[Optimization(optimization)].name
    assert {"en": f"{name.en} on", "zh": f"{name.zh} 设为 开"}[lang] in advice_sentence(advice, lang=lang)


@pytest.mark.parametrize("where", [Where.THIS_NODE, Where.SONIC_NODES])
@pytest.mark.parametrize("dtype", [Dtype.FP16, Dtype.FP32])
@pytest.mark.parametrize(
    ("lang", "sentence"),
    [("en", r"Sonic Low VRAM reduces the peak to \d+\.\d GiB\."), ("zh", r"加入“Sonic 低显存”，峰值可降到 .* GiB。")],
)
def test_low_vram_comes_before_what_can_be_seen(where, dtype, lang, sentence):
    """Where it is enough: between the peaks without optimizations and with all of them."""
    job = replace(JOB, dtype=dtype)
    peaks = [predict(each).peak_bytes / GIB for each in (job, replace(job, optimizations=EVERY))]
    gib = sum(peaks) / 2 / 0.9
    assert re.fullmatch(sentence, sentence_for(job, capacity_of(gib), where, lang, low_vram=True) or "")
    assert "Low VRAM" not in (sentence_for(job, capacity_of(gib), where, low_vram=False) or "")


def test_low_vram_enables_no_more_than_it_must():
    """As the node does on its defaults, and without counting on a wire that may be missing."""
    job = replace(JOB, min_resolution=640)
    plan = make_plan(job, capacity_of(predict(job).peak_bytes / GIB / 0.9 - 0.5), None)
    advice = advise(plan, low_vram=True)
    assert advice
    assert advice.changes[0].after_bytes > predict(replace(job, optimizations=EVERY)).peak_bytes


@pytest.mark.parametrize("where", [Where.ON_RISK, Where.POLICY])
def test_before_a_planner_makes_a_smaller_picture_low_vram_is_proposed(where):
    plan = make_plan(JOB, capacity_of(12), None)
    advice = advise(plan, where, low_vram=True)
    assert advice
    assert advice_sentence(advice, where).startswith("Sonic Low VRAM reduces the peak to")
    assert "min_resolution 512" in advice_sentence(advise(plan, where), where)
    fp32 = make_plan(replace(JOB, min_resolution=512, dtype=Dtype.FP32), capacity_of(14), None)
    assert advise(fp32, where, low_vram=True) == advise(fp32, where), "fp16 is no loss"
    smallest = predict(replace(JOB, min_resolution=128, interpolate=False))
    optimized = predict(replace(JOB, min_resolution=128, interpolate=False, optimizations=EVERY))
    assert optimized.peak_bytes < smallest.peak_bytes
    gib = (optimized.peak_bytes / 0.9 / GIB) + 0.05  # every optimization and the smallest picture together
    advice = advise(make_plan(JOB, capacity_of(gib), None), where, low_vram=True)
    assert advice
    assert [change.name for change in advice.changes][0] == LOW_VRAM
    assert "Sonic Low VRAM" in advice_sentence(advice, where)
    setting = {Where.ON_RISK: "on_risk downgrade", Where.POLICY: "policy lossless_first"}[where]
    assert advice_sentence(advice, where).startswith(f"{setting}, Sonic Low VRAM"), "either is not enough"


def test_low_vram_and_a_loss_together_where_neither_is_enough():
    job = replace(JOB, dtype=Dtype.FP32, duration_s=120.0)
    optimized = predict(replace(job, optimizations=EVERY)).peak_bytes / GIB
    advice = advise(make_plan(job, capacity_of(optimized / 0.9 - 0.05), None), low_vram=True)
    assert advice
    assert [change.name for change in advice.changes] == [LOW_VRAM, "dtype"]
    assert advice_sentence(advice).startswith("Sonic Low VRAM and dtype fp16 together reduce the peak to ")


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize(
    ("card", "side", "available", "sentences"),
    [
        ("RTX PRO 6000", 1280, (), ("min_resolution 1152 clears the hard limit; the peak is then 34.2 GiB.", "1152")),
        ("RTX PRO 6000", 1280, EVERY, ("sequential_cfg on clears the hard limit; the peak is then 16.1 GiB.", "开")),
        ("M4 Max 64GB", 768, (), ("min_resolution 384 clears the hard limit; the peak is then 14.7 GiB.", "384")),
        ("M4 Max 64GB", 768, EVERY, ("layer_chunking on clears the hard limit; the peak is then 8.2 GiB.", "开")),
    ],
)
def test_a_hard_limit_is_helped_too(card, side, available, sentences, lang):
    plan = make_plan(Job(side, side, 10.0, min_resolution=side), Capacity(budget_for(card)), None)
    advice = advise(plan, available=available)
    assert advice
    text = advice_sentence(advice, lang=lang)
    assert text == sentences[0] if lang == "en" else (sentences[1] in text and "硬性限制" in text)


@pytest.mark.parametrize("where", Where)
def test_of_too_short_a_sound_the_advice_is_to_add_silence(where):
    """No card and no setting helps, so none is named."""
    advice = advise(make_plan(replace(JOB, duration_s=0.3), capacity_of(80), None), where, low_vram=True)
    assert advice
    assert (advice.changes, advice.card) == ((), None)
    assert "Add silence" in advice_sentence(advice, where)
    assert "补静音" in advice_sentence(advice, where, "zh")


@pytest.mark.parametrize("to_file", [False, True])
def test_frames_that_go_to_a_file_need_no_host_memory(to_file):
    job = replace(JOB, width=768, height=768, duration_s=600.0, optimizations=EVERY)
    capacity = Capacity(budget_for(80), predict(replace(job, to_file=True)).host_ram_bytes)
    advice = advise(make_plan(replace(job, to_file=to_file), capacity, None))
    assert (advice is None or advice.fits) is to_file


jobs = st.builds(
    Job,
    width=st.integers(200, 3000),
    height=st.integers(200, 3000),
    duration_s=st.floats(0.5, 2000),
    min_resolution=st.integers(2, 20).map(lambda n: 64 * n),
    dtype=st.sampled_from(Dtype),
    interpolate=st.booleans(),
)


NEEDS_BOTH = Job(200, 200, 7.0, min_resolution=192, interpolate=False)
"""At 5 GiB it takes one optimization that is enabled in any case, after one that is not."""


@settings(deadline=None)
@example(NEEDS_BOTH, 5.0, Where.THIS_NODE, frozenset({Optimization.TENSOR_OFFLOAD}))
@given(jobs, st.floats(3, 100), st.sampled_from(Where), st.frozensets(st.sampled_from(ESCALATION_ORDER)) | st.none())
def test_advice_is_true(job, gib, where, available):
    """What it says fits does fit, with the bytes it says; and there is no advice only where all is well."""
    capacity = capacity_of(round(gib, 2))
    usable = capacity.budget.usable_bytes
    plan = make_plan(job, capacity, None)
    low_vram, available = available is None, available or frozenset()
    advice = advise(plan, where, available=available, low_vram=low_vram)
    if advice is None:
        assert plan.fits
        return
    assert advice.fits is plan.fits
    if advice.changes:
        assert advice.changes[-1].after_bytes <= usable
        assert (advice.changes[0].before_bytes > usable or bool(predict(job).limits)) is not plan.fits
        outcomes = [predict(changed) for changed in _changed(job, advice.changes, available)]
        assert any(each.peak_bytes == advice.changes[-1].after_bytes and not each.limits for each in outcomes)
    else:
        assert not make_plan(job, capacity, available=available | EVERY if low_vram else available).fits
    for lang in LANGUAGES:
        assert advice_sentence(advice, where, lang)


@settings(deadline=None)
@given(jobs, st.floats(6, 100))
def test_a_larger_picture_is_proposed_only_if_it_is_much_larger(job, gib):
    advice = advise(make_plan(job, capacity_of(round(gib, 2)), None))
    if advice and advice.fits:
        (change,) = advice.changes
        assert MUCH_LARGER * job.min_resolution <= int(change.after) <= min(job.width, job.height, 2048)


def _changed(job: Job, changes, available) -> list[Job]:
    """What may come of `changes`: Low VRAM enables whatever is needed, and what is available is enabled anyway."""
    optimizations = [frozenset(some) for size in range(len(available) + 1) for some in combinations(available, size)]
    for change in changes:
        if change.name == LOW_VRAM:
            optimizations = [frozenset(some) for size in range(len(EVERY) + 1) for some in combinations(EVERY, size)]
        elif change.name in ESCALATION_ORDER:
            job = replace(job, optimizations=job.optimizations | {Optimization(change.name)})
        elif change.name == "interpolate":
            job = replace(job, interpolate=change.after == "on")
        else:
            kind = {"dtype": Dtype, "min_resolution": int}[change.name]
            job = replace(job, **{change.name: kind(change.after)})
    run = [replace(job, optimizations=without_redundant(job.optimizations | more)) for more in optimizations]
    return [replace(each, chunk_size=factor * each.chunk_size) for each in run for factor in (1, *CHUNK_SIZE_FACTORS)]


@pytest.mark.parametrize(
    ("size", "gib", "kept"),
    [(768, 8, 768), (1024, 7, 1024), (768, 24, None), (768, 3, None)],
    ids=["all of it", "a large picture", "nothing was lost", "it fits neither way"],
)
def test_the_plan_that_optimizations_allow_is_the_one_that_shows_more(size, gib, kept):
    stock = make_plan(replace(JOB, width=size, height=size, min_resolution=size), capacity_of(gib))
    optimized = plan_that_shows_more(stock, EVERY)
    assert (optimized and optimized.job.min_resolution) == kept

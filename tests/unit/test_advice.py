"""The one sentence of help: the mildest change that is enough, and only what is true."""

import re
from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sonic_guard.devices.budget import budget_for
from sonic_guard.devices.card_catalogue import GIB
from sonic_guard.job import Dtype, Job
from sonic_guard.memory.stage_model import predict
from sonic_guard.messages.advice_messages import advice_sentence
from sonic_guard.messages.catalogue import LANGUAGES
from sonic_guard.optimizations import ESCALATION_ORDER, EXACT, Optimization
from sonic_guard.planning.advice import LOW_VRAM, MUCH_LARGER, Where, advise
from sonic_guard.planning.planner import make_plan

JOB = Job(2048, 2048, 10.0, min_resolution=768)


def said(job: Job, gib: float, where: Where = Where.HERE, lang: str = "en", **known) -> str | None:
    plan = make_plan(job, budget_for(gib), None, host_ram_bytes=known.get("host_ram_bytes"))
    advice = advise(plan, where, **known)
    return advice and advice_sentence(advice, where, lang)


@pytest.mark.parametrize(
    ("job", "gib", "sentence"),
    [
        (JOB, 12, "min_resolution 512 reduces the peak to 9.9 GiB."),
        (replace(JOB, dtype=Dtype.FP32), 24, "dtype fp16 reduces the peak to 17.7 GiB."),
        (replace(JOB, min_resolution=384, duration_s=90.0), 9, "use_interframe off reduces the peak to 7.7 GiB."),
        (
            replace(JOB, dtype=Dtype.FP32, duration_s=120.0), 12,
            "dtype fp16, use_interframe off and min_resolution 512 together reduce the peak to 10.7 GiB.",
        ),
        (JOB, 2, "The smallest common card on which it fits is the RTX 3050 6GB."),
        (replace(JOB, min_resolution=512), 12, None),
        (replace(JOB, min_resolution=384), 24, "min_resolution 832 also fits, with a peak of 20.1 GiB."),
        (replace(JOB, min_resolution=384, width=500, height=2000), 24, None),
    ],
    ids=["resolution", "dtype", "rate", "together", "card", "just right", "larger", "no pixels for more"],
)  # fmt: skip
def test_the_sentence(job, gib, sentence):
    assert said(job, gib) == sentence


@pytest.mark.parametrize(
    ("where", "lang", "sentence"),
    [
        (Where.SONIC, "en", "min_resolution 512 on SONIC_PreData reduces the peak to 9.9 GiB."),
        (Where.ON_RISK, "en", "on_risk “downgrade” makes it fit: min_resolution 512, peak 9.9 GiB."),
        (Where.POLICY, "en", "policy “lossless_first” makes it fit: min_resolution 512, peak 9.9 GiB."),
        (Where.HERE, "zh", "min_resolution 设为 512，峰值可降到 9.9 GiB。"),
        (Where.SONIC, "zh", "SONIC_PreData 的 min_resolution 设为 512，峰值可降到 9.9 GiB。"),
        (Where.ON_RISK, "zh", "将 on_risk 设为 downgrade 即可放下：min_resolution 设为 512，峰值 9.9 GiB。"),
    ],
)
def test_it_reports_where(where, lang, sentence):
    assert said(JOB, 12, where, lang) == sentence


def test_what_a_planner_has_done_needs_no_advice():
    assert advise(make_plan(JOB, budget_for(12))) is None


def test_what_a_planner_could_not_do_names_a_card():
    plan = make_plan(JOB, budget_for(3))
    advice = advise(plan, Where.ON_RISK)
    assert advice
    assert advice.card == plan.smallest_card
    assert advice_sentence(advice, Where.ON_RISK).startswith("The smallest common card")


@pytest.mark.parametrize(
    ("ram_gib", "sentence"),
    [(128, None), (64, "min_resolution 576 reduces the peak to 16.4 GiB."), (8, "It fits on no common card.")],
)
def test_too_little_host_memory_is_helped_too(ram_gib, sentence):
    """Ten minutes at 768 px are 100 GiB of frames."""
    job = replace(JOB, width=768, height=768, duration_s=600.0, interpolate=False)
    assert said(job, 80, host_ram_bytes=ram_gib * GIB) == sentence


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize(
    ("optimization", "duration_s", "gib"), [("streaming_decode", 300.0, 24), ("sequential_cfg", 10.0, 12)]
)
def test_a_optimization_that_keeps_the_pixels_comes_first(optimization, duration_s, gib, lang):
    advice = advise(make_plan(replace(JOB, duration_s=duration_s), budget_for(gib), None), available=ESCALATION_ORDER)
    assert advice
    assert [change.name for change in advice.changes] == [optimization]
    assert f"{optimization} {'on' if lang == 'en' else '设为 开'}" in advice_sentence(advice, lang=lang)


@pytest.mark.parametrize("where", [Where.HERE, Where.SONIC])
@pytest.mark.parametrize("dtype", [Dtype.FP16, Dtype.FP32])
@pytest.mark.parametrize(
    ("lang", "sentence"),
    [("en", r"Sonic Low VRAM reduces the peak to \d+\.\d GiB\."), ("zh", r"加入“Sonic 低显存”，峰值可降到 .* GiB。")],
)
def test_low_vram_comes_before_what_can_be_seen(where, dtype, lang, sentence):
    """Where it is enough: between the peak without optimizations and with all of them."""
    job = replace(JOB, dtype=dtype)
    peaks = [predict(each).peak_bytes / GIB for each in (job, replace(job, optimizations=EXACT))]
    gib = sum(peaks) / 2 / 0.9
    assert re.fullmatch(sentence, said(job, gib, where, lang, low_vram=True) or "")
    assert "Low VRAM" not in (said(job, gib, where, low_vram=False) or "")


def test_low_vram_enables_no_more_than_it_must():
    """As the node does on its defaults, and without counting on a wire that may be missing."""
    job = replace(JOB, min_resolution=640)
    plan = make_plan(job, budget_for(predict(job).peak_bytes / GIB / 0.9 - 0.5), None)
    advice = advise(plan, low_vram=True)
    assert advice
    assert advice.changes[0].after_bytes > predict(replace(job, optimizations=EXACT)).peak_bytes


@pytest.mark.parametrize("where", [Where.ON_RISK, Where.POLICY])
def test_a_planner_in_front_proposes_low_vram_only_if_it_has_nothing(where):
    """On a card that fits the largest image without optimizations it downgrades; on one that fits none it cannot."""
    plan = make_plan(JOB, budget_for(12), None)
    assert advise(plan, where, low_vram=True) == advise(plan, where)
    smallest = predict(replace(JOB, min_resolution=128, interpolate=False))
    optimized = predict(replace(JOB, min_resolution=128, interpolate=False, optimizations=EXACT))
    assert optimized.peak_bytes < smallest.peak_bytes
    gib = (optimized.peak_bytes + smallest.peak_bytes) / 2 / 0.9 / GIB
    advice = advise(make_plan(JOB, budget_for(gib), None), where, low_vram=True)
    assert advice
    assert [change.name for change in advice.changes][0] == LOW_VRAM
    assert "Sonic Low VRAM" in advice_sentence(advice, where)
    assert "downgrade" not in advice_sentence(advice, where)


def test_low_vram_and_a_loss_together_where_neither_is_enough():
    job = replace(JOB, dtype=Dtype.FP32, duration_s=120.0)
    optimized = predict(replace(job, optimizations=EXACT)).peak_bytes / GIB
    advice = advise(make_plan(job, budget_for(optimized / 0.9 - 0.1), None), low_vram=True)
    assert advice
    assert [change.name for change in advice.changes] == [LOW_VRAM, "dtype"]
    assert advice_sentence(advice).startswith("Sonic Low VRAM and dtype fp16 together reduce the peak to ")


@pytest.mark.parametrize("to_file", [False, True])
def test_frames_that_go_to_a_file_need_no_host_memory(to_file):
    job = replace(JOB, width=768, height=768, duration_s=600.0, optimizations=EXACT)
    need = predict(replace(job, to_file=True)).host_ram_bytes
    plan = make_plan(replace(job, to_file=to_file), budget_for(80), None, host_ram_bytes=need)
    advice = advise(plan, host_ram_bytes=need)
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


@settings(deadline=None)
@given(jobs, st.floats(3, 100), st.sampled_from(Where), st.frozensets(st.sampled_from(ESCALATION_ORDER)) | st.none())
def test_advice_is_true(job, gib, where, available):
    """What it says fits does fit, with the bytes it says; and it is silent only where all is well."""
    budget = budget_for(round(gib, 2))
    plan = make_plan(job, budget, None)
    low_vram, available = available is None, available or frozenset()
    advice = advise(plan, where, available=available, low_vram=low_vram)
    if advice is None:
        assert plan.fits
        return
    assert advice.fits is plan.fits
    if advice.changes:
        assert advice.changes[-1].after_bytes <= budget.usable_bytes
        assert (advice.changes[0].before_bytes > budget.usable_bytes) is not plan.fits
        assert advice.changes[-1].after_bytes in {
            predict(changed).peak_bytes for changed in _changed(job, advice.changes)
        }
    else:
        assert not make_plan(job, budget, available=available | EXACT if low_vram else available).fits
    for lang in LANGUAGES:
        assert advice_sentence(advice, where, lang)


@settings(deadline=None)
@given(jobs, st.floats(6, 100))
def test_room_for_a_larger_picture_is_worth_a_word_only_if_it_is_much(job, gib):
    advice = advise(make_plan(job, budget_for(round(gib, 2)), None))
    if advice and advice.fits:
        (change,) = advice.changes
        assert MUCH_LARGER * job.min_resolution <= int(change.after) <= min(job.width, job.height, 2048)


def _changed(job: Job, changes) -> list[Job]:
    """What may come of `changes`: Low VRAM enables whatever is needed."""
    optimizations = [frozenset[Optimization]()]
    for change in changes:
        if change.name == LOW_VRAM:
            optimizations = [frozenset(some) for size in range(len(EXACT) + 1) for some in combinations(EXACT, size)]
        elif change.name in ESCALATION_ORDER:
            job = replace(job, optimizations=job.optimizations | {Optimization(change.name)})
        elif change.name == "interpolate":
            job = replace(job, interpolate=change.after == "on")
        else:
            kind = {"dtype": Dtype, "min_resolution": int}[change.name]
            job = replace(job, **{change.name: kind(change.after)})
    return [replace(job, optimizations=job.optimizations | more) for more in optimizations]

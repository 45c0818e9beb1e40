"""Hard limits that are not memory: which jobs meet them; no plan does; both languages report them."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sonic_guard.devices.budget import budget_for
from sonic_guard.devices.card_catalogue import GIB, all_cards
from sonic_guard.job import MIN_CHUNK_SIZE, Job
from sonic_guard.memory.hard_limits import LimitKind, find_limits
from sonic_guard.memory.stage_model import predict
from sonic_guard.messages.catalogue import LANGUAGES
from sonic_guard.messages.plan_messages import headline, headroom_line, limit_lines, refusal, verdict_text, why
from sonic_guard.optimizations import ESCALATION_ORDER, EVERY, Optimization
from sonic_guard.planning.capabilities import GraphCapabilities
from sonic_guard.planning.capacity import Capacity, Verdict
from sonic_guard.planning.planner import SPLIT, Policy, make_plan
from sonic_guard.planning.selection import DEFAULT, Switches

BRANCH = frozenset({Optimization.SEQUENTIAL_CFG})
LAYERS = frozenset({Optimization.LAYER_CHUNKING})
BOTH = BRANCH | LAYERS
FF = frozenset({Optimization.FEED_FORWARD_CHUNKING})
CASES = [
    # job, device, kinds
    (Job(512, 512, 10.0), "cuda", []),
    (Job(64, 64, 0.3, min_resolution=128), "cuda", ["short sound"]),
    (Job(1152, 1152, 10.0, min_resolution=1152), "cuda", []),
    (Job(1216, 1216, 10.0, min_resolution=1216), "cuda", ["attention batch"]),
    (Job(1216, 1216, 10.0, min_resolution=1216, optimizations=BRANCH), "cuda", []),
    (Job(2560, 2560, 10.0, min_resolution=2560, optimizations=BRANCH), "cuda", ["attention batch"]),
    (Job(1216, 1216, 10.0, min_resolution=1216), "cpu", []),
    (Job(512, 512, 10.0), "mps", ["mps"]),
    (Job(256, 256, 10.0, min_resolution=256), "mps", []),
    (Job(1280, 1152, 10.0, min_resolution=1152), "cuda", ["attention batch"]),  # 69,120: failed on an H200
    (Job(2560, 2560, 10.0, min_resolution=2560, optimizations=LAYERS), "cuda", []),
    (Job(2560, 2560, 10.0, min_resolution=2560, optimizations=FF), "cuda", ["attention batch"]),
    (Job(512, 896, 3.0), "mps", ["mps"]),
    (Job(512, 896, 3.0, optimizations=BRANCH | FF), "mps", ["mps"]),
    (Job(512, 896, 3.0, optimizations=LAYERS), "mps", []),
    (Job(512, 512, 3.0, optimizations=LAYERS, chunk_size=8 * MIN_CHUNK_SIZE), "mps", []),
    (Job(512, 512, 3.0, fps=60.0, optimizations=LAYERS, chunk_size=16 * MIN_CHUNK_SIZE), "mps", ["mps"]),
    (Job(384, 384, 3.0, min_resolution=384), "mps", []),
    (Job(448, 448, 3.0, min_resolution=448), "mps", ["mps"]),
    (Job(448, 448, 3.0, min_resolution=448, optimizations=BRANCH), "mps", []),
    (Job(1088, 1088, 3.0, min_resolution=1088, optimizations=BOTH), "mps", []),
    (Job(1152, 1152, 3.0, min_resolution=1152, optimizations=BOTH), "mps", ["mps"]),
]


@pytest.mark.parametrize(("job", "device", "kinds"), CASES)
def test_limits_are_found(job, device, kinds):
    assert [limit.kind for limit in find_limits(job, device)] == kinds


@pytest.mark.parametrize(("job", "device", "kinds"), CASES)
def test_each_is_reported_in_every_language(job, device, kinds):
    texts = [limit_lines(predict(job, device=device), language) for language in LANGUAGES]
    assert [len(lines) for lines in texts] == [len(kinds)] * len(LANGUAGES)
    assert len({line for lines in texts for line in lines}) == len(kinds) * len(LANGUAGES)


def test_the_reported_score_matrix():
    """One buffer of 75·5·7168²·4 bytes was reported for 512×896 on MPS."""
    (limit,) = find_limits(Job(512, 896, 3.0), "mps")
    assert limit.figure * 4 == 75 * 5 * 7168**2 * 4
    assert round(limit.figure * 4 / GIB, 2) == 71.78


@pytest.mark.parametrize(
    ("job", "device", "cleared_by"),
    [
        (Job(1280, 1280, 10.0, min_resolution=1280), "cuda", ("sequential_cfg",)),
        (Job(2560, 2560, 10.0, min_resolution=2560), "cuda", ("layer_chunking",)),
        (Job(2560, 2560, 10.0, min_resolution=2560, optimizations=BRANCH), "cuda", ("layer_chunking",)),
        (Job(448, 448, 3.0, min_resolution=448), "mps", ("sequential_cfg",)),
        (Job(768, 768, 3.0, min_resolution=768), "mps", ("layer_chunking",)),
        (Job(1152, 1152, 3.0, min_resolution=1152), "mps", ()),
        (Job(64, 64, 0.3, min_resolution=128), "cuda", ()),
    ],
)
def test_each_names_what_would_clear_it(job, device, cleared_by):
    (limit,) = find_limits(job, device)
    assert limit.cleared_by == cleared_by
    (line,) = limit_lines(predict(job, device=device))
    assert all(name in line for name in cleared_by)
    assert ("enable" in line) is bool(cleared_by)
    if cleared_by:
        cleared = replace(job, optimizations=job.optimizations.union(map(Optimization, cleared_by)))
        assert not find_limits(cleared, device)


KNOWN = [
    # card, side, what a plan changes without optimizations, with all exact ones
    ("M4 Max 64GB", 768, ("min_resolution", "384"), ("layer_chunking", "on")),
    ("RTX PRO 6000", 1280, ("min_resolution", "1152"), ("sequential_cfg", "on")),
]


@pytest.mark.parametrize(("card", "side", "stock", "optimized"), KNOWN)
def test_a_limit_is_planned_around(card, side, stock, optimized):
    job, capacity = Job(side, side, 10.0, min_resolution=side), Capacity(budget_for(card))
    for available, change in (((), stock), (EVERY, optimized)):
        plan = make_plan(job, capacity, available=available)
        assert plan.fits
        assert not plan.estimate.limits
        assert [(each.name, each.after) for each in plan.changes] == [change]
        assert "hard limit" in why(plan.changes[0])
        assert "硬性限制" in why(plan.changes[0], "zh")


@pytest.mark.parametrize(("card", "side"), [("M3 Ultra 512GB", 768), ("RTX PRO 6000", 1280)])
def test_a_run_that_meets_a_limit_fails_however_much_memory_there_is(card, side):
    plan = make_plan(Job(side, side, 10.0, min_resolution=side), Capacity(budget_for(card)), None)
    assert plan.risk.headroom_bytes > 20 * GIB
    assert (plan.fits, plan.risk.verdict) == (False, Verdict.FAIL)
    for lang, words in (("en", ("memory", "headroom")), ("zh", ("显存", "余"))):
        assert not any(word in headline(plan.risk, lang) for word in words)
        assert verdict_text(plan.risk, lang) in headline(plan.risk, lang)
    assert headline(plan.risk).startswith("Will fail at a hard limit: ")
    assert refusal(plan).startswith(headline(plan.risk))


def test_where_memory_is_short_too_both_are_reported():
    risk = make_plan(Job(1280, 1280, 10.0, min_resolution=1280), Capacity(budget_for(24)), None).risk
    assert headline(risk).startswith("Will run out of memory: denoise, ")
    assert headroom_line(risk).endswith("over budget; the attention batch is 76,800, more than 65,535")


def test_the_articles_policy_refuses_what_it_cannot_clear():
    plan = make_plan(Job(768, 768, 10.0, min_resolution=768), Capacity(budget_for("M4 Max 64GB")), Policy.ARTICLE)
    assert not plan.fits
    assert "score" in refusal(plan)


@pytest.mark.parametrize("policy", [*Policy, None])
def test_nothing_but_silence_helps_too_short_a_sound(policy):
    plan = make_plan(Job(512, 512, 0.3), Capacity(budget_for(80)), policy, available={*ESCALATION_ORDER, SPLIT})
    assert not plan.fits
    assert (plan.changes, plan.smallest_card, plan.longest_s) == ((), None, None)
    assert "add silence" in refusal(plan)
    assert "补静音" in refusal(plan, "zh")


CARDS = sorted(card.title for card in all_cards())
AVAILABLE = st.frozensets(st.sampled_from([*ESCALATION_ORDER, SPLIT]))
JOBS = st.builds(
    Job,
    width=st.integers(200, 3000),
    height=st.integers(200, 3000),
    duration_s=st.floats(0.1, 600),
    min_resolution=st.integers(2, 32).map(lambda n: 64 * n),
    fps=st.sampled_from([12.0, 25.0, 60.0, 120.0]),
)


@settings(deadline=None, max_examples=150)
@given(job=JOBS, card=st.sampled_from(CARDS), available=AVAILABLE, policy=st.sampled_from([*Policy, None]))
def test_no_plan_that_fits_meets_a_limit(job, card, available, policy):
    """Whatever the card's memory: on a large one fewer optimizations are needed for that, and a limit may need them."""
    capacity = Capacity(budget_for(card))
    plan = make_plan(job, capacity, policy, available=available)
    assert not (plan.fits and find_limits(plan.job, capacity.budget.device))
    if plan.smallest_card:
        other = Capacity(budget_for(plan.smallest_card.title))
        on_that = make_plan(job, other, available=available)
        assert policy is Policy.ARTICLE or on_that.fits
        assert not (on_that.fits and find_limits(on_that.job, other.budget.device))


@settings(deadline=None, max_examples=100)
@given(job=JOBS, card=st.sampled_from(CARDS), to_file=st.booleans())
def test_nodes_enable_what_clears_a_limit(job, card, to_file):
    """Chunks are made no larger than a limit allows, either. What the nodes cannot clear is judged as a failure."""
    capacity = Capacity(budget_for(card))
    run = DEFAULT.enable(replace(job, to_file=to_file), capacity)
    least = replace(run, optimizations=DEFAULT.on | EVERY - FF, chunk_size=MIN_CHUNK_SIZE)
    if not find_limits(least, capacity.budget.device) and capacity.fits(least):
        assert not find_limits(run, capacity.budget.device)
    if find_limits(run, capacity.budget.device):
        assert capacity.assess(capacity.estimate(run)).verdict is Verdict.FAIL


@pytest.mark.parametrize("gib", [36, 48, 64, 128])
def test_every_mac_enables_what_the_limit_needs(gib):
    """They differ in memory only, which 768 px without optimizations would fit on all of them."""
    job = Job(768, 768, 10.0, min_resolution=768)
    run = GraphCapabilities(Switches(auto=EVERY)).run(job, Capacity(budget_for(f"M4 Max {gib}GB")))
    assert run.optimizations == LAYERS
    assert not find_limits(run, "mps")


def test_short_sound_is_a_limit_on_every_device():
    for device in ("cuda", "mps", "cpu"):
        assert [limit.kind for limit in find_limits(Job(256, 256, 0.3), device)][:1] == [LimitKind.SHORT_SOUND]

"""Placement: by bytes and seconds on each card, largest first, never over a card's memory."""

import random
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sonic_guard.errors import FarmError
from sonic_guard.park.lower_bound import Amount, lower_bound_s
from sonic_guard.park.placement import CardState, Failure, Option, Placer, Work, card_that_holds, place

GIB = 1 << 30


def option(gib, **seconds):
    return Option(int(gib * GIB), seconds)


def card(worker, model, gib, busy_until_s=0.0):
    return CardState(worker, model, int(gib * GIB), busy_until_s)


def where(placement):
    return {each.work_id: (each.worker, each.option_index) for each in placement.assignments}


FULL, LESS, LEAST = option(10, small=8, big=4), option(6, small=9, big=5), option(3, small=14, big=8)

CASES = {
    "the first option that fits": (
        [Work("a", (FULL, LESS, LEAST))],
        [card("s", "small", 7)],
        {"a": ("s", 1)},
    ),
    "no optimization that is not needed": (
        [Work("a", (FULL, LESS, LEAST))],
        [card("b", "big", 24)],
        {"a": ("b", 0)},
    ),
    "the last byte counts": (
        [Work("a", (FULL, LESS))],
        [CardState("b", "big", 10 * GIB), CardState("s", "small", 10 * GIB - 1)],
        {"a": ("b", 0)},
    ),
    "where it ends first, not where it begins first": (
        [Work("a", (FULL,))],
        [card("b", "big", 24, busy_until_s=3), card("s", "small", 24)],
        {"a": ("b", 0)},
    ),
    "not behind a card that is busy for long": (
        [Work("a", (FULL,))],
        [card("b", "big", 24, busy_until_s=5), card("s", "small", 24)],
        {"a": ("s", 0)},
    ),
    "the large one gets the fast card, whatever the order": (
        [Work("short", (option(4, small=2, big=1),)), Work("long", (option(4, small=20, big=10),))],
        [card("s", "small", 8), card("b", "big", 8)],
        {"long": ("b", 0), "short": ("s", 0)},
    ),
    "the next option after one ran out of memory": (
        [Work("a", (FULL, LESS, LEAST), (Failure(0, 24 * GIB),))],
        [card("b", "big", 24)],
        {"a": ("b", 1)},
    ),
    "all options on a larger card": (
        [Work("a", (FULL, LESS, LEAST), (Failure(2, 7 * GIB),))],
        [card("s", "small", 7), card("b", "big", 24)],
        {"a": ("b", 0)},
    ),
    "a model whose seconds are not known makes nothing": (
        [Work("a", (option(1, cpu=5),))],
        [card("b", "big", 24), card("c", "cpu", 8)],
        {"a": ("c", 0)},
    ),
    "a model may need other bytes": (
        [Work("a", (Option(4 * GIB, {"small": 1, "big": 9}, size_by_card={"small": 9 * GIB}),))],
        [card("s", "small", 8), card("b", "big", 8)],
        {"a": ("b", 0)},
    ),
}


@pytest.mark.parametrize(("works", "cards", "expected"), CASES.values(), ids=CASES)
def test_a_work_is_made(works, cards, expected):
    placement = place(works, cards)
    assert where(placement) == expected
    assert not placement.refusals


@pytest.mark.parametrize(
    ("needed_gib", "title"),
    [
        (5, "RTX 3050 6GB"),
        (5.41, "RTX 4060 8GB"),
        (20, "RTX 4090 24GB"),
        (28.8, "RTX 5090 32GB"),
        (60, "RTX PRO 5000 72GB"),
    ],
)
def test_what_can_never_fit_is_refused_with_the_card_that_would_do(needed_gib, title):
    works = [Work("huge", (option(needed_gib + 9, small=1), option(needed_gib, small=1))), Work("fits", (FULL, LEAST))]
    placement = place(works, [card("s", "small", 4)])
    assert where(placement) == {"fits": ("s", 1)}
    [(name, needed, larger)] = placement.refusals
    assert (name, needed, larger.title) == ("huge", int(needed_gib * GIB), title)


def test_what_no_card_of_the_catalogue_holds_has_none():
    assert card_that_holds(1 << 50) is None


def test_a_work_that_has_failed_everywhere_needs_more_than_the_largest_of_them():
    work = Work("a", (FULL, LESS)).after(1, 7 * GIB).after(1, 24 * GIB)
    [refusal] = place([work], [card("b", "big", 24), card("s", "small", 7)]).refusals
    assert refusal.needed_bytes == 24 * GIB + 1
    assert refusal.card.title == "RTX 5090 32GB"


def test_two_workers_of_one_name_are_an_error():
    with pytest.raises(FarmError, match="two called 'w'"):
        place([], [card("w", "small", 4), card("w", "big", 8)])


def test_cards_come_and_go():
    placer = Placer([card("s", "small", 8)])
    assert not placer.add([Work("big", (FULL, LESS)), Work("little", (option(2, small=3, big=2),))])
    work, assignment = placer.take("s", 0.0)
    assert (work.id, assignment.option_index, assignment.end_s) == ("big", 1, 9.0)
    placer.join(card("b", "big", 24), 1.0)
    assert placer.take("b", 1.0)[0].id == "little"  # taken over from the card that is busy
    assert placer.take("b", 3.0) is None
    assert placer.leave("s", 4.0) == []
    assert not placer.add([work], 4.0)  # what the lost card was making
    assert placer.take("b", 4.0)[1] == ("big", "b", 0, 4.0, 8.0)
    assert placer.waiting == 0


def test_what_waited_for_a_model_that_is_gone_goes_to_others_or_is_returned():
    placer = Placer([card("s", "small", 8), card("b", "big", 24)])
    both, only_big = Work("both", (LEAST,)), Work("only big", (FULL,))
    placer.add([both, only_big])
    [refusal] = placer.leave("b", 0.0)
    assert (refusal.work_id, refusal.card.title) == ("only big", "RTX 3060 12GB")
    assert placer.take("s", 0.0)[0] == both


def test_a_slow_card_takes_nothing_over_that_would_end_later_there():
    placer = Placer([card("fast", "big", 8), card("slow", "small", 8)])
    work = option(4, big=1, small=100)
    placer.add([Work(str(number), (work,)) for number in range(20)])
    assert placer.take("slow", 0.0) is None
    assert placer.take("fast", 0.0)
    assert placer.waiting == 19


def test_cards_of_a_model_share_what_waits_so_that_a_slow_one_holds_up_nobody():
    placer = Placer([card("a", "small", 8), card("b", "small", 8)])
    work = option(4, small=10)
    placer.add([Work(str(number), (work,)) for number in range(6)])
    placer.take("a", 0.0)  # and does not come back for a long time
    made = [placer.take("b", at) for at in (0.0, 10.0, 20.0, 30.0, 40.0)]
    assert [taken is not None for taken in made] == [True] * 5


MODELS = ("m0", "m1", "m2")
sizes = st.integers(1, 40)


@st.composite
def options(draw):
    """Some options, each with less memory and more seconds than the one before; speeds are those of the models."""
    size, seconds = draw(sizes), draw(st.integers(1, 50))
    made = []
    for _ in range(draw(st.integers(1, 4))):
        runs_on = draw(st.sets(st.sampled_from(MODELS), min_size=1))
        made.append(Option(size, {name: seconds * (MODELS.index(name) + 1) for name in runs_on}))
        size, seconds = max(1, size - draw(st.integers(0, 20))), seconds + draw(st.integers(0, 5))
    return tuple(made)


@st.composite
def parks(draw, most_cards=6, most_works=12):
    cards = [
        CardState(f"w{number}", draw(st.sampled_from(MODELS)), draw(sizes), draw(st.sampled_from((0.0, 3.0))))
        for number in range(draw(st.integers(1, most_cards)))
    ]
    tables = draw(st.lists(options(), min_size=1, max_size=4))
    failed = st.lists(st.builds(Failure, st.integers(0, 3), sizes), max_size=2).map(tuple)
    works = [
        Work(str(number), draw(st.sampled_from(tables)), draw(failed))
        for number in range(draw(st.integers(1, most_works)))
    ]
    return works, cards


def can_hold(work, at, index):
    option = work.options[index]
    runs = at.card in option.seconds_by_card and option.bytes_on(at.card) <= at.usable_bytes
    return runs and all(index > failed or at.usable_bytes > on for failed, on in work.failures)


@settings(max_examples=300)
@given(parks())
def test_every_work_is_placed_once_where_it_fits_or_refused_because_it_fits_nowhere(park):
    works, cards = park
    placement = place(works, cards)
    by_id, by_worker = {work.id: work for work in works}, {each.worker: each for each in cards}
    named = [each.work_id for each in (*placement.assignments, *placement.refusals)]
    assert sorted(named) == sorted(by_id)
    free = {each.worker: each.busy_until_s for each in cards}
    for work_id, worker, index, start_s, end_s in placement.assignments:
        work, at = by_id[work_id], by_worker[worker]
        assert can_hold(work, at, index)
        assert not any(can_hold(work, at, fewer) for fewer in range(index))
        assert start_s >= free[worker]
        assert end_s == start_s + work.options[index].seconds_by_card[at.card]
        free[worker] = end_s
    for refused in placement.refusals:
        work = by_id[refused.work_id]
        assert not any(can_hold(work, at, index) for at in cards for index in range(len(work.options)))


@settings(max_examples=100)
@given(parks(), st.randoms(use_true_random=False))
def test_nothing_is_lost_while_cards_come_go_and_run_out_of_memory(park, chance):
    works, cards = park
    placer, there = Placer(cards), {each.worker: each for each in cards}
    known = {work.id: work for work in works}
    gone = {refusal.work_id for refusal in placer.add(works)}
    made, now_s = set(), 0.0
    while len(made) + len(gone) < len(works):
        now_s += 1
        for worker, state in list(there.items()):
            taken = placer.take(worker, now_s)
            if taken is None:
                continue
            work, assignment = taken
            assert can_hold(work, state, assignment.option_index)
            match chance.randrange(6):
                case 0:
                    gone |= {
                        each.work_id
                        for each in placer.add([work.after(assignment.option_index, state.usable_bytes)], now_s)
                    }
                case 1 if len(there) > 1:
                    del there[worker]
                    lost = [*placer.leave(worker, now_s), *placer.add([work], now_s)]
                    gone |= {each.work_id for each in lost}
                case _:
                    assert work.id not in made
                    made.add(work.id)
        assert now_s < 10_000, "it does not end"
    assert made | gone == set(known)
    assert not made & gone
    assert placer.waiting == 0


def best_makespan(works, cards):
    """The earliest end over all ways to divide the works between the cards."""
    ways = []
    for work in works:
        seconds = [
            min(
                (work.options[i].seconds_by_card[at.card] for i in range(len(work.options)) if can_hold(work, at, i)),
                default=None,
            )
            for at in cards
        ]
        ways.append([(number, each) for number, each in enumerate(seconds) if each is not None])
    best = float("inf")
    for way in product(*ways):
        ends = [each.busy_until_s for each in cards]
        for number, seconds in way:
            ends[number] += seconds
        used = [ends[number] for number, _ in way]
        best = min(best, max(used, default=0.0))
    return best


def bound(works, cards):
    amounts = []
    for work in works:
        seconds = {}
        for at in cards:
            for index, option in enumerate(work.options):
                if can_hold(work, at, index):
                    known = seconds.get(at.worker, float("inf"))
                    seconds[at.worker] = min(known, option.seconds_by_card[at.card])
        amounts.append(Amount(seconds, 1.0))
    return lower_bound_s(amounts, {each.worker: 1.0 for each in cards})


@settings(max_examples=150, deadline=None)
@given(parks(most_cards=3, most_works=6))
def test_small_parks_end_near_the_best_of_all_ways_and_no_way_beats_the_bound(park):
    works, cards = park
    placement = place(works, cards)
    refused = {each.work_id for each in placement.refusals}
    left = [work for work in works if work.id not in refused]
    end = max((each.end_s for each in placement.assignments), default=0.0)
    best = best_makespan(left, cards) if left else 0.0
    assert bound(left, cards) <= best * (1 + 1e-9)
    assert best <= end * (1 + 1e-9)
    assert end <= 2 * best


def random_park(draw):
    """Up to four cards of three models, and up to six works with one to three options each."""
    cards = [CardState(f"w{n}", draw.choice(MODELS), draw.randint(5, 40)) for n in range(draw.randint(2, 4))]
    works = []
    for number in range(draw.randint(1, 6)):
        size, seconds, made = draw.randint(1, 40), draw.randint(1, 50), []
        for _ in range(draw.randint(1, 3)):
            made.append(Option(size, {name: seconds * (n + 1) for n, name in enumerate(MODELS)}))
            size, seconds = max(1, size - draw.randint(0, 20)), seconds + draw.randint(0, 5)
        works.append(Work(str(number), tuple(made)))
    return works, cards


def test_over_many_small_parks_the_mean_is_within_two_percent_of_the_best():
    ratios = []
    for seed in range(400):
        works, cards = random_park(random.Random(seed))  # noqa: S311
        placement = place(works, cards)
        refused = {each.work_id for each in placement.refusals}
        if left := [work for work in works if work.id not in refused]:
            ratios.append(max(each.end_s for each in placement.assignments) / best_makespan(left, cards))
    assert len(ratios) > 350
    assert sum(ratios) / len(ratios) <= 1.02

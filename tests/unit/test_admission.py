"""The rule of admission: never more than the card has, the largest that fits first, and no run starves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sonic_guard.farm.admission import MAX_PASSED, Admission, Capacity, Waiting, admit


def line(*sizes: int) -> list[Waiting]:
    return [Waiting(number, size) for number, size in enumerate(sizes, start=1)]


@pytest.mark.parametrize(
    ("capacity", "running", "waiting", "admitted", "passed"),
    [
        (Capacity(10), [], line(4), (1,), ()),
        (Capacity(10), [], line(4, 6), (2, 1), ()),
        (Capacity(10), [], line(4, 7, 6), (2,), (1,)),
        (Capacity(10), [], line(5, 5, 5), (1, 2), ()),
        (Capacity(10), [], [Waiting(1, 4, MAX_PASSED), Waiting(2, 7)], (1,), ()),
        (Capacity(10), [4], line(6), (1,), ()),
        (Capacity(10), [4], line(7), (), ()),
        (Capacity(10, foreign_bytes=3), [], line(8), (), ()),
        (Capacity(10, foreign_bytes=3), [], line(7), (1,), ()),
        (Capacity(10), [1, 1], line(1), (), ()),
        (Capacity(10, runs=3), [1, 1], line(1), (1,), ()),
        (Capacity(10), [4], line(7, 6), (2,), (1,)),
        (Capacity(10, runs=4), [4], line(7, 2, 3), (3, 2), (1, 1)),
        (Capacity(10), [4], [Waiting(1, 7, MAX_PASSED), Waiting(2, 6)], (), ()),
        (Capacity(10, runs=9), [4], [Waiting(1, 7, MAX_PASSED - 1), Waiting(2, 1), Waiting(3, 1)], (2,), (1,)),
        (Capacity(10), [], [Waiting(7, 4), Waiting(3, 8)], (3,), ()),
        (Capacity(10), [], [], (), ()),
        (Capacity(10), [], line(11), (), ()),
    ],
)
def test_who_is_admitted(
    capacity: Capacity, running: list[int], waiting: list[Waiting], admitted: tuple[int, ...], passed: tuple[int, ...]
) -> None:
    assert admit(capacity, running, waiting) == Admission(admitted, passed)


sizes = st.lists(st.integers(1, 12), max_size=8)


@given(sizes, sizes, st.integers(0, 12), st.integers(1, 6))
def test_never_more_than_there_is(running: list[int], waiting: list[int], foreign: int, runs: int) -> None:
    capacity = Capacity(12, foreign, runs)
    admission = admit(capacity, running, line(*waiting))
    begun = [waiting[number - 1] for number in admission.admitted]
    assert not begun or sum(running) + sum(begun) <= capacity.free_bytes
    assert not begun or len(running) + len(begun) <= runs


@given(st.lists(st.tuples(st.integers(1, 10), st.integers(1, 5)), min_size=1, max_size=40), st.integers(1, 4))
def test_every_run_begins_and_is_passed_a_bounded_number_of_times(jobs: list[tuple[int, int]], runs: int) -> None:
    waiting = {number: Waiting(number, size) for number, (size, _) in enumerate(jobs)}
    running: list[tuple[int, int, int]] = []  # until, number, size
    now = 0
    while waiting or running:
        running = [each for each in running if each[0] > now]
        admission = admit(Capacity(10, 0, runs), [size for _, _, size in running], list(waiting.values()))
        for number in admission.passed:
            waiting[number] = waiting[number]._replace(passed=waiting[number].passed + 1)
        for number in admission.admitted:
            assert waiting[number].passed <= MAX_PASSED
            running.append((now + jobs[number][1], number, jobs[number][0]))
            del waiting[number]
        assert running or not waiting, "somebody begins whenever nobody runs"
        now += 1
        assert now < 10_000

"""The simulated park: the same for a seed, never below its bound, and everything is made."""

import json
import random
from dataclasses import asdict, replace

import pytest

from sonic_guard.cli import main
from sonic_guard.devices.budget import budget_for
from sonic_guard.devices.card_catalogue import find_card
from sonic_guard.errors import FarmError
from sonic_guard.job import Job
from sonic_guard.park.forecast import CardModel, Forecast, escalation, whole_windows
from sonic_guard.park.lower_bound import Amount, lower_bound_s
from sonic_guard.park.sample_park import CALM, CARDS, PART_S, USUAL, Mishaps, Voice, card_models, parts_of, voices
from sonic_guard.park.simulation import simulate
from sonic_guard.planning.capacity import Capacity
from sonic_guard.planning.pace import Pace
from sonic_guard.planning.selection import STREAMED


def figures(report):
    return {name: value for name, value in asdict(report).items() if name != "us_per_job"}


def test_a_seed_gives_the_same_park_and_another_one_another():
    one, same, other = (simulate(10, 100, seed) for seed in (5, 5, 6))
    assert figures(one) == figures(same)
    assert one.makespan_s != other.makespan_s


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("mishaps", "most"),
    [(CALM, 1.05), (USUAL, 1.25), (Mishaps(out_of_memory=0.3, straggler=0.1, lost_per_day=2.0), 3.0)],
    ids=["calm", "usual", "bad"],
)
def test_every_video_is_made_and_never_before_the_bound(mishaps, most, seed):
    report = simulate(20, 500, seed, mishaps)
    assert report.refused == 0
    assert report.works > report.jobs
    assert 1 <= report.ratio <= most
    assert report.ratio == report.makespan_s / report.lower_bound_s
    assert 0 <= report.idle_share < 0.4
    assert (report.out_of_memory > 0) == (mishaps.out_of_memory > 0)
    assert (report.wasted_share > 0) == (mishaps != CALM)


def test_where_works_are_many_the_park_ends_within_a_twentieth_of_the_bound():
    report = simulate(50, 5000, 0)
    assert report.ratio <= 1.05
    assert report.us_per_job < 5000  # on a busy machine, most of it the predictions of the first videos


@pytest.mark.parametrize(("cards", "jobs"), [(0, 10), (10, 0), (-1, 10), (10**9, 10), (10, 10**9)])
def test_other_numbers_are_refused(cards, jobs):
    with pytest.raises(FarmError, match="is outside 1"):
        simulate(cards, jobs)


def test_the_command_prints_the_figures(capsys):
    assert main(["farm", "simulate", "--cards", "5", "--jobs", "20", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["ratio"] == printed["makespan_s"] / printed["lower_bound_s"]
    assert {"us_per_job", "idle_share", "cards", "jobs", "seed"} <= set(printed)
    assert main(["farm", "simulate", "--cards", "5", "--jobs", "20", "--lang", "zh"]) == 0
    assert "5 张显卡制作 20 个视频" in capsys.readouterr().out
    assert main(["farm", "simulate", "--cards", "0"]) == 2


def test_the_cards_are_in_the_catalogue_and_divided_as_the_table_says():
    assert all(find_card(name).title == name for name in CARDS)
    names = card_models(sum(CARDS.values()) * 3)
    assert {name: names.count(name) for name in CARDS} == {name: 3 * share for name, share in CARDS.items()}
    assert len(card_models(1)) == 1


def test_lengths_are_as_described():
    lengths = sorted(voice.latent_frames / 12.5 for voice in voices(20_000, random.Random(0)))  # noqa: S311
    assert lengths[10_000] == pytest.approx(30, rel=0.03)
    assert lengths[19_000] == pytest.approx(155, rel=0.06)
    assert lengths[0] >= 0.4
    assert lengths[-1] <= 3600


@pytest.mark.parametrize(("frames", "count"), [(6, 1), (750, 1), (751, 2), (12.5 * 600, 13)])
def test_a_long_voice_is_made_in_parts(frames, count):
    parts = parts_of(Voice(512, 512, int(frames)))
    assert len(parts) == count
    assert all(part.duration_s <= PART_S + 0.1 for part in parts)
    assert sum(part.latent_frames for part in parts) >= frames


MODELS = {name: CardModel(budget_for(name)) for name in ("RTX 4060 8GB", "RTX 2080 Ti 11GB", "H100 80GB")}


@pytest.mark.parametrize("size", [256, 512, 1024])
def test_an_option_has_the_bytes_of_the_memory_model_and_fits_where_it_has_a_time(size):
    job = Job(size, size, 20.0, min_resolution=size)
    options = Forecast(MODELS).options(job)
    assert [option.optimizations for option in options][0] == STREAMED
    for option, name in ((option, name) for option in options for name in MODELS):
        capacity = Capacity(MODELS[name].budget)
        run = replace(whole_windows(job), optimizations=option.optimizations, to_file=True)
        run = replace(run, vae_dtype="bf16" if MODELS[name].budget.bf16 else "fp32")
        assert option.bytes_on(name) == capacity.estimate(run).peak_bytes
        assert (name in option.seconds_by_card) == capacity.fits(run)
    larger = [option.size_bytes for option in options]
    assert larger == sorted(larger, reverse=True)


def test_optimizations_are_added_one_by_one():
    steps = list(escalation(frozenset()))
    assert steps[0] == STREAMED
    assert len(steps) == len(set(steps)) == 6


def test_a_last_window_that_is_not_full_costs_as_much():
    assert whole_windows(Job(512, 512, 9.0)).latent_frames == 125
    assert whole_windows(Job(512, 512, 10.0)).latent_frames == 125


def test_what_the_cards_runs_have_shown_counts():
    budget = budget_for("RTX 4090 24GB")
    job = Job(512, 512, 20.0)
    [catalogue, *_], [slow, *_] = (
        Forecast({"card": CardModel(budget, pace)}).options(job) for pace in (None, Pace(20.0, 9))
    )
    assert slow.seconds_by_card["card"] > 2 * catalogue.seconds_by_card["card"]


def test_a_card_of_unknown_speed_has_times_that_compare_jobs():
    options = Forecast({"8 GiB": CardModel(budget_for(8))})
    short, long = (options.options(Job(256, 256, seconds))[-1].seconds_by_card["8 GiB"] for seconds in (10.0, 100.0))
    assert 5 < long / short < 10


def test_the_bound_is_the_work_over_the_speeds():
    works = [Amount({"slow": 10.0, "fast": 5.0}, 90.0)]
    assert lower_bound_s(works, {"slow": 2, "fast": 1}) == pytest.approx(90 / (2 / 10 + 1 / 5), rel=0.005)


def test_the_bound_knows_what_only_some_cards_hold():
    works = [Amount({"fast": 5.0}, 20.0), Amount({"slow": 10.0, "fast": 5.0}, 4.0)]
    assert lower_bound_s(works, {"slow": 10, "fast": 1}) == pytest.approx(100, rel=0.01)


def test_the_bound_is_at_least_the_longest_work_on_the_fastest_card_that_holds_it():
    assert lower_bound_s([Amount({"slow": 10.0, "fast": 5.0}, 2.0, 1.5)], {"slow": 50, "fast": 50}, 1.25) == 6.0


def test_there_is_no_bound_for_nothing():
    assert lower_bound_s([], {"slow": 1}) == 0.0

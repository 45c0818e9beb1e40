"""The history of a park in one database: every worker writes to it, and each card model has one calibration."""

import wave
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from sonic_guard.devices.budget import budget_for
from sonic_guard.devices.card_catalogue import find_card
from sonic_guard.devices.environment import RunEnvironment
from sonic_guard.history.card_models import model_histories, model_of
from sonic_guard.history.history_cache import HistoryCache
from sonic_guard.history.history_store import History
from sonic_guard.history.run_record import Outcome, StageFigures
from sonic_guard.job import Job
from sonic_guard.memory.overhead import overhead
from sonic_guard.memory.stage_model import stage_bytes
from sonic_guard.park.forecast import Forecast, card_models, known_cards
from sonic_guard.park.job_plans import JobPlanner
from sonic_guard.park.jobs import FarmJob, JobSettings
from sonic_guard.planning.pace import passes
from sonic_guard.planning.pass_time import pass_s
from tests.support.processes import PROCESSES

WORKERS, RUNS_EACH = 4, 10
EXTRA, PACE = 0.12, 5.0
"""What the cards of these workers take for a byte of tensors, and for a pass as a ratio to the H200."""
RTX_3060 = RunEnvironment("NVIDIA GeForce RTX 3060", total_bytes=12_622_168_064, available_bytes=12_000_000_000)
SMALL_3060 = replace(RTX_3060, total_bytes=8_589_934_592, available_bytes=8_000_000_000)


def job(number):
    return Job(512, 512, 10.0 + number)


def record(history, environment, run, extra=EXTRA, pace=PACE):
    """A run of this job that took so much."""
    predicted = stage_bytes(run)
    run_id = history.begin(run, environment, predicted)
    seconds = passes(run) * pass_s(run, pace)
    reserved = {
        name: round(size * (1 + extra)) + overhead().workspace_bytes for name, size in predicted.items() if size
    }
    stages = {
        name: StageFigures(size, size, size, seconds if name == "denoise" else 1.0) for name, size in reserved.items()
    }
    history.finish(run_id, Outcome.DONE, "", stages)


def work(location, first, barrier):
    """A worker in a process of its own, whose runs are like no other worker's."""
    history = History(location)
    barrier.wait(60)
    for number in range(first, first + RUNS_EACH):
        record(history, RTX_3060, job(number))


@pytest.mark.parametrize(
    ("name", "gib", "model"),
    [
        ("NVIDIA GeForce RTX 3060", 11.76, "RTX 3060 12GB"),
        ("NVIDIA GeForce RTX 3060", 8.0, "RTX 3060 8GB"),
        ("NVIDIA RTX A6000", 47.5, "RTX A6000 48GB"),
        ("NVIDIA H100 80GB HBM3", 79.6, "H100 80GB"),
        ("AMD Radeon RX 7900 XTX", 23.98, "RX 7900 XTX 24GB"),
        ("Someone's Card 9", 9.0, "Someone's Card 9"),
        ("CPU (no GPU found)", 64.0, "CPU (no GPU found)"),
    ],
)
def test_a_cards_model_is_the_catalogues(name, gib, model):
    assert model_of(RunEnvironment(name, total_bytes=int(gib * 2**30))) == model


def test_workers_share_one_calibration_and_one_pace(location):
    barrier = PROCESSES.Barrier(WORKERS)
    workers = [
        PROCESSES.Process(target=work, args=(location, number * RUNS_EACH, barrier)) for number in range(WORKERS)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * WORKERS

    known = model_histories(History(location, existing=True))["RTX 3060 12GB"]
    assert known.calibration.runs == WORKERS * RUNS_EACH
    assert known.pace.runs == WORKERS * RUNS_EACH
    assert known.pace.ratio == pytest.approx(PACE, rel=0.01)
    assert known.calibration.overhead.fraction == pytest.approx(EXTRA, abs=0.01)
    assert known.calibration.upper_factor is not None
    # A worker that has just begun predicts with what the others have learnt.
    begun = HistoryCache(lambda: History(location)).of(RTX_3060.card, wait_s=30)
    assert begun.calibration == known.calibration


def test_cards_with_the_same_name_and_other_memory_are_another_model(location):
    history = History(location)
    for number in range(5):
        record(history, RTX_3060, job(number), extra=0.05)
        record(history, SMALL_3060, job(number), extra=0.40)
    known = model_histories(history)
    assert {model: each.calibration.runs for model, each in known.items()} == {"RTX 3060 12GB": 5, "RTX 3060 8GB": 5}
    large, small = (known[model].calibration.overhead.fraction for model in ("RTX 3060 12GB", "RTX 3060 8GB"))
    assert small > large + 0.2


def test_runs_with_an_older_wrapper_do_not_count(location):
    history = History(location)
    for number in range(5):
        record(history, replace(RTX_3060, wrapper="old"), job(number), extra=0.40)
    for number in range(3):
        record(history, replace(RTX_3060, wrapper="new"), job(number))
    assert model_histories(history)["RTX 3060 12GB"].calibration.runs == 3
    assert model_histories(history, "old")["RTX 3060 12GB"].calibration.runs == 5


def test_jobs_are_placed_by_what_the_park_has_shown(location):
    history = History(location)
    for number in range(25):
        record(history, RTX_3060, job(number), extra=0.30, pace=40.0)
    budgets = {"RTX 3060 12GB": budget_for("RTX 3060 12GB")}
    before = Forecast(card_models(budgets, {})).options(job(0))
    after = Forecast(card_models(budgets, model_histories(history))).options(job(0))
    assert find_card("RTX 3060 12GB").title in after[-1].seconds_by_card
    for first, then in zip(before, after, strict=True):
        tensors = (first.size_bytes - overhead().fixed_bytes) / (1 + overhead().fraction)
        assert then.size_bytes == pytest.approx(overhead().fixed_bytes + 1.30 * tensors, rel=0.001)
    seconds = [options[-1].seconds_by_card["RTX 3060 12GB"] for options in (before, after)]
    assert seconds[1] > 1.5 * seconds[0]


def test_a_farm_reads_the_history_that_is_configured(location, monkeypatch, caplog):
    monkeypatch.delenv("SONIC_GUARD_DB", raising=False)
    assert known_cards() == {}
    monkeypatch.setenv("SONIC_GUARD_DB", location)
    assert known_cards() == {}
    assert "placed by the models alone: history" in caplog.text  # there is none yet
    record(History(location), RTX_3060, job(0))
    assert known_cards()["RTX 3060 12GB"].pace.ratio == pytest.approx(PACE, rel=0.01)


def test_a_farms_jobs_are_planned_with_it(tmp_path):
    history = History(tmp_path / "history.db")
    for number in range(25):
        record(history, RTX_3060, job(number), extra=0.30, pace=40.0)
    portrait, voice = tmp_path / "portrait.png", tmp_path / "voice.wav"
    Image.new("RGB", (512, 512)).save(portrait)
    with wave.open(str(voice), "wb") as sound:
        sound.setparams((1, 2, 16_000, 0, "NONE", ""))
        sound.writeframes(np.random.default_rng(0).bytes(2 * 16_000 * 10))
    settings = JobSettings(face_box="128,128,384,384")
    asked = FarmJob("video", portrait, voice, "0" * 64, "1" * 64, settings)
    budgets = {"RTX 3060 12GB": budget_for("RTX 3060 12GB")}
    alone, known = (
        JobPlanner(budgets, lambda needed, card: "", histories).options(asked).options[-1]
        for histories in ({}, model_histories(history))
    )
    assert known.size_bytes > 1.15 * alone.size_bytes
    assert known.seconds_by_card["RTX 3060 12GB"] > 1.3 * alone.seconds_by_card["RTX 3060 12GB"]

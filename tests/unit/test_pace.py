"""The run time: in proportion to the network's work, unknown without a run on the card."""

from dataclasses import replace

import pytest

from sonic_guard.job import Job
from sonic_guard.planning.pace import learn_pace, network_work, predict_seconds

JOB = Job(512, 512, 10.0)


def test_without_runs_the_time_is_unknown():
    assert learn_pace([]) is None
    assert predict_seconds(JOB, None) is None


@pytest.mark.parametrize(
    ("change", "factor"), [({"steps": 50}, 2), ({"duration_s": 20.0}, 2), ({"duration_s": 0.5}, 0.2)]
)
def test_time_follows_steps_and_windows(change, factor):
    assert network_work(replace(JOB, **change)) == factor * network_work(JOB)


def test_a_pace_is_the_median_of_the_runs():
    pace = learn_pace([(JOB, 100.0), (replace(JOB, steps=50), 220.0), (JOB, 900.0)])
    assert pace is not None
    assert pace.runs == 3
    assert predict_seconds(JOB, pace) == pytest.approx(110.0)

"""Hard limits that are not memory: which jobs meet them, and that both languages say so."""

from dataclasses import replace

import pytest

from sonic_guard.job import Job
from sonic_guard.memory.hard_limits import find_limits
from sonic_guard.memory.stage_model import predict
from sonic_guard.messages.catalogue import LANGUAGES
from sonic_guard.messages.plan_messages import limit_lines
from sonic_guard.optimizations import Optimization

BRANCH = frozenset({Optimization.SEQUENTIAL_CFG})
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
]


@pytest.mark.parametrize(("job", "device", "kinds"), CASES)
def test_limits_are_found(job, device, kinds):
    assert [limit.kind for limit in find_limits(job, device)] == kinds


@pytest.mark.parametrize(("job", "device", "kinds"), CASES)
def test_each_is_reported_in_every_language(job, device, kinds):
    said = [limit_lines(predict(job, device=device), language) for language in LANGUAGES]
    assert [len(lines) for lines in said] == [len(kinds)] * len(LANGUAGES)
    assert len({line for lines in said for line in lines}) == len(kinds) * len(LANGUAGES)


def test_where_the_branches_go_one_by_one_already_that_is_not_advised():
    job = Job(2560, 2560, 10.0, min_resolution=2560)
    said = [find_limits(each)[0].one_branch for each in (job, replace(job, optimizations=BRANCH))]
    assert said == [False, True]

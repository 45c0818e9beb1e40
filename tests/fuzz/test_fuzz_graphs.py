"""What a graph would need: for whatever a page may send, an answer or a sentence that says what is wrong."""

import json
import logging

import pytest
from hypothesis import strategies as st

from sonic_guard.comfy.api_graph import parse_graph
from sonic_guard.errors import SonicGuardError
from sonic_guard.history.history_cache import CardHistory
from sonic_guard.job import Job
from sonic_guard.preview.answer import answer
from sonic_guard.preview.evaluation import job_for, preview
from tests.fuzz import damaged_graphs
from tests.fuzz.size import cases
from tests.support.graphs import after_preflight, machine, write_files

MAX_TEXT = 4_100
MAX_ANSWER = 100_000
"""Characters of an answer; 4,000 are usual."""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    base = tmp_path_factory.mktemp("input")
    (base / "secret.png").write_bytes(b"secret")
    folder = write_files(base / "input")
    (folder / "out.png").symlink_to(base / "secret.png")
    (folder / "outside").symlink_to(base)
    here = machine(folder)
    preview(parse_graph(after_preflight(cut_silence=True)), "3", here)  # loads detector and pydub
    logging.getLogger("sonic_guard").setLevel(logging.ERROR)
    yield here
    logging.getLogger("sonic_guard").setLevel(logging.NOTSET)


def judged(work):
    """How `work` ends: its answer, or "refused"."""
    try:
        return work()
    except SonicGuardError as error:
        if len(str(error)) > MAX_TEXT:
            raise AssertionError(f"a sentence of {len(str(error))} characters: {str(error)[:200]}") from error
        return "refused"


@cases(
    140, 120,
    graph=damaged_graphs.anything, pick=st.integers(0, 9), language=st.sampled_from(["en", "zh"]),
    target=st.sampled_from(["auto", "auto", "24 GiB", "4090"]) | damaged_graphs.texts,
)  # fmt: skip
def test_prediction(home, graph, pick, target, language):
    def work():
        seen = preview(parse_graph(graph), damaged_graphs.node_asked(graph, pick), home, target)
        text = json.dumps(answer(seen, CardHistory(), language), allow_nan=False)
        assert len(text) < MAX_ANSWER
        return "answered"

    return judged(work)


@cases(50, 50, graph=damaged_graphs.anything, asked=st.integers(0, 9) | damaged_graphs.ids)
def test_job_under_way(home, graph, asked):
    """Of a running graph, which was never checked for its size: a job, or None, and never an error."""
    job = job_for(graph, damaged_graphs.node_asked(graph, asked) if isinstance(asked, int) else asked, home)
    assert job is None or isinstance(job, Job)
    return "none" if job is None else "a job"

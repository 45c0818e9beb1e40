"""Runs as they are recorded: which nodes make one run, what is recorded, and that recording cannot end the run.

Here Sonic's nodes have only their interface; `test_host_runs` does the same with the wrapper's own sampler.
"""

from contextlib import contextmanager

import pytest

from sonic_guard.comfy.sonic_objects import LOADER, PREDATA, SAMPLER
from sonic_guard.devices.environment import RunEnvironment
from sonic_guard.devices.memory_reader import MemoryReader
from sonic_guard.errors import HistoryError
from sonic_guard.history.history_store import History
from sonic_guard.history.run_record import Outcome
from sonic_guard.job import Job
from sonic_guard.memory.stage_model import stage_bytes
from sonic_guard.optimizations import Optimization
from sonic_guard.relatives import ADAPTERS, Relative
from sonic_guard.runtime.monitor import Monitor
from sonic_guard.runtime.recorder import Recorder

JOB = Job(512, 512, 5.0)
NOBODY = {"model": None, "data_dict": {}, "fps": 25.0, "inference_steps": 25, "dynamic_scale": 1.0}


class Cancelled(Exception):  # noqa: N818  (ComfyUI's has no such ending either)
    pass


class Comfy:
    """What a recorder asks of ComfyUI."""

    def __init__(self, history):
        self.history, self.prompt, self.job, self.notified, self.bars = history, "p1", JOB, [], []
        self.node, self.over, self.source, self.kind = 0, {}, "", ""

    def executing(self):
        self.node += 1
        return self.prompt, str(self.node)

    def ended(self, prompt_id):
        return self.over.get(prompt_id)

    def kind_of(self, prompt, node):
        return self.kind

    def fed_by(self, prompt, node):
        return self.source

    def expected(self, prompt, node):
        return self.job

    def environment(self, held_bytes, relative):
        version = {Relative.SONIC: "1.0.0+abc", Relative.DICE_TALK: "2.0.0+def"}[relative]
        return RunEnvironment("RTX 4060", available_bytes=8 << 30, total_bytes=8 << 30, wrapper=version)

    def notify(self, run):
        self.notified.append(run)

    def log(self):
        return self.history

    def interrupted(self):
        return Cancelled

    def stop_if_interrupted(self):
        pass

    def progress_bar(self, steps):
        return self.bars.append


@pytest.fixture
def history(tmp_path):
    return History(tmp_path / "history.db")


@pytest.fixture
def comfy(history):
    return Comfy(history)


@pytest.fixture
def recorder(comfy):
    memory_reader = MemoryReader()
    monitor = Monitor(memory_reader.read, lambda *_: None, memory_reader.close)
    yield Recorder(comfy, monitor)
    monitor.close()


def work(recorder, name, error=None, **arguments):
    with recorder.around(name, NOBODY | arguments):
        if error:
            raise error


def test_a_node_that_has_sonics_do_their_work_is_the_one_the_page_shows(recorder, comfy, history):
    """Sonic Talking Head: a run for each of its parts."""
    comfy.kind = "SonicGuardTalkingHead"
    for _ in range(2):
        work(recorder, PREDATA)
        work(recorder, SAMPLER)
    assert [run["nodes"] for run in comfy.notified if run["outcome"] == Outcome.DONE] == [
        {"SonicGuardTalkingHead": "2"},
        {"SonicGuardTalkingHead": "4"},
    ]
    assert len(history.runs()) == 2


def test_a_run_is_recorded_with_the_version_of_its_own_pack(recorder, history):
    work(recorder, SAMPLER)
    work(recorder, ADAPTERS[Relative.DICE_TALK].sampler, ref_scale=1.0)
    assert [run.environment.wrapper for run in history.runs()] == ["2.0.0+def", "1.0.0+abc"]


def test_a_model_that_shows_its_own_progress_gets_no_second_bar(recorder, comfy):
    class Shows:
        to_file = True

    asked = []
    comfy.progress_bar = asked.append
    work(recorder, SAMPLER, model=Shows())
    assert asked == []


def test_three_nodes_of_a_graph_are_one_run(recorder, comfy, history):
    for name in (LOADER, PREDATA, SAMPLER):
        work(recorder, name)
    (run,) = history.runs()
    assert run.outcome is Outcome.DONE
    assert run.stage == ""
    assert run.job == JOB
    assert run.predicted == stage_bytes(JOB)
    assert list(run.stages) == ["load", "predata", "denoise"]
    assert comfy.notified[-1]["nodes"] == {LOADER: "1", PREDATA: "2", SAMPLER: "3"}
    assert comfy.notified[-1]["outcome"] == "done"
    assert recorder.event() is None


def test_a_cached_loader_is_missing_in_the_run(recorder, history):
    work(recorder, PREDATA)
    work(recorder, SAMPLER)
    (run,) = history.runs()
    assert list(run.stages) == ["predata", "denoise"]


def test_each_sampler_of_a_graph_is_a_run_of_its_own(recorder, history):
    for name in (LOADER, PREDATA, SAMPLER, SAMPLER):
        work(recorder, name)
    second, first = history.runs()
    assert "load" in first.stages
    assert list(second.stages) == ["denoise"]


def test_an_unfinished_run_of_a_graph_is_not_continued_in_the_next(recorder, comfy, history):
    work(recorder, LOADER)
    comfy.prompt = "p2"
    work(recorder, SAMPLER)
    (run,) = history.runs()
    assert list(run.stages) == ["denoise"]


@pytest.mark.parametrize("outcome", [Outcome.INTERRUPTED, Outcome.ERROR])
def test_a_run_that_ends_between_two_nodes_is_not_running_for_ever(recorder, comfy, history, outcome):
    """The user cancels, or a node fails that is not Sonic's: one refuses what cannot run."""
    work(recorder, LOADER)
    assert recorder.event()["outcome"] == "running"
    comfy.over["p1"] = outcome
    assert recorder.event() is None
    (run,) = history.runs()
    assert (run.outcome, run.stage) == (outcome, "load")
    assert comfy.notified[-1]["outcome"] == str(outcome)


def test_a_sampler_fed_by_another_predata_is_a_run_of_its_own(recorder, comfy, history):
    work(recorder, LOADER)
    work(recorder, PREDATA)
    comfy.source = "another"
    work(recorder, SAMPLER)
    assert [list(run.stages) for run in history.runs()] == [["denoise"]]


def test_a_history_that_fails_is_not_asked_again_in_the_same_run(recorder, comfy, caplog):
    asked = []

    def log():
        asked.append(1)
        raise HistoryError("history: the server is away.")

    comfy.log = log
    work(recorder, SAMPLER)
    assert len(asked) == 1
    work(recorder, SAMPLER)
    assert len(asked) == 2


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"), Outcome.OUT_OF_MEMORY),
        (Cancelled(), Outcome.INTERRUPTED),
        (ValueError("bbox_s"), Outcome.ERROR),
    ],
)
@pytest.mark.parametrize(("node", "stage"), [(LOADER, "load"), (PREDATA, "predata"), (SAMPLER, "denoise")])
def test_a_failure_is_recorded_and_raised_unchanged(recorder, history, comfy, error, outcome, node, stage):
    with pytest.raises(type(error)) as raised:
        work(recorder, node, error)
    assert raised.value is error
    (run,) = history.runs()
    assert (run.outcome, run.stage) == (outcome, stage)
    assert comfy.notified[-1]["outcome"] == outcome


def test_a_failure_before_anything_is_known_of_the_run_is_reported_but_not_written_down(recorder, comfy, history):
    comfy.job = None
    with pytest.raises(ValueError, match="no such file"):
        work(recorder, LOADER, ValueError("no such file"))
    assert history.runs() == []
    assert comfy.notified[-1]["outcome"] == "error"


def test_nothing_is_written_where_the_user_wants_no_history(recorder, comfy, history):
    comfy.history = None
    work(recorder, SAMPLER)
    assert history.runs() == []
    assert comfy.notified[-1]["outcome"] == "done"


@contextmanager
def broken(monkeypatch, owner, name, error):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(owner, name, fail)
    yield


@pytest.mark.parametrize(
    "method",
    ["executing", "ended", "fed_by", "expected", "environment", "notify", "log", "interrupted", "progress_bar"],
)
@pytest.mark.parametrize("error", [OSError("disk full"), HistoryError("history: gone.")])
def test_a_failure_of_the_recorder_does_not_stop_the_run(recorder, comfy, monkeypatch, caplog, method, error):
    done = []
    with broken(monkeypatch, comfy, method, error):
        for name in (LOADER, PREDATA, SAMPLER):
            with recorder.around(name, NOBODY):
                done.append(name)
    assert done == [LOADER, PREDATA, SAMPLER]
    assert caplog.records, "a failure has to be logged"


def test_a_fork_with_other_inputs_is_followed_as_far_as_it_is_known(recorder, history):
    with recorder.around(SAMPLER, {"pipeline": object()}):
        pass
    (run,) = history.runs()
    assert run.outcome is Outcome.DONE
    assert list(run.stages) == ["denoise"]


class TestListening:
    """A subclass in the registry, and the wrapper's class as it was."""

    class Sampler:
        FUNCTION = "sample"
        RETURN_TYPES = ("IMAGE",)

        @classmethod
        def INPUT_TYPES(cls):  # noqa: N802
            return {"required": {"model": ("MODEL_SONIC",)}}

        def sample(self, model, seed=7):
            return self, model, seed

    @pytest.fixture
    def received(self):
        return []

    @pytest.fixture
    def registry(self, pack, received):
        from importlib import import_module

        listen = import_module(f"{pack.__name__}.nodes.web_api.instrumentation").instrument

        @contextmanager
        def around(name, arguments):
            received.append((name, dict(arguments)))
            yield
            received.append("over")

        classes = {SAMPLER: self.Sampler, "KSampler": object}
        for _ in range(3):  # as often as graphs are queued
            listen(classes, around)
        return classes

    def test_the_node_works_as_before_and_is_recorded_once(self, registry, received):
        node = registry[SAMPLER]()
        assert getattr(node, node.FUNCTION)(model="m", seed=3) == (node, "m", 3)
        assert received == [(SAMPLER, {"self": node, "model": "m", "seed": 3}), "over"]

    def test_it_is_still_the_wrappers_node(self, registry):
        node = registry[SAMPLER]
        assert issubclass(node, self.Sampler)
        assert node.INPUT_TYPES() == self.Sampler.INPUT_TYPES()
        assert (node.__module__, node.__name__) == (self.Sampler.__module__, "Sampler")
        assert self.Sampler.sample(self.Sampler(), "m")[1:] == ("m", 7), "the class itself is untouched"

    @pytest.mark.parametrize("kind", ["static", "class", "async", "missing"])
    def test_a_node_of_another_make_works_as_before(self, pack, kind):
        from importlib import import_module

        async def later(self):
            """Never awaited here."""

        works = {
            "static": staticmethod(lambda: 1),
            "class": classmethod(lambda cls: 1),
            "async": later,
            "missing": None,
        }
        fork = type("Fork", (), {"FUNCTION": "sample", "sample": works[kind]})
        classes = {SAMPLER: fork}
        import_module(f"{pack.__name__}.nodes.web_api.instrumentation").instrument(classes, None)
        assert classes[SAMPLER].sample is fork.sample or classes[SAMPLER].sample() == 1

    def test_other_nodes_are_left_alone(self, registry):
        assert registry["KSampler"] is object


def test_a_low_vram_model_that_resumes_reports_the_completed_steps_to_the_page(recorder, comfy, history):
    class LowVram:
        def on_skipped(self, steps):
            raise AssertionError("the recorder listens instead")

    model = LowVram()
    work(recorder, PREDATA)
    with recorder.around(SAMPLER, NOBODY | {"model": model}):
        model.on_skipped(2)
    assert 2 in [run["step"] for run in comfy.notified]
    (run,) = history.runs()
    assert run.stages["denoise"].seconds is None, "no step was run, whose pace would be known"
    assert run.stages["predata"].seconds is not None


class Restarting:
    """A model that restarts a run, as far as the recorder sees it."""

    def on_restart(self, optimization, out_of_memory):
        raise AssertionError("the recorder takes its place")


def test_a_restart_is_recorded_as_the_engine_runs_it(recorder, comfy, history):
    """Layer chunking replaces feed-forward chunking: the run has one of them."""

    model = Restarting()
    work(recorder, PREDATA)
    with recorder.around(SAMPLER, NOBODY | {"model": model}):
        model.on_restart(Optimization.FEED_FORWARD_CHUNKING, True)
        model.on_restart(Optimization.LAYER_CHUNKING, True)
    done, second, _ = history.runs()
    assert second.job.optimizations == {Optimization.FEED_FORWARD_CHUNKING}
    assert done.job.optimizations == {Optimization.LAYER_CHUNKING}
    assert done.predicted == stage_bytes(done.job)


def test_a_restart_for_another_reason_than_memory_teaches_nothing_about_memory(recorder, comfy, history):
    model = Restarting()
    work(recorder, PREDATA)
    with recorder.around(SAMPLER, NOBODY | {"model": model}):
        model.on_restart(Optimization.LAYER_CHUNKING, False)
    done, first = history.runs()
    assert (first.outcome, done.outcome) == (Outcome.ERROR, Outcome.DONE)


def test_a_low_vram_model_that_begins_again_leaves_a_run_for_each_beginning(recorder, comfy, history):
    """From each run the use of its own optimizations is learnt."""

    model = Restarting()
    work(recorder, PREDATA)
    with recorder.around(SAMPLER, NOBODY | {"model": model}):
        model.on_restart(Optimization.TENSOR_OFFLOAD, True)
        model.on_restart(Optimization.SEQUENTIAL_CFG, True)
    done, second, first = history.runs()
    assert [run.outcome for run in (first, second, done)] == [
        Outcome.OUT_OF_MEMORY,
        Outcome.OUT_OF_MEMORY,
        Outcome.DONE,
    ]
    assert [run.stage for run in (first, second)] == ["denoise", "denoise"]
    optimizations = [set(), {Optimization.TENSOR_OFFLOAD}, {Optimization.TENSOR_OFFLOAD, Optimization.SEQUENTIAL_CFG}]
    assert [run.job.optimizations for run in (first, second, done)] == optimizations
    assert done.predicted == stage_bytes(done.job)
    assert list(done.stages) == ["predata", "denoise"]
    assert [run["outcome"] for run in comfy.notified if run["outcome"] != "running"] == ["done"]

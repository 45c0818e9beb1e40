"""A UNet of few channels: a video in parts is the same file, however often its making was stopped."""

import time

import pytest

from sonic_guard.history.run_record import Outcome
from sonic_guard.job import latent_frames
from sonic_guard.media.video_file import verify
from tests.end_to_end import graphs
from tests.support import comfyui_server
from tests.support.numbered_frames import digest
from tests.support.watched_runs import runs, watched

PICTURES = latent_frames(graphs.SPEECH_S)


def video_of(host, entry):
    (shown,) = entry["outputs"][graphs.TALKING_HEAD]["images"]
    return host.base / "output" / shown["subfolder"] / shown["filename"]


def report_of(entry):
    return entry["outputs"][graphs.TALKING_HEAD]["text"][0]


@pytest.fixture(scope="module")
def undisturbed(narrow):
    """Digest of the video that the first test makes."""
    (file,) = (narrow / "output").glob("calm*")
    return digest(file)


def test_a_video_in_two_parts(narrow, watch):
    with comfyui_server.started(narrow) as host:
        entry = watch.run(host, graphs.two_parts("calm"))
    assert verify(video_of(host, entry)) == (PICTURES, 12.5)
    assert "2 parts" in report_of(entry)


def test_interrupted_in_the_first_part_and_killed_in_the_second(narrow, watch, undisturbed):
    """Each time the next run goes on after the last completed step, and the finished part is not made again."""
    graph = graphs.two_parts("stormy")
    with comfyui_server.started(narrow) as host:
        with watch.measuring(host):
            seen = watched(host, graph, interrupt_at=2, node=graphs.TALKING_HEAD)
        assert seen.ended == "execution_interrupted"
        assert seen.row.outcome is Outcome.INTERRUPTED
        assert work(narrow, "*.latents"), "a completed step is kept"
        with watch.measuring(host):
            _, queued = host.queue(graph)
            while not second_part_has_a_step(narrow):
                assert not host.get(f"/history/{queued['prompt_id']}"), "it has ended before it could be killed"
                time.sleep(0.2)
            host.kill()
    with comfyui_server.started(narrow) as host:
        entry = watch.run(host, graph)
        outcomes = [run.outcome for run in runs(host, 5)]
    assert digest(video_of(host, entry)) == undisturbed
    assert "1 of them was finished by an earlier run." in report_of(entry)
    assert outcomes == [Outcome.DONE, Outcome.KILLED, Outcome.DONE, Outcome.INTERRUPTED, Outcome.DONE]
    assert not work(narrow, "*-body.*"), "what is finished is cleared away"


def work(base, pattern):
    """Finished files of the parts of a video under way; those being written begin with a dot."""
    files = (base / "user" / "sonic_guard" / "long").glob(f"*/{pattern}")
    return [file for file in files if not file.name.startswith(".")]


def second_part_has_a_step(base):
    """Whether one part is finished, and another has completed a step."""
    finished, begun = ({file.name.partition("-")[0] for file in work(base, name)} for name in ("*-body.*", "*.latents"))
    return bool(finished and begun - finished)

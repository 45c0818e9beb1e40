"""The stand-in for ``torchaudio.save`` in a pack's modules, with a torchaudio that can save nothing.

With the wrapper's own function and the real torchaudio: `test_predata`.
"""

import importlib
import inspect
import sys
import threading
from contextlib import nullcontext
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from sonic_guard.media.audio_file import load

torch = pytest.importorskip("torch")

WAVE = torch.tensor([[0.5, -1.5, 0.25]])
SOURCES = {
    "sonicfork.nodes": """
        import torchaudio
        from .helpers import store
        class Node:
            def work(self, path, wave, rate=8000, **more):
                torchaudio.save(path, wave, rate, **more)
            def indirectly(self, path, wave):
                store(path, wave, 8000)
            def elsewhere(self):
                return torchaudio.info("a"), torchaudio.functional
            def fails(self, error):
                raise error
            def does(self, what):
                return what()
            def meets(self, path, barrier, go):
                barrier.wait(); go.wait(); torchaudio.save(path, wave := __import__("torch").ones(1, 9), 8000)
    """,
    "sonicfork.helpers": """
        from torchaudio import save as put
        def store(path, wave, rate):
            put(path, wave, rate, format="WAV")
    """,
    "sonicforkother": """
        import torchaudio
        def save(*arguments):
            torchaudio.save(*arguments)
    """,
    "sonicfork_without": """
        class Node:
            def work(self, value):
                return value
    """,
}


@pytest.fixture
def torchaudio(monkeypatch):
    """One that remembers what it was to save, and raises an error that TorchCodec is missing."""
    module, asked = ModuleType("torchaudio"), []

    def save(uri, src, sample_rate, channels_first=True, format=None, **more):  # noqa: A002
        asked.append((uri, format, more))
        raise ImportError("TorchCodec is required for save_with_torchcodec.")

    module.save, module.asked = save, asked
    module.info, module.functional = lambda name: f"info of {name}", SimpleNamespace()
    monkeypatch.setitem(sys.modules, "torchaudio", module)
    return module


@pytest.fixture
def packs(torchaudio, monkeypatch, tmp_path):
    """Packs as ComfyUI loads them, and one whose name begins alike."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "sonicfork").mkdir()
    (tmp_path / "sonicfork" / "__init__.py").write_text("")
    for name, source in SOURCES.items():
        lines = source.strip("\n").splitlines()
        indent = len(lines[0]) - len(lines[0].lstrip())
        (tmp_path / (name.replace(".", "/") + ".py")).write_text("\n".join(line[indent:] for line in lines))
    importlib.invalidate_caches()
    yield SimpleNamespace(**{name.split(".")[-1]: importlib.import_module(name) for name in SOURCES})
    for name in [*SOURCES, "sonicfork"]:
        sys.modules.pop(name, None)


@pytest.fixture
def serve(pack):
    return importlib.import_module(f"{pack.__name__}.nodes.comfyui.torchaudio_save").saves_sound_here


@pytest.fixture
def errors(pack):
    return importlib.import_module(f"{pack.__name__}.sonic_guard.errors")


def names(packs):
    return packs.nodes.torchaudio, packs.helpers.put, packs.sonicforkother.torchaudio


@pytest.mark.parametrize("work", ["work", "indirectly"])
def test_the_sound_is_written_without_torchaudio_and_every_name_is_as_before(packs, torchaudio, serve, tmp_path, work):
    before = names(packs)
    serve(getattr(packs.nodes.Node(), work))(tmp_path / "a.wav", WAVE)
    sound = load(tmp_path / "a.wav")
    assert (sound.waveform.tolist(), sound.sample_rate) == (WAVE.tolist(), 8000)
    assert names(packs) == before
    assert before == (torchaudio, torchaudio.save, torchaudio)
    assert not torchaudio.asked


def test_served_twice_is_served_once(packs, torchaudio, serve, tmp_path):
    serve(serve(packs.nodes.Node.work))(packs.nodes.Node(), str(tmp_path / "a.wav"), WAVE)
    assert load(tmp_path / "a.wav").samples == 3
    assert packs.nodes.torchaudio is torchaudio


@pytest.mark.parametrize(
    ("wave", "more", "stored"),
    [
        (WAVE[0], {}, WAVE.tolist()),
        (WAVE.T, {"channels_first": False}, WAVE.tolist()),
        (WAVE.half(), {}, WAVE.tolist()),
        (WAVE.double().requires_grad_(), {"encoding": "PCM_S", "bits_per_sample": 16}, WAVE.tolist()),
        (WAVE.expand(5, 3), {"format": "wav"}, WAVE.expand(5, 3).tolist()),
    ],
)
def test_what_torchaudio_takes_is_taken(packs, serve, tmp_path, wave, more, stored):
    serve(packs.nodes.Node().work)(tmp_path / "a.wav", wave, **more)
    assert load(tmp_path / "a.wav").waveform.tolist() == stored


@pytest.mark.parametrize(
    ("wave", "message"),
    [
        (torch.ones(2, 1, 3), "audio: Sonic takes one sound at a time, and this is a batch of 2"),
        (torch.ones(1, 3, dtype=torch.int16), "must hold floating-point samples"),
        (torch.tensor([[0.0, float("nan")]]), "NaN or infinite samples"),
        (torch.ones(1, 0), "the sound is empty"),
    ],
)
def test_what_is_no_sound_is_reported(packs, serve, errors, tmp_path, wave, message):
    with pytest.raises(errors.AudioError, match=message):
        serve(packs.nodes.Node().work)(tmp_path / "a.wav", wave)
    assert not (tmp_path / "a.wav").exists()


def test_where_it_cannot_be_written_the_error_reports_what_to_do(packs, torchaudio, serve, errors, tmp_path):
    with pytest.raises(errors.OutputError, match="there is no folder"):
        serve(packs.nodes.Node().work)(tmp_path / "no" / "a.wav", WAVE)
    assert packs.nodes.torchaudio is torchaudio


def test_another_format_is_left_to_torchaudio(packs, torchaudio, serve, tmp_path):
    for name, more in (("a.flac", {}), ("b.wav", {"format": "mp3", "backend": "ffmpeg"})):
        with pytest.raises(ImportError, match="TorchCodec"):
            serve(packs.nodes.Node().work)(str(tmp_path / name), WAVE, **more)
    assert torchaudio.asked == [
        (str(tmp_path / "a.flac"), None, {}),
        (str(tmp_path / "b.wav"), "mp3", {"backend": "ffmpeg"}),
    ]


def test_everything_else_is_left_to_torchaudio(packs, torchaudio, serve):
    assert serve(packs.nodes.Node().elsewhere)() == ("info of a", torchaudio.functional)


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt()])
def test_an_error_or_cancel_leaves_nothing_replaced(packs, torchaudio, serve, error):
    with pytest.raises(type(error)):
        serve(packs.nodes.Node().fails)(error)
    assert names(packs) == (torchaudio, torchaudio.save, torchaudio)


def test_what_is_imported_meanwhile_is_put_back_too(packs, torchaudio, serve, monkeypatch):
    late = ModuleType("sonicfork.late")

    def work():
        late.torchaudio = packs.nodes.torchaudio
        monkeypatch.setitem(sys.modules, late.__name__, late)
        assert late.torchaudio is not torchaudio

    serve(packs.nodes.Node().does)(work)
    assert late.torchaudio is torchaudio


def test_a_name_that_was_given_another_meaning_meanwhile_keeps_it(packs, serve, monkeypatch):
    serve(packs.nodes.Node().does)(lambda: monkeypatch.setattr(packs.nodes, "torchaudio", "another pack's"))
    assert packs.nodes.torchaudio == "another pack's"


def test_modules_that_are_none_do_no_harm(packs, torchaudio, serve, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "sonicfork.gone", None)
    before = names(packs)
    serve(packs.nodes.Node().work)(tmp_path / "a.wav", WAVE)
    assert load(tmp_path / "a.wav").samples == WAVE.shape[-1]
    assert names(packs) == before


def test_other_packs_get_torchaudio_itself_meanwhile(packs, torchaudio, serve, tmp_path):
    start, go, path = threading.Barrier(2), threading.Event(), tmp_path / "a.wav"
    thread = threading.Thread(target=serve(packs.nodes.Node().meets), args=(path, start, go))
    thread.start()
    try:
        start.wait(10)
        assert packs.nodes.torchaudio is not torchaudio
        assert packs.sonicforkother.torchaudio is torchaudio
        with pytest.raises(ImportError, match="TorchCodec"):
            packs.sonicforkother.save(tmp_path / "b.wav", WAVE, 8000)
        with pytest.raises(ImportError, match="TorchCodec"):
            torchaudio.save(tmp_path / "b.wav", WAVE, 8000)
    finally:
        go.set()
        thread.join(10)
    assert load(path).samples == 9


@pytest.mark.parametrize("first", [0, 1])
def test_of_two_at_once_the_last_to_end_puts_things_back(packs, torchaudio, serve, tmp_path, first):
    start, events = threading.Barrier(3), [threading.Event(), threading.Event()]
    work = serve(packs.nodes.Node().meets)
    threads = [
        threading.Thread(target=work, args=(tmp_path / f"{number}.wav", start, event))
        for number, event in enumerate(events)
    ]
    for thread in threads:
        thread.start()
    start.wait(10)
    events[first].set()
    threads[first].join(10)
    assert packs.nodes.torchaudio is not torchaudio, "the other one still needs it"
    events[1 - first].set()
    threads[1 - first].join(10)
    assert names(packs) == (torchaudio, torchaudio.save, torchaudio)
    assert [np.ptp(load(tmp_path / f"{number}.wav").waveform) for number in (0, 1)] == [0, 0]


def test_a_fork_without_torchaudio_works_as_before(packs, serve):
    assert serve(packs.sonicfork_without.Node().work)(3) == 3


def test_without_any_torchaudio_it_works_as_before(packs, serve, monkeypatch):
    monkeypatch.delitem(sys.modules, "torchaudio")
    assert serve(packs.sonicfork_without.Node().work)(4) == 4


def test_a_node_that_is_instrumented_to_still_shows_its_inputs(pack):
    """Talking Head looks at them, to say which one a newer wrapper has no more."""

    class Predata:
        FUNCTION = "work"

        def work(self, audio, image=None):
            return audio, image

    classes = {"SONIC_PreData": Predata}
    importlib.import_module(f"{pack.__name__}.nodes.web_api.instrumentation").instrument(
        classes, lambda *_: nullcontext()
    )
    assert classes["SONIC_PreData"] is not Predata
    work = classes["SONIC_PreData"]().work
    assert list(inspect.signature(work).parameters) == ["audio", "image"]
    assert work(1, image=2) == (1, 2)

"""Lip sync of real files, with real codecs: measured and corrected. Only the time of the sound changes."""

import json
from fractions import Fraction
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from sonic_guard.cli.commands import main
from sonic_guard.errors import FootageError
from sonic_guard.finishing.lip_sync.confidence import Reason
from sonic_guard.finishing.lip_sync.correction import correction_for
from sonic_guard.finishing.lip_sync.film import STRETCH_S, STRETCHES, measure_film, sound_between, stretches_of
from sonic_guard.media.audio import Sound
from sonic_guard.media.video_writer import FFV1, Encoding, VideoWriter
from tests.support.talking_faces import Scene, Voice, frames, later, speak

SECONDS = 5.0
LATE_S = 0.12
WITHIN_MS = 15


VOICE = speak(Voice(), SECONDS)


@cache
def pictures() -> list[np.ndarray]:
    return list(frames(VOICE, Scene()))


def write(path: Path, sound: Sound | None, *, count: int | None = None, encoding: Encoding | None = None) -> Path:
    """A film of `VOICE`'s face."""
    with VideoWriter(path, Fraction(25), encoding or Encoding(crf=20), sound) as writer:
        for picture in pictures()[:count]:
            writer.write(picture[None])
    return path


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> Path:
    """H.264 and AAC in MP4; the sound is late."""
    return write(tmp_path_factory.mktemp("film") / "late.mp4", later(VOICE.sound, LATE_S))


def packets(path: Path, kind: str) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(container.streams.get({kind: 0})[0]) if packet.size]


def first_time_s(path: Path, kind: str) -> float:
    """Of the first decoded frame."""
    with av.open(str(path)) as container:
        frame: Any = next(container.decode(**{kind: 0}))
        return float(frame.pts * frame.time_base)


def onset_s(path: Path) -> float:
    """When the voice begins, on the clock of the pictures."""
    sound, start_s = sound_between(path, -5, 60)
    loud = np.abs(sound.waveform[0]) > 0.1 * np.abs(sound.waveform).max()
    return start_s + int(np.argmax(loud)) / sound.sample_rate


def remuxed(source: Path, target: Path, later_s: float) -> Path:
    """The packets of a film in MPEG-TS, all of them later."""
    with av.open(str(source)) as given, av.open(str(target), "w", format="mpegts") as made:
        streams = {stream.index: made.add_stream_from_template(stream) for stream in given.streams}
        for packet in given.demux():
            if packet.size and packet.dts is not None and packet.pts is not None:
                shift = round(later_s / packet.time_base)
                packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                packet.stream = streams[packet.stream.index]
                made.mux(packet)
    return target


def run(*arguments: object) -> None:
    assert main(["finish", "lipsync", *map(str, arguments)]) == 0


def test_a_file_is_measured(film):
    found = measure_film(film)
    assert found.found.offset_ms == pytest.approx(LATE_S * 1e3, abs=WITHIN_MS)
    assert found.found.confidence > 0.8
    assert not found.is_sampled
    assert found.measured_s == pytest.approx(SECONDS, abs=0.1)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
@pytest.mark.parametrize("late_s", [LATE_S, -LATE_S])
def test_a_corrected_copy(tmp_path, capsys, suffix, late_s):
    source = write(tmp_path / "source.mp4", later(VOICE.sound, late_s))
    before = source.read_bytes()
    target = tmp_path / f"corrected{suffix}"
    run(source, "--out", target, "--max-correction", 200, "--json")
    report = json.loads(capsys.readouterr().out)
    assert report["offset_ms"] == pytest.approx(late_s * 1e3, abs=WITHIN_MS)
    assert report["applied_ms"] == pytest.approx(-report["offset_ms"])
    assert (report["abstained"], report["reason"], report["is_copy"]) == (False, None, True)
    assert source.read_bytes() == before
    assert packets(target, "video") == packets(source, "video")
    assert set(packets(target, "audio")) <= set(packets(source, "audio"))
    assert first_time_s(target, "video") == 0
    assert onset_s(target) - onset_s(source) == pytest.approx(report["applied_ms"] / 1e3, abs=2e-3)
    assert measure_film(target).found.offset_ms == pytest.approx(0, abs=WITHIN_MS)


def test_pictures_that_cannot_be_copied_are_encoded_again(film, tmp_path, capsys):
    source = remuxed(film, tmp_path / "source.ts", 0)
    run(source, "--out", tmp_path / "out.mp4", "--max-correction", 200)
    assert "had to be encoded again" in capsys.readouterr().out
    assert len(packets(tmp_path / "out.mp4", "video")) == len(packets(film, "video"))
    assert measure_film(tmp_path / "out.mp4").found.offset_ms == pytest.approx(0, abs=WITHIN_MS)


def test_no_farther_than_the_limit(film, tmp_path, capsys):
    run(film, "--out", tmp_path / "out.mp4", "--json")
    assert json.loads(capsys.readouterr().out)["applied_ms"] == -50.0


def test_without_out_it_only_measures(film, capsys):
    run(film, "--json")
    report = json.loads(capsys.readouterr().out)
    assert set(report) == {"offset_ms", "drift_ppm", "confidence", "abstained", "reason", "applied_ms"}
    assert report["applied_ms"] == 0 and report["drift_ppm"] == 0
    assert list(film.parent.iterdir()) == [film]


def test_in_words(film, capsys):
    run(film)
    assert "ms late (confidence 9" in capsys.readouterr().out
    run(film, "--lang", "zh")
    assert "声音晚了" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        pytest.param(lambda path: write(path, None), Reason.NO_SOUND, id="no sound"),
        pytest.param(
            lambda path: write(path, Sound(np.zeros((1, 80_000), np.float32), 16_000)), Reason.SILENCE, id="silence"
        ),
        pytest.param(
            lambda path: write(path, VOICE.sound.part(16_000, 16_640), count=1), Reason.TOO_SHORT, id="one picture"
        ),
        pytest.param(
            lambda path: write(path, speak(Voice("tones", 210, 5.1, 77), SECONDS).sound),
            Reason.NO_MATCH, id="another voice",
        ),
    ],
)  # fmt: skip
def test_an_abstention_copies_the_file_as_it_is(tmp_path, capsys, make, reason):
    source, target = make(tmp_path / "source.mp4"), tmp_path / "out.mp4"
    run(source, "--out", target, "--json")
    report = json.loads(capsys.readouterr().out)
    assert report["abstained"] and report["offset_ms"] is None and report["applied_ms"] == 0
    assert report["reason"] == reason
    assert packets(target, "video") == packets(source, "video")


def test_the_clocks_of_pictures_and_sound_count(film, tmp_path):
    """Pictures that begin at 2 s, in MPEG-TS as cameras write it."""
    found = measure_film(remuxed(film, tmp_path / "moved.ts", 2)).found
    assert found.offset_ms == pytest.approx(LATE_S * 1e3, abs=WITHIN_MS)


def test_a_variable_frame_rate(tmp_path):
    """Pictures are left out, and the others keep their times."""
    path = tmp_path / "variable.mkv"
    sound = write(tmp_path / "sound.mkv", later(VOICE.sound, LATE_S), encoding=Encoding(FFV1.name))
    with av.open(str(sound)) as given, av.open(str(path), "w") as made:
        streams = {stream.index: made.add_stream_from_template(stream) for stream in given.streams}
        for number, packet in enumerate(given.demux()):
            if packet.size and (packet.stream.type == "audio" or number % 7 < 5):
                packet.stream = streams[packet.stream.index]
                made.mux(packet)
    found = measure_film(path)
    assert found.footage.variable
    assert found.found.offset_ms == pytest.approx(LATE_S * 1e3, abs=WITHIN_MS)


def test_a_torn_file_is_measured_as_far_as_it_goes_or_refused(film, tmp_path):
    torn = tmp_path / "torn.mkv"
    write(torn, later(VOICE.sound, LATE_S))
    torn.write_bytes(torn.read_bytes()[: int(torn.stat().st_size * 0.95)])
    assert measure_film(torn).found.offset_ms == pytest.approx(LATE_S * 1e3, abs=WITHIN_MS)
    (tmp_path / "torn.mp4").write_bytes(film.read_bytes()[:500])
    with pytest.raises(FootageError):
        measure_film(tmp_path / "torn.mp4")


def test_a_sound_without_pictures(tmp_path):
    path = tmp_path / "sound.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1600), np.int16), format="s16", layout="mono")
        frame.sample_rate = 16_000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(FootageError, match="there is no video"):
        measure_film(path)


@pytest.mark.parametrize("seconds", [0.01, 5.0, STRETCH_S * STRETCHES])
def test_a_short_film_is_measured_as_a_whole(seconds):
    assert stretches_of(seconds) == [(0.0, seconds)]


@pytest.mark.parametrize("seconds", [STRETCH_S * STRETCHES + 0.1, 900.0, 36_000.0])
def test_of_a_long_film_stretches_are_measured(seconds):
    found = stretches_of(seconds)
    assert len(found) == STRETCHES
    assert found[0][0] == 0 and found[-1][1] == pytest.approx(seconds)
    assert found[STRETCHES // 2] == pytest.approx((seconds / 2 - STRETCH_S / 2, seconds / 2 + STRETCH_S / 2))
    assert all(end <= begin for (_, end), (begin, _) in pairwise(found))


def test_a_part_of_the_sound_is_that_of_the_whole(film):
    whole, start_s = sound_between(film, -1, 60)
    part, part_start_s = sound_between(film, 3.0, 4.0)
    at = round((part_start_s - start_s) * whole.sample_rate)
    assert part_start_s <= 3.0 and part_start_s + part.duration_s >= 4.0
    inside = slice(2 * 1024, -1024)  # a decoder that begins in the middle needs a frame before it is right
    np.testing.assert_allclose(part.waveform[0, inside], whole.waveform[0, at : at + part.samples][inside], atol=1e-3)


def test_the_progress_reaches_the_end_and_a_check_stops_it(film):
    class StoppedError(Exception):
        pass

    shares: list[float] = []
    measure_film(film, notify=shares.append)
    assert shares == sorted(shares) and shares[-1] > 0.9

    def stop() -> None:
        raise StoppedError

    with pytest.raises(StoppedError):
        measure_film(film, check=stop)


def test_the_limit_is_checked(film, capsys):
    assert main(["finish", "lipsync", str(film), "--max-correction", "900"]) != 0
    assert "not between 0 and 500" in capsys.readouterr().err
    found = measure_film(film).found
    assert correction_for(found, 0.0).applied_ms == 0

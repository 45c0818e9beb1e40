"""File to file through filters: every picture at its time, the sound untouched, resumed where it was stopped."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from sonic_guard.errors import FinishError, FootageError, OutputError
from sonic_guard.finishing.frames import Frame, before_of, settings_of
from sonic_guard.finishing.pipeline import FinishRequest, finish
from sonic_guard.media.footage import open_footage, shots
from sonic_guard.media.video_writer import Encoding
from tests.support.footage_files import number_of, numbered, packets, seconds, write


@dataclass(frozen=True)
class Same:
    """Changes nothing."""

    before: int = 0
    after: int = 0
    multiple: int = 1

    def size(self, width: int, height: int) -> tuple[int, int]:
        return width, height

    def run(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        yield from frames


@dataclass(frozen=True)
class Mirrored(Same):
    """Turns the picture `shift` before it left to right; the first ones are their own."""

    before: int = 3

    def run(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        held: list[Frame] = []
        for frame in frames:
            held = [*held, frame][-self.before - 1 :]
            yield np.ascontiguousarray(held[0][:, ::-1])


@dataclass(frozen=True)
class Twice(Same):
    """Each picture, and the mean of it and the next one."""

    multiple: int = 2
    after: int = 1

    def run(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        last = None
        for frame in frames:
            if last is not None:
                yield last
                yield ((last.astype(int) + frame) // 2).astype(np.uint8)
            last = frame
        if last is not None:
            yield last
            yield last.copy()


def numbers(path: Path) -> list[int]:
    return [number_of(shot.picture) for shot in shots(open_footage(path))]


def finished(source: Path, target: Path, *filters: object, **more: object) -> object:
    return finish(FinishRequest(source, filters, **more), target, source.parent / "work")  # type: ignore[arg-type]


FAST = Encoding(crf=10, preset="ultrafast")


@pytest.mark.parametrize("sound", ["aac", "libmp3lame", "flac"])
def test_sound_packets_are_copied(tmp_path: Path, sound: str) -> None:
    source = write(tmp_path / "in.mp4", 60, sound=sound)
    result = finished(source, tmp_path / "out.mp4", Mirrored(), encoding=FAST)
    assert packets(tmp_path / "out.mp4", "audio") == packets(source, "audio")
    assert seconds(tmp_path / "out.mp4", "audio") == pytest.approx(seconds(source, "audio"), abs=1e-4)
    assert (result.frames, result.changed, result.sound_encoded_again) == (60, 60, ())


def test_sound_that_the_file_cannot_hold_is_encoded_again(tmp_path: Path) -> None:
    source = write(tmp_path / "in.mkv", 60, sound="pcm_s16le")
    result = finished(source, tmp_path / "out.mp4", Mirrored(), encoding=FAST)
    assert result.sound_encoded_again == ("pcm_s16le",)
    with av.open(str(tmp_path / "out.mp4")) as container:
        length = sum(frame.samples for frame in container.decode(audio=0))
    assert length == pytest.approx(60 / 25 * 16_000, rel=0.05)


def test_every_track_and_tag_is_kept(tmp_path: Path) -> None:
    source = write(tmp_path / "in.mp4", 30, tracks=2, tags={"workflow": '{"nodes": []}', "title": "春"})
    finished(source, tmp_path / "out.mp4", Mirrored(), encoding=FAST)
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert len(container.streams.audio) == 2
        assert (container.metadata["workflow"], container.metadata["title"]) == ('{"nodes": []}', "春")


def test_what_no_filter_changes_is_copied(tmp_path: Path) -> None:
    source = write(tmp_path / "in.mp4", 130)
    result = finished(source, tmp_path / "out.mp4", Same(), Same(before=5), encoding=FAST)
    assert (result.is_copy, result.changed, result.frames) == (True, 0, 130)
    assert packets(tmp_path / "out.mp4", "video") == packets(source, "video")
    assert seconds(tmp_path / "out.mp4", "video") == pytest.approx(seconds(source, "video"))


@pytest.mark.parametrize("shift_ms", [-40, -7.5, 0, 23, 400])
def test_the_sound_moves_and_the_pictures_do_not(tmp_path: Path, shift_ms: float) -> None:
    source = write(tmp_path / "in.mp4", 50)
    finished(source, tmp_path / "out.mp4", sound_shift_s=shift_ms / 1000)
    assert packets(tmp_path / "out.mp4", "video") == packets(source, "video")
    assert packets(tmp_path / "out.mp4", "audio") == packets(source, "audio")
    assert seconds(tmp_path / "out.mp4", "video")[0] == 0
    moved = np.subtract(seconds(tmp_path / "out.mp4", "audio"), seconds(source, "audio"))
    assert moved == pytest.approx(shift_ms / 1000, abs=1e-3)


@pytest.mark.parametrize(
    ("name", "rate"), [("a.mp4", 25), ("b.mkv", Fraction(30_000, 1001)), ("c.mov", 24), ("d.avi", Fraction(25, 2))]
)
def test_every_picture_keeps_its_time(tmp_path: Path, name: str, rate: Fraction) -> None:
    source = write(tmp_path / name, 130, rate=rate, sound="aac" if name != "d.avi" else "pcm_s16le")
    finished(source, tmp_path / "out.mp4", Mirrored(before=0), encoding=FAST)
    assert numbers(tmp_path / "out.mp4") == [number_of(numbered(index)[:, ::-1]) for index in range(130)]
    assert seconds(tmp_path / "out.mp4", "video") == pytest.approx([float(n / rate) for n in range(130)], abs=6e-4)


def test_a_variable_frame_rate_stays_as_it_is(tmp_path: Path) -> None:
    times = np.cumsum([0, *np.random.default_rng(1).integers(10, 90, 119)]).tolist()
    source = write(tmp_path / "in.mkv", 120, times=times, time_base=Fraction(1, 1000), sound="")
    footage = open_footage(source)
    assert footage.variable
    assert [moment - footage.moments[0] for moment in footage.moments] == times
    finished(source, tmp_path / "out.mp4", Mirrored(), encoding=FAST)
    assert seconds(tmp_path / "out.mp4", "video") == pytest.approx(np.array(times) / 1000, abs=1e-4)


def test_added_pictures_are_between_their_neighbours(tmp_path: Path) -> None:
    times = [0, 80, 160, 300, 380]
    source = write(tmp_path / "in.mkv", 5, times=times, time_base=Fraction(1, 1000), sound="")
    result = finished(source, tmp_path / "out.mp4", Twice(), encoding=FAST)
    wanted = [0, 40, 80, 120, 160, 230, 300, 340, 380, 420]
    assert seconds(tmp_path / "out.mp4", "video") == pytest.approx(np.array(wanted) / 1000, abs=1e-4)
    assert (result.frames, result.changed) == (10, 5)


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_a_picture_that_is_shown_turned_is_turned(tmp_path: Path, rotation: int) -> None:
    source = write(tmp_path / "in.mp4", 3, rotation=rotation)
    footage = open_footage(source)
    assert footage.rotation == rotation
    assert (footage.width, footage.height) == ((48, 64) if rotation % 180 else (64, 48))
    upright = next(shots(footage)).picture
    assert np.abs(upright.astype(int) - np.rot90(numbered(0), rotation // 90)).mean() < 2
    finished(source, tmp_path / "copy.mp4", Same())
    assert open_footage(tmp_path / "copy.mp4").rotation == rotation, "of a copy the tag is kept"
    finished(source, tmp_path / "out.mp4", Mirrored(before=0), encoding=FAST)
    result = open_footage(tmp_path / "out.mp4")
    assert (result.rotation, result.width, result.height) == (0, footage.width, footage.height)


@pytest.mark.parametrize("size", [(63, 47), (1, 1), (2, 1), (65, 48)])
def test_odd_sizes_lose_nothing(tmp_path: Path, size: tuple[int, int]) -> None:
    source = write(tmp_path / "in.mkv", 3, size=size, codec="ffv1", pixels="bgr0", sound="")
    result = finished(source, tmp_path / "out.mp4", Mirrored(before=0), encoding=FAST)
    made = open_footage(tmp_path / "out.mp4")
    assert (made.width, made.height) == tuple(side + side % 2 for side in size)
    assert (result.width, result.height) == size


STOP = RuntimeError("stopped")


@pytest.mark.parametrize("at", [1, 99, 101, 250, 299])
def test_a_run_that_was_stopped_gives_the_same_file(tmp_path: Path, at: int) -> None:
    source = write(tmp_path / "in.mp4", 300)
    request = FinishRequest(source, (Mirrored(before=7), Twice()), FAST)
    finish(request, tmp_path / "whole.mp4", tmp_path / "work")
    shares = []

    def stop_at(event: object) -> None:
        shares.append(event.share)
        if len(shares) == at * 2:
            raise STOP

    with pytest.raises(RuntimeError, match="stopped"):
        finish(request, tmp_path / "out.mp4", tmp_path / "work", notify=stop_at)
    assert not (tmp_path / "out.mp4").exists()
    result = finish(request, tmp_path / "out.mp4", tmp_path / "work")
    assert result.kept == at // 100 * 200
    assert (tmp_path / "out.mp4").read_bytes() == (tmp_path / "whole.mp4").read_bytes()
    assert not list((tmp_path / "work").glob("?" * 16)), "unfinished work is removed"


def test_a_damaged_segment_is_made_again(tmp_path: Path) -> None:
    source = write(tmp_path / "in.mp4", 250)
    request = FinishRequest(source, (Mirrored(),), FAST)
    finish(request, tmp_path / "whole.mp4", tmp_path / "work")

    def stop(event: object) -> None:
        if event.share > 0.9:
            raise STOP

    with pytest.raises(RuntimeError, match="stopped"):
        finish(request, tmp_path / "out.mp4", tmp_path / "work", notify=stop)
    [second] = (tmp_path / "work").glob("*/000001.mp4")
    second.write_bytes(second.read_bytes()[:-7] + b"torn...")
    assert finish(request, tmp_path / "out.mp4", tmp_path / "work").kept == 100
    assert (tmp_path / "out.mp4").read_bytes() == (tmp_path / "whole.mp4").read_bytes()


def test_contexts_add_up() -> None:
    assert before_of([Mirrored(before=3), Twice(), Mirrored(before=3)]) == 5  # type: ignore[list-item]
    assert settings_of(Mirrored()) == ["Mirrored", {"before": 3, "after": 0, "multiple": 1}]


def refusal(error: type[Exception], source: Path, target: Path, *filters: object, **more: object) -> str:
    before = source.read_bytes() if source.is_file() else None
    with pytest.raises(error) as caught:
        finished(source, target, *filters, **more)
    assert (source.read_bytes() if source.is_file() else None) == before, "the input is never touched"
    assert str(source.parent) not in str(caught.value)
    return str(caught.value)


def test_what_cannot_be_finished_is_refused(tmp_path: Path) -> None:
    good = write(tmp_path / "good.mp4", 10)
    out = tmp_path / "out.mp4"
    (tmp_path / "text.mp4").write_text("#EXTM3U\nhttp://example.com/a.ts\n")
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "torn.mp4").write_bytes(good.read_bytes()[: len(good.read_bytes()) // 2])
    assert "no such file" in refusal(FootageError, tmp_path / "none.mp4", out, Same())
    assert "cannot be read as a video" in refusal(FootageError, tmp_path / "text.mp4", out, Same())
    assert "empty" in refusal(FootageError, tmp_path / "empty.mp4", out, Same())
    assert "damaged" in refusal(FootageError, tmp_path / "torn.mp4", out, Same())
    assert "a folder" in refusal(FootageError, tmp_path, out, Same())
    assert "source itself" in refusal(FinishError, good, good, Same())
    assert "suffix" in refusal(FinishError, good, tmp_path / "out.gif", Same())
    assert ".mkv files" in refusal(FinishError, good, out, Same(), encoding=Encoding("ffv1"))
    assert "no folder" in refusal(OutputError, good, tmp_path / "none" / "out.mp4", Same())
    out.touch()
    assert "file of that name" in refusal(OutputError, good, out, Same())


def test_a_folder_that_is_not_there_is_not_created(tmp_path: Path) -> None:
    source = write(tmp_path / "in.mp4", 3)
    with pytest.raises(OutputError, match="no folder"):
        finish(FinishRequest(source), tmp_path / "none" / "out.mp4", tmp_path / "none" / "work")
    assert not (tmp_path / "none").exists()


def test_hdr_is_refused(tmp_path: Path) -> None:
    source = write(tmp_path / "in.mp4", 3, pixels="yuv420p10le", color_trc=16, color_primaries=9, colorspace=9)
    assert "HDR (PQ)" in refusal(FootageError, source, tmp_path / "out.mp4", Same())


def test_a_file_without_pictures_is_refused(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "in.mp4"), "w") as container:
        voice = container.add_stream("aac", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16_000), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16_000
        container.mux([*voice.encode(frame), *voice.encode(None)])
    assert "no video" in refusal(FootageError, tmp_path / "in.mp4", tmp_path / "out.mp4", Same())


def test_a_video_of_one_picture_works(tmp_path: Path) -> None:
    source = write(tmp_path / "in.mp4", 1, sound="")
    assert finished(source, tmp_path / "out.mp4", Twice(), encoding=FAST).frames == 2
    assert all(a < b for a, b in pairwise(seconds(tmp_path / "out.mp4", "video")))

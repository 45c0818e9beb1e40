"""The real loop over parts, with a fast stand-in for Sonic: order, resume, interrupts, and recovery from running out
of memory. What a finished video shows can be read off its frames (see `numbered_frames`)."""

import gc
import logging
import os
import re
import weakref
from dataclasses import replace
from functools import partial
from pathlib import Path

import av
import numpy as np
import pytest

from sonic_guard.errors import JobError, NoFallbackLeftError, OutputError, WrapperError
from sonic_guard.job import Job
from sonic_guard.long_video.finished_file import check_finished
from sonic_guard.long_video.rendering import FallbackEnabled, Joining, PartKept, Progress, run
from sonic_guard.media.audio_file import load
from sonic_guard.media.video_file import frames, verify
from sonic_guard.media.video_writer import Encoding, VideoWriter
from sonic_guard.planning.selection import STREAMED
from sonic_guard.resume.work_folder import sweep
from tests.support.numbered_frames import RATE, SIDE, digest, draw, make_part, order, read
from tests.support.numbered_runs import CancelError, age, interrupt_in_part, made_parts, video_of

STAGES = ("predata", "denoise", "decode", "interpolate", "at the last frame")
CUDA_MESSAGE = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 7.78 GiB"


@pytest.fixture(scope="module")
def calm(tmp_path_factory):
    """The undisturbed video of 300 latent frames in three parts: its digest."""
    folder = tmp_path_factory.mktemp("calm")
    return digest(run(order(300), make_part, folder / "video.mkv", folder / "work").path)


@pytest.mark.parametrize("interpolate", [True, False])
@pytest.mark.parametrize(("latent_frames", "parts"), [(60, 1), (150, 1), (151, 2), (300, 3), (700, 6)])
def test_every_moment_is_shown_once(tmp_path, latent_frames, parts, interpolate):
    asked = order(latent_frames, interpolate)
    done = run(asked, partial(make_part, interpolate=interpolate), tmp_path / "video.mkv", tmp_path / "work")
    assert (done.parts, done.kept, done.optimizations) == (parts, 0, ())
    assert done.info == verify(done.path) == (asked.job.output_frames, asked.fps)
    shown = list(frames(done.path))
    assert [read(picture) for picture in shown] == list(range(asked.job.output_frames))
    assert all(np.array_equal(picture, draw(moment)) for moment, picture in enumerate(shown)), "a seam shows"
    decoded = load(done.path).waveform
    wanted = asked.sound.waveform[:, : round(asked.job.output_s * RATE)]
    assert np.allclose(decoded, wanted, atol=2**-23)
    assert decoded.shape == wanted.shape


def test_in_mp4_every_moment_is_shown_once_too(tmp_path):
    done = run(order(300, kind="h264"), make_part, tmp_path / "video.mp4", tmp_path / "work")
    assert [read(picture) for picture in frames(done.path)] == list(range(599))


def test_nothing_is_left_but_the_video(tmp_path):
    run(order(300), make_part, tmp_path / "video.mkv", tmp_path / "work")
    assert sorted(path.name for path in tmp_path.rglob("*")) == [".lock", "video.mkv", "work"]


def test_progress_goes_from_nothing_to_all(tmp_path):
    events, now = [], iter(range(10_000))
    run(
        order(300), make_part, tmp_path / "video.mkv", tmp_path / "work",
        notify=events.append, clock=lambda: float(next(now)),
    )  # fmt: skip
    joined = [event.share for event in events if isinstance(event, Joining)]
    assert joined == [frames / 599 for frames in range(600)]
    assert events[-600] == Joining(0), "what is joined is finished"
    del events[-600:]
    shares = [event.share for event in events]
    assert shares == sorted(shares)
    assert 0 < shares[0] < 0.1
    assert shares[-1] == 1
    assert {event.part for event in events} == {0, 1, 2}
    for event, passed in zip(events, range(1, 10_000), strict=False):
        assert event.seconds_left == pytest.approx(passed * (1 - event.share) / event.share)


def test_time_left_counts_only_what_this_run_made(tmp_path):
    interrupt_in_part(2, tmp_path)
    events, now = [], iter(range(10_000))
    run(
        order(300), make_part, tmp_path / "video.mkv", tmp_path / "work",
        notify=events.append, clock=lambda: float(next(now)),
    )  # fmt: skip
    assert events[:2] == [PartKept(0), PartKept(1)]
    first, *_, last = [event for event in events if isinstance(event, Progress)]
    assert 0.6 < first.share < 0.8
    assert first.seconds_left == pytest.approx(4, abs=0.01), "one second for a fifth of the one part to make"
    assert last == Progress(2, 3, 1.0, 0.0)


@pytest.mark.parametrize("index", [0, 1, 2])
def test_after_an_interrupt_the_finished_parts_are_kept(tmp_path, calm, index):
    interrupt_in_part(index, tmp_path)
    assert not (tmp_path / "video.mkv").exists()
    assert not list(tmp_path.rglob("*.part")), "half a file is left"
    assert made_parts(tmp_path) == [0, 1, 2][index:]
    assert digest(tmp_path / "video.mkv") == calm


def test_an_interrupt_comes_between_any_two_steps(tmp_path, calm):
    """Cancelled at the first, second, third … moment it can be, each run leaves what the next one can use."""
    for moment in (*range(1, 40), *range(40, 2000, 41)):
        left = iter(range(moment))

        def check(left=left):
            if next(left, None) is None:
                raise CancelError

        try:
            run(order(300), make_part, tmp_path / "video.mkv", tmp_path / "work", check=check)
        except CancelError:
            continue
        break
    assert moment > 500, "there are hardly any moments"
    assert digest(tmp_path / "video.mkv") == calm


@pytest.mark.parametrize("kind", ["ffv1", "h264"])
@pytest.mark.parametrize("share", [0, 0.5, 1])
def test_joining_can_be_cancelled(tmp_path, kind, share):
    def cancel(event):
        if isinstance(event, Joining) and event.share >= share:
            raise CancelError

    target = tmp_path / "video.mkv"
    with pytest.raises(CancelError):
        run(order(300, kind=kind), make_part, target, tmp_path / "work", notify=cancel)
    assert [path.name for path in tmp_path.iterdir()] == ["work"], "half a video is left"
    assert made_parts(tmp_path, kind=kind) == []
    assert [read(picture) for picture in frames(target)] == list(range(599))


def test_a_seam_can_be_cancelled(tmp_path, calm):
    """While all parts are there and none of the frames has gone to the video."""
    events = []

    def check():
        if events[-1:] == [Joining(0)]:
            raise CancelError

    with pytest.raises(CancelError):
        run(order(300), make_part, tmp_path / "video.mkv", tmp_path / "work", notify=events.append, check=check)
    assert not list(tmp_path.rglob("*.part")), "half a seam is left"
    assert made_parts(tmp_path) == []
    assert digest(tmp_path / "video.mkv") == calm


def test_looking_at_what_is_kept_can_be_cancelled(tmp_path, monkeypatch):
    """SHA-256 of the lossless parts of an hour takes minutes."""
    interrupt_in_part(1, tmp_path)
    monkeypatch.setattr("sonic_guard.resume.manifest._BLOCK_BYTES", 1 << 10)
    checks = []
    with pytest.raises(CancelError):
        run(order(300), must_not_run, tmp_path / "video.mkv", tmp_path / "work", check=lambda: many(checks))
    assert len(checks) == 20
    assert made_parts(tmp_path) == [1, 2]


def test_a_part_is_kept_however_late_it_is_cancelled(tmp_path):
    """At the first moment at which its file is whole."""

    def check():
        if list(tmp_path.rglob("[0-9a-f]*-body.mkv")):
            raise CancelError

    with pytest.raises(CancelError):
        run(order(300), make_part, tmp_path / "video.mkv", tmp_path / "work", check=check)
    assert made_parts(tmp_path) == [1, 2]


def many(checks):
    checks.append(1)
    if len(checks) == 20:
        raise CancelError


def test_what_the_encoder_refuses_is_known_before_the_work(tmp_path):
    asked = order(60, kind="h264")
    wide = replace(asked, job=replace(asked.job, width=257 * SIDE))
    with pytest.raises(OutputError, match=r"h264 takes no pictures of 16448×64 .*Choose another \(ffv1, prores"):
        run(wide, must_not_run, tmp_path / "video.mp4", tmp_path / "work")
    assert not list(tmp_path.iterdir())


def must_not_run(task, emit, tick):
    raise AssertionError


def test_other_content_uses_nothing_of_it(tmp_path):
    interrupt_in_part(2, tmp_path)
    assert made_parts(tmp_path, weights="others") == [0, 1, 2]


def spoil_bytes(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)


@pytest.mark.parametrize(
    "spoil",
    [
        spoil_bytes,
        Path.unlink,
        lambda path: path.write_bytes(path.read_bytes()[:-100]),
        lambda path: path.write_text(""),
    ],
    ids=["a flipped byte", "gone", "cut off", "empty"],
)
@pytest.mark.parametrize("role", ["head", "body", "tail"])
def test_a_part_that_is_not_whole_is_made_again(tmp_path, calm, role, spoil, caplog):
    interrupt_in_part(2, tmp_path)
    asked = order(300)
    (file,) = tmp_path.glob(f"work/*/{asked.part_keys[1][:16]}-{role}.mkv")
    spoil(file)
    with caplog.at_level(logging.WARNING):
        assert made_parts(tmp_path) == [1, 2]
    assert "part 2 is made again" in caplog.text
    assert digest(tmp_path / "video.mkv") == calm


def test_a_spoilt_list_costs_the_parts_and_nothing_else(tmp_path, calm):
    interrupt_in_part(2, tmp_path)
    (manifest,) = tmp_path.glob("work/*/manifest.json")
    manifest.write_text("{")
    assert made_parts(tmp_path) == [0, 1, 2]
    assert digest(tmp_path / "video.mkv") == calm


def test_abandoned_work_is_removed_when_it_is_found_old_twice(tmp_path):
    work = tmp_path / "work"
    interrupt_in_part(2, tmp_path)
    (folder,) = work.glob("*/")
    (work / "mine").mkdir()
    killed = work / ("0123" * 4)  # before its first part was finished
    killed.mkdir()
    (killed / ".body.part").touch()
    for left in ({folder, killed}, {folder}):
        age(work)
        (folder / "manifest.json").touch()
        for _ in range(3):  # soon after each other
            sweep(work, days=14)
            assert {*work.glob("*/")} == {*left, work / "mine"}
    for left in ({folder}, set()):
        age(work)
        sweep(work, days=14)
        assert {*work.glob("*/")} == {*left, work / "mine"}
    assert {path.name for path in work.iterdir()} == {".lock", "mine"}


@pytest.mark.parametrize("days", [-3650, -15, 15, 3650])
def test_a_clock_that_is_wrong_for_a_while_costs_no_part(tmp_path, days):
    """With a clock that is ahead, all files seem older."""
    interrupt_in_part(2, tmp_path)
    for ahead in (days, -days):
        for path in (tmp_path / "work").rglob("*"):
            stamp = path.stat().st_mtime - ahead * 86_400
            os.utime(path, (stamp, stamp))
        for _ in range(3):
            sweep(tmp_path / "work", days=14)
    assert made_parts(tmp_path) == [2]


def test_a_resumed_run_restarts_the_waiting_time(tmp_path):
    interrupt_in_part(1, tmp_path)
    age(tmp_path / "work")
    sweep(tmp_path / "work", days=14)
    interrupt_in_part(2, tmp_path)
    age(tmp_path / "work")
    sweep(tmp_path / "work", days=14)
    assert made_parts(tmp_path) == [2]


def test_what_a_run_is_using_is_not_swept_away(tmp_path, calm):
    def look(event):
        for _ in range(2):
            age(tmp_path / "work")
            sweep(tmp_path / "work", days=14)

    done = run(order(300), make_part, tmp_path / "video.mkv", tmp_path / "work", notify=look)
    assert digest(done.path) == calm


class Immovable:
    """Stands for files that another program holds open, as on Windows, or that a network drive keeps."""

    def __init__(self, monkeypatch):
        def rmtree(folder):
            raise PermissionError(13, "The process cannot access the file because it is being used", str(folder))

        monkeypatch.setattr("sonic_guard.atomic_files.shutil.rmtree", rmtree)


def test_what_cannot_be_cleared_away_costs_no_video(tmp_path, monkeypatch, caplog, calm):
    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
        Immovable(patch)
        done = run(order(300), make_part, tmp_path / "video.mkv", tmp_path / "work")
    assert digest(done.path) == calm
    assert "is no longer needed and cannot be removed" in caplog.text


def test_what_cannot_be_removed_stops_no_run(tmp_path, monkeypatch, caplog):
    interrupt_in_part(2, tmp_path)
    (tmp_path / "work" / ("4567" * 4)).touch()  # a user's file
    age(tmp_path / "work")
    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
        Immovable(patch)
        for _ in range(2):
            sweep(tmp_path / "work", days=14)
            age(tmp_path / "work")
    assert "is no longer needed and cannot be removed" in caplog.text
    assert made_parts(tmp_path) == [2]


def with_less(name: str):
    """Remove the last three frames of the file `name`, without a change in the list of parts."""

    def shorten(folder):
        (path,) = folder.glob(name)
        left = list(frames(path))[:-3]
        with VideoWriter(path, order(300).fps, Encoding("ffv1"), overwrite=True, faststart=False) as video:
            video.write(np.stack(left))

    return shorten


def test_success_is_reported_of_the_frames_that_were_ordered_only(tmp_path, calm):
    """Frames of a finished part disappear after it was checked and before all are joined."""
    third = order(300).part_keys[2][:16]
    shorten = with_less(f"work/*/{third}-body.mkv")

    def notify(event):
        if event == Joining(0):
            shorten(tmp_path)

    with pytest.raises(OutputError, match=r"had 596 frames and 23\.84 s of sound, but 599 frames, 23\.96 s"):
        run(order(300), make_part, tmp_path / "video.mkv", tmp_path / "work", notify=notify)
    assert [path.name for path in tmp_path.iterdir()] == ["work"], "a wrong video has the video's name"
    assert made_parts(tmp_path) == [2]
    assert digest(tmp_path / "video.mkv") == calm


def with_sound_of(pictures: Path, other: Path, path: Path) -> Path:
    """The pictures of one video and the sound of another, copied."""
    with av.open(str(pictures)) as first, av.open(str(other)) as second, av.open(str(path), "w") as container:
        sources = (first, first.streams.video[0]), (second, second.streams.audio[0])
        copies = [container.add_stream_from_template(stream, opaque=True) for _, stream in sources]
        for (source, stream), copy in zip(sources, copies, strict=True):
            for packet in source.demux(stream):
                if packet.size:
                    packet.stream = copy
                    container.mux(packet)
    return path


@pytest.mark.parametrize("kind", ["ffv1", "h264", "prores"])
@pytest.mark.parametrize("rate", [8_000, 44_100, 96_000])
def test_the_sound_of_a_finished_file_is_as_long_as_its_pictures(tmp_path, kind, rate):
    asked = order(30, kind=kind)
    suffix = asked.encoding.kind.suffix
    right = video_of(tmp_path / f"right{suffix}", asked.encoding, 59, rate)
    check_finished(59, asked.fps, right, right)
    for count in (12, 50, 68, 100):
        other = video_of(tmp_path / f"other{suffix}", asked.encoding, count, rate)
        wrong = with_sound_of(right, other, tmp_path / f"wrong{suffix}")
        with pytest.raises(OutputError, match=rf"59 frames and {count / 25:.2f} s of sound"):
            check_finished(59, asked.fps, wrong, wrong)
    with pytest.raises(OutputError, match=r"59 frames and 0\.00 s of sound"):
        check_finished(59, asked.fps, video_of(tmp_path / f"mute{suffix}", asked.encoding, 59, None), right)


def failing(stage: str, part: int, times: int, error=lambda: RuntimeError(CUDA_MESSAGE)):
    """A stand-in that runs out of memory in `stage` of `part`, `times` times; and its calls' optimizations."""
    called = []

    def make(task, emit, tick):
        called.append((task.part.index, task.optimizations))
        hit = task.part.index == part and sum(index == part for index, _ in called) <= times

        def stop(here):
            if hit and stage == here:
                raise error()

        stop("predata")
        taken = 0

        def step(share):
            tick(share)
            if share > 0.3:
                stop("denoise")

        def take(group):
            nonlocal taken
            if taken:
                stop("decode")
            if taken > task.part.made // 2:
                stop("interpolate")
            emit(group)
            taken += len(group)
            if taken == task.part.made:
                stop("at the last frame")

        make_part(task, take, step)

    return make, called


@pytest.mark.parametrize("part", [0, 1, 2])
@pytest.mark.parametrize("stage", STAGES)
def test_out_of_memory_enables_one_optimization_and_changes_nothing_else(tmp_path, calm, stage, part):
    make, called = failing(stage, part, times=2)
    events = []
    done = run(
        order(300), make, tmp_path / "video.mkv", tmp_path / "work",
        fallbacks=("sequential_cfg", "layer_chunking", "smaller groups"), notify=events.append,
    )  # fmt: skip
    assert digest(done.path) == calm
    assert done.optimizations == ("sequential_cfg", "layer_chunking")
    optimizations = {index: [enabled for at, enabled in called if at == index] for index in range(3)}
    for index in range(3):
        after = ("sequential_cfg", "layer_chunking")
        wanted = [()] if index < part else [after] if index > part else [(), ("sequential_cfg",), after]
        assert optimizations[index] == wanted
    enabled = [event for event in events if isinstance(event, FallbackEnabled)]
    assert enabled == [
        FallbackEnabled(part, "sequential_cfg", CUDA_MESSAGE),
        FallbackEnabled(part, "layer_chunking", CUDA_MESSAGE),
    ]


def torch_error():
    torch = pytest.importorskip("torch")
    return torch.OutOfMemoryError(CUDA_MESSAGE)


@pytest.mark.parametrize(
    "error",
    [
        torch_error,
        lambda: RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        lambda: RuntimeError("HIP out of memory. Tried to allocate 20.00 MiB"),
        lambda: RuntimeError("MPS backend out of memory (MPS allocated: 17.9 GB)"),
    ],
    ids=["torch", "cuDNN", "HIP", "MPS"],
)
def test_every_runtime_s_words_are_understood(tmp_path, error):
    make, _ = failing("denoise", 0, times=1, error=error)
    done = run(order(60), make, tmp_path / "video.mkv", tmp_path / "work", fallbacks=("sequential_cfg",))
    assert done.optimizations == ("sequential_cfg",)


def test_with_no_optimization_left_it_ends_and_keeps_what_is_finished(tmp_path, calm):
    make, called = failing("decode", 2, times=9)
    with pytest.raises(NoFallbackLeftError) as caught:
        run(order(300), make, tmp_path / "video.mkv", tmp_path / "work", fallbacks=("sequential_cfg",))
    assert [index for index, _ in called] == [0, 1, 2, 2]
    for words in ("part 3 of 3", "The 2 before it are kept", "lower min_resolution", CUDA_MESSAGE):
        assert words in str(caught.value)
    assert made_parts(tmp_path) == [2]
    assert digest(tmp_path / "video.mkv") == calm


@pytest.mark.parametrize(
    ("optimizations", "fallbacks", "seconds", "ways"),
    [
        (STREAMED, (), 3600.0, "lower min_resolution, or choose parts shorter than 3600 s. ("),
        (
            STREAMED,
            ("tensor_offload", "sequential_cfg", "stream_weights", "feed_forward_chunking", "layer_chunking"),
            60.0,
            "lower min_resolution. (",
        ),
    ],
)
def test_what_is_advised_would_help(tmp_path, optimizations, fallbacks, seconds, ways):
    """Where window and weights decide, shorter parts would be of no use."""
    make, _ = failing("predata", 0, times=9)
    asked = order(60)
    long = replace(asked, job=Job(512, 512, seconds, optimizations=optimizations, to_file=True), longest=None)
    with pytest.raises(NoFallbackLeftError, match=re.escape(f"If that does not help, {ways}")):
        run(long, make, tmp_path / "video.mkv", tmp_path / "work", fallbacks=fallbacks)


def test_in_one_pass_there_is_nothing_to_keep(tmp_path):
    make, _ = failing("decode", 0, times=9)
    with pytest.raises(NoFallbackLeftError, match=r"part 1 of 1, with every memory optimization enabled\. Close"):
        run(order(60), make, tmp_path / "video.mkv", tmp_path / "work")


def test_memory_is_given_back_before_the_next_attempt(tmp_path):
    """The failed attempt's tensors live in the frames of its calls, and the error holds those."""

    class Tensor:
        pass

    held = []

    def make(task, emit, tick):
        if not task.optimizations:
            tensor = Tensor()
            tensor.itself = tensor
            held.append(weakref.ref(tensor))
            raise RuntimeError(CUDA_MESSAGE)
        assert held[0]() is None
        make_part(task, emit, tick)

    gc.disable()
    try:
        run(order(60), make, tmp_path / "video.mkv", tmp_path / "work", fallbacks=("sequential_cfg",))
    finally:
        gc.enable()
    assert len(held) == 1


@pytest.mark.parametrize("error", [RuntimeError("shapes do not match"), MemoryError(), ValueError("no")], ids=repr)
def test_another_error_enables_no_optimization(tmp_path, error):
    make, called = failing("denoise", 1, times=1, error=lambda: error)
    with pytest.raises(type(error)):
        run(order(300), make, tmp_path / "video.mkv", tmp_path / "work", fallbacks=("sequential_cfg",))
    assert len(called) == 2
    assert made_parts(tmp_path) == [1, 2]


@pytest.mark.parametrize("off", [-14, -1, 1, 14])
def test_a_wrong_number_of_frames_is_reported(tmp_path, off):
    def make(task, emit, tick):
        emit(np.zeros((task.part.made + off, 64, 64, 3), np.uint8))

    with pytest.raises(WrapperError, match=f"made {119 + off} frames from 60 latent ones; 119 were expected"):
        run(order(60), make, tmp_path / "video.mkv", tmp_path / "work")
    assert not (tmp_path / "video.mkv").exists()


def test_a_taken_name_is_reported_before_anything_is_made(tmp_path):
    (tmp_path / "video.mkv").touch()
    with pytest.raises(OutputError, match="another name"):
        run(order(300), pytest.fail, tmp_path / "video.mkv", tmp_path / "work")
    done = run(order(60), make_part, tmp_path / "video.mkv", tmp_path / "work", overwrite=True)
    assert done.info.frames == 119


def test_a_missing_folder_is_reported_before_anything_is_made(tmp_path):
    with pytest.raises(OutputError, match="no folder"):
        run(order(300), pytest.fail, tmp_path / "none" / "video.mkv", tmp_path / "work")


def test_parts_too_short_are_refused(tmp_path):
    with pytest.raises(JobError, match="part length"):
        run(order(300, longest=100), pytest.fail, tmp_path / "video.mkv", tmp_path / "work")

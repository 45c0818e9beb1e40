"""What the user reads while a long video is made, and afterwards."""

from fractions import Fraction

import pytest

from sonic_guard.job import Job
from sonic_guard.long_video.rendering import EncodingAudio, FallbackEnabled, Joining, LongVideo, PartKept, Progress
from sonic_guard.media.video_file import VideoInfo
from sonic_guard.messages.run_messages import event_text, long_report
from sonic_guard.optimizations import Optimization

EVENTS = [
    (Progress(0, 1, 0.255, None), "26%", "26%"),
    (Progress(0, 1, 0.255, 3725.0), "26% · about 1:02:05 left", "26% · 约剩 1:02:05"),
    (Progress(1, 3, 0.5, 65.0), "part 2 of 3 · 50% · about 1:05 left", "第 2 段，共 3 段 · 50% · 约剩 1:05"),
    (PartKept(1), "Part 2 was finished by an earlier run.", "第 2 段已由先前的运行完成。"),
    (
        FallbackEnabled(0, "layer_chunking", "CUDA out of memory"),
        "Part 1 ran out of memory; retrying with layer_chunking.",
        "第 1 段显存不足；启用 layer_chunking 后重试。",
    ),
    (Joining(0.4), "Writing the video: 40%", "正在写入视频：40%"),
]


@pytest.mark.parametrize(("event", "english", "chinese"), EVENTS, ids=str)
def test_every_event_is_reported_in_both_languages(event, english, chinese):
    assert event_text(event) == english
    assert event_text(event, "zh") == chinese


def test_the_share_of_encoded_audio_is_reported():
    assert event_text(EncodingAudio(0.123)) == "Encoding the audio: 12%"
    assert event_text(EncodingAudio(1), "zh") == "正在编码音频：100%"


def report(tmp_path, begun_with=frozenset(), **more):
    path = tmp_path / "video.mp4"
    path.write_bytes(bytes(3 << 20))
    fields = {"info": VideoInfo(1500, Fraction(25)), "parts": 1, "kept": 0, "optimizations": ()}
    return long_report(LongVideo(path, **fields | more), Job(640, 512, 20.0), begun_with, "en").splitlines()


def test_the_report_names_what_was_made(tmp_path):
    lines = report(tmp_path)
    assert lines == [
        "video.mp4",
        "640×512, 1500 frames at 25 fps, 1:00; 3.0 MiB",
        "Made in one pass.",
    ]


def test_the_report_names_what_happened_during_the_run(tmp_path):
    lines = report(
        tmp_path,
        frozenset({Optimization.UNET_OFFLOAD, Optimization.LAYER_CHUNKING}),
        parts=4,
        kept=2,
        optimizations=("sequential_cfg", "feed_forward_chunking"),
    )
    assert lines[2:] == [
        "Made in 4 parts of at most 20 s.",
        "2 of them were finished by an earlier run.",
        "Enabled: unet_offload + layer_chunking.",
        "Memory ran out during the run; these fallback optimizations were enabled: "
        "sequential_cfg + feed_forward_chunking.",
    ]

"""What the user reads while a long video is made, and afterwards."""

from dataclasses import replace
from fractions import Fraction

import pytest

from sonic_guard.devices.budget import budget_for
from sonic_guard.long_video.rendering import (
    EncodingAudio,
    FallbackEnabled,
    Joining,
    LongVideo,
    PartKept,
    Preparing,
    Progress,
)
from sonic_guard.media.face import Box, Face
from sonic_guard.media.video_file import VideoInfo
from sonic_guard.messages.run_messages import event_text, video_report
from sonic_guard.operations.face_box import Portrait
from sonic_guard.operations.preflight import Overrides, PreflightRequest
from sonic_guard.operations.talking_head import TalkingHeadRequest, plan_talking_head
from sonic_guard.planning.capabilities import GraphCapabilities
from sonic_guard.planning.capacity import Capacity
from sonic_guard.planning.presets import Preset
from sonic_guard.planning.selection import DEFAULT

EVENTS = [
    (Progress(0, 1, 0.255, None), "26%", "26%"),
    (Progress(0, 1, 0.255, 3725.0), "26% · about 1:02:05 left", "26% · 约剩 1:02:05"),
    (Progress(1, 3, 0.5, 65.0), "part 2 of 3 · 50% · about 1:05 left", "第 2 段，共 3 段 · 50% · 约剩 1:05"),
    (PartKept(1), "Part 2 was finished by an earlier run.", "第 2 段已由先前的运行完成。"),
    (
        FallbackEnabled(0, "layer_chunking", "CUDA out of memory"),
        "Part 1 ran out of memory; retrying with layer_chunking.",
        "第 1 段显存不足；启用“逐层分块”后重试。",
    ),
    (Preparing.MODELS, "Reading the models", "正在读取模型"),
    (Preparing.PICTURE, "Encoding the portrait", "正在编码人像"),
    (Joining(0.4), "Writing the video: 40%", "正在写入视频：40%"),
]


@pytest.mark.parametrize(("event", "english", "chinese"), EVENTS, ids=str)
def test_every_event_is_reported_in_both_languages(event, english, chinese):
    assert event_text(event) == english
    assert event_text(event, "zh") == chinese


def test_the_share_of_encoded_audio_is_reported():
    assert event_text(EncodingAudio(0.123)) == "Encoding the audio: 12%"
    assert event_text(EncodingAudio(1), "zh") == "正在编码音频：100%"


FACE = Face(Box(100, 100, 300, 300), 1.0)


def planned():
    """The plan of a video of 20 s."""
    portrait, can = Portrait((640, 512), lambda: [FACE]), GraphCapabilities(DEFAULT, to_file=True)
    run = PreflightRequest(
        portrait, 20.0, Preset(name="test"), Capacity(budget_for(24)), aspect="none", capabilities=can
    )
    return TalkingHeadRequest(run)


def report(tmp_path, made, **more):
    path = tmp_path / "video.mp4"
    path.write_bytes(bytes(3 << 20))
    fields = {"info": VideoInfo(1500, Fraction(25)), "parts": 1, "kept": 0, "optimizations": ()}
    return video_report(LongVideo(path, **fields | more), made, "en").splitlines()


def test_the_report_names_what_was_made(tmp_path):
    lines = report(tmp_path, plan_talking_head(planned()))
    assert lines == [
        "video.mp4",
        "640×512, 1500 frames at 25 fps, 1:00; 3.0 MiB",
        "Made in one pass.",
        "Enabled: streaming_decode + unet_offload.",
    ]


def test_the_report_names_what_was_changed(tmp_path):
    small = replace(planned().run, capacity=Capacity(budget_for(2.5)), overrides=Overrides(min_resolution=1024))
    lines = report(tmp_path, plan_talking_head(TalkingHeadRequest(small)))
    assert any(line.startswith("min_resolution: 1024 → ") for line in lines)


def test_a_preview_is_called_one(tmp_path):
    lines = report(tmp_path, plan_talking_head(replace(planned(), preview_s=2.0)))
    assert "A preview in 10 steps. Set preview_s to 0 for the whole video of 20.0 s." in lines


def test_the_report_names_what_happened_during_the_run(tmp_path):
    lines = report(
        tmp_path,
        plan_talking_head(planned()),
        parts=4,
        kept=2,
        optimizations=("sequential_cfg", "feed_forward_chunking"),
    )
    assert lines[2:] == [
        "Made in 4 parts of at most 20 s.",
        "2 of them were finished by an earlier run.",
        "Enabled: streaming_decode + unet_offload.",
        "Memory ran out during the run; enabled as a fallback: sequential_cfg + feed_forward_chunking.",
    ]

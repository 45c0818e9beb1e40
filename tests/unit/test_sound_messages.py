"""What is said of a silent track, of the others, and of files that Load Audio refuses."""

import numpy as np
import pytest

from sonic_guard.media.audio import Refusal, Sound, SoundInfo
from sonic_guard.media.audio_tracks import Hearing, Track
from sonic_guard.messages.catalogue import LANGUAGES
from sonic_guard.messages.sound_messages import refusal_text, silence_text, sound_lines


@pytest.mark.parametrize(
    ("hearing", "on_command_line", "sentences"),
    [
        (Hearing(1, silent=False, tracks=2), False, ""),
        (
            Hearing(1, silent=True, tracks=1),
            False,
            "The audio is silent (below -50 dBFS): the mouth in the video will not speak.",
        ),
        (
            Hearing(1, silent=True, tracks=2),
            False,
            "Audio track 1 of 2 is silent (below -50 dBFS): the mouth in the video will not speak.",
        ),
        (
            Hearing(1, silent=True, tracks=2, voices=(Track(2),)),
            False,
            "Audio track 1 of 2 is silent (below -50 dBFS): the mouth in the video will not speak. Track 2 has sound. "
            "Take it with Load Voice (Sonic Guard), where you choose the track.",
        ),
        (
            Hearing(3, silent=True, tracks=3, voices=(Track(1, "eng"), Track(2))),
            True,
            "Audio track 3 of 3 is silent (below -50 dBFS): the mouth in the video will not speak. Tracks 1 (eng), 2 "
            "have sound. Choose it with --track 1.",
        ),
    ],
)
def test_silence_is_told_with_what_to_do(hearing, on_command_line, sentences):
    assert silence_text(hearing, command_line=on_command_line) == sentences
    assert bool(silence_text(hearing, "zh", command_line=on_command_line)) is hearing.silent


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_report_has_a_line_about_a_silent_sound(lang):
    quiet = Sound(np.zeros((2, 8000), np.float32), 8000)
    (line,) = sound_lines(quiet, lang)
    assert line.startswith("! ")
    assert sound_lines(Sound(quiet.waveform + 0.1, 8000), lang) == []


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("refusal", Refusal)
def test_every_refusal_of_load_audio_has_its_words(refusal, lang):
    text = refusal_text("voice.wav", SoundInfo(8000, 8000, 1, "pcm_u8", refusal=refusal), lang)
    assert "voice.wav" in text
    assert refusal_text("voice.wav", SoundInfo(8000, 8000, 1, "pcm_s16le"), lang) == ""

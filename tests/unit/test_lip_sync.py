"""The offset between sound and mouth, on rendered faces whose offset is known.

The whole grid is `python -m bench.lip_sync`; here is a part of it, with the goals as limits.
"""

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
import pytest

from sonic_guard.errors import AudioError
from sonic_guard.finishing.lip_sync.confidence import CONFIDENT, Reason
from sonic_guard.finishing.lip_sync.correlation import SEARCH_S, Observation
from sonic_guard.finishing.lip_sync.measurement import LipSync, measure, measure_clip, observe
from sonic_guard.finishing.lip_sync.mouth import Mouth, TimedFrame, read_mouth
from sonic_guard.finishing.lip_sync.speech import read_speech
from sonic_guard.media.audio import Sound
from tests.support.talking_faces import (
    Scene,
    Speaking,
    Voice,
    frames,
    later,
    mime,
    music,
    speak,
    stretched,
    with_noise,
)

MEDIAN_MS, WORST_MS = 5.0, 15.0
"""The goals for the median and the 95th percentile of the error."""
SHIFTS_S = (-0.4, -0.131, 0.0, 0.047, 0.26, 0.4)


class Film(NamedTuple):
    """A face and a voice, and how they were recorded."""

    voice: Voice
    scene: Scene
    snr_db: float | None = None


FILMS = {
    "12.5 fps": Film(Voice("five vowels", 110, 4.2, 1), Scene(fps=12.5)),
    "24 fps, mirrored and dark": Film(Voice("rounded", 190, 5.0, 2), Scene(fps=24, mirrored=True, gamma=2.2)),
    "25 fps, noisy sound": Film(Voice("tones", 150, 4.6, 3), Scene(), snr_db=10),
    "29.97 fps, moving head": Film(Voice("reduced", 120, 5.2, 4), Scene(30_000 / 1001, size=320, sway=1.0)),
    "30 fps, small face": Film(Voice("five vowels", 210, 4.8, 5), Scene(fps=30, face=16)),
    "25 fps, noisy picture": Film(Voice("rounded", 95, 4.0, 6), Scene(noise=10)),
    "25 fps, small, moving, noisy": Film(Voice("tones", 200, 5.0, 7), Scene(face=20, sway=1, noise=5), snr_db=15),
}
SECONDS = 6.0
VOICE, PLAIN = Voice(), Scene()


def timed(pictures, fps: float):
    return (TimedFrame(number / fps, picture) for number, picture in enumerate(pictures))


@cache
def spoken(voice: Voice = VOICE, seconds: float = SECONDS) -> Speaking:
    return speak(voice, seconds)


@cache
def mouth_of(voice: Voice = VOICE, scene: Scene = PLAIN, seconds: float = SECONDS) -> Mouth:
    return read_mouth(timed(frames(spoken(voice, seconds), scene), scene.fps))


def measured(mouth: Mouth, sound: Sound, start_s: float = 0.0) -> LipSync:
    return measure([Observation(mouth, read_speech(sound, start_s))])


def offset_of(found: LipSync) -> float:
    assert found.offset_ms is not None, found.reason
    return found.offset_ms


def errors_of(film: Film) -> Sequence[float]:
    """Of the offsets at `SHIFTS_S`."""
    mouth = mouth_of(film.voice, film.scene)
    found = []
    for shift_s in SHIFTS_S:
        sound = later(spoken(film.voice).sound, shift_s)
        result = measured(mouth, sound if film.snr_db is None else with_noise(sound, film.snr_db))
        found.append(offset_of(result) - shift_s * 1e3)
    return found


@pytest.mark.parametrize("name", FILMS)
def test_known_shifts_are_found(name):
    errors = np.abs(errors_of(FILMS[name]))
    assert errors.max() <= WORST_MS, errors


def test_the_error_over_all_films_meets_the_goals():
    errors = np.abs([error for film in FILMS.values() for error in errors_of(film)])
    assert np.median(errors) <= MEDIAN_MS
    assert np.percentile(errors, 95) <= WORST_MS


def test_a_recorded_voice():
    from sonic_guard.media import audio_file
    from tests.support.talking_faces import PORTRAIT

    speaking = mime(audio_file.load(PORTRAIT.with_name("speech.mp3"), SECONDS))
    mouth = read_mouth(timed(frames(speaking, Scene()), 25))
    for shift_s in (-0.2, 0.033):
        assert offset_of(measured(mouth, later(speaking.sound, shift_s))) == pytest.approx(shift_s * 1e3, abs=10)


@pytest.mark.parametrize(
    ("change", "within_ms"),
    [
        pytest.param(lambda sound: Sound(sound.waveform * 0.02, sound.sample_rate), 0.5, id="quiet"),
        pytest.param(lambda sound: Sound(np.tile(sound.waveform, (2, 1)), sound.sample_rate), 0.01, id="stereo"),
        pytest.param(lambda sound: Sound(stretched(sound, 2.75625).waveform, 44_100), 2.0, id="44.1 kHz"),
        pytest.param(lambda sound: Sound(stretched(sound, 0.5).waveform, 8000), 3.0, id="8 kHz"),
    ],
)
def test_the_same_sound_in_another_form(change, within_ms):
    sound = later(spoken().sound, 0.1)
    plain, changed = (measured(mouth_of(), each) for each in (sound, change(sound)))
    assert offset_of(changed) == pytest.approx(offset_of(plain), abs=within_ms)


def test_a_later_sound_is_a_positive_offset_and_the_clock_of_the_sound_counts():
    early, late = (offset_of(measured(mouth_of(), spoken().sound, start_s)) for start_s in (-0.1, 0.1))
    assert late - early == pytest.approx(200, abs=3)
    assert late > 0 > early


def test_a_variable_frame_rate():
    """Pictures at irregular moments, with a gap, each at its own time."""
    random = np.random.default_rng(5)
    times = np.cumsum(random.choice((0.02, 0.04, 0.08), 200))
    times = times[(times < SECONDS) & ((times < 3) | (times > 3.4))]
    shown = frames(spoken(), Scene(), times)
    mouth = read_mouth(TimedFrame(float(at), picture) for at, picture in zip(times, shown, strict=True))
    assert offset_of(measured(mouth, later(spoken().sound, 0.15))) == pytest.approx(150, abs=WORST_MS)


def test_pictures_at_60_fps_are_thinned_out():
    mouth = read_mouth(timed(frames(spoken(), Scene(fps=60)), 60))
    assert np.median(np.diff(mouth.times_s)) == pytest.approx(1 / 30)
    assert offset_of(measured(mouth, spoken().sound)) == pytest.approx(0, abs=WORST_MS)


def test_a_cut_between_two_takes():
    """Two faces at different places, and the sound of both."""
    first, second = (speak(Voice(seed=seed), 4.0) for seed in (11, 12))
    shown = [*frames(first, Scene()), *frames(second, Scene(face=40, mirrored=True, size=256))]
    sound = Sound(np.concatenate((first.sound.waveform, second.sound.waveform), axis=1), first.sound.sample_rate)
    mouth = read_mouth(timed(shown, 25))
    assert len(set(mouth.shots[mouth.seen].tolist())) >= 2
    assert offset_of(measured(mouth, later(sound, -0.07))) == pytest.approx(-70, abs=WORST_MS)


@pytest.mark.parametrize(("ppm", "within_ppm"), [(0, 0), (3000, 1000), (-6000, 1000), (41_667, 1000), (-40_000, 1000)])
def test_drift_is_told_from_a_constant_offset(ppm, within_ppm):
    """24 pictures a second shown as 25 is 41,667 ppm. The offset is that in the middle."""
    voice, seconds = Voice("rounded", 150, 4.6, 5), 20.0
    sound = stretched(spoken(voice, seconds).sound, 1 + ppm / 1e6)
    start_s = 0.03 - ppm / 1e6 * seconds / 2
    found = measured(mouth_of(voice, Scene(), seconds), sound, start_s)
    assert found.drift_ppm == pytest.approx(ppm, abs=within_ppm)
    assert offset_of(found) == pytest.approx(30, abs=WORST_MS)


def silent(seconds: float) -> Sound:
    return Sound(np.zeros((1, int(16_000 * seconds)), np.float32), 16_000)


def loudest(sound: Sound, samples: int) -> Sound:
    at = int(np.abs(sound.waveform[0]).argmax())
    return sound.part(at - samples // 2, at + samples // 2)


@pytest.mark.parametrize(
    ("sound", "reasons"),
    [
        pytest.param(None, {Reason.NO_SOUND}, id="no sound"),
        pytest.param(silent(SECONDS), {Reason.SILENCE}, id="silence"),
        pytest.param(silent(0.012), {Reason.SILENCE}, id="12 ms of silence"),
        pytest.param(music(SECONDS), {Reason.STEADY_SOUND, Reason.NO_MATCH}, id="music"),
        pytest.param(speak(Voice("tones", 200, 5.0, 99), SECONDS).sound, {Reason.NO_MATCH}, id="another voice"),
        pytest.param(
            loudest(spoken().sound, 190),
            {Reason.TOO_SHORT, Reason.NO_MATCH},
            id="12 ms of speech",
        ),
        pytest.param(later(spoken().sound, 0.8), {Reason.NO_MATCH}, id="an offset beyond the search"),
    ],
)
def test_it_abstains_from_sounds_that_do_not_fit(sound, reasons):
    found = measured(mouth_of(), sound or Sound(np.zeros((1, 0), np.float32), 16_000))
    assert found.abstained and found.offset_ms is None and found.drift_ppm is None
    assert found.reason in reasons
    assert found.confidence < CONFIDENT


def still(scene: Scene):
    return frames(Speaking(spoken().sound, 0 * spoken().opening, 0 * spoken().width), scene)


def masked(picture: np.ndarray) -> np.ndarray:
    hidden = picture.copy()
    hidden[135:230, 45:210] = (190, 200, 215)
    return hidden


@pytest.mark.parametrize(
    ("pictures", "reasons"),
    [
        pytest.param(lambda: iter(()), {Reason.NO_FACE, Reason.TOO_SHORT}, id="no picture"),
        pytest.param(lambda: frames(spoken(), Scene(), np.zeros(1)), {Reason.TOO_SHORT}, id="one picture"),
        pytest.param(lambda: still(Scene()), {Reason.STILL_MOUTH}, id="still picture"),
        pytest.param(lambda: still(Scene(noise=3, sway=0.5)), {Reason.STILL_MOUTH, Reason.NO_MATCH}, id="still mouth"),
        pytest.param(
            lambda: map(masked, frames(spoken(), Scene())),
            {Reason.STILL_MOUTH, Reason.NO_FACE, Reason.NO_MATCH},
            id="covered mouth",
        ),
        pytest.param(lambda: (np.full((96, 96, 3), 90, np.uint8) for _ in range(150)), {Reason.NO_FACE}, id="no face"),
        pytest.param(lambda: frames(spoken(), Scene(), np.linspace(0, 1, 25)), {Reason.TOO_SHORT}, id="one second"),
    ],
)
def test_it_abstains_from_pictures_that_show_nothing(pictures, reasons):
    found = measure_clip(pictures(), 25, spoken().sound)
    assert found.abstained and found.reason in reasons


def test_a_face_that_leaves():
    """What is seen of it counts."""
    shown = [
        picture if number < 130 else np.full_like(picture, 120)
        for number, picture in enumerate(frames(spoken(), Scene()))
    ]
    found = measure_clip(shown, 25, spoken().sound)
    assert offset_of(found) == pytest.approx(0, abs=WORST_MS)
    assert found.seconds == pytest.approx(130 / 25, abs=0.3)


def test_nan_in_the_sound_is_an_error():
    broken = spoken().sound.waveform.copy()
    broken[0, 800] = np.nan
    with pytest.raises(AudioError, match=r"NaN or infinite samples, the first at 0\.05 s"):
        observe(iter(()), Sound(broken, 16_000))


def test_the_curve_is_that_of_the_offsets():
    found = measured(mouth_of(), later(spoken().sound, 0.2))
    assert found.lags_ms[0] == pytest.approx(-SEARCH_S * 1e3) and found.lags_ms[-1] == pytest.approx(SEARCH_S * 1e3)
    assert found.lags_ms[found.correlation.argmax()] == pytest.approx(offset_of(found), abs=10)
    assert 0 < found.correlation.max() <= 1


def test_it_is_deterministic():
    first, second = (measure_clip(frames(spoken(), Scene(noise=5)), 25, spoken().sound) for _ in range(2))
    assert first.offset_ms == second.offset_ms
    np.testing.assert_array_equal(first.correlation, second.correlation)

"""Brightness pulses are removed, and everything else is left as it is, to the bit."""

import numpy as np
import pytest

from sonic_guard.finishing.deflicker import Deflicker, without
from tests.support.head_scenes import Scene, brightened, gain_errors, opening, psnr, pulsed, rms, shake

SIZE = 128
COUNT = 60
SCENE = Scene(SIZE, COUNT)
CLEAN = SCENE.render()
STREET = [np.ascontiguousarray(frame[::-1, ::-1]) for frame in Scene(SIZE, COUNT, seed=7).render()]


def deflickered(frames):
    return list(Deflicker().run(iter(frames)))


def same(frames, given):
    return len(frames) == len(given) and all(a is b for a, b in zip(frames, given, strict=True))


def spread(gain, shape="everywhere"):
    """A gain, as it is in the whole picture or in a part of it, [SIZE, SIZE, 1 or 3]."""
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE
    if shape == "stronger in the middle":
        return (1 + (gain - 1) * np.exp(-((x - 0.5) ** 2 + (y - 0.5) ** 2) / 0.18))[..., None]
    if shape == "stronger on the left":
        return (1 + (gain - 1) * (1.5 - x))[..., None]
    if shape == "reddish":
        return 1 + (gain - 1) * np.array((1.2, 1.0, 0.7))
    return gain


PULSES = {
    "one frame": (1.05,),
    "one pair": (1.04, 1.03),
    "as in the published measurement": (1.03, 1.06, 1.04),
    "darker": (0.96, 0.94, 0.97),
    "weak": (1.008, 1.012, 1.01),
    "with interpolated edges": (1.012, 1.025, 1.05, 1.05, 1.025, 1.012),
    "eight frames": (1.02, 1.03, 1.04, 1.05, 1.05, 1.04, 1.03, 1.02),
}
SHAPES = ("everywhere", "stronger in the middle", "stronger on the left", "reddish")


@pytest.mark.parametrize("name", PULSES)
def test_a_pulse_is_gone(name):
    frames, gains = pulsed(CLEAN, PULSES[name], first=12)
    result = deflickered(frames)
    before, after = rms(gain_errors(frames, CLEAN)), rms(gain_errors(result, CLEAN))
    assert after <= 0.1 * before
    assert after <= 0.1
    assert psnr(result, CLEAN) >= 52
    touched = [number for number, (a, b) in enumerate(zip(result, frames, strict=True)) if a is not b]
    assert touched == [number for number, gain in enumerate(gains) if gain != 1]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_pulse_is_removed_where_it_is_and_in_its_colour(shape):
    frames = list(CLEAN[:40])
    for number, gain in zip((18, 19, 20), (1.03, 1.06, 1.04), strict=True):
        frames[number] = brightened(CLEAN[number], spread(gain, shape))
    assert psnr(frames[18:21], CLEAN[18:21]) < 40
    assert psnr(deflickered(frames)[18:21], CLEAN[18:21]) >= 46


AT_ENDS = {"1 frame after the beginning": 1, "2 after it": 2, "1 before the end": 36, "2 before it": 35}


@pytest.mark.parametrize("name", AT_ENDS)
def test_one_frame_of_the_light_before_or_after_is_enough(name):
    """With all frames on the other side: what comes back to the same light is a pulse."""
    frames = list(CLEAN[:40])
    for number, gain in enumerate((1.03, 1.06, 1.04), start=AT_ENDS[name]):
        frames[number] = brightened(CLEAN[number], gain)
    assert rms(gain_errors(deflickered(frames), CLEAN[:40])) <= 0.1 * rms(gain_errors(frames, CLEAN[:40]))
    shots = [*STREET[:20], *frames, *STREET[20:40]]
    assert rms(gain_errors(deflickered(shots)[20:60], CLEAN[:40])) <= 0.1 * rms(gain_errors(frames, CLEAN[:40]))


def test_the_mouth_opens_as_before():
    result = deflickered(pulsed(CLEAN)[0])
    heights = [[opening(frame, SCENE.mouth(n)) for n, frame in enumerate(clip)] for clip in (CLEAN, result)]
    assert np.corrcoef(heights)[0, 1] >= 0.999


def test_white_stays_white():
    """What a pulse has driven to white is not made grey: a lamp in the picture is white before and after."""
    lamp = [frame.copy() for frame in CLEAN[:30]]
    for frame in lamp:
        frame[10:40, 10:40] = 255
        frame[10:40, 40:60] = 247  # white in the pulse, and not beside it
    result = deflickered(pulsed(lamp, first=12)[0])
    for number in range(12, 15):
        np.testing.assert_allclose(result[number][12:38, 12:38], 255, atol=1)
        np.testing.assert_allclose(result[number][12:38, 42:58].astype(int), 247, atol=1)


def test_a_smooth_ramp_gets_no_bands():
    """Neighbouring columns of a ramp stay apart by what they were, within rounding."""
    ramp = np.ascontiguousarray(np.broadcast_to(np.linspace(60, 200, SIZE)[None, :, None], (SIZE, SIZE, 3)))
    field = np.full((6, 6, 3), np.log(1.05))
    field[:, 3:] = np.log(1.02)
    gain = np.exp(np.interp(np.arange(SIZE) / SIZE * 6 - 0.5, np.arange(6), field[0, :, 0]))
    frame = brightened(ramp, gain[None, :, None])
    result = without(frame, field, frame)
    np.testing.assert_allclose(result, ramp, atol=1.6)


def lit(gains):
    return [brightened(frame, gain) for frame, gain in zip(CLEAN, gains, strict=False)]


def lamp(number):
    """A lamp in the corner that is on for three frames."""
    frame = CLEAN[number].copy()
    if 15 <= number < 18:
        frame[:40, :40] = brightened(frame[:40, :40], 1.3)
    return frame


def passing(number):
    frame = CLEAN[number].copy()
    frame[30:110, max(0, 30 * (number - 14)) : max(0, 30 * (number - 14) + 50)] = (240, 235, 220)
    return frame


REAL = {
    "a clean clip": CLEAN,
    "a step of the light": lit([1.0] * 20 + [1.06] * 20),
    "a fade": lit(np.linspace(0.7, 1.0, 40)),
    "a fade out": lit(np.linspace(1.0, 0.5, 40)),
    "a slow swell": lit(1 + 0.1 * np.sin(np.arange(40) / 40 * 2 * np.pi)),
    "a flash": lit([1.0] * 18 + [1.4, 1.3] + [1.0] * 20),
    "a lamp in the corner": [lamp(number) for number in range(40)],
    "something bright passes": [passing(number) for number in range(40)],
    "jitter": Scene(SIZE, 40).render(shake(40, SIZE, 0.7)),
    "a clip that begins brighter": lit([1.06] * 3 + [1.0] * 37),
    "a clip that ends brighter": lit([1.0] * 37 + [1.06] * 3),
    "a cut": CLEAN[:20] + STREET[:20],
    "a short shot of another scene": CLEAN[:20] + STREET[:3] + CLEAN[20:40],
    "a cut in every second frame": [(CLEAN, STREET)[n // 2 % 2][n] for n in range(20)],
    "no frame": [],
    "one frame": CLEAN[:1],
    "two frames": CLEAN[:2],
    "a still picture": CLEAN[:1] * 30,
    "black": [np.zeros((48, 64, 3), np.uint8)] * 20,
    "white": [np.full((48, 64, 3), 255, np.uint8)] * 20,
    "one pixel": [np.full((1, 1, 3), n, np.uint8) for n in range(20)],
    "grey": [np.full((33, 17, 3), 127, np.uint8)] * 20,
    "sizes that change": [np.ascontiguousarray(CLEAN[n][: SIZE - 8 * (n % 3)]) for n in range(12)],
    "a pulse that a cut ends": [*lit([1.0] * 18 + [1.05] * 2), *STREET[:20]],
}


@pytest.mark.parametrize("name", REAL)
def test_what_is_no_pulse_comes_out_as_the_same_objects(name):
    assert same(deflickered(REAL[name]), REAL[name])


ODD = {"odd sides": (slice(0, 101), slice(0, 87)), "a strip": (slice(40, 60), slice(None))}


@pytest.mark.parametrize("name", ODD)
def test_pictures_of_other_shapes(name):
    clean = [np.ascontiguousarray(frame[ODD[name]]) for frame in CLEAN[:40]]
    assert psnr(deflickered(pulsed(clean, first=18)[0]), clean) >= 50


def test_a_fade_with_a_pulse_keeps_the_fade():
    clean = lit(np.linspace(0.75, 1.0, 40))
    frames, _ = pulsed(clean, first=18)
    assert rms(gain_errors(deflickered(frames), clean)) <= 0.1


@pytest.mark.parametrize("start", [1, 9, 14, 27, 40])
def test_a_part_gives_the_frames_of_the_whole(start):
    frames, _ = pulsed(CLEAN, first=12)
    step = Deflicker()
    whole = deflickered(frames)
    first = max(0, start - step.before)
    end = min(COUNT, start + 12)
    part = deflickered(frames[first : end + step.after])[start - first : end - first]
    for number, (a, b) in enumerate(zip(part, whole[start:end], strict=True), start=start):
        np.testing.assert_array_equal(a, b, err_msg=str(number))


def test_it_reports_what_it_corrects():
    found = []
    frames, gains = pulsed(CLEAN, first=12)
    result = list(Deflicker(lambda *frame: found.append(frame)).run(iter(frames)))
    assert [given is frame for (given, _, _), frame in zip(found, frames, strict=True)] == [True] * COUNT
    assert [left is frame for (_, left, _), frame in zip(found, result, strict=True)] == [True] * COUNT
    np.testing.assert_allclose([pulse.factor if pulse else 1 for _, _, pulse in found], gains, atol=0.003)


def test_it_holds_few_frames():
    taken = 0

    def frames():
        nonlocal taken
        for frame in CLEAN:
            taken += 1
            yield frame

    results = Deflicker().run(frames())
    for given in range(1, COUNT - Deflicker().after):
        next(results)
        assert taken <= given + Deflicker().after + 1

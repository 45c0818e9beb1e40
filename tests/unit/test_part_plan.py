"""Where a long sound is cut: borders that add up exactly for hours, and no frame that Sonic's loop has bent."""

import random
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sonic_guard.errors import JobError
from sonic_guard.job import LATENT_FPS, Job, latent_frames
from sonic_guard.long_video.part_plan import SEARCH_FRAMES, part_sound, plan_parts, sample_at
from sonic_guard.media.audio import Sound
from sonic_guard.planning.part_length import FADE_FRAMES, SETTLE_FRAMES, overlap, shortest_part

TEN_HOURS = int(10 * 3600 * LATENT_FPS)


def job(frames: int, interpolate: bool = True, fps: float = 25.0) -> Job:
    return Job(512, 512, frames / LATENT_FPS, fps=fps, interpolate=interpolate)


@st.composite
def cuttings(draw):
    """A job of up to ten hours, a limit, its parts, and the stretches in which seams were asked for."""
    fps = draw(st.sampled_from([5.0, 12.5, 25.0, 50.0, 120.0]))
    frames = draw(st.integers(1, TEN_HOURS))
    least = shortest_part(int(fps))
    # Ten hours in the shortest parts would be thousands; some hundreds show as much.
    longest = draw(st.integers(max(least, frames // 300), max(least, frames // 300) + 3000))
    whole, asked = job(frames, draw(st.booleans()), fps), []
    numbers = random.Random(draw(st.integers(0, 1 << 32)))  # noqa: S311

    def pause(low, high):
        asked.append((low, high))
        return numbers.choice((low, high, numbers.randint(low, high)))

    return whole, longest, plan_parts(whole, longest, pause), asked


@settings(deadline=None)
@given(cuttings())
def test_the_parts_are_the_whole(cutting):
    whole, longest, parts, _ = cutting
    rate = 2 if whole.interpolate else 1
    at = 0
    for index, part in enumerate(parts):
        assert part.index == index
        assert part.latent_frames <= longest
        assert part.made == replace_frames(whole, part.latent_frames).output_frames
        assert at == rate * part.start + part.skip, "a part begins at another moment than the one before has ended"
        at += part.head + part.body
        rest = part.made - part.skip - part.head - part.body - part.tail
        assert part.body > 0
        assert rest >= 0
    assert at == whole.output_frames


def replace_frames(whole: Job, frames: int) -> Job:
    return Job(512, 512, frames / LATENT_FPS, fps=whole.fps, interpolate=whole.interpolate)


@settings(deadline=None)
@given(cuttings())
def test_neighbours_show_the_same_moments_at_their_seam(cutting):
    whole, _, parts, asked = cutting
    rate = 2 if whole.interpolate else 1
    assert len(asked) == len(parts) - 1
    for before, after, (low, high) in zip(parts, parts[1:], asked, strict=False):
        tail_begins = rate * before.start + before.skip + before.head + before.body
        assert tail_begins == rate * after.start + after.skip
        assert before.tail == rate * FADE_FRAMES
        assert after.head == rate * (FADE_FRAMES + SETTLE_FRAMES)
        seam = Fraction(tail_begins, rate) + FADE_FRAMES // 2
        assert low <= seam <= high
        assert high - low <= SEARCH_FRAMES


@settings(deadline=None)
@given(cuttings())
def test_no_frame_that_wraps_round_is_shown(cutting):
    """Latent frames within F - 1 of an end share windows with the other end (see below). An interpolated frame leans
    on the latent frame after it, too."""
    whole, _, parts, _ = cutting
    if len(parts) == 1:
        assert (parts[0].start, parts[0].stop) == (0, whole.latent_frames), "one pass is Sonic's own"
        return
    rate, bent = 2 if whole.interpolate else 1, whole.window - 1
    for part in parts:
        first = part.start * rate + part.skip
        last = first + part.head + part.body + part.tail - 1
        if part.index:
            assert first // rate >= part.start + bent
        assert -(-last // rate) < part.stop - bent


@settings(deadline=None)
@given(cuttings())
def test_no_part_is_short(cutting):
    _, longest, parts, _ = cutting
    if len(parts) > 1:
        assert min(part.latent_frames for part in parts) > longest / 4


@settings(deadline=None)
@given(cuttings(), st.sampled_from([8000, 11025, 16000, 22050, 44100, 48000, 96000, 12345]))
def test_a_part_receives_what_it_shows(cutting, rate):
    """Its sound begins where its frames do, to half a sample, after any number of parts, and makes just its frames."""
    _, _, parts, _ = cutting
    for part in (parts[0], parts[len(parts) // 2], parts[-1]):
        begin = sample_at(part.start, rate)
        assert abs(begin - Fraction(part.start) * rate * 2 / 25) <= Fraction(1, 2)
        sound = part_sound(Sound(np.zeros((1, 1), np.float32), rate), part)
        assert latent_frames(sound.duration_s) == part.latent_frames


def test_after_its_end_the_sound_is_silent_and_before_it_unchanged():
    ramp = Sound(np.arange(1, 1280 * 1000 + 1, dtype=np.float32)[None], 16000)
    parts = plan_parts(job(1000), 400, lambda low, high: (low + high) // 2)
    for part in parts[:-1]:
        sound = part_sound(ramp, part)
        begin = 1280 * part.start
        assert np.array_equal(sound.waveform[0], ramp.waveform[0, begin : begin + sound.samples])
    last = part_sound(ramp, parts[-1]).waveform[0]
    inside = 1280 * (1000 - parts[-1].start)
    assert last[inside - 1] == 1280 * 1000
    assert len(last) > inside + 1280 * 24
    assert not last[inside:].any()


def test_before_its_beginning_the_sound_is_silent_too():
    """A window of 120 frames reaches further back than the first seam is from the beginning."""
    ramp = Sound(np.arange(1, 1280 * 800 + 1, dtype=np.float32)[None], 16000)
    second = plan_parts(job(800, fps=120.0), 375, lambda low, high: low)[1]
    assert second.start < 0
    sound, before = part_sound(ramp, second), -1280 * second.start
    assert not sound.waveform[0, :before].any()
    assert np.array_equal(sound.waveform[0, before:], ramp.waveform[0, : sound.samples - before])
    assert latent_frames(sound.duration_s) == second.latent_frames


@pytest.mark.parametrize("longest", [None, 375, 1000])
def test_what_fits_is_made_in_one_pass(longest):
    (part,) = plan_parts(job(375), longest, lambda low, high: low)
    assert (part.start, part.stop, part.made) == (0, 375, 749)
    assert (part.skip, part.head, part.body, part.tail) == (0, 0, 749, 0)


@pytest.mark.parametrize("fps", [12.0, 25.0])
def test_a_part_too_short_for_its_overlap_is_refused(fps):
    least = shortest_part(int(fps))
    assert least > 2 * overlap(int(fps))
    assert len(plan_parts(job(5000, fps=fps), least, lambda low, high: low)) > 1
    with pytest.raises(JobError, match=f"at least {least / LATENT_FPS:.1f} s"):
        plan_parts(job(5000, fps=fps), least - 1, lambda low, high: low)


def test_a_minute_in_parts_of_twenty_seconds():
    """60 s are 750 latent frames; 250 in a part, of which 54 are made twice at every seam."""
    parts = plan_parts(job(750), 250, lambda low, high: (low + high) // 2)
    assert [(part.start, part.stop) for part in parts] == [(0, 177), (123, 327), (273, 477), (423, 627), (573, 775)]

"""Overlapping decode groups: every frame once, neighbours at every seam, no more memory than the wrapper's groups."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sonic_guard.optimizations import EVERY, Optimization

torch = pytest.importorskip("torch")
for package in ("diffusers", "transformers", "einops"):
    pytest.importorskip(package)

from sonic_guard.low_vram.engine import LowVramSonic  # noqa: E402
from sonic_guard.low_vram.overlapped_decode import OverlappedDecode, cost  # noqa: E402
from tests.support import small_sonic  # noqa: E402

GROUP = 14
"""Latent frames that the wrapper decodes at a time."""
FRAMES = 33


def blurred(latents, times):
    """A decoder that mixes neighbours `times` times, with zeros beyond the ends, as SVD's decoder does."""
    for _ in range(times):
        edge = torch.zeros_like(latents[:1])
        padded = torch.cat([edge, latents, edge])
        latents = (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4
    return latents


def decoded(latents, group, context, times, sizes=None):
    def decode(part):
        if sizes is not None:
            sizes.append(len(part))
        return blurred(part, times)

    overlapped = OverlappedDecode(decode, len(latents), context)
    groups = [latents[start : start + group] for start in range(0, len(latents), group)]
    return torch.cat([frames for part in groups for frames in overlapped(part)])


def numbered(count):
    return torch.arange(1.0, count + 1)[:, None, None, None].double()


@given(st.integers(1, 60), st.integers(1, 16), st.integers(0, 6), st.integers(0, 4))
def test_with_enough_context_it_is_the_decode_of_the_whole_clip(count, group, context, mixed):
    latents = numbered(count)
    reach = min(mixed, context, (group - 1) // 2)
    torch.testing.assert_close(decoded(latents, group, context, reach), blurred(latents, reach))


@given(st.integers(1, 60), st.integers(1, 16), st.integers(0, 6))
def test_no_call_is_larger_than_the_wrapper_s_and_the_time_is_as_stated(count, group, context):
    sizes = []
    decoded(numbered(count), group, context, 1, sizes)
    assert max(sizes) <= group
    assert sum(sizes) <= count * cost(group, context) + group


def test_the_time_for_two_frames_of_context():
    assert cost(GROUP, 2) == pytest.approx(1.4)
    assert cost(GROUP, 0) == 1


@pytest.fixture(scope="module")
def vae():
    return small_sonic.Vae(torch.float64)


@pytest.fixture(scope="module")
def seams(vae):
    """Latents that change slowly, and by how much (rms) each of their frames differs from the decode of all at once."""
    random = torch.Generator().manual_seed(2)
    still, other = torch.randn(2, 4, 8, 8, generator=random, dtype=torch.float64)
    time = torch.linspace(0, 3, FRAMES, dtype=torch.float64)[:, None, None, None]
    latents = still + 0.4 * torch.sin(time) * other
    with torch.no_grad():
        whole = vae.decode(latents)

        def differences(context):
            overlapped = OverlappedDecode(vae.decode, FRAMES, context)
            groups = [latents[start : start + GROUP] for start in range(0, FRAMES, GROUP)]
            frames = torch.cat([frames for part in groups for frames in overlapped(part)])
            return (frames - whole).square().mean((1, 2, 3)).sqrt()

        return differences(0), differences(2)


def test_the_wrapper_s_groups_differ_most_at_their_seams(seams):
    stock, _ = seams
    at_seams = stock[[13, 14, 27, 28]]
    inside = stock[[6, 7, 20, 21]]
    assert at_seams.min() > 3 * inside.max()


def test_overlapping_groups_differ_less(seams):
    stock, overlapped = seams
    assert overlapped.max() < 0.5 * stock.max()


def test_sonic_s_frames_away_from_seams_and_their_number_stay(vae):
    sonic = small_sonic.build(torch.float64)
    stock = small_sonic.run(sonic, vae)
    vae.calls.clear()
    frames = small_sonic.run(LowVramSonic(sonic, EVERY, decode_context=2), vae)
    assert frames.shape == stock.shape
    assert max(vae.calls) <= GROUP
    difference = (frames.double() - stock.double()).abs().amax((0, 1, 3, 4))
    assert difference.max() > 1e-6


@pytest.mark.parametrize("optimizations", [frozenset(), frozenset({Optimization.STREAMING_DECODE})])
def test_without_it_the_frames_are_the_wrapper_s(vae, optimizations):
    sonic = small_sonic.build(torch.float64)
    stock = small_sonic.run(sonic, vae)
    torch.testing.assert_close(small_sonic.run(LowVramSonic(sonic, optimizations), vae), stock, rtol=0, atol=1e-7)

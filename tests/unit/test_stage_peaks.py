"""Where the peak counters come from, and which resets by others they tolerate."""

from types import SimpleNamespace

import pytest

from sonic_guard.runtime.run_watch import RunWatch
from sonic_guard.runtime.stage_peaks import CudaPeaks, NoPeaks, Peak, SampledPeaks, open_peaks
from tests.support.fake_card import Card, allocated


def test_without_a_gpu_torch_counts_nothing():
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available() or torch.backends.mps.is_available():
        pytest.skip("this machine has a GPU")
    assert isinstance(open_peaks(), NoPeaks)
    assert open_peaks().read() == Peak(None, None)


def cuda_of(card, *, ready=True):
    """What of `torch.cuda` the counters use, over a card."""
    return SimpleNamespace(
        is_initialized=lambda: ready,
        memory_stats=lambda index: {"allocated_bytes.all.peak": card.peak, "reserved_bytes.all.peak": 2 * card.peak},
        reset_peak_memory_stats=lambda index: card.reset(),
    )


def test_what_other_readers_of_torch_s_counters_miss_is_kept():
    card = Card()
    card.pass_through(500)
    peaks = CudaPeaks(SimpleNamespace(cuda=cuda_of(card)), 0)
    watch = RunWatch(peaks)
    for size in (200, 900, 300):
        with watch.during("load"):
            card.pass_through(size)
    watch.enter("denoise")
    assert peaks.read() == Peak(0, 0)
    assert peaks.highest == Peak(900, 1800)


def test_counters_are_left_alone_until_torch_uses_the_card():
    card = Card()
    CudaPeaks(SimpleNamespace(cuda=cuda_of(card, ready=False)), 0).reset()
    assert card.resets == 0


def test_on_a_real_card():
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("no CUDA card")
    mib, watch = 2**20, RunWatch(open_peaks())
    with watch.during("load"):
        held = torch.empty(64 * mib, dtype=torch.uint8, device="cuda")
    base = torch.cuda.memory_allocated()
    with watch.during("denoise"):
        torch.empty(32 * mib, dtype=torch.uint8, device="cuda")
    del held
    assert allocated(watch) == {"load": base, "denoise": base + 32 * mib}


def test_on_apple_gpus_the_peak_is_the_highest_sample():
    mps = SimpleNamespace(current_allocated_memory=lambda: mps.now, driver_allocated_memory=lambda: mps.now + 5, now=0)
    peaks, seen = SampledPeaks(SimpleNamespace(mps=mps)), []
    for now in (10, 40, 20):
        mps.now = now
        seen.append(peaks.read())
    peaks.reset()
    assert [*seen, peaks.read()] == [Peak(10, 15), Peak(40, 45), Peak(40, 45), Peak(20, 25)]


@pytest.mark.parametrize(
    ("one", "other", "over", "beyond"),
    [
        (Peak(5, 9), Peak(7, 8), Peak(7, 9), Peak(None, 9)),
        (Peak(None, 9), Peak(7, None), Peak(7, 9), Peak(None, 9)),
        (Peak(), Peak(), Peak(), Peak()),
        (Peak(0, 3), Peak(), Peak(0, 3), Peak(0, 3)),
        (Peak(3, 3), Peak(3, 4), Peak(3, 4), Peak()),
    ],
)
def test_peaks_compare_figure_by_figure(one, other, over, beyond):
    assert (one.over(other), one.beyond(other)) == (over, beyond)

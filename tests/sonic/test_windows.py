"""Which frames the wrapper's own loop takes through the network together: the reason for the overlap of two parts."""

import json
from types import SimpleNamespace

import pytest

from tests.support import installed


@pytest.mark.parametrize(("frames", "window"), [(125, 25), (137, 25), (60, 25), (150, 12)])
def test_the_frames_at_both_ends_share_windows_with_the_other_end(frames, window):
    """The reason for the margin, seen in the wrapper's own loop: which frames go through the network together."""
    seen = windows_of_the_wrapper(frames, window)
    over_the_end = [run for run in seen if (frames - 1, 0) in zip(run, run[1:], strict=False)]
    bent = set().union(*over_the_end)
    assert bent <= {*range(window - 1), *range(frames - window + 1, frames)}
    assert frames - window + 1 in bent
    assert sum(frames - 1 in run for run in over_the_end) >= 24, "the last frame, in nearly every step"


def windows_of_the_wrapper(frames: int, window: int) -> list[list[int]]:
    """The frame numbers in every window of 25 steps: the real pipeline, with a network that notes what it gets."""
    torch = pytest.importorskip("torch")
    scheduler = pytest.importorskip("diffusers").EulerDiscreteScheduler
    from sonic_guard.devtools.network_parts import build_pipeline
    from sonic_guard.devtools.sonic_checkout import open_checkout

    class Network(torch.nn.Module):
        dtype, device = torch.float32, torch.device("cpu")
        config = SimpleNamespace(addition_time_embed_dim=4, in_channels=8)
        add_embedding = SimpleNamespace(linear_1=SimpleNamespace(in_features=12))

        def forward(self, sample, step, encoder_hidden_states, **kwargs):
            numbers = encoder_hidden_states[1][0].reshape(3, -1)[2]
            seen.append(numbers.int().tolist())
            return (torch.zeros_like(sample[:, :, :4]),)

    seen: list[list[int]] = []
    checkout = open_checkout(installed.sonic())
    config = json.loads((checkout.path / "svd_repo/scheduler/scheduler_config.json").read_text())
    numbers = [torch.full((1, 1), float(number)) for number in range(frames)]
    build_pipeline(checkout, Network(), scheduler.from_config(config))(
        torch.zeros(1, 3, 64, 64), torch.zeros(1, 1), torch.ones(1, 3, 64, 64), numbers, numbers,
        [torch.zeros(2)] * frames, height=64, width=64, num_frames=frames, decode_chunk_size=8, fps=25.0,
        output_type="latent", overlap=0, shift_offset=7, frames_per_batch=window, img_latent=torch.zeros(1, 4, 8, 8),
    )  # fmt: skip
    return seen

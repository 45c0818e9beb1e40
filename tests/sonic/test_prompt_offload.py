"""The prompts of a long sound: on the way to host memory as they are made, by the wrapper's own predata."""

import gc

import pytest

from sonic_guard.job import Job, duration_of

torch = pytest.importorskip("torch")
for package in ("diffusers", "transformers", "einops"):
    pytest.importorskip(package)

from torch.nn.modules import module  # noqa: E402

from sonic_guard.devtools.allocation_tracker import DEVICE, fake_gpu  # noqa: E402
from sonic_guard.devtools.network_parts import run_predata  # noqa: E402
from sonic_guard.low_vram.prompt_offload import prompts_to_host  # noqa: E402
from tests.support import small_sonic  # noqa: E402

PROMPT_BYTES = 32 * 1024 * 4
BUCKET_BYTES = 512
"""What a motion bucket takes of the card's memory."""


def predata(frames):
    """What the wrapper's predata leaves, and the bytes of it that are on the GPU."""
    job = Job(256, 256, duration_of(frames), min_resolution=256)
    with fake_gpu(small_sonic.checkout().path) as tracker, torch.no_grad():
        before = tracker.live_bytes
        data = run_predata(small_sonic.checkout(), job, DEVICE, lambda pixels: pixels.new_empty(1, 4, 32, 32))
        gc.collect()
        return data, tracker.live_bytes - before


def devices(tensors):
    return {tensor.device.type for tensor in tensors}


def test_they_are_in_host_memory_and_all_else_is_where_it_was():
    _, stock = predata(6)
    with prompts_to_host() as moved:
        data, optimized = predata(6)
    assert devices([*data["audio_tensor_list"], *data["uncond_audio_tensor_list"]]) == {"cpu"}
    assert devices([*data["motion_buckets"], data["image_embeddings"], data["img_latent"]]) == {DEVICE.type}
    assert {tensor.shape for tensor in data["audio_tensor_list"]} == {(32, 1024)}
    assert moved == [PROMPT_BYTES] * 12
    assert stock - optimized == sum(moved)


def test_what_predata_leaves_on_the_gpu_hardly_grows_with_the_sound():
    with prompts_to_host():
        short, long = (predata(frames)[1] for frames in (6, 36))
    assert long - short == 30 * BUCKET_BYTES


def test_how_far_it_is_is_reported_and_can_end_it():
    reported = []
    with prompts_to_host(reported.append):
        predata(6)
    assert reported == list(range(1, 13))

    def cancel(made):
        if made == 5:
            raise InterruptedError

    with pytest.raises(InterruptedError), prompts_to_host(cancel) as moved:
        predata(6)
    assert len(moved) == 5


def test_other_networks_are_let_alone_and_the_hook_goes_whatever_happens():
    hooks = dict(module._global_forward_hooks)
    with pytest.raises(RuntimeError, match="cancelled"), prompts_to_host() as moved:
        assert len(module._global_forward_hooks) == len(hooks) + 1
        given = torch.nn.Linear(2, 2)(torch.ones(1, 2))
        assert given.shape == (1, 2)
        raise RuntimeError("cancelled")
    assert moved == []
    assert module._global_forward_hooks == hooks

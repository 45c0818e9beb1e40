"""A long video made by the wrapper's own `Sonic` inside the real loop: the frames that `Sonic` makes, each
exactly once, whatever happens in between. Where only the loop counts, quick networks stand in (`quick_sonic`)."""

import copy
import json
from itertools import accumulate

import numpy as np
import pytest

from sonic_guard.errors import NoFallbackLeftError, OutputError
from sonic_guard.media.audio_file import load
from sonic_guard.media.video_file import frames, verify
from sonic_guard.optimizations import EVERY, Optimization

torch = pytest.importorskip("torch")
for package in ("diffusers", "transformers", "einops"):
    pytest.importorskip(package)

from sonic_guard.long_video.part_maker import as_computed, make_part  # noqa: E402
from sonic_guard.long_video.part_plan import part_sound  # noqa: E402
from sonic_guard.long_video.rendering import FallbackEnabled, PartKept, Progress, Task, run  # noqa: E402
from sonic_guard.resume.manifest import weights_key  # noqa: E402
from tests.support import quick_sonic, small_sonic  # noqa: E402
from tests.support.numbered_frames import digest  # noqa: E402

N = small_sonic.FRAMES
SMALL = 8192
"""Chunk size in activations, small enough for several chunks at the sizes of a test."""
SHORT = 35
ESCALATION_ORDER = (
    Optimization.TENSOR_OFFLOAD,
    Optimization.SEQUENTIAL_CFG,
    Optimization.FEED_FORWARD_CHUNKING,
    Optimization.LAYER_CHUNKING,
)
CUDA_MESSAGE = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 7.78 GiB"


class CancelError(Exception):
    """What a host raises where the user has cancelled."""


@pytest.fixture(scope="module")
def exact():
    """Sonic and its VAE in fp64, where another order of the arithmetic is too near to show in 8 bits."""
    return small_sonic.build(torch.float64), small_sonic.Vae(torch.float64)


@pytest.fixture(scope="module")
def quick():
    return quick_sonic.quick()


def in_bytes(video):
    """[1, 3, frames, H, W] as a file without loss holds it."""
    return np.rint(video[0].movedim(0, -1).numpy() * np.float32(255)).astype(np.uint8)


def traces(sonic):
    """What must not be left on other objects."""
    unet = sonic.pipe.unet
    foreign = {name: module.forward for name, module in unet.named_modules() if "forward" in vars(module)}
    hooks = [name for name, module in unet.named_modules() if module._forward_pre_hooks or module._forward_hooks]
    return foreign, hooks, dict(vars(sonic)), unet.device, unet.dtype


# The frames


@pytest.mark.parametrize("interpolate", [True, False])
def test_in_one_pass_the_file_holds_the_wrapper_s_own_frames(tmp_path, exact, interpolate):
    sonic, vae = exact
    sonic.use_interframe = interpolate
    asked = quick_sonic.order(N, window=small_sonic.WINDOW, interpolate=interpolate)
    run_predata, sample = quick_sonic.predata(torch.float64), quick_sonic.sample(vae, small_sonic.WINDOW)
    stock = in_bytes(sample(sonic, run_predata(asked.sound)))
    before, seen = traces(sonic), []
    make = make_part(sonic, EVERY, run_predata, sample, on_frames=seen.append, chunk_size=SMALL)
    done = run(asked, make, tmp_path / "video.mkv", tmp_path / "work")
    sonic.use_interframe = True
    assert done.info == verify(done.path) == (2 * N - 1 if interpolate else N, asked.fps)
    assert np.array_equal(np.stack(list(frames(done.path))), stock)
    assert np.array_equal(in_bytes(torch.cat(seen).movedim(-1, 0)[None]), stock), "the look at them shows others"
    decoded = load(done.path)
    assert decoded.samples == round(asked.job.output_s * quick_sonic.RATE)
    assert np.allclose(decoded.waveform, asked.sound.waveform[:, : decoded.samples], atol=2**-23)
    assert traces(sonic)[:2] == before[:2]


@pytest.mark.parametrize(("latent_frames", "interpolate"), [(quick_sonic.TWO_PARTS, True), (400, False)])
def test_in_parts_every_frame_is_that_of_its_part_and_none_is_lost_or_doubled(tmp_path, latent_frames, interpolate):
    """Between the seams, to the bit."""
    sonic, vae = quick_sonic.quick(interpolate)
    asked = quick_sonic.order(latent_frames, interpolate=interpolate)
    done = quick_sonic.make(sonic, vae, asked, tmp_path / "video.mkv", tmp_path / "work", EVERY)
    assert done.parts == len(asked.parts) > 1
    assert done.info == (asked.job.output_frames, asked.fps)
    shown = np.stack(list(frames(done.path)))
    assert len(shown) == asked.job.output_frames
    assert load(done.path).samples == round(asked.job.output_s * quick_sonic.RATE)
    sample, run_predata = quick_sonic.sample(vae), quick_sonic.predata()
    begins = accumulate((part.head + part.body for part in asked.parts), initial=0)
    for part, begin in zip(asked.parts, begins, strict=False):
        stock = in_bytes(sample(sonic, run_predata(part_sound(asked.sound, part))))
        assert len(stock) == part.made
        body = slice(begin + part.head, begin + part.head + part.body)
        skipped = part.skip + part.head
        assert np.array_equal(shown[body], stock[skipped : skipped + part.body])
        fade = abs(shown[begin : begin + part.head].astype(int) - stock[part.skip : skipped])
        assert part.head == 0 or fade[-1].mean() < 2 < stock.std()


@pytest.fixture(scope="module")
def calm(tmp_path_factory, quick):
    """The undisturbed video in two parts: its digest."""
    folder = tmp_path_factory.mktemp("calm")
    asked = quick_sonic.order(quick_sonic.TWO_PARTS)
    return digest(
        quick_sonic.make(*quick, asked, folder / "video.mkv", folder / "work", {Optimization.STREAMING_DECODE}).path
    )


def film(quick, folder, optimizations=frozenset({Optimization.STREAMING_DECODE}), **more):
    return quick_sonic.make(
        *quick, quick_sonic.order(quick_sonic.TWO_PARTS), folder / "video.mkv", folder / "work", optimizations, **more
    )


def test_every_optimization_makes_the_same_file(tmp_path, quick, calm):
    assert digest(film(quick, tmp_path, EVERY).path) == calm


# The way there


def test_progress_never_decreases(tmp_path, quick):
    events = []
    film(quick, tmp_path, notify=events.append)
    for part in (0, 1):
        shares = [event.share for event in events if isinstance(event, Progress) and event.part == part]
        assert shares == sorted(shares)
        assert len(set(shares)) > 15
    assert events[-1].share == 1


def test_a_network_that_makes_nan_is_reported_in_its_first_step(tmp_path, quick):
    """In the first step, not after denoising; and nothing of it is kept."""
    sonic, _ = quick
    calls = []

    def spoil(network, given, made):
        calls.append(1)
        return (made[0] * float("nan"),)

    hook = sonic.pipe.unet.register_forward_hook(spoil)
    try:
        with pytest.raises(OutputError, match=r"made NaN while denoising, in torch.float32\. Check its weights"):
            film(quick, tmp_path)
    finally:
        hook.remove()
    assert len(calls) == 1
    assert not list(tmp_path.rglob("*.latents"))
    assert not list(tmp_path.rglob("*.part"))


def test_the_weights_of_a_network_are_known_however_they_are_held():
    """As ComfyUI reads a VAE for bf16, before and after it has cast some of it for good."""
    stored = {name: torch.randn(9, generator=torch.Generator().manual_seed(1)).half() for name in ("a", "b")}
    cast = stored | {"b": stored["b"].bfloat16()}
    other = stored | {"b": stored["b"] + 1}
    keys = [weights_key(as_computed(each.items(), torch.bfloat16)) for each in (stored, cast, other)]
    assert keys[0] == keys[1] != keys[2]
    assert weights_key(as_computed(stored.items(), None)) == weights_key(stored.items())


def test_the_share_of_a_part_grows_from_nothing_to_all(tmp_path, quick):
    sonic, vae = quick
    shares = []
    asked = quick_sonic.order(40)
    task = Task(asked.parts[0], 1, part_sound(asked.sound, asked.parts[0]), (), tmp_path, ["part"])
    make = make_part(sonic, EVERY, quick_sonic.predata(), quick_sonic.sample(vae, steps=2))
    make(task, lambda frames: None, lambda share, **_: shares.append(share))
    assert shares[0] == 0
    assert shares == sorted(shares)
    assert shares[-1] == 1
    steps = [share for share in shares if 0 < share <= 0.9]
    assert len(set(steps)) == 2 * 8, "two steps, eight windows"


@pytest.mark.parametrize("moment", [1, 2, 20, 60, 110, 150])
def test_after_an_interrupt_finished_parts_are_kept_and_nothing_half_written(tmp_path, quick, calm, moment):
    before, left = traces(quick[0]), iter(range(moment))

    def check():
        if next(left, None) is None:
            raise CancelError

    with pytest.raises(CancelError):
        film(quick, tmp_path, EVERY, check=check)
    assert not (tmp_path / "video.mkv").exists()
    assert not list(tmp_path.rglob("*.part")), "half a file is left"
    assert traces(quick[0]) == before
    noted = [len(json.loads(file.read_text())["parts"]) for file in tmp_path.glob("work/*/manifest.json")]
    events = []
    done = film(quick, tmp_path, notify=events.append)
    assert done.kept == sum(noted) == sum(isinstance(event, PartKept) for event in events)
    assert digest(done.path) == calm


def test_an_interrupt_late_enough_keeps_the_first_part(tmp_path, quick, calm):
    def notify(event):
        if isinstance(event, Progress) and event.part == 1:
            raise CancelError

    with pytest.raises(CancelError):
        film(quick, tmp_path, notify=notify)
    done = film(quick, tmp_path)
    assert done.kept == 1
    assert digest(done.path) == calm


# Out of memory


class Breaking:
    """Raises an error at a location of a run, some times."""

    def __init__(self, location, after, error, times):
        self.location, self.error, self.times, self.after = location, error, times, after
        self.calls = 0

    def __call__(self, *_):
        self.calls += 1
        if self.times and self.calls > self.after:
            self.times -= 1
            raise self.error()


STAGES = {
    "predata": ("predata", 0),
    "first step": ("network", 0),
    "a later step": ("network", 5),
    "decode": ("decode", 0),
    "decode, later": ("decode", 2),
    "interpolate": ("rife", 0),
    "interpolate, later": ("rife", 20),
}


def breaking_film(quick, folder, breaking, part=0, frames=quick_sonic.TWO_PARTS, **more):
    """A film of `quick` networks, one of which breaks from part `part` on."""
    (sonic, vae), asked, run_predata, begun = quick, quick_sonic.order(frames), quick_sonic.predata(), []

    def at(location):
        if location == breaking.location and len(begun) > part:
            breaking()

    class Vae:
        device = small_sonic.CPU

        def decode(self, latents):
            at("decode")
            return vae.decode(latents)

    class Rife:
        def inference(self, left, right):
            at("rife")
            return sonic.rife.inference(left, right)

    def predata(sound):
        begun.append(sound)
        at("predata")
        return run_predata(sound)

    own = copy.copy(sonic)
    own.rife = Rife()
    hook = own.pipe.unet.register_forward_pre_hook(lambda *_: at("network"))
    try:
        make = make_part(own, {Optimization.STREAMING_DECODE}, predata, quick_sonic.sample(Vae()))
        return run(asked, make, folder / "video.mkv", folder / "work", **more)
    finally:
        hook.remove()


ERRORS = {
    "torch": lambda: torch.OutOfMemoryError(CUDA_MESSAGE),
    "CUDA": lambda: RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be reported at some other call"),
    "cuDNN": lambda: RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    "cuBLAS": lambda: RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    "HIP": lambda: RuntimeError("HIP out of memory. Tried to allocate 20.00 MiB"),
    "MPS": lambda: RuntimeError("MPS backend out of memory (MPS allocated: 17.9 GB, other allocations: 300 KB)"),
}


@pytest.mark.parametrize("part", [0, 1])
@pytest.mark.parametrize("stage", STAGES)
def test_out_of_memory_enables_one_optimization_and_changes_nothing_else(tmp_path, quick, calm, stage, part):
    before, events = traces(quick[0]), []
    breaking = Breaking(*STAGES[stage], ERRORS["torch"], 2)
    done = breaking_film(quick, tmp_path, breaking, part, fallbacks=ESCALATION_ORDER, notify=events.append)
    assert done.optimizations == (Optimization.TENSOR_OFFLOAD, Optimization.SEQUENTIAL_CFG)
    enabled = [event for event in events if isinstance(event, FallbackEnabled)]
    assert enabled == [
        FallbackEnabled(part, Optimization.TENSOR_OFFLOAD, CUDA_MESSAGE),
        FallbackEnabled(part, Optimization.SEQUENTIAL_CFG, CUDA_MESSAGE),
    ]
    assert digest(done.path) == calm
    assert traces(quick[0]) == before


@pytest.mark.parametrize("stage", ["predata", "a later step", "decode", "interpolate"])
@pytest.mark.parametrize("error", ERRORS)
def test_every_runtime_s_words_are_understood(tmp_path, quick, stage, error):
    events = []
    breaking = Breaking(*STAGES[stage], ERRORS[error], 1)
    done = breaking_film(quick, tmp_path, breaking, frames=SHORT, fallbacks=ESCALATION_ORDER, notify=events.append)
    assert [event for event in events if isinstance(event, FallbackEnabled)] == [
        FallbackEnabled(0, Optimization.TENSOR_OFFLOAD, str(ERRORS[error]()))
    ]
    assert done.info.frames == 2 * SHORT - 1


@pytest.mark.parametrize("stage", STAGES)
def test_with_no_optimization_left_it_ends_and_keeps_what_is_finished(tmp_path, quick, calm, stage):
    before = traces(quick[0])
    with pytest.raises(
        NoFallbackLeftError, match=r"part 2 of 2, with every memory optimization enabled\. The 1 before it are kept"
    ):
        breaking_film(quick, tmp_path, Breaking(*STAGES[stage], ERRORS["torch"], 99), 1, fallbacks=ESCALATION_ORDER[:2])
    assert not (tmp_path / "video.mkv").exists()
    assert not list(tmp_path.rglob("*.part"))
    assert traces(quick[0]) == before
    done = film(quick, tmp_path)
    assert done.kept == 1
    assert digest(done.path) == calm


@pytest.mark.parametrize("error", [RuntimeError("shapes do not match"), MemoryError("host"), CancelError()], ids=repr)
def test_another_error_enables_no_optimization(tmp_path, quick, error):
    events = []
    with pytest.raises(type(error)):
        breaking_film(
            quick,
            tmp_path,
            Breaking("decode", 0, lambda: error, 1),
            frames=SHORT,
            fallbacks=ESCALATION_ORDER,
            notify=events.append,
        )
    assert not [event for event in events if isinstance(event, FallbackEnabled)]


@pytest.fixture(scope="module")
def true_film(tmp_path_factory, exact):
    """The undisturbed film of the real networks."""
    return digest(real_film(exact, tmp_path_factory.mktemp("true")).path)


def real_film(exact, folder, optimizations=(Optimization.STREAMING_DECODE,), **more):
    sonic, vae = exact
    asked = quick_sonic.order(9, window=small_sonic.WINDOW)
    make = make_part(
        sonic, optimizations, quick_sonic.predata(torch.float64), quick_sonic.sample(vae, small_sonic.WINDOW)
    )
    return run(asked, make, folder / "video.mkv", folder / "work", **more)


@pytest.mark.parametrize(
    ("location", "after"), [("first layer", 0), ("last layer", 1), ("VAE", 0), ("RIFE", 0), ("RIFE", 5)], ids=str
)
def test_deep_inside_the_real_networks_too(tmp_path, exact, true_film, location, after):
    """From the middle of a layer: the networks are then as before, and the file the same."""
    sonic, vae = exact
    before = traces(sonic)
    layer = {
        "first layer": sonic.pipe.unet.conv_in,
        "last layer": sonic.pipe.unet.up_blocks[-1].resnets[-1].temporal_res_block.conv2,
        "VAE": vae.first_stage_model.decoder.conv_out,
        "RIFE": sonic.rife.flownet,
    }[location]
    hook = layer.register_forward_pre_hook(Breaking(location, after, ERRORS["torch"], 1))
    try:
        done = real_film(
            exact,
            tmp_path,
            optimizations=EVERY - {Optimization.LAYER_CHUNKING},
            fallbacks=(Optimization.LAYER_CHUNKING,),
        )
    finally:
        hook.remove()
    assert done.optimizations == (Optimization.LAYER_CHUNKING,)
    assert digest(done.path) == true_film
    assert traces(sonic) == before

"""A stopped part resumes after its last completed denoising step; on disk, through the real loop and `Sonic`."""

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from sonic_guard.errors import NoFallbackLeftError
from sonic_guard.optimizations import EVERY, Optimization

torch = pytest.importorskip("torch")
for package in ("diffusers", "transformers", "einops"):
    pytest.importorskip(package)

from sonic_guard.long_video.part_maker import make_part  # noqa: E402
from sonic_guard.long_video.rendering import Progress  # noqa: E402
from sonic_guard.long_video.rendering import run as work  # noqa: E402
from sonic_guard.long_video.saved_steps import StepsOnDisk  # noqa: E402
from tests.support import installed, quick_sonic  # noqa: E402
from tests.support.numbered_frames import digest  # noqa: E402

STEPS, FRAMES = 4, 60
WINDOWS = FRAMES // quick_sonic.QUICK_WINDOW
PASSES = STEPS * WINDOWS


class StopError(Exception):
    """Of whatever kind: cancelled, or the power cut."""


@pytest.fixture(scope="module")
def quick():
    """Sonic and its VAE, and a list of the network's calls."""
    sonic, vae = quick_sonic.quick()
    calls = []
    sonic.pipe.unet.register_forward_pre_hook(lambda *_: calls.append(1))
    return sonic, vae, calls


def film(quick, folder, optimizations=EVERY, **more):
    """The video, and the number of network calls for it."""
    sonic, vae, calls = quick
    calls.clear()
    return quick_sonic.make(
        sonic, vae, quick_sonic.order(FRAMES, steps=STEPS), folder / "v.mkv", folder / "w", optimizations, **more
    )


@pytest.fixture(scope="module")
def calm(tmp_path_factory, quick):
    return digest(film(quick, tmp_path_factory.mktemp("calm")).path)


def stop_at(quick, passes):
    """Ends a run at that number of network calls."""

    def check():
        if len(quick[2]) >= passes:
            raise StopError

    return check


def steps_in(folder):
    return [file.name for file in folder.rglob("*.latents")]


@pytest.mark.parametrize(
    ("passes", "kept"), [(1, 0), (WINDOWS, 0), (WINDOWS + 1, 1), (3 * WINDOWS + 5, 3), (PASSES, 3)], ids=str
)
def test_it_resumes_after_the_last_completed_step(tmp_path, quick, calm, passes, kept):
    with pytest.raises(StopError):
        film(quick, tmp_path, check=stop_at(quick, passes))
    names = steps_in(tmp_path)
    assert [name.split("-")[1] for name in names] == [f"{kept}.latents"] * bool(kept)
    assert not list(tmp_path.rglob("*.part")), "half a step is left"
    done = film(quick, tmp_path)
    assert len(quick[2]) == PASSES - kept * WINDOWS
    assert digest(done.path) == calm
    assert sorted(file.name for file in tmp_path.rglob("*")) == [".lock", "v.mkv", "w"]


def test_stopped_in_decode_nothing_of_denoise_is_made_again(tmp_path, quick, calm):
    def look(frames):
        raise StopError

    with pytest.raises(StopError):
        film(quick, tmp_path, look=look)
    assert len(quick[2]) == PASSES
    done = film(quick, tmp_path)
    assert not quick[2]
    assert digest(done.path) == calm


def test_out_of_memory_costs_no_step_and_neither_does_its_last_optimization(tmp_path, quick, calm):
    times = iter(range(2))

    def look(frames):
        if next(times, None) is not None:
            raise torch.OutOfMemoryError("CUDA out of memory")

    done = film(
        quick,
        tmp_path,
        {Optimization.STREAMING_DECODE},
        look=look,
        fallbacks=(Optimization.TENSOR_OFFLOAD, Optimization.STREAM_WEIGHTS),
    )
    assert done.optimizations == (Optimization.TENSOR_OFFLOAD, Optimization.STREAM_WEIGHTS)
    assert len(quick[2]) == PASSES
    assert digest(done.path) == calm


def test_with_no_optimization_left_the_steps_are_there_for_the_next_run(tmp_path, quick, calm):
    def look(frames):
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(NoFallbackLeftError):
        film(quick, tmp_path, look=look)
    done = film(quick, tmp_path)
    assert not quick[2]
    assert digest(done.path) == calm


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("kept", [1, 2])
def test_in_every_number_format(tmp_path, dtype, kept):
    """The pipeline's first step may have another format than the rest: the wrapper puts fp16 latents to its noise."""
    sonic, vae = quick_sonic.quick(dtype=dtype)
    calls = []
    sonic.pipe.unet.register_forward_pre_hook(lambda *_: calls.append(1))

    def run(folder, **more):
        calls.clear()
        parts = make_part(sonic, EVERY, quick_sonic.predata(dtype), quick_sonic.sample(vae, steps=STEPS))
        return digest(
            work(
                quick_sonic.order(FRAMES, steps=STEPS), parts, tmp_path / folder / "v.mkv", tmp_path / "w", **more
            ).path
        )

    for folder in ("calm", "stopped"):
        (tmp_path / folder).mkdir()
    calm = run("calm")
    with pytest.raises(StopError):
        run("stopped", check=stop_at((sonic, vae, calls), kept * WINDOWS + 2))
    assert run("stopped") == calm
    assert len(calls) == PASSES - kept * WINDOWS


def test_another_seed_begins_at_the_beginning(tmp_path, quick):
    with pytest.raises(StopError):
        film(quick, tmp_path, check=stop_at(quick, PASSES))
    sonic, vae, calls = quick
    calls.clear()
    asked = quick_sonic.order(FRAMES, steps=STEPS, settings={"seed": 8})
    quick_sonic.make(sonic, vae, asked, tmp_path / "other.mkv", tmp_path / "w", EVERY)
    assert len(calls) == PASSES


def test_time_left_counts_only_what_this_run_made(tmp_path, quick):
    with pytest.raises(StopError):
        film(quick, tmp_path, check=stop_at(quick, 2 * WINDOWS + 1))
    events, now = [], iter(range(10_000))
    film(quick, tmp_path, notify=events.append, clock=lambda: float(next(now)))
    begun, after = [event for event in events if isinstance(event, Progress)][:2]
    assert begun.share == pytest.approx(0.45)
    assert begun.seconds_left is None
    assert after.seconds_left == pytest.approx((1 - after.share) / (after.share - begun.share)), "a second later"


# The disk


def test_latents_come_back_to_the_bit(tmp_path):
    for dtype in (torch.float16, torch.bfloat16, torch.float32):
        some = [torch.randn(1, 5, 4, 8, 8).to(dtype)[:, ::2] for _ in range(3)]
        with StepsOnDisk(tmp_path, f"{dtype}") as steps:
            steps.begin(7, 3)
            for latents in some:
                steps.put(latents)
            steps.end()
        again = StepsOnDisk(tmp_path, f"{dtype}")
        assert (again.done, again.windows) == (7, 3)
        assert all(torch.equal(again.get(window, some[0]), latents) for window, latents in enumerate(some))
        assert again.get(0, some[0]).dtype == dtype


WITH_A_SIZE_LIMIT = """
import resource, sys
from pathlib import Path
from sonic_guard.optimizations import EVERY
from tests.support import quick_sonic
from tests.support.numbered_frames import digest
sonic, vae = quick_sonic.quick()
folder, limit = Path(sys.argv[1]), int(sys.argv[2])
order = quick_sonic.order(60, steps=4)
vae_decode = vae.decode
def decode(latents):
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    return vae_decode(latents)
vae.decode = decode
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
done = quick_sonic.make(sonic, vae, order, folder / "v.mkv", folder / "w", EVERY)
print(digest(done.path))
"""


def test_a_disk_too_full_for_a_step_costs_the_step_and_not_the_video(tmp_path, calm):
    pytest.importorskip("resource", reason="file sizes can be limited on POSIX only")
    command = [sys.executable, "-c", WITH_A_SIZE_LIMIT, str(tmp_path), "30000"]
    result = subprocess.run(command, cwd=installed.PACK, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split()[-1] == calm
    assert result.stderr.count("This step is not saved") == STEPS
    assert "no space left on this disk" in result.stderr


def a_bit_flipped(step):
    return step[:-1000] + bytes([step[-1000] ^ 1]) + step[-999:]


def test_a_step_that_cannot_be_removed_costs_nothing(tmp_path, quick, calm, monkeypatch, caplog):
    """On Windows another program may hold a file open."""
    unlink = Path.unlink

    def held_open(path, **more):
        if path.suffix == ".latents":
            raise PermissionError(13, "The process cannot access the file because it is being used", str(path))
        unlink(path, **more)

    with caplog.at_level(logging.WARNING):
        monkeypatch.setattr(Path, "unlink", held_open)
        done = film(quick, tmp_path)
    assert digest(done.path) == calm
    assert "is no longer needed and cannot be removed" in caplog.text
    assert "is not kept" not in caplog.text


@pytest.mark.parametrize(
    "broken",
    [
        lambda step: b"",
        lambda step: step[:-100],
        lambda step: b"{}\n" + step,
        lambda step: b"\xff" + step,
        a_bit_flipped,
        None,
    ],
    ids=["empty", "cut", "another head", "no JSON", "a bit", "renamed to a later one"],
)
def test_a_broken_step_is_made_again(tmp_path, quick, calm, caplog, broken):
    with pytest.raises(StopError):
        film(quick, tmp_path, check=stop_at(quick, PASSES))
    (step,) = tmp_path.rglob("*.latents")
    if broken:
        step.write_bytes(broken(step.read_bytes()))
    else:
        step.rename(step.with_name(step.name.replace("-3.", "-4.")))
    with caplog.at_level(logging.WARNING):
        done = film(quick, tmp_path)
    assert "cannot be read" in caplog.text
    assert len(quick[2]) == PASSES
    assert digest(done.path) == calm

"""Whole runs under watch on the fake GPU. Needs no pytest: ComfyUI's own Python runs it, too."""

import torch

from sonic_guard.comfy.sonic_objects import job_of
from sonic_guard.devtools import network_parts, shape_trace
from sonic_guard.devtools.allocation_tracker import DEVICE, fake_gpu
from sonic_guard.job import Job
from sonic_guard.runtime.run_watch import RunWatch
from sonic_guard.runtime.sampler_hooks import follow
from sonic_guard.runtime.stage_peaks import Peak


class Vae:
    """What the wrapper sees of ComfyUI's VAE object, around a real network: it decodes by groups that fit."""

    def __init__(self, network, dtype, device, group=14):
        self.first_stage_model, self.vae_dtype = network.to(dtype), dtype
        self.device = torch.device("cpu")
        self._target, self._group = device, group

    def encode(self, pixels):
        network = self.first_stage_model.to(self._target)
        latents = network.encode(pixels.to(self._target, self.vae_dtype)).float().cpu()
        network.to("cpu")
        return latents

    def decode(self, latents):
        network = self.first_stage_model.to(self._target)
        groups = latents.split(self._group)
        frames = [network.decode(group.to(self._target, self.vae_dtype)).float().cpu() for group in groups]
        return torch.cat(frames).movedim(1, -1)


class MeterPeaks:
    """The fake GPU's own count instead of torch's counters."""

    def __init__(self, tracker):
        self.tracker = tracker

    def read(self):
        return Peak(self.tracker.peak_bytes)

    def reset(self):
        self.tracker.peak_bytes = self.tracker.live_bytes


def run_whole(checkout, job, make_vae):
    """A whole run with full networks, as the three nodes do it; returns its watch."""
    network_parts.forget_grids(checkout)
    with fake_gpu(checkout.path) as tracker, torch.no_grad():
        watch = RunWatch(MeterPeaks(tracker))
        with watch.during("load"):
            unet = network_parts.build_unet(checkout, network_parts.TORCH_DTYPES[job.dtype], DEVICE)
            rife = checkout.rife.RIFEModel(device=DEVICE)
        vae = Vae(make_vae(), network_parts.TORCH_DTYPES[job.vae_dtype], DEVICE)
        with watch.during("predata"):
            data = network_parts.run_predata(checkout, job, DEVICE, vae.encode) | {"vae": vae}
        run_on_fake_gpu(fake_sonic(checkout, unet, rife), job, data, watch)
    return watch


def fake_sonic(checkout, unet, rife):
    pipe = network_parts.build_pipeline(checkout, unet, shape_trace._Schedule())
    pipe._get_add_time_ids = lambda *_, **__: torch.empty(3, 3)
    return network_parts.build_model(checkout, pipe, rife, DEVICE, interpolate=True)


def run_on_fake_gpu(sonic, job, data, watch):
    watch.job = job_of(sonic, data, fps=job.fps, steps=job.steps)
    with follow(sonic, data, watch, fps=job.fps, steps=job.steps):
        network_parts.run_sampler(sonic, job, data, data["vae"], steps=job.steps)


WHOLE = Job(384, 384, 1.2, min_resolution=384, fps=16.0, steps=2)
"""One window, two groups of frames to decode."""

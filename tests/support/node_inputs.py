"""Small pictures, sounds and models to give to the nodes."""

import importlib

import numpy as np
import skimage.data
import torch

PORTRAIT = torch.from_numpy(skimage.data.astronaut()).float().div(255)[None]
NO_FACE = torch.full((1, 512, 512, 3), 0.5)


def sound(duration_s, rate=16_000, channels=1):
    samples = round(duration_s * rate)
    tone = 0.5 * np.sin(2 * np.pi * 220 * np.arange(samples) / rate, dtype=np.float32)
    return {"waveform": torch.from_numpy(tone).expand(1, channels, -1), "sample_rate": rate}


class NotSonic:
    """A model of some other pack."""


def pack_job(pack):
    """A job of the pack's own copy of the library."""
    return importlib.import_module(f"{pack.__name__}.sonic_guard.job").Job(512, 512, 5.0)


def pack_overrides(pack, **values):
    """Overrides of the preset's settings, of the pack's own library."""
    return importlib.import_module(f"{pack.__name__}.sonic_guard.operations.preflight").Overrides(**values)


def pack_plan(pack, card, duration_s=5.0, **request):
    """A plan as Preflight hands it out where Low VRAM is in the graph: a `PlannedRun` of the pack's own library."""
    planning, files, faces, capacity, budget, operations, audio = (
        importlib.import_module(f"{pack.__name__}.sonic_guard.{name}")
        for name in (
            *("planning.capabilities", "operations.preset_files", "operations.face_box", "planning.capacity"),
            *("devices.budget", "operations.preflight", "media.audio"),
        )
    )
    nodes = {"SonicGuardLowVRAM": {}}
    asked = operations.PreflightRequest(
        faces.portrait_of((PORTRAIT[0].numpy() * 255).astype(np.uint8)),
        duration_s,
        files.load_preset("fast"),
        capacity.Capacity(budget.budget_for(card)),
        **{"capabilities": planning.capabilities_of(nodes)} | request,
    )
    return operations.PlannedRun(asked, operations.preflight(asked), PORTRAIT, audio.from_dict(sound(duration_s)))

"""The bytes measured in a stage are those of the shape trace, with full networks and ComfyUI's own VAE."""

import json
import subprocess

import pytest

from sonic_guard.memory.stage_model import STAGES, stage_bytes
from tests.support import installed

torch = pytest.importorskip("torch")
for package in ("diffusers", "transformers", "einops"):
    pytest.importorskip(package)
from tests.support.fake_gpu_runs import WHOLE  # noqa: E402

WITH_COMFYUI = """
import json, sys
from pathlib import Path
from tests.support.fake_gpu_runs import WHOLE, run_whole
from sonic_guard.devtools.sonic_checkout import open_checkout
from sonic_guard.devtools.comfy_vae import vae_builder
from sonic_guard.devtools.shape_trace import trace_run
from sonic_guard.comfy.sonic_objects import job_of
sonic, comfyui = map(Path, sys.argv[1:])
checkout, make_vae = open_checkout(sonic), vae_builder(comfyui)
measured = {stage: figures.allocated_bytes for stage, figures in run_whole(checkout, WHOLE, make_vae).figures().items()}
traced = {stage: peaks.peak_bytes for stage, peaks in trace_run(checkout, WHOLE, make_vae).items()}
print(json.dumps([measured, traced]))
"""


def test_stage_peaks_are_the_shape_trace_s_to_the_byte_and_the_model_s_within_a_thousandth():
    """With full networks and ComfyUI's own VAE, by the host's Python; the allocation tracker counts bytes exactly."""
    command = [str(installed.python()), "-c", WITH_COMFYUI, str(installed.sonic()), str(installed.comfyui())]
    result = subprocess.run(command, cwd=installed.PACK, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-3000:]
    measured, traced = json.loads(result.stdout.splitlines()[-1])
    assert measured == {stage: traced[stage] for stage in STAGES}
    assert measured == {stage: pytest.approx(size, rel=1e-3) for stage, size in stage_bytes(WHOLE).items()}

"""What importing the library may load: neither torch nor OpenCV, and nothing of ComfyUI."""

import subprocess
import sys

import pytest

MODULES = (
    "sonic_guard",
    "sonic_guard.job",
    "sonic_guard.media.audio",
    "sonic_guard.media.audiofile",
    "sonic_guard.media.face",
    "sonic_guard.media.crop",
    "sonic_guard.media.silence",
    "sonic_guard.vram.budget",
    "sonic_guard.vram.model",
    "sonic_guard.plan",
    "sonic_guard.preflight",
    "sonic_guard.words",
    "sonic_guard.oom",
    "sonic_guard.run",
    "sonic_guard.live.recorder",
    "sonic_guard.preview.evaluate",
    "sonic_guard.preview.answer",
    "sonic_guard.vram.history.store",
    "sonic_guard.switches",
    "sonic_guard.reach",
    "sonic_guard.wrapper_job",
    "sonic_guard.words_lean",
    "sonic_guard.long.run",
    "sonic_guard.media.video",
    "sonic_guard.media.videofile",
    "sonic_guard.media.seam",
    "sonic_guard.cli",
)


@pytest.mark.parametrize("module", MODULES)
def test_importing_stays_light(module):
    code = (
        f"import sys, {module}; heavy = {{'torch', 'cv2', 'comfy', 'folder_paths'}} & set(sys.modules); "
        "sys.exit(', '.join(heavy) or None)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_the_memory_model_needs_only_the_standard_library():
    """So that `measure` runs on a machine with little more than torch."""
    code = (
        "import sys; before = set(sys.modules); import sonic_guard.vram.model, sonic_guard.cli; "
        "tops = {name.partition('.')[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names); "
        "sys.exit(', '.join(sorted(tops - {'sonic_guard'})) or None)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr

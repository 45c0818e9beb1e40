"""What importing the library may load: neither torch nor OpenCV, and nothing of ComfyUI."""

import subprocess
import sys

import pytest

MODULES = (
    "sonic_guard",
    "sonic_guard.job",
    "sonic_guard.media.audio",
    "sonic_guard.media.audio_file",
    "sonic_guard.media.face",
    "sonic_guard.media.crop",
    "sonic_guard.media.silence",
    "sonic_guard.devices.budget",
    "sonic_guard.memory.stage_model",
    "sonic_guard.planning.planner",
    "sonic_guard.operations.preflight",
    "sonic_guard.messages.plan_messages",
    "sonic_guard.messages.advice_messages",
    "sonic_guard.devices.out_of_memory",
    "sonic_guard.history.run_record",
    "sonic_guard.runtime.recorder",
    "sonic_guard.preview.evaluation",
    "sonic_guard.preview.answer",
    "sonic_guard.history.history_store",
    "sonic_guard.planning.selection",
    "sonic_guard.planning.capabilities",
    "sonic_guard.comfy.sonic_objects",
    "sonic_guard.messages.run_messages",
    "sonic_guard.messages.upscale_messages",
    "sonic_guard.long_video.rendering",
    "sonic_guard.media.video_writer",
    "sonic_guard.media.video_file",
    "sonic_guard.media.seams",
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
        "import sys; before = set(sys.modules); import sonic_guard.memory.stage_model, sonic_guard.cli; "
        "tops = {name.partition('.')[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names); "
        "sys.exit(', '.join(sorted(tops - {'sonic_guard'})) or None)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr

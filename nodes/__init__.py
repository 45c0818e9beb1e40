"""ComfyUI's side: one class per node.

Outputs have a `display_name` and no id, as in ComfyUI's own nodes: older versions refuse an id that an input has too.
"""

import logging

from comfy_api.latest import ComfyExtension, io

from ..sonic_guard.operations.example_files import place_examples
from .audio_duration_node import AudioDuration
from .auto_downgrade_node import AutoDowngrade
from .comfyui import host
from .face_box_node import FaceBox
from .finish_video_node import FinishVideo
from .interpolate_node import InterpolateNode
from .lip_sync_node import LipSyncNode
from .load_voice_node import LoadVoice
from .low_vram_node import LowVRAM
from .oom_risk_node import OOMRisk
from .preflight_node import Preflight
from .preset_node import PresetNode
from .smooth_node import Smooth
from .talking_head_node import TalkingHead
from .upscale_video_node import UpscaleVideo

log = logging.getLogger(__name__)


def _start_service() -> None:
    """Start the widget's and the history's service. Where it fails, the nodes work without it."""
    try:
        from .web_api.service import Service  # here, because the nodes can be imported without ComfyUI

        Service().start()
    except Exception:
        log.exception("Sonic Guard's nodes work, but its widget and its history do not")


def _place_examples() -> None:
    """Put the files that the templates name into the input folder, the first time this pack is loaded."""
    try:
        place_examples(host.input_folder(), host.user_folder() / "example_files.txt")
    except OSError as error:
        log.warning("Sonic Guard: its example portrait and voice cannot be put into the input folder: %s", error)


class SonicGuardExtension(ComfyExtension):
    """The nodes this pack adds."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """Every node class. Also starts the service: ComfyUI 0.3.64 has `on_load`, but never calls it."""
        if host.is_running_comfyui():
            _start_service()
            _place_examples()
        return [
            TalkingHead, Preflight, LowVRAM, OOMRisk, AutoDowngrade, FaceBox, AudioDuration, PresetNode, LoadVoice,
            FinishVideo, LipSyncNode, Smooth, InterpolateNode, UpscaleVideo,
        ]  # fmt: skip

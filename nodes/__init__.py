"""ComfyUI's side: one class a node.

Outputs have a `display_name` and no id, as in ComfyUI's own nodes: older versions refuse an id that an input has too.
"""

import logging

from comfy_api.latest import ComfyExtension, io

from .audio_duration_node import AudioDuration
from .auto_downgrade_node import AutoDowngrade
from .comfy import host
from .face_box_node import FaceBox
from .long_video_node import LongVideo
from .low_vram_node import LowVRAM
from .oom_risk_node import OOMRisk
from .preflight_node import Preflight
from .preset_node import PresetNode

log = logging.getLogger(__name__)


def _begin() -> None:
    """The nodes do without it where it fails."""
    try:
        from .server.service import Service  # here, because the nodes alone can be looked at without a host

        Service().start()
    except Exception:
        log.exception("Sonic Guard's nodes work, but its widget and its history do not")


class SonicGuardExtension(ComfyExtension):
    """The nodes this pack adds."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """Every node class. Begins what goes on beside them: ComfyUI 0.3.64 knows `on_load` and never calls it."""
        if host.is_there():
            _begin()
        return [Preflight, AudioDuration, FaceBox, PresetNode, OOMRisk, AutoDowngrade, LowVRAM, LongVideo]

"""ComfyUI's side: one class a node.

Outputs have a `display_name` and no id, as in ComfyUI's own nodes: older versions refuse an id that an input has too.
"""

from comfy_api.latest import ComfyExtension, io

from .audio_duration import AudioDuration
from .auto_downgrade import AutoDowngrade
from .face_box import FaceBox
from .oom_risk import OOMRisk
from .preflight import Preflight
from .preset import PresetNode


class SonicGuardExtension(ComfyExtension):
    """The nodes this pack adds."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """Every node class."""
        return [Preflight, AudioDuration, FaceBox, PresetNode, OOMRisk, AutoDowngrade]

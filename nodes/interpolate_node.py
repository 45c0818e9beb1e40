"""Interpolate Video: twice the frame rate, without a graphics card."""

from typing import Any

from comfy_api.latest import io

from ..sonic_guard.finishing.interpolate import Interpolate
from ..sonic_guard.messages.catalogue import fill
from ..sonic_guard.messages.upscale_texts import TWICE_THE_IMAGES
from .comfyui import finishing_nodes, shared_inputs
from .comfyui.languages import errors_in_users_language, interface_language


class InterpolateNode(io.ComfyNode):
    """A frame between every two of a finished video."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return shared_inputs.schema(
            node_id="SonicGuardInterpolate",
            display_name="Interpolate Video (Sonic Guard)",
            category=finishing_nodes.CATEGORY,
            description="Twice the frame rate by optical flow, on the CPU: for runs without RIFE (12.5 → 25 fps). The "
            "frames that were there stay as they are, the duration too, and nothing is mixed across a cut.",
            search_aliases=["frame interpolation", "rife", "film", "fps", "double frame rate", "slow motion"],
            inputs=[finishing_nodes.video_input("The video: a VIDEO, or an IMAGE with its frames.")],
            outputs=finishing_nodes.outputs(),
        )

    @classmethod
    @errors_in_users_language
    def execute(cls, video: Any) -> io.NodeOutput:
        """Interpolate a video or pictures."""
        language = interface_language()
        clip, pictures, report = finishing_nodes.run_filters(video, (Interpolate(),), language).outputs
        report = report or fill(TWICE_THE_IMAGES, language)
        return io.NodeOutput(clip, pictures, report, ui={"text": (report,)})

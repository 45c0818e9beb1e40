"""Smooth Video: without Sonic's brightness pulses, and without jitter."""

from typing import Any

from comfy_api.latest import io

from ..sonic_guard.finishing.brightness_plot import brightness_plot
from ..sonic_guard.finishing.smooth import STRENGTH, SmoothNotes, smooth_filters
from ..sonic_guard.messages.smooth_messages import smooth_lines
from ..sonic_guard.operations.input_values import flag
from .comfyui import finishing_nodes, images, shared_inputs
from .comfyui.languages import errors_in_users_language, interface_language


class Smooth(io.ComfyNode):
    """Brightness pulses and jitter, taken out of a finished video."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return shared_inputs.schema(
            node_id="SonicGuardSmooth",
            display_name="Smooth Video (Sonic Guard)",
            category=finishing_nodes.CATEGORY,
            description="Removes the brightness pulse that Sonic's videos have about once a second, and jitter. Mouth "
            "and eyes stay sharp; frames without a pulse or jitter stay as they are.",
            search_aliases=["deflicker", "flicker", "jitter", "stabilize", "temporal smoothing"],
            inputs=[
                finishing_nodes.video_input("The video: a VIDEO, or an IMAGE with its frames."),
                io.Boolean.Input(
                    "deflicker",
                    default=True,
                    tooltip="Remove short pulses of brightness. Fades, lamps and cuts are left alone.",
                ),
                io.Float.Input(
                    "strength",
                    default=STRENGTH,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    tooltip="How much of the jitter to remove; 0: none. Motion that is smooth is left alone.",
                ),
            ],
            outputs=[
                *finishing_nodes.outputs(),
                io.Image.Output(
                    display_name="brightness",
                    tooltip="Brightness by frame, before (red) and after (blue); empty axes without deflicker.",
                ),
            ],
        )

    @classmethod
    @errors_in_users_language
    def execute(cls, video: Any, deflicker: bool, strength: float) -> io.NodeOutput:
        """Smooth a video or pictures."""
        language, notes, is_on = interface_language(), SmoothNotes(), flag("deflicker", deflicker)
        filters = smooth_filters(is_on, strength, notes)
        result = finishing_nodes.run_filters(video, filters, language, notes=(notes,))
        clip, pictures, report = result.outputs
        report = "\n".join(filter(None, [report, *smooth_lines(notes, is_on, strength, language)]))
        plot = images.from_rgb(brightness_plot(notes.before, notes.after))
        return io.NodeOutput(clip, pictures, report, plot, ui={"text": (report,)})

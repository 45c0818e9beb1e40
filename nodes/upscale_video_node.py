"""Upscale Video: an upscale model on a whole video, in tiles that fit, straight into a file."""

from typing import Any

from comfy_api.latest import io

from ..sonic_guard.errors import FinishError, brief
from ..sonic_guard.finishing.output_size import SIZES
from ..sonic_guard.finishing.upscale.network import from_descriptor
from ..sonic_guard.finishing.upscale.upscale_video import Upscale
from ..sonic_guard.messages.upscale_messages import upscale_lines
from ..sonic_guard.operations.input_values import is_whole, one_of
from .comfyui import finishing_nodes, host, images, shared_inputs
from .comfyui.languages import errors_in_users_language, interface_language

DEVICES = ("auto", "cpu", "cuda:0", "cuda:1", "cuda:2", "cuda:3", "mps")
"""The devices in the menu; one that is not there is refused."""
AUTO_TILE = 0


class UpscaleVideo(io.ComfyNode):
    """A finished video at full HD and above."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return shared_inputs.schema(
            node_id="SonicGuardUpscaleVideo",
            display_name="Upscale Video (Sonic Guard)",
            category=finishing_nodes.CATEGORY,
            description="Enlarges a video with an upscale model, frame by frame into a file: however long it is, it "
            "needs no more memory. Tiles are as large as fits on the card, and are made smaller if memory runs out.",
            search_aliases=["upscale", "super resolution", "esrgan", "full hd", "4k", "enlarge video"],
            inputs=[
                finishing_nodes.video_input("The video: a VIDEO, or an IMAGE with its frames."),
                io.UpscaleModel.Input("upscale_model", tooltip="From Load Upscale Model; Real-ESRGAN, for example."),
                io.Combo.Input(
                    "size",
                    options=list(SIZES),
                    default=next(iter(SIZES)),
                    tooltip="Height of the result, or by how much to enlarge. The aspect ratio is kept.",
                ),
                io.Combo.Input(
                    "device",
                    options=list(DEVICES),
                    default="auto",
                    tooltip="Where the model runs. auto: another card than the one Sonic uses, if there is one.",
                ),
                shared_inputs.advanced(
                    io.Int.Input(
                        "tile",
                        default=AUTO_TILE,
                        min=AUTO_TILE,
                        max=4096,
                        step=16,
                        tooltip="Side of a tile in pixels of the source. 0: as large as fits.",
                    )
                ),
            ],
            outputs=finishing_nodes.outputs(),
        )

    @classmethod
    @errors_in_users_language
    def execute(cls, video: Any, upscale_model: Any, size: str, device: str, tile: int) -> io.NodeOutput:
        """Enlarge a video or pictures."""
        if not is_whole(tile):  # a link may bring any value
            raise FinishError(f"tile: {brief(tile)} is no number of pixels.")
        language = interface_language()
        step = Upscale(
            from_descriptor(upscale_model), SIZES[one_of("size", size, tuple(SIZES))],
            one_of("device", device, DEVICES), tile or None, make_room=host.make_room, check=host.stop_if_interrupted,
        )  # fmt: skip
        result = finishing_nodes.run_filters(video, (step,), language)
        clip, pictures, report = result.outputs
        if result.finished:
            width, height = result.finished.source.width, result.finished.source.height
        else:
            height, width = images.as_batch(video).shape[1:3]
        report = "\n".join(filter(None, [report, *upscale_lines(step, width, height, language)]))
        return io.NodeOutput(clip, pictures, report, ui={"text": (report,)})

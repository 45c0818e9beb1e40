"""Finish Video: everything that a preset includes, in one encode, into ComfyUI's output folder."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from comfy_api.latest import InputImpl, io

from ..sonic_guard.finishing.finish_presets import FinishPreset, FinishSteps, finish_filters
from ..sonic_guard.finishing.smooth import SmoothNotes
from ..sonic_guard.media.footage import open_footage
from ..sonic_guard.media.video_writer import Encoding
from ..sonic_guard.messages.finish_all_messages import finish_all_lines
from ..sonic_guard.messages.finish_messages import finish_report
from ..sonic_guard.messages.smooth_messages import smooth_lines
from ..sonic_guard.operations.input_values import text
from .comfyui import finishing_nodes, host, shared_inputs
from .comfyui.finish_all_inputs import finish_request, finish_steps
from .comfyui.languages import errors_in_users_language, interface_language

PREFIX = "video/finished"
"""Of the file's name, where the user gives none."""


class FinishVideo(io.ComfyNode):
    """A video as it should have been: lips on the beat, no flicker, no jitter, full HD."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return shared_inputs.schema(
            node_id="SonicGuardFinishVideo",
            display_name="Finish Video (Sonic Guard)",
            category=finishing_nodes.CATEGORY,
            description="Removes brightness pulses and jitter, moves the sound to the lips, and enlarges to full HD, "
            "in one go and in bounded memory. A run that was stopped is resumed.",
            search_aliases=[
                "finish",
                "enhance video",
                "full hd",
                "deflicker",
                "upscale",
                "lip sync",
                "post-processing",
            ],
            is_output_node=True,
            inputs=[
                finishing_nodes.video_input("The video: a VIDEO, or an IMAGE with its frames."),
                io.Combo.Input(
                    "preset",
                    options=[str(preset) for preset in FinishPreset],
                    default=str(FinishPreset.HD),
                    tooltip="hd: brightness pulses, jitter, lips, full HD. fast: brightness pulses and lips; the size "
                    "stays.",
                ),
                io.UpscaleModel.Input(
                    "upscale_model",
                    optional=True,
                    tooltip="From Load Upscale Model; Real-ESRGAN, for example. Without one, hd is resized by Lanczos.",
                ),
                shared_inputs.advanced(
                    io.Int.Input(
                        "height",
                        default=0,
                        min=0,
                        max=4320,
                        step=2,
                        tooltip="Height of the result in pixels; the aspect ratio is kept. 0: the preset's.",
                    )
                ),
                shared_inputs.advanced(
                    io.Int.Input(
                        "crf",
                        default=18,
                        min=1,
                        max=51,
                        tooltip="Quality of h264: lower values are better and make larger files.",
                    )
                ),
                shared_inputs.advanced(
                    io.String.Input(
                        "filename_prefix",
                        default=PREFIX,
                        tooltip="Name in ComfyUI's output folder, as in Save Video.",
                    )
                ),
            ],
            outputs=finishing_nodes.outputs(),
        )

    @classmethod
    @errors_in_users_language
    def execute(
        cls, video: Any, preset: str, height: int, crf: int, filename_prefix: str, upscale_model: Any = None
    ) -> io.NodeOutput:
        """Finish a video into a file, or pictures in memory."""
        language = interface_language()
        steps = finish_steps(preset, height)
        if isinstance(video, torch.Tensor):
            return _in_memory(video, steps, upscale_model, language)
        source = finishing_nodes.as_file(video)
        request = finish_request(source, steps, Encoding(crf=crf), upscale_model)
        footage = open_footage(source, host.stop_if_interrupted)
        prefix = text("filename_prefix", filename_prefix).strip() or PREFIX
        target, subfolder = host.new_output(prefix, ".mp4", footage.width, footage.height)
        done = finishing_nodes.finish_all_file(request, target, language)
        report = "\n".join([finish_report(done.finished, language), *finish_all_lines(done, language)])
        result = finishing_nodes.Result(InputImpl.VideoFromFile(str(target)), None, report)
        shown = {"filename": target.name, "subfolder": subfolder, "type": "output"}
        return io.NodeOutput(*result.outputs, ui={"images": [shown], "animated": (True,), "text": (report,)})


def _in_memory(video: torch.Tensor, steps: FinishSteps, upscale_model: Any, language: str) -> io.NodeOutput:
    """Pictures: they have no sound, so that the lips are left alone."""
    notes = SmoothNotes()
    request = finish_request(Path(), replace(steps, lip_sync=False), Encoding(), upscale_model)
    filters = finish_filters(request.steps, notes, request.upscale)
    result = finishing_nodes.run_filters(video, filters, language)
    report = "\n".join(smooth_lines(notes, steps.deflicker, steps.jitter, language))
    return io.NodeOutput(*replace(result, report=report).outputs, ui={"text": (report,)})

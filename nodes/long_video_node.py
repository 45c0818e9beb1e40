"""Sonic Long Video: a portrait and a voice of any length in, a video file out."""

from typing import Any

from comfy_api.latest import InputImpl, io

from ..sonic_guard.long_video.part_maker import make_part
from ..sonic_guard.long_video.part_store import sweep
from ..sonic_guard.long_video.rendering import run
from ..sonic_guard.media import audio as media_audio
from ..sonic_guard.media.picture import from_batch
from ..sonic_guard.media.video_file import pick
from ..sonic_guard.media.video_writer import PRESETS, Encoding, formats
from ..sonic_guard.messages.run_messages import long_report
from ..sonic_guard.operations.input_values import one_of, text
from ..sonic_guard.operations.long_video_plan import plan_long_video
from .comfyui import host, images, shared_inputs
from .comfyui.long_video_inputs import (
    VideoInputs,
    low_vram_model,
    plan_request,
    run_predata,
    run_sampler,
    video_request,
)
from .comfyui.node_progress import NodeProgress
from .comfyui.sonic_wrapper import find_wrapper

KEPT_DAYS = 14
"""Days after which the finished parts of a video that was not continued are deleted, at the earliest."""
PREFIX = "video/sonic"
"""Of the file's name, where the user gives none."""
PICTURES = 8
"""In the preview."""


class LongVideo(io.ComfyNode):
    """Sonic, its memory, its parts and its file in one node."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs. New ones go to the end: saved workflows count positions."""
        return io.Schema(
            node_id="SonicGuardLongVideo",
            display_name="Sonic Long Video (Sonic Guard)",
            category=shared_inputs.CATEGORY,
            description="Makes a talking-head video of any length: writes frames to the file as they are made, resumes "
            "a run that was stopped, and retries with more memory optimizations when memory runs out.",
            is_output_node=True,
            inputs=[
                io.Custom("MODEL_SONIC").Input(
                    "model", tooltip="From SONICTLoader, or from Sonic Low VRAM to choose the memory optimizations."
                ),
                io.ClipVision.Input("clip_vision", tooltip="Same as for SONIC_PreData."),
                io.Vae.Input("vae", tooltip="Same as for SONIC_PreData."),
                io.Audio.Input("audio", tooltip="The speech, of any length."),
                io.Image.Input("image", tooltip="The cropped portrait. Of a batch, the first image is used."),
                io.Int.Input(
                    "min_resolution", default=512, min=128, max=2048, step=64,
                    tooltip="Shorter side of the video in pixels.",
                ),
                io.Int.Input("inference_steps", default=25, min=1, max=1024, tooltip="Steps cost time, not memory."),
                io.Float.Input("dynamic_scale", default=1.0, min=0.5, max=2.0, step=0.1, tooltip="Strength of motion."),
                io.Float.Input(
                    "fps", default=25.0, min=5.0, max=120.0, step=0.5,
                    tooltip="Sets the window length in frames, not the playback speed. Audio and video stay in sync.",
                ),
                io.Int.Input(
                    "seed", default=0, min=0, max=2**31 - 1, control_after_generate=False,
                    tooltip="Stays the same from run to run, so that a run that was stopped can be resumed.",
                ),
                io.Float.Input(
                    "part_s", default=0.0, min=0.0, max=36000.0, step=1.0,
                    tooltip="Longest part in seconds; parts begin and end at pauses of the speech. 0: one pass if "
                    "it fits, otherwise the longest parts that fit.",
                ),
                io.Combo.Input(
                    "format", options=list(formats()), default=next(iter(formats())),
                    tooltip="h264: plays everywhere. ffv1: lossless. prores: for editing.",
                ),
                io.Int.Input(
                    "crf", default=18, min=1, max=51,
                    tooltip="Quality of h264: lower values are better and make larger files. 18 is visually lossless, "
                    "23 gives half the file size.",
                ),
                io.Combo.Input(
                    "encoder_preset", options=list(PRESETS), default="medium",
                    tooltip="Speed preset of the h264 encoder: slower presets make smaller files.",
                ),
                io.String.Input(
                    "filename_prefix", default=PREFIX, tooltip="Name in ComfyUI's output folder, as in Save Video."
                ),
                shared_inputs.language(),
            ],
            outputs=[
                io.Video.Output(display_name="video", tooltip="The finished video file, with audio."),
                io.Image.Output(display_name="preview", tooltip=f"Up to {PICTURES} frames, evenly spaced."),
                io.String.Output(display_name="report", tooltip="How the video was made, and events of the run."),
            ],
        )  # fmt: skip

    @classmethod
    def execute(
        cls, model: Any, clip_vision: Any, vae: Any, audio: Any, image: Any, min_resolution: int, inference_steps: int,
        dynamic_scale: float, fps: float, seed: int, part_s: float, format: str, crf: int, encoder_preset: str,  # noqa: A002
        filename_prefix: str, language: str,
    ) -> io.NodeOutput:  # fmt: skip
        """Plan the parts, make what is missing, and join them."""
        shared_inputs.read_language(language)
        encoding = Encoding(one_of("format", format, formats()), crf, encoder_preset)
        wrapper, low_vram_sonic = find_wrapper(), low_vram_model(model)
        image = images.as_tensor(image)
        from_batch(image[:1] if image.ndim == 4 else image)  # pixels that are no numbers are refused now, not later
        inputs = VideoInputs(
            low_vram_sonic, clip_vision, vae, media_audio.from_dict(audio), images.as_batch(image)[:1],
            min_resolution, inference_steps, dynamic_scale, fps, seed, part_s,
        )  # fmt: skip
        plan = plan_long_video(plan_request(inputs))
        request, job = video_request(inputs, plan, encoding), plan.part
        prefix, size = text("filename_prefix", filename_prefix).strip() or PREFIX, job.frame_size
        target, subfolder = host.new_output(prefix, encoding.kind.suffix, size.width, size.height)
        work = host.user_folder() / "long"
        sweep(work, KEPT_DAYS)
        progress = NodeProgress(language)
        video = run(
            request,
            make_part(
                low_vram_sonic.sonic,
                job.optimizations,
                run_predata(inputs, wrapper, progress.notify),
                run_sampler(inputs, wrapper),
                progress.add_frames,
                job.chunk_size,
            ),
            target,
            work,
            fallbacks=low_vram_sonic.fallbacks_left(job.optimizations, job.chunk_size),
            notify=progress.notify,
            check=host.stop_if_interrupted,
        )
        report = long_report(video, job, job.optimizations, language)
        shown = {"filename": target.name, "subfolder": subfolder, "type": "output"}
        return io.NodeOutput(
            InputImpl.VideoFromFile(str(target)),
            images.from_rgbs(pick(target, PICTURES)),
            report,
            ui={"images": [shown], "animated": (True,), "text": (report,)},
        )

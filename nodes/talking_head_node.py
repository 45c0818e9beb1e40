"""Sonic Talking Head: a portrait, a voice of any length and Sonic's models in, a video file out."""

from pathlib import Path
from typing import Any

from comfy_api.latest import InputImpl, io

from ..sonic_guard.comfy.sonic_objects import held_bytes
from ..sonic_guard.comfy.talking_head_prompt import PART, asked_part
from ..sonic_guard.errors import SonicGuardError
from ..sonic_guard.long_video import part_bundle
from ..sonic_guard.long_video.part_maker import make_part
from ..sonic_guard.low_vram.overlapped_decode import decode_context
from ..sonic_guard.media.video_file import pick
from ..sonic_guard.media.video_writer import PRESETS, Encoding, formats
from ..sonic_guard.messages.finish_all_messages import finish_all_lines
from ..sonic_guard.messages.plan_messages import refusal
from ..sonic_guard.messages.run_messages import video_report
from ..sonic_guard.messages.sound_messages import sound_lines
from ..sonic_guard.operations.input_values import flag, one_of, text
from ..sonic_guard.operations.talking_head import TalkingHead as PlannedVideo
from ..sonic_guard.operations.talking_head import TalkingHeadRequest, plan_talking_head
from ..sonic_guard.planning.capabilities import GraphCapabilities
from ..sonic_guard.planning.selection import read_switches
from ..sonic_guard.resume.work_folder import KEPT_DAYS, sweep
from .comfyui import host, images, planning_inputs, shared_inputs
from .comfyui.languages import errors_in_users_language
from .comfyui.node_progress import NodeProgress, show_done
from .comfyui.planning_inputs import PlanningInputs
from .comfyui.shared_inputs import advanced
from .comfyui.sonic_model import capabilities
from .comfyui.sonic_wrapper import find_wrapper
from .comfyui.talking_head_inputs import (
    VideoInputs,
    low_vram_model,
    planning_request,
    read_source,
    run_predata,
    run_sampler,
    video_request,
    with_any_model,
    with_model,
)
from .comfyui.talking_head_rendering import FINISH, LOSSLESS, OFF, Rendering, read_finishing, render, render_part

PREFIX = "video/sonic"
"""Of the file's name, where the user gives none."""
PICTURES = 8
"""In the preview."""
MODELS = ("model", "clip_vision", "vae")


class TalkingHead(shared_inputs.TargetCard):
    """The plan, Sonic, its memory, its parts and its file in one node."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs. New ones go to the end: saved workflows count positions."""
        return shared_inputs.schema(
            node_id="SonicGuardTalkingHead",
            display_name="Sonic Talking Head (Sonic Guard)",
            category=shared_inputs.CATEGORY,
            description="Makes a talking-head video of any length from a portrait and a voice: finds the face, chooses "
            "what fits the graphics card, writes frames to the file as they are made, and resumes a run that stopped.",
            search_aliases=[
                *("long video", "long audio", "lip sync", "talking head", "out of memory", "OOM", "VRAM"),
                *("数字人", "口型", "长音频", "显存", "爆显存"),
            ],
            is_output_node=True,
            inputs=[
                # Lazy: what cannot run is refused before minutes are spent on loading the models.
                shared_inputs.MODEL.Input(
                    "model", lazy=True,
                    tooltip="From SONICTLoader, or from Sonic Low VRAM to choose single memory optimizations.",
                ),
                io.ClipVision.Input("clip_vision", lazy=True, tooltip="From Image Only Checkpoint Loader."),
                io.Vae.Input("vae", lazy=True, tooltip="From Image Only Checkpoint Loader."),
                io.Image.Input(
                    "image", optional=True, tooltip="The portrait. Of a batch, the first image is used."
                ),
                io.Audio.Input("audio", optional=True, tooltip="The speech, of any length."),
                shared_inputs.PLAN.Input(
                    "plan", optional=True,
                    tooltip="From Preflight, instead of image and audio: its settings are used, not those below.",
                ),
                io.UpscaleModel.Input(
                    "upscale_model", optional=True,
                    tooltip="For finish hd, from Load Upscale Model; Real-ESRGAN, for example.",
                ),
                *planning_inputs.schema_inputs(),
                io.Float.Input(
                    "preview_s", default=0.0, min=0.0, max=60.0, step=1.0,
                    tooltip="A preview: the first seconds at the final size, in few steps. 0: the whole video.",
                ),
                advanced(io.Int.Input(
                    "seed", default=0, min=0, max=2**31 - 1, control_after_generate=False,
                    tooltip="Stays the same from run to run, so that a run that was stopped can be resumed.",
                )),
                advanced(shared_inputs.mode()),
                advanced(io.Float.Input(
                    "part_s", default=0.0, min=0.0, max=36000.0, step=1.0,
                    tooltip="Longest part in seconds; parts begin and end at pauses of the speech. 0: one pass if "
                    "it fits, otherwise the longest parts that fit.",
                )),
                advanced(io.Combo.Input(
                    "format", options=list(formats()), default=next(iter(formats())),
                    tooltip="h264: plays everywhere. ffv1: lossless. prores: for editing.",
                )),
                advanced(io.Int.Input(
                    "crf", default=18, min=1, max=51,
                    tooltip="Quality of h264: lower values are better and make larger files. 18 is visually lossless, "
                    "23 gives half the file size.",
                )),
                advanced(io.Combo.Input(
                    "encoder_preset", options=list(PRESETS), default="medium",
                    tooltip="Speed preset of the h264 encoder: slower presets make smaller files.",
                )),
                advanced(io.String.Input(
                    "filename_prefix", default=PREFIX,
                    tooltip="Name in ComfyUI's output folder, as in Save Video.",
                )),
                shared_inputs.language(),
                io.Combo.Input(
                    "finish", options=list(FINISH), default=OFF,
                    tooltip="What is done to the frames before they are encoded, as in Finish Video. fast: brightness "
                    "pulses and lips. hd: also jitter, and full HD. off: Sonic's frames as they are.",
                ),
                shared_inputs.overlapped_decode(),
            ],
            outputs=[
                io.Video.Output(display_name="video", tooltip="The finished video file, with audio."),
                io.Image.Output(display_name="preview", tooltip=f"Up to {PICTURES} frames, evenly spaced."),
                io.String.Output(display_name="report", tooltip="How the video was made, and events of the run."),
            ],
            hidden=[io.Hidden.extra_pnginfo],
        )  # fmt: skip

    @classmethod
    def fingerprint_inputs(cls, target_card: Any = None, preset: str = "", **_: Any) -> str:
        """The card that is planned for; the content of the preset's file, so that an edited one is read again."""
        return f"{super().fingerprint_inputs(target_card)} {shared_inputs.preset_text(preset)}"

    @classmethod
    @errors_in_users_language
    def check_lazy_status(
        cls, language: str, part_s: float, preview_s: float, format: str, crf: int, encoder_preset: str,  # noqa: A002
        filename_prefix: str, finish: str = OFF, image: Any = None, audio: Any = None, plan: Any = None, **others: Any,
    ) -> list[str]:  # fmt: skip
        """The models that are still to be loaded. What cannot run, whatever they are, is refused here."""
        missing = [name for name in MODELS if others.get(name) is None]
        if missing:
            language = shared_inputs.read_language(language)
            encoding = Encoding(one_of("format", format, formats()), crf, encoder_preset)
            read_finishing(finish, others.get("upscale_model"))
            source = read_source(plan, image, audio, _planning(others), capabilities())
            planned = _planned(with_any_model(planning_request(source, part_s, preview_s)), language)
            _new_file(filename_prefix, encoding.kind.suffix, planned)
        return missing

    @classmethod
    @errors_in_users_language
    def execute(
        cls, model: Any, clip_vision: Any, vae: Any, preview_s: float, seed: int, mode: str,
        part_s: float, format: str, crf: int, encoder_preset: str, filename_prefix: str, language: str,  # noqa: A002
        finish: str = OFF, overlapped_decode: bool = False, image: Any = None, audio: Any = None, plan: Any = None,
        upscale_model: Any = None, **planning: Any,
    ) -> io.NodeOutput:  # fmt: skip
        """Plan the video, make the parts that are missing, and join them."""
        language = shared_inputs.read_language(language)
        encoding = Encoding(one_of("format", format, formats()), crf, encoder_preset)
        wrapper, progress = find_wrapper(), NodeProgress(language)
        low_vram_sonic = low_vram_model(model, read_switches(mode))
        overlapped = flag("overlapped_decode", overlapped_decode) or low_vram_sonic.choice.overlapped_decode
        can = GraphCapabilities(low_vram_sonic.choice.switches, to_file=True)
        source = read_source(plan, image, audio, PlanningInputs(**planning), can, held_bytes(low_vram_sonic.sonic))
        request = with_model(planning_request(source, part_s, preview_s), low_vram_sonic, vae)
        planned = _planned(request, language)
        job = planned.part
        inputs = VideoInputs(
            low_vram_sonic, clip_vision, vae, source.voice(planned), source.picture(planned), planned, seed,
            decode_context(overlapped),
        )  # fmt: skip
        target, subfolder = _new_file(filename_prefix, encoding.kind.suffix, planned)
        sweep(host.user_folder() / "long", KEPT_DAYS)
        finishing = read_finishing(finish, upscale_model)
        rendering = Rendering(
            video_request(inputs, encoding if finishing is None else LOSSLESS, progress.notify),
            make_part(
                low_vram_sonic.sonic,
                job.optimizations,
                run_predata(inputs, wrapper, progress.notify),
                run_sampler(inputs, wrapper),
                progress.add_frames,
                job.chunk_size,
                inputs.decode_context,
            ),
            low_vram_sonic.fallbacks_left(job.optimizations, job.chunk_size),
            progress.notify,
        )
        if asked := asked_part(getattr(cls.hidden, "extra_pnginfo", None)):
            bundle, subfolder = _new_file(filename_prefix, part_bundle.SUFFIX, planned)
            render_part(rendering, asked, bundle)
            shown = {"filename": bundle.name, "subfolder": subfolder, "type": "output"}
            return io.NodeOutput(None, None, "", ui={PART: [shown]})
        video, done = render(rendering, finishing, encoding, target, language)
        show_done(language)
        lines = [video_report(video, planned, language), *sound_lines(source.sound, language)]
        report = "\n".join([*lines, *([] if done is None else finish_all_lines(done, language))])
        shown = {"filename": target.name, "subfolder": subfolder, "type": "output"}
        outputs = planned.outputs(
            InputImpl.VideoFromFile(str(target)), images.from_rgbs(pick(target, PICTURES)), report
        )
        return io.NodeOutput(*outputs, ui={"images": [shown], "animated": (True,), "text": (report,)})


def _planning(inputs: dict[str, Any]) -> PlanningInputs:
    return PlanningInputs(**{name: inputs[name] for name in PlanningInputs.__dataclass_fields__})


def _new_file(filename_prefix: Any, suffix: str, planned: PlannedVideo) -> tuple[Path, str]:
    """See `host.new_output`."""
    prefix, size = text("filename_prefix", filename_prefix).strip() or PREFIX, planned.part.frame_size
    return host.new_output(prefix, suffix, size.width, size.height)


def _planned(request: TalkingHeadRequest, language: str) -> PlannedVideo:
    """The plan. Raises `SonicGuardError` where the node stops the graph."""
    planned = plan_talking_head(request)
    if planned.preflight.refused:
        raise SonicGuardError(refusal(planned.preflight.plan), shown=refusal(planned.preflight.plan, language))
    return planned

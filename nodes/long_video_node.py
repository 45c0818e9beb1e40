"""Sonic Long Video: a portrait and a voice of any length in, a video file out."""

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from comfy_api.latest import InputImpl, io

from ..sonic_guard.comfy.sonic_objects import held_bytes, model_dtype, vae_dtype
from ..sonic_guard.devices.budget import RESERVE, host_memory_bytes
from ..sonic_guard.errors import JobError, WrapperError, brief
from ..sonic_guard.job import LATENT_FPS, MAX_DURATION_S, MIN_CHUNK_SIZE, MIN_SOUND_S, Job, duration_of, latent_frames
from ..sonic_guard.long_video.manifest import weights_key
from ..sonic_guard.long_video.part_maker import Predata, as_computed, audio_scales, make_part, tensors_of
from ..sonic_guard.long_video.part_store import sweep
from ..sonic_guard.long_video.rendering import EncodingAudio, Event, Joining, Progress, run
from ..sonic_guard.long_video.video_request import VideoRequest
from ..sonic_guard.low_vram.engine import LowVramSonic, offload_unet
from ..sonic_guard.low_vram.network_check import supported_optimizations, wrapped
from ..sonic_guard.low_vram.prompt_offload import prompts_to_host
from ..sonic_guard.media import audio as media_audio
from ..sonic_guard.media.picture import from_batch
from ..sonic_guard.media.video_file import pick
from ..sonic_guard.media.video_writer import PRESETS, Encoding, formats
from ..sonic_guard.messages.catalogue import LANGUAGES
from ..sonic_guard.messages.run_messages import event_text, long_report
from ..sonic_guard.optimizations import Optimization, unused
from ..sonic_guard.planning.capacity import Capacity, Span
from ..sonic_guard.planning.part_length import longest_fitting
from ..sonic_guard.planning.selection import DEFAULT, STREAMED
from .comfy import host, images, shared_inputs
from .comfy.link_values import text
from .comfy.sonic_model import make_low_vram
from .comfy.sonic_wrapper import Wrapper, files_key, find_wrapper, longest_sound_s

log = logging.getLogger(__name__)

KEPT_DAYS = 14
"""How long, at the least, the finished parts of a video wait for somebody to go on with it."""
PREFIX = "video/sonic"
"""Of the file's name, where the user gives none."""
PICTURES = 8
"""In the preview."""
BAR = 1000
"""Steps of ComfyUI's bar."""
EXPAND_RATIO = 0.5
"""SONIC_PreData's default; it has no use for it."""
NOTIFY_INTERVAL_S = 1.0
"""Least time between two texts or pictures on the node."""


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
        shared_inputs.one_of("language", language, LANGUAGES)
        encoding = Encoding(shared_inputs.one_of("format", format, formats()), crf, encoder_preset)
        wrapper, low_vram_sonic = find_wrapper(), _low_vram(model)
        image = images.as_tensor(image)
        from_batch(image[:1] if image.ndim == 4 else image)  # hours later NaN would be no news
        picture = images.as_batch(image)[:1]
        order = _order(low_vram_sonic, clip_vision, vae, media_audio.from_dict(audio), picture, part_s, encoding, {
            "min_resolution": min_resolution, "steps": inference_steps, "dynamic_scale": dynamic_scale, "fps": fps,
        }, seed)  # fmt: skip
        longest = max(part.latent_frames for part in order.parts)
        job = low_vram_sonic.optimized_job(replace(order.job, duration_s=duration_of(longest)))
        looks = {**order.settings, "fp8_weights": Optimization.FP8_WEIGHTS in job.optimizations, "wrapper": files_key()}
        order = replace(order, job=replace(order.job, optimizations=job.optimizations), settings=looks)
        size = job.frame_size
        target, subfolder = host.new_output(
            text("filename_prefix", filename_prefix).strip() or PREFIX, encoding.kind.suffix, size.width, size.height
        )
        work = host.user_folder() / "long"
        sweep(work, KEPT_DAYS)
        progress = _NodeProgress(language)
        video = run(
            order,
            make_part(
                low_vram_sonic.sonic,
                job.optimizations,
                _predata(wrapper, low_vram_sonic, clip_vision, vae, picture, min_resolution, progress.notify),
                lambda streaming, data: wrapper.sample(
                    model=streaming, data_dict=data, seed=seed, inference_steps=inference_steps,
                    dynamic_scale=dynamic_scale, fps=fps,
                ),
                progress.look,
                job.chunk_size,
            ),
            target,
            work,
            fallbacks=_fallbacks(low_vram_sonic, job),
            notify=progress.notify,
            check=host.stop_if_interrupted,
        )  # fmt: skip
        report = long_report(video, job, job.optimizations, language)
        shown = {"filename": target.name, "subfolder": subfolder, "type": "output"}
        return io.NodeOutput(
            InputImpl.VideoFromFile(str(target)),
            images.from_rgbs(pick(target, PICTURES)),
            report,
            ui={"images": [shown], "animated": (True,), "text": (report,)},
        )


class _NodeProgress:
    """Shows on the node how far the video is: a bar, a line of text, and now and then a picture."""

    def __init__(self, language: str) -> None:
        self._language = language
        self._bar = host.progress_bar(BAR)
        self._picture: Any = None
        self._notified_s = 0.0

    def look(self, frames: Any) -> None:
        """Note finished frames [n, H, W, 3]."""
        self._picture = frames[-1]

    def notify(self, event: Event) -> None:
        """Show `event`."""
        soon = time.monotonic() - self._notified_s < NOTIFY_INTERVAL_S
        if isinstance(event, Progress):
            picture = None if soon or self._picture is None else images.as_pil(self._picture)
            self._bar(round(BAR * event.share), picture)
        if soon and isinstance(event, EncodingAudio | Progress | Joining):
            return
        self._notified_s, self._picture = time.monotonic(), None
        host.show_text(event_text(event, self._language))


def _low_vram(model: Any) -> LowVramSonic:
    """`model` as Sonic Low VRAM has made it, or with every switch as it stands unless somebody moves it."""
    sonic = wrapped(model)
    if sonic is not model:
        return model
    return make_low_vram(sonic, DEFAULT.within(supported_optimizations(sonic)))


def _order(
    model: LowVramSonic, clip_vision: Any, vae: Any, sound: media_audio.Sound, picture: Any, part_s: float,
    encoding: Encoding, settings: dict[str, Any], seed: int,
) -> VideoRequest:  # fmt: skip
    """The whole video, and where it is cut."""
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 1 << 64:
        raise JobError(f"seed: expected a whole number from 0 on, got {brief(seed)}.")
    job = Job(
        width=picture.shape[2],
        height=picture.shape[1],
        duration_s=max(MIN_SOUND_S, sound.duration_s),
        dtype=_format("model", model_dtype, model),
        interpolate=bool(model.use_interframe),
        vae_dtype=_format("vae", vae_dtype, vae),
        optimizations=STREAMED,
        to_file=True,
        **settings,
    )
    rife = getattr(model.rife, "flownet", None) if model.use_interframe else None
    networks = tensors_of(unet=model.pipe.unet, clip=_network("clip_vision", clip_vision, "model"), rife=rife)
    decodes = as_computed(tensors_of(vae=_network("vae", vae, "first_stage_model")), getattr(vae, "vae_dtype", None))
    looks = {
        "seed": seed,
        "ip_audio_scale": audio_scales(model.pipe.unet),
    }
    if not isinstance(part_s, int | float) or not 0 <= part_s <= MAX_DURATION_S:  # NaN is neither
        raise JobError(f"part_s: {brief(part_s)} is no length of a part. Use 0, or a number of seconds.")
    longest = round(part_s * LATENT_FPS) if part_s else _longest(job, model)
    hears = int(longest_sound_s(sound) * LATENT_FPS)
    longest = hears if longest is None else min(longest, hears)
    return VideoRequest(job, picture, sound, weights_key((*networks, *decodes)), looks, encoding, longest)


def _network(name: str, value: Any, attribute: str) -> Any:
    """The network inside the input `name`. Raises `WrapperError` for a value that is not what it has to be."""
    try:
        network = getattr(value, attribute)
        if not callable(getattr(network, "state_dict", dict)):
            raise TypeError("not a network")
        return network
    except Exception as error:  # of something strange anything may be strange
        raise WrapperError(
            f"{name}: expected what Image Only Checkpoint Loader gives there, got {brief(value)}. Connect its output."
        ) from error


def _format(name: str, read: Callable[[Any], Any], value: Any) -> Any:
    """The number format of the input `name`. Raises `WrapperError` for one that Sonic does not run in."""
    try:
        return read(value)
    except Exception as error:
        raise WrapperError(
            f"{name}: its number format is not fp16, bf16 or fp32 ({brief(error)}). Load it in one of these."
        ) from error


def _longest(job: Job, model: LowVramSonic) -> int | None:
    """Latent frames of the longest part that fits; None if the whole does."""
    capacity = Capacity(host.budget("auto", RESERVE, held_bytes(model.sonic)), host_memory_bytes("auto"))

    def fits(candidate: Job) -> bool:
        enabled = replace(candidate, optimizations=model.optimizations_for(candidate))
        return capacity.fits(enabled, Span.AFTER_LOAD)

    return longest_fitting(job, fits)


def _fallbacks(model: LowVramSonic, job: Job) -> list[Optimization]:
    """What is left to pull when memory runs out; block-wise order once more where its pieces can be smaller."""
    left = unused(model.fallbacks, job.optimizations)
    can_shrink = Optimization.LAYER_CHUNKING in job.optimizations and job.chunk_size > MIN_CHUNK_SIZE
    return [Optimization.LAYER_CHUNKING, *left] if can_shrink else left


def _predata(
    wrapper: Wrapper, model: LowVramSonic, clip_vision: Any, vae: Any, picture: Any,
    min_resolution: int, notify: Callable[[Event], object],
) -> Predata:  # fmt: skip
    """Runs SONIC_PreData on a sound; `tell` hears how far it is."""

    def work(heard: media_audio.Sound) -> dict[str, Any]:
        prompts = 2 * latent_frames(heard.duration_s)

        def listened(made: int) -> None:
            host.stop_if_interrupted()
            notify(EncodingAudio(made / prompts))

        offload_unet(model)
        host.free_memory(None)  # it lets ComfyUI unload its models at its end only, and has its own beside them
        with prompts_to_host(listened) as moved:
            (data,) = wrapper.predata(
                clip_vision=clip_vision, vae=vae, audio=media_audio.to_dict(heard), image=picture,
                weight_dtype=model.pipe.unet.dtype, min_resolution=min_resolution, duration=heard.duration_s,
                expand_ratio=EXPAND_RATIO,
            )  # fmt: skip
        if not moved:
            log.warning("Sonic's prompts stay on the GPU: this wrapper makes them in a way that is not known here.")
        return data

    return work

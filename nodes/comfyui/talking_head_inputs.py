"""The inputs of Sonic Talking Head: what is planned of them, what identifies them, and Sonic's nodes run with them."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from ...sonic_guard.comfy.sonic_objects import check_runs_in, model_dtype, vae_dtype
from ...sonic_guard.errors import JobError, SonicGuardError, WrapperError, brief
from ...sonic_guard.job import Dtype, latent_frames
from ...sonic_guard.long_video.part_maker import Predata, as_computed, audio_scales, tensors_of
from ...sonic_guard.long_video.rendering import EncodingAudio, Event, Preparing
from ...sonic_guard.long_video.video_request import VideoRequest, pause_in
from ...sonic_guard.low_vram.engine import offload_unet
from ...sonic_guard.low_vram.network_check import supported_optimizations, wrapped
from ...sonic_guard.low_vram.prompt_offload import prompts_to_host
from ...sonic_guard.media import audio as media_audio
from ...sonic_guard.media import crop
from ...sonic_guard.media.frame_grid import fit_to_frames
from ...sonic_guard.media.video_writer import Encoding
from ...sonic_guard.operations.input_values import is_whole
from ...sonic_guard.operations.low_vram_choice import LowVramChoice
from ...sonic_guard.operations.preflight import ModelSettings, PreflightRequest
from ...sonic_guard.operations.talking_head import TalkingHead, TalkingHeadRequest
from ...sonic_guard.planning.capabilities import GraphCapabilities
from ...sonic_guard.planning.selection import Switches
from ...sonic_guard.relatives import Relative, assumed_relative
from ...sonic_guard.resume.manifest import weights_key
from . import host, images, shared_inputs
from .encoded_picture import EncodedPicture
from .planning_inputs import PlanningInputs
from .sonic_model import ChosenLowVramSonic
from .sonic_wrapper import Wrapper, files_key, longest_sound_s

log = logging.getLogger(__name__)

EXPAND_RATIO = 0.5
"""SONIC_PreData's default; it does not use it."""


@dataclass(frozen=True, eq=False)
class Source:
    """The portrait and the voice: from the node's own inputs, or from the plan that is linked."""

    run: PreflightRequest
    """What is planned, as far as it is known without the model."""
    image: Any
    """Tensor [1, H, W, 3]: the portrait, or the crop of the plan."""
    sound: media_audio.Sound
    cropped: bool

    def picture(self, planned: TalkingHead) -> Any:
        """The picture that Sonic gets, as a tensor [1, H, W, 3]."""
        return self.image if self.cropped else crop.crop(self.image, planned.preflight.selection.crop)

    def voice(self, planned: TalkingHead) -> media_audio.Sound:
        """The sound of the video: all of it, or as much as is used."""
        whole = planned.whole
        if whole.latent_frames >= latent_frames(self.sound.duration_s):
            return self.sound
        return fit_to_frames(self.sound, whole.latent_frames, whole.interpolate).for_sonic


def read_source(
    plan: Any, image: Any, audio: Any, planning: PlanningInputs, capabilities: GraphCapabilities, held_bytes: int = 0
) -> Source:
    """The node's picture, sound and wishes; those of a linked plan replace its own.

    Raises `SonicGuardError` where neither is connected, and for what is no picture, sound or plan.
    """
    if plan is not None:
        linked = shared_inputs.read_plan(plan)
        return Source(replace(linked.request, capabilities=capabilities), linked.image, linked.sound, cropped=True)
    if image is None or audio is None:
        missing = " and ".join(name for name, value in (("image", image), ("audio", audio)) if value is None)
        raise SonicGuardError(f"{missing}: nothing is connected. Connect a portrait and a voice, or a plan.")
    sound = planning.sound(audio)
    run = planning.request(image, sound, capabilities, held_bytes)
    return Source(run, images.as_batch(images.as_tensor(image))[:1], sound, cropped=False)


def planning_request(source: Source, part_s: float, preview_s: float) -> TalkingHeadRequest:
    """What is to be planned, as far as it is known without the model."""
    return TalkingHeadRequest(source.run, part_s, preview_s, longest_sound_s(source.sound), pause_in(source.sound))


def with_any_model(request: TalkingHeadRequest) -> TalkingHeadRequest:
    """The same for the model that needs least: what does not fit with it fits with none."""
    return replace(request, run=replace(request.run, model=ModelSettings(Dtype.FP16, interpolate=False)))


def with_model(request: TalkingHeadRequest, model: ChosenLowVramSonic, vae: Any) -> TalkingHeadRequest:
    """The same for the model and the VAE that are loaded. Raises `WrapperError` for formats Sonic does not run in."""
    settings = ModelSettings(_number_format("model", model_dtype, model), bool(model.use_interframe))
    vae_format = _number_format("vae", vae_dtype, vae)
    return replace(request, run=replace(request.run, model=settings, vae_dtype=vae_format))


@dataclass(frozen=True, eq=False)
class VideoInputs:
    """What Sonic's nodes run with. Raises `JobError` for a seed that is none."""

    model: ChosenLowVramSonic
    clip_vision: Any
    vae: Any
    sound: media_audio.Sound
    picture: Any
    """Tensor [1, H, W, 3]: the picture that Sonic gets."""
    planned: TalkingHead
    seed: int
    decode_context: int = 0
    """See `LowVramSonic`."""

    def __post_init__(self) -> None:
        if not is_whole(self.seed, 0, (1 << 64) - 1):
            raise JobError(f"seed: expected a whole number from 0 on, got {brief(self.seed)}.")


def low_vram_model(model: Any, switches: Switches) -> ChosenLowVramSonic:
    """`model` as Sonic Low VRAM has made it, or the wrapper's with the optimizations that `switches` allow.

    Raises `WrapperError` for a relative's: Sonic Low VRAM passes on any.
    """
    if isinstance(model, ChosenLowVramSonic):
        check_runs_in("Sonic Talking Head", Relative.SONIC, assumed_relative(model))
        return model
    sonic = wrapped(model)
    return ChosenLowVramSonic(sonic, LowVramChoice(switches).within(supported_optimizations(sonic)))


def video_request(inputs: VideoInputs, encoding: Encoding, notify: Callable[[Event], object]) -> VideoRequest:
    """The planned video, with everything that decides its pixels. Raises `WrapperError` for what is no network.

    Reading the networks' files takes seconds: `notify` receives that it has begun.
    """
    model, vae, planned = inputs.model, inputs.vae, inputs.planned
    rife = getattr(model.rife, "flownet", None) if model.use_interframe else None
    clip = _network("clip_vision", inputs.clip_vision, "model")
    notify(Preparing.MODELS)
    networks = tensors_of(unet=model.pipe.unet, clip=clip, rife=rife)
    decodes = as_computed(tensors_of(vae=_network("vae", vae, "first_stage_model")), getattr(vae, "vae_dtype", None))
    optimizations = planned.part.optimizations
    settings = {
        "seed": inputs.seed,
        "ip_audio_scale": audio_scales(model.pipe.unet),
        "wrapper": files_key(),
    }
    if inputs.decode_context:
        settings["decode_context"] = inputs.decode_context
    return VideoRequest(
        replace(planned.whole, optimizations=optimizations),
        inputs.picture,
        inputs.sound,
        weights_key((*networks, *decodes)),
        settings,
        encoding,
        planned.longest,
    )


def run_predata(inputs: VideoInputs, wrapper: Wrapper, notify: Callable[[Event], object]) -> Predata:
    """SONIC_PreData for a sound, with the GPU emptied before; `notify` receives how far it is."""
    model, picture = inputs.model, EncodedPicture(inputs.clip_vision, inputs.picture)

    def work(sound: media_audio.Sound) -> dict[str, Any]:
        prompts = 2 * latent_frames(sound.duration_s)

        def on_prompts(made: int) -> None:
            host.stop_if_interrupted()
            notify(EncodingAudio(made / prompts))

        notify(Preparing.PICTURE)
        offload_unet(model)
        host.free_memory(None)  # SONIC_PreData has ComfyUI unload its models only after its own work
        if picture.encode():
            host.free_memory(None)
        with prompts_to_host(on_prompts) as moved:
            (data,) = wrapper.predata(
                clip_vision=picture,
                vae=inputs.vae,
                audio=media_audio.to_dict(sound),
                image=inputs.picture,
                weight_dtype=model.pipe.unet.dtype,
                min_resolution=inputs.planned.whole.min_resolution,
                duration=sound.duration_s,
                expand_ratio=EXPAND_RATIO,
            )
        if not moved:
            log.warning("Sonic's prompts stay on the GPU: this wrapper makes them in a way that is not known here.")
        return data

    return work


def run_sampler(inputs: VideoInputs, wrapper: Wrapper) -> Callable[[Any, dict[str, Any]], object]:
    """SONICSampler for a model and what SONIC_PreData gave."""
    job = inputs.planned.whole
    return lambda model, data: wrapper.sample(
        model=model,
        data_dict=data,
        seed=inputs.seed,
        inference_steps=job.steps,
        dynamic_scale=job.dynamic_scale,
        fps=job.fps,
    )


def _network(name: str, value: Any, attribute: str) -> Any:
    """The network inside the input `name`. Raises `WrapperError` for a value that is not what it has to be."""
    try:
        network = getattr(value, attribute)
        if not callable(getattr(network, "state_dict", dict)):
            raise TypeError("not a network")
        return network
    except Exception as error:  # an unknown object may raise anything from its attributes
        raise WrapperError(
            f"{name}: expected what Image Only Checkpoint Loader gives there, got {brief(value)}. Connect its output."
        ) from error


def _number_format(name: str, read: Callable[[Any], Any], value: Any) -> Any:
    """The number format of the input `name`. Raises `WrapperError` for one that Sonic does not run in."""
    try:
        return read(value)
    except Exception as error:
        raise WrapperError(
            f"{name}: its number format is not fp16, bf16 or fp32 ({brief(error)}). Load it in one of these."
        ) from error

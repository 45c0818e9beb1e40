"""The inputs of Sonic Long Video: what is planned of them, what identifies them, and Sonic's nodes run with them."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from ...sonic_guard.comfy.sonic_objects import held_bytes, model_dtype, vae_dtype
from ...sonic_guard.devices.budget import RESERVE
from ...sonic_guard.errors import JobError, WrapperError, brief
from ...sonic_guard.job import latent_frames
from ...sonic_guard.long_video.manifest import weights_key
from ...sonic_guard.long_video.part_maker import Predata, as_computed, audio_scales, tensors_of
from ...sonic_guard.long_video.rendering import EncodingAudio, Event
from ...sonic_guard.long_video.video_request import VideoRequest, pause_in
from ...sonic_guard.low_vram.engine import offload_unet
from ...sonic_guard.low_vram.network_check import supported_optimizations, wrapped
from ...sonic_guard.low_vram.prompt_offload import prompts_to_host
from ...sonic_guard.media import audio as media_audio
from ...sonic_guard.media.picture import size_of
from ...sonic_guard.media.video_writer import Encoding
from ...sonic_guard.operations.long_video_plan import LongVideoPlan, LongVideoRequest
from ...sonic_guard.operations.low_vram_choice import LowVramChoice
from ...sonic_guard.operations.run_settings import RunSettings
from ...sonic_guard.optimizations import EXACT
from . import host
from .sonic_model import ChosenLowVramSonic, choice_capacity
from .sonic_wrapper import Wrapper, files_key, longest_sound_s

log = logging.getLogger(__name__)

EXPAND_RATIO = 0.5
"""SONIC_PreData's default; it does not use it."""


@dataclass(frozen=True, eq=False)
class VideoInputs:
    """The node's inputs, by their own names. Raises `JobError` for a seed that is none."""

    model: ChosenLowVramSonic
    clip_vision: Any
    vae: Any
    sound: media_audio.Sound
    picture: Any
    """Tensor [1, H, W, 3]: the picture that Sonic gets."""
    min_resolution: int
    inference_steps: int
    dynamic_scale: float
    fps: float
    seed: int
    part_s: float

    def __post_init__(self) -> None:
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or not 0 <= self.seed < 1 << 64:
            raise JobError(f"seed: expected a whole number from 0 on, got {brief(self.seed)}.")


def low_vram_model(model: Any) -> ChosenLowVramSonic:
    """`model` as Sonic Low VRAM has made it, or the wrapper's with the default of every switch."""
    if isinstance(model, ChosenLowVramSonic):
        return model
    sonic = wrapped(model)
    return ChosenLowVramSonic(sonic, LowVramChoice().within(supported_optimizations(sonic)))


def plan_request(inputs: VideoInputs) -> LongVideoRequest:
    """What is to be planned. Raises `WrapperError` for a model or a VAE in a number format Sonic does not run in."""
    model, sonic = inputs.model, inputs.model.sonic
    settings = RunSettings(
        *size_of(inputs.picture),
        inputs.sound.duration_s,
        inputs.min_resolution,
        inputs.fps,
        _number_format("model", model_dtype, model),
        bool(model.use_interframe),
        inputs.inference_steps,
        inputs.dynamic_scale,
    )
    return LongVideoRequest(
        settings,
        _number_format("vae", vae_dtype, inputs.vae),
        host.capacity("auto", RESERVE, held_bytes(sonic)),
        model.choice,
        choice_capacity(sonic, model.choice),
        inputs.part_s,
        longest_sound_s(inputs.sound),
        pause_in(inputs.sound),
    )


def video_request(inputs: VideoInputs, plan: LongVideoPlan, encoding: Encoding) -> VideoRequest:
    """The planned video, with everything that decides its pixels. Raises `WrapperError` for what is no network."""
    model, vae = inputs.model, inputs.vae
    rife = getattr(model.rife, "flownet", None) if model.use_interframe else None
    clip = _network("clip_vision", inputs.clip_vision, "model")
    networks = tensors_of(unet=model.pipe.unet, clip=clip, rife=rife)
    decodes = as_computed(tensors_of(vae=_network("vae", vae, "first_stage_model")), getattr(vae, "vae_dtype", None))
    optimizations = plan.part.optimizations
    settings = {
        "seed": inputs.seed,
        "ip_audio_scale": audio_scales(model.pipe.unet),
        "inexact": sorted(optimizations - EXACT),
        "wrapper": files_key(),
    }
    return VideoRequest(
        replace(plan.whole, optimizations=optimizations),
        inputs.picture,
        inputs.sound,
        weights_key((*networks, *decodes)),
        settings,
        encoding,
        plan.longest,
    )


def run_predata(inputs: VideoInputs, wrapper: Wrapper, notify: Callable[[Event], object]) -> Predata:
    """SONIC_PreData for a sound, with the GPU emptied before; `notify` receives how far it is."""
    model = inputs.model

    def work(sound: media_audio.Sound) -> dict[str, Any]:
        prompts = 2 * latent_frames(sound.duration_s)

        def on_prompts(made: int) -> None:
            host.stop_if_interrupted()
            notify(EncodingAudio(made / prompts))

        offload_unet(model)
        host.free_memory(None)  # SONIC_PreData has ComfyUI unload its models only after its own work
        with prompts_to_host(on_prompts) as moved:
            (data,) = wrapper.predata(
                clip_vision=inputs.clip_vision,
                vae=inputs.vae,
                audio=media_audio.to_dict(sound),
                image=inputs.picture,
                weight_dtype=model.pipe.unet.dtype,
                min_resolution=inputs.min_resolution,
                duration=sound.duration_s,
                expand_ratio=EXPAND_RATIO,
            )
        if not moved:
            log.warning("Sonic's prompts stay on the GPU: this wrapper makes them in a way that is not known here.")
        return data

    return work


def run_sampler(inputs: VideoInputs, wrapper: Wrapper) -> Callable[[Any, dict[str, Any]], object]:
    """SONICSampler for a model and what SONIC_PreData gave."""
    return lambda model, data: wrapper.sample(
        model=model,
        data_dict=data,
        seed=inputs.seed,
        inference_steps=inputs.inference_steps,
        dynamic_scale=inputs.dynamic_scale,
        fps=inputs.fps,
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

"""Sonic and its relatives: one table of what differs between the node packs that run a network like Sonic's.

A relative runs the same class of UNet in the same way: windows of latents, three guidance branches, SVD's VAE, RIFE.
All else about it that this library relies on is an `Adapter` here: the names of its nodes and of their links, where its
tensors are, how its frames are counted, and which constants count its bytes.

A model is recognised by its object's shape (see `Adapter.process`), not by its folder: packs have forks.
"""

import inspect
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple


class Relative(StrEnum):
    """A node pack, with its forks."""

    SONIC = "sonic"
    DICE_TALK = "dice_talk"


class Pose(NamedTuple):
    """A network that encodes a picture for every frame before the denoising loop; its result is added to the latents.

    [1, 3, frames, H, W] → [1, C, frames, H/8, W/8]; frames do not influence each other.
    """

    network: str
    """Its name in the pipeline."""
    pictures: str
    """The list of its pictures [3, H, W] in the pipeline's call, of any length: frames take them in turn."""


@dataclass(frozen=True)
class Adapter:
    """What is particular to one node pack."""

    title: str
    """As users call it."""
    loader: str
    """Class name of the node that makes the model."""
    predata: str
    """Class name of the node that encodes picture and sound."""
    sampler: str
    """Class name of the node that makes the frames."""
    model_type: str
    """Type of the link from loader to sampler."""
    constants: str | None
    """File of its traced constants, in `memory`; None: its memory is not predicted."""
    process: tuple[str, ...]
    """Parameters of the model's ``process`` that are relied on; they also distinguish the relatives."""
    prompts: tuple[str, ...]
    """Its tensors that are lists of prompts [32, 1024], one a latent frame of the sound; the first is the voice's."""
    per_frame: tuple[str, ...]
    """Those that are other lists of a tensor a latent frame, which the pipeline moves to its device itself."""
    embedding: str
    """Name of the picture's embedding in the pipeline's call."""
    scale: str
    """The setting of the sampler that a `Job` has as `dynamic_scale`; it has no influence on memory."""
    data_argument: str | None = None
    """The argument of ``process`` that holds the run's tensors; None: they are arguments themselves."""
    window: int | None = None
    """Latent frames in a window; None: the sampler's `fps`."""
    padded: bool = False
    """Whether a window more is made than the sound has, and is left in the clip."""
    pose: Pose | None = None
    talking_head: bool = False
    """Whether Sonic Talking Head runs it."""
    bf16: bool = True
    """Whether its own code runs in bf16."""

    @property
    def nodes(self) -> tuple[str, str, str]:
        """Class names of its nodes in the order of a run."""
        return self.loader, self.predata, self.sampler

    @property
    def prompt_sets(self) -> int:
        """Kinds of prompts, each with an adapter of its own in the UNet's attention."""
        return len(self.prompts) // 2

    @property
    def padding(self) -> int:
        """Latent frames that are made beyond those of the sound."""
        return self.window or 0 if self.padded else 0

    def window_of(self, fps: float) -> int:
        """Latent frames that go through the network together, for the sampler's `fps`."""
        return self.window or int(fps)

    def tensors_of(self, arguments: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """The run's tensors by name in the `arguments` of ``process``: what is set there, ``process`` receives."""
        return arguments if self.data_argument is None else arguments[self.data_argument]


ADAPTERS: Mapping[Relative, Adapter] = MappingProxyType({
    Relative.SONIC: Adapter(
        title="Sonic",
        loader="SONICTLoader",
        predata="SONIC_PreData",
        sampler="SONICSampler",
        model_type="MODEL_SONIC",
        constants="constants.json",
        process=("self", "audio_tensor_list", "uncond_audio_tensor_list", "motion_buckets", "test_data",
                 "image_embeds", "vae"),
        prompts=("audio_tensor_list", "uncond_audio_tensor_list"),
        per_frame=("motion_buckets",),
        embedding="image_embeddings",
        scale="dynamic_scale",
        talking_head=True,
    ),
    Relative.DICE_TALK: Adapter(
        title="DICE Talk",
        loader="Dice_Talk_Loader",
        predata="Dice_Talk_PreData",
        sampler="Dice_Talk_Sampler",
        model_type="MODEL_DICETALK",
        constants="constants_dice_talk.json",
        process=("self", "data_dict", "fps", "inference_steps", "ref_scale"),
        prompts=("audio_tensor_list", "uncond_audio_tensor_list", "emotion_tensor_list", "uncond_emotion_tensor_list"),
        per_frame=("pose_tensor_list",),
        embedding="image_embeds",
        scale="ref_scale",
        data_argument="data_dict",
        window=25,  # n_sample_frames of its config; `fps` is only told to the network
        padded=True,
        pose=Pose("pose_guider", "pose_images"),
        bf16=False,  # its pipeline makes the picture's latents fp16
    ),
})  # fmt: skip
"""In the order in which a model is compared with them."""

MODEL_TYPES = ",".join(adapter.model_type for adapter in ADAPTERS.values())
"""Type of a link that takes the model of any of them, as ComfyUI writes it."""
LOADERS = {adapter.loader: relative for relative, adapter in ADAPTERS.items()}
PREDATAS = {adapter.predata: relative for relative, adapter in ADAPTERS.items()}
SAMPLERS = {adapter.sampler: relative for relative, adapter in ADAPTERS.items()}
RELATIVES = LOADERS | PREDATAS | SAMPLERS
"""The relatives by the class names of their nodes."""


def assumed_relative(model: Any) -> Relative:
    """`relative_of`, and Sonic for another object: what it lacks of Sonic's is found where it is needed."""
    return relative_of(model) or Relative.SONIC


def relative_of(model: Any) -> Relative | None:
    """The relative that `model`, a loaded one, belongs to; None for another object.

    May raise what the object raises from its attributes.
    """
    process = getattr(type(getattr(model, "sonic", model)), "process", None)  # the object inside a `LowVramSonic`
    parameters = inspect.signature(process).parameters if process else {}
    return next((each for each, adapter in ADAPTERS.items() if parameters.keys() >= set(adapter.process)), None)

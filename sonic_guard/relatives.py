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
from typing import Any


class Relative(StrEnum):
    """A node pack, with its forks."""

    SONIC = "sonic"


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
    constants: str
    """File of its traced constants, in `memory`."""
    process: tuple[str, ...]
    """Parameters of the model's ``process`` that are relied on; they also distinguish the relatives."""
    tensors: tuple[str, ...]
    """Names of the run's tensors that are relied on, where `tensors_of` finds them."""
    prompts: tuple[str, ...]
    """Those that are lists of prompts [32, 1024], one a latent frame of the sound; the first is the voice's."""
    per_frame: tuple[str, ...]
    """Those that are other lists with a tensor a latent frame, which the pipeline moves to its device itself."""
    embedding: str
    """Name of the picture's embedding in the pipeline's call."""
    scale: str
    """The setting of the sampler that a `Job` has as `dynamic_scale`; it has no influence on memory."""
    data_argument: str | None = None
    """The argument of ``process`` that holds the run's tensors; None: they are arguments themselves."""

    @property
    def nodes(self) -> tuple[str, str, str]:
        """Class names of its nodes in the order of a run."""
        return self.loader, self.predata, self.sampler

    @property
    def prompt_sets(self) -> int:
        """Kinds of prompts, each with an adapter of its own in the UNet's attention."""
        return len(self.prompts) // 2

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
        tensors=(),
        prompts=("audio_tensor_list", "uncond_audio_tensor_list"),
        per_frame=("motion_buckets",),
        embedding="image_embeddings",
        scale="dynamic_scale",
    ),
})  # fmt: skip
"""In the order in which a model is compared with them."""

LOADERS = {adapter.loader: relative for relative, adapter in ADAPTERS.items()}
PREDATAS = {adapter.predata: relative for relative, adapter in ADAPTERS.items()}
SAMPLERS = {adapter.sampler: relative for relative, adapter in ADAPTERS.items()}
"""The relatives by the class names of their nodes."""


def relative_of(model: Any) -> Relative | None:
    """The relative that `model`, a loaded one, belongs to; None for another object.

    May raise what the object raises from its attributes.
    """
    process = getattr(type(getattr(model, "sonic", model)), "process", None)  # the object inside a `LowVramSonic`
    parameters = inspect.signature(process).parameters if process else {}
    return next((each for each, adapter in ADAPTERS.items() if parameters.keys() >= set(adapter.process)), None)

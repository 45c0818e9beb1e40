"""What builds the parts of a run, for Sonic and its relatives."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ..job import Job
from ..relatives import Relative
from . import dice_parts, network_parts
from .network_parts import OnNetwork
from .sonic_checkout import Checkout


class Parts(Protocol):
    """A module that builds the parts of a run from a node pack's own classes: see `network_parts`."""

    def build_pipeline(self, checkout: Checkout, unet: nn.Module, scheduler: Any) -> Any:
        """The pipeline around `unet`."""
        ...

    def build_model(self, checkout: Checkout, pipe: Any, rife: Any, device: torch.device, *, interpolate: bool) -> Any:
        """The model as the loader leaves it."""
        ...

    def run_predata(
        self,
        checkout: Checkout,
        job: Job,
        device: torch.device,
        encode: Callable[[Tensor], Tensor],
        on_network: OnNetwork = ...,
    ) -> dict[str, Any]:
        """The tensors for the sampler."""
        ...

    def run_sampler(
        self, sonic: Any, job: Job, data: Mapping[str, Any], vae: Any, steps: int = 2, window: int | None = None
    ) -> Tensor:
        """The frames. `window`: another one than the relative's, if that is fixed."""
        ...


PARTS: Mapping[Relative, Parts] = MappingProxyType({Relative.SONIC: network_parts, Relative.DICE_TALK: dice_parts})

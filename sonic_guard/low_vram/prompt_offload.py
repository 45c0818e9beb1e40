"""The prompts of a long sound, kept out of the way of the networks that make them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook

from .host_tensors import HostTensorPool

PROJECTION = "AudioProjModel"
"""Name of the wrapper's network that turns what whisper heard into the prompts of a frame."""


@contextmanager
def prompts_to_host(notify: Callable[[int], object] = lambda made: None) -> Iterator[list[int]]:
    """Meanwhile every audio prompt goes to host memory as soon as it is made.

    SONIC_PreData makes two for each latent frame, 256 KiB in fp32, and leaves all of them on the GPU: 2 GB in ten
    minutes. The wrapper's pipeline takes them from either place. Yields a list of the bytes of each prompt moved,
    which stays empty where the wrapper's network has another name. `tell` hears after each how many there are; what it
    raises comes out of the wrapper's node.
    """
    moved: list[int] = []
    pool = HostTensorPool()

    def move(network: nn.Module, _: Any, prompt: Any) -> Any:
        if type(network).__name__ != PROJECTION or not isinstance(prompt, Tensor):
            return None
        moved.append(prompt.nbytes)
        notify(len(moved))
        return pool.put(prompt)

    # Torch's own, and for all networks: the wrapper makes its own inside SONIC_PreData, out of anybody's reach.
    hook = register_module_forward_hook(move)
    try:
        yield moved
    finally:
        hook.remove()

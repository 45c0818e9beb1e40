"""Moves the audio prompts of a long sound to host memory while SONIC_PreData makes them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook

from .host_tensors import HostTensorPool

PROJECTION = "AudioProjModel"
"""Class name of the wrapper's network that turns whisper's features into the prompts of a frame."""


@contextmanager
def prompts_to_host(notify: Callable[[int], object] = lambda made: None) -> Iterator[list[int]]:
    """Inside the block, move every audio prompt to host memory as soon as it is made.

    SONIC_PreData makes two for each latent frame, together 256 KiB in fp32, and leaves all of them on the GPU: 2 GB in
    ten minutes. The wrapper's pipeline accepts them on either device. Yields a list of the sizes in bytes of the moved
    prompts; it stays empty if the wrapper's network has another class name. `notify` receives the number of prompts
    after each; its exceptions propagate out of the wrapper's node.
    """
    moved: list[int] = []
    pool = HostTensorPool()

    def move(network: nn.Module, _: Any, prompt: Any) -> Any:
        if type(network).__name__ != PROJECTION or not isinstance(prompt, Tensor):
            return None
        moved.append(prompt.nbytes)
        notify(len(moved))
        return pool.put(prompt)

    # A global hook of torch: SONIC_PreData creates its network inside its call, so no instance can be hooked.
    hook = register_module_forward_hook(move)
    try:
        yield moved
    finally:
        hook.remove()

"""Which kernels run: torch's choice for each attention of the network, the others' times, and the channels' place."""

from collections.abc import Generator, Sequence

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from sonic_guard.devtools.gpu_peaks import now
from sonic_guard.devtools.network_parts import TORCH_DTYPES
from sonic_guard.memory.constants import CHANNELS, LATENT_SIDE

from .results import Row
from .session import Session

HEAD = 64
"""Channels of an attention head."""
BACKENDS = {
    "flash": SDPBackend.FLASH_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "cudnn": SDPBackend.CUDNN_ATTENTION,
    "math": SDPBackend.MATH,
}
REPEATS = 5


def run(session: Session, done: Sequence[Row]) -> Generator[Row]:
    """A row for each attention of a size, and one for a pass with the channels last."""
    known = {row["key"] for row in done}
    for side in session.scale.sides:
        for key, shape in shapes(side, session.scale.frames).items():
            if key not in known:
                yield {"key": key, **_attention(session, shape)}
        case = session.case(side)
        if case.name not in known:
            yield session.measure(case)
        if (key := f"{case.name}, channels last") not in known:
            with session.bench.channels_last():
                yield {**session.measure(case), "key": key}


def shapes(side: int, frames: int) -> dict[str, tuple[int, int, int]]:
    """Batch, heads and tokens of the self-attentions of one guidance branch at a picture of `side`².

    The spatial ones see the positions of a frame, the temporal ones the frames of a position.
    """
    found = {}
    for depth, channels in enumerate(CHANNELS):
        positions, heads = (side // LATENT_SIDE >> depth) ** 2, channels // HEAD
        found[f"{side}², depth {depth}, spatial"] = frames, heads, positions
        found[f"{side}², depth {depth}, temporal"] = positions, heads, frames
    return found


def _attention(session: Session, shape: tuple[int, int, int]) -> Row:
    """What torch chooses, and milliseconds with each kernel; None where it does not run here, or not in this memory."""
    query = torch.randn(*shape, HEAD, device=session.device, dtype=TORCH_DTYPES[session.scale.dtype])
    chosen = SDPBackend(torch._fused_sdp_choice(query, query, query)).name  # noqa: SLF001 - torch has no other
    row: Row = {"chosen": chosen.removesuffix("_ATTENTION").lower(), "default_ms": _milliseconds(query)}
    for name, backend in BACKENDS.items():
        try:
            with sdpa_kernel(backend):
                row[f"{name}_ms"] = _milliseconds(query)
        except RuntimeError as error:  # no kernel for this card or shape, or no memory for its scores
            row[f"{name}_ms"], row[f"{name}_error"] = None, str(error).partition("\n")[0][:80]
    return row


def _milliseconds(query: Tensor) -> float:
    """The fastest of a few."""

    def once() -> float:
        begun = now(query.device)
        scaled_dot_product_attention(query, query, query)
        return now(query.device) - begun

    once()
    return 1e3 * min(once() for _ in range(REPEATS))

"""The traced constants of the memory model, from the data file `constants.json`, and one for each relative.

For every stage and every variant of it (number formats, optimizations) the file has a few *rows*. A row is the live
bytes at one location of the code, as a linear form in a few *features* of the job; the stage's peak is the largest of
its rows. `sonic-guard trace` derives the file from the wrapper's own code.
"""

import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple

from ..errors import WrapperError
from ..job import MIN_CHUNK_SIZE, Dtype
from ..optimizations import Optimization
from ..relatives import ADAPTERS, Relative

FEATURES = (
    "one",
    "frames",  # latent frames N
    "pixels",  # H·W
    "frames*pixels",
    "window",  # latent frames in a window, F
    "window*pixels",
    "decode_group*pixels",  # frames of the largest VAE call, min(14, N)
    "mel_windows",  # whisper's input windows of 30 s
    # Layer chunking at the UNet's four depths, whose pictures have 1, 1/4, 1/16 and 1/64 of the latents' positions:
    *(f"spatial{depth}" for depth in range(4)),  # positions of a group of frames, all frames together
    *(f"temporal{depth}" for depth in range(4)),  # positions of a group that goes through temporal attention
    *(f"window*temporal{depth}" for depth in range(4)),
    *(f"window*band{depth}" for depth in range(4)),  # positions of a band of a temporal residual layer
    "sound_frames",  # latent frames that have prompts: N, unless a relative makes more
)
"""Names of the features, in the order in which `features` computes them."""

MEL_WINDOW_FRAMES = 375
"""Latent frames in whisper's input window of 30 s."""
CHANNELS = (320, 640, 1280, 1280)
"""The UNet's channels at its four depths."""
DECODE_GROUP = 14
"""Latent frames that the wrapper decodes at a time."""
LATENT_SIDE = 8
"""Pixels per side that one latent position covers."""


def features(
    frames: int, width: int, height: int, window: int, chunk_size: int = MIN_CHUNK_SIZE, *, padding: int = 0
) -> tuple[int, ...]:
    """The values of all features, in the order of `FEATURES`, for N `frames` of `width` × `height` pixels.

    `padding` of these frames have no sound.
    """
    pixels, sound_frames = width * height, frames - padding
    spatial, temporal, bands = [], [], []
    for depth, channels in enumerate(CHANNELS):
        # Sides are multiples of 64, so these divide.
        across, down = width // LATENT_SIDE >> depth, height // LATENT_SIDE >> depth
        positions = across * down
        spatial.append(positions * fitting(chunk_size, positions * channels, window))
        temporal.append(fitting(chunk_size, window * channels, positions))
        bands.append(across * fitting(chunk_size, window * channels * across, down))
    return (
        1,
        frames,
        pixels,
        frames * pixels,
        window,
        window * pixels,
        min(DECODE_GROUP, frames) * pixels,
        -(-sound_frames // MEL_WINDOW_FRAMES),
        *spatial,
        *temporal,
        *(window * group for group in temporal),
        *(window * band for band in bands),
        sound_frames,
    )


def fitting(chunk_size: int, activations: int, total: int) -> int:
    """How many of `total` rows, of `activations` numbers each, layer chunking takes at a time.

    The same rule as `low_vram.chunking.fitting`, which needs torch.
    """
    return max(1, min(total, chunk_size // activations))


Row = tuple[tuple[int, float], ...]
"""Pairs of a feature's index and its coefficient in bytes."""


class Constants(NamedTuple):
    """The parsed constants."""

    source: dict[str, str]
    """The versions of the wrapper, ComfyUI and torch from which they were traced, the method and the date."""
    unet_parameters: int
    rife_bytes: int
    rows: dict[str, tuple[Row, ...]]
    """Rows by variant key, without the weights of the UNet and of RIFE."""
    streamed_bytes: dict[int, int]
    """Bytes of the UNet's weights that are streamed, by the size of the network's numbers in bytes."""
    pose_bytes: int
    """Bytes of the pose network as the loader leaves it; 0 where there is none. In denoise the rows have it."""


def variant(stage: str, *formats: Dtype, optimizations: Iterable[Optimization] = ()) -> str:
    """The key of a stage's rows: its name, the sizes of its number formats, and the enabled optimizations."""
    parts = [stage, *(str(dtype.size) for dtype in formats), *sorted(optimizations)]
    return "/".join(parts)


@cache
def constants(relative: Relative = Relative.SONIC) -> Constants:
    """The shipped constants. Raises `WrapperError` for a relative that has none: those of another do not fit."""
    adapter = ADAPTERS[relative]
    if adapter.constants is None:
        raise WrapperError(
            f"model: what {adapter.title} needs is not predicted yet. Sonic Low VRAM runs it with every memory "
            "optimization."
        )
    return parse(Path(__file__).with_name(adapter.constants).read_text(encoding="utf-8"))


def parse(text: str) -> Constants:
    """Constants from the text of a `constants.json`."""
    data = json.loads(text)
    rows = {
        key: tuple(tuple((FEATURES.index(name), value) for name, value in row.items()) for row in table)
        for key, table in data["rows"].items()
    }
    streamed = {int(size): total for size, total in data["streamed_bytes"].items()}
    pose_bytes = data.get("pose_bytes", 0)
    return Constants(data["source"], data["unet_parameters"], data["rife_bytes"], rows, streamed, pose_bytes)

"""The memory optimizations: one table that planner, nodes, command line, docs and messages read.

To add one: an entry here, its implementation in `low_vram`, and its rows in ``memory/constants.json``
(``sonic-guard trace`` derives them).
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import NamedTuple


class Optimization(StrEnum):
    """The same frames for less memory: an order of arithmetic or a place of tensors other than the wrapper's."""

    STREAMING_DECODE = "streaming_decode"
    """Decode and interpolate in one stream, with two frames on the GPU and no copy of the clip in host memory."""
    UNET_OFFLOAD = "unet_offload"
    """Keep the UNet in host memory while predata runs."""
    TENSOR_OFFLOAD = "tensor_offload"
    """Keep the tensors of the whole clip in host memory and bring to the GPU what a window needs."""
    SEQUENTIAL_CFG = "sequential_cfg"
    """Send the three guidance (CFG) branches through the network one after the other."""
    FEED_FORWARD_CHUNKING = "feed_forward_chunking"
    """Run feed-forward layers in chunks."""
    LAYER_CHUNKING = "layer_chunking"
    """Run spatial layers by groups of frames and temporal ones by groups of positions."""
    FP8_WEIGHTS = "fp8_weights"
    """Store the UNet's large weights in 8 bits. Not the same frames, but near."""


class Setting(StrEnum):
    """Of one optimization, as the user chooses it."""

    AUTO = "auto"
    """Enabled if the run does not fit without."""
    ON = "on"
    OFF = "off"


class Text(NamedTuple):
    """One text in every language."""

    en: str
    zh: str


class Traits(NamedTuple):
    """What holds for one optimization."""

    exact: bool
    """Whether the frames are the wrapper's own, within rounding."""
    default: Setting
    time: float
    """Time of one pass of the network as a ratio to the stock order: the largest that was measured on a card at 512²
    to 1024² with the smallest chunks (see docs/memory-model.md); 1 where the network's pass is not touched."""
    uses_host_memory: bool
    """Whether a run needs more host memory with it; otherwise it needs less, or as much."""
    contains: frozenset[Optimization]
    """Optimizations that save nothing together with this one, and cost time: never chosen together with it."""
    tooltip: Text
    """What it does, for the node's input."""
    reason: Text
    """What it does, for the report of a plan that enables it."""


_NONE: frozenset[Optimization] = frozenset()

OPTIMIZATIONS: Mapping[Optimization, Traits] = {
    Optimization.STREAMING_DECODE: Traits(
        exact=True,
        default=Setting.AUTO,
        time=1.0,
        uses_host_memory=False,
        contains=_NONE,
        tooltip=Text(
            "Decode and interpolate in one stream: two frames on the GPU instead of the whole clip, and no second "
            "copy of it in host memory.",
            "解码与插帧以流的方式进行：显存里只有两帧而不是整段视频，内存里也不再有第二份副本。",
        ),
        reason=Text(
            "Interpolates pair by pair instead of holding the whole clip on the GPU. Same frames.",
            "逐对插帧，不再把整段视频放在显存里。画面完全相同。",
        ),
    ),
    Optimization.UNET_OFFLOAD: Traits(
        exact=True,
        default=Setting.ON,  # costs a second, and takes effect before the length of the sound is known
        time=1.0,
        uses_host_memory=False,
        contains=_NONE,
        tooltip=Text(
            "Keep the UNet in host memory while SONIC_PreData runs. Connect weight_dtype from here for it.",
            "SONIC_PreData 运行时把 UNet 放在内存里。为此请从这里连接 weight_dtype。",
        ),
        reason=Text(
            "Keeps the UNet in host memory until it is needed. Same frames.",
            "需要之前不把 UNet 放进显存。画面完全相同。",
        ),
    ),
    Optimization.TENSOR_OFFLOAD: Traits(
        exact=True,
        default=Setting.AUTO,
        time=1.0,
        uses_host_memory=True,
        contains=_NONE,
        tooltip=Text(
            "Keep the audio prompts and the latents of the whole clip in host memory, not on the GPU.",
            "把整段视频的音频提示和潜变量放在内存里，而不是显存里。",
        ),
        reason=Text(
            "Keeps the tensors of the whole clip in host memory. Same frames.",
            "整段视频的数据放在内存里。画面完全相同。",
        ),
    ),
    Optimization.SEQUENTIAL_CFG: Traits(
        exact=True,
        default=Setting.AUTO,
        time=1.13,
        uses_host_memory=False,
        contains=_NONE,
        tooltip=Text(
            "One guidance (CFG) branch at a time instead of three.", "引导（CFG）分支逐个计算，而不是三个一起。"
        ),
        reason=Text(
            "Runs the three guidance branches one after the other. Same frames, a little slower.",
            "三个引导分支依次计算。画面相同，略慢。",
        ),
    ),
    Optimization.FEED_FORWARD_CHUNKING: Traits(
        exact=True,
        default=Setting.AUTO,
        time=1.07,
        uses_host_memory=False,
        contains=_NONE,
        tooltip=Text("Feed-forward layers in chunks.", "前馈层分块计算。"),
        reason=Text(
            "Runs the feed-forward layers in chunks. Same frames, a little slower.",
            "前馈层分块计算。画面相同，略慢。",
        ),
    ),
    Optimization.LAYER_CHUNKING: Traits(
        exact=True,
        default=Setting.AUTO,
        time=1.84,
        uses_host_memory=False,
        contains=frozenset({Optimization.FEED_FORWARD_CHUNKING}),
        tooltip=Text(
            "Spatial layers by groups of frames, temporal ones by groups of positions.",
            "空间层按帧分组，时间层按位置分组计算。",
        ),
        reason=Text(
            "Runs the network's layers by groups of frames and positions. Same frames, slower.",
            "按帧组与位置组计算网络各层。画面相同，较慢。",
        ),
    ),
    Optimization.FP8_WEIGHTS: Traits(
        exact=False,
        default=Setting.OFF,  # nothing changes a pixel unless the user asks for it
        time=5.4,
        uses_host_memory=True,
        contains=_NONE,
        tooltip=Text(
            "Store the UNet's large weights in 8 bits. The only optimization that changes pixels, a little: for cards "
            "under 6 GiB.",
            "把 UNet 的大权重以 8 位存储。唯一会轻微改变画面的优化：用于 6 GiB 以下的显卡。",
        ),
        reason=Text(
            "Stores the UNet's large weights in 8 bits. It changes pixels, a little.",
            "UNet 的大权重以 8 位存储。画面会有轻微变化。",
        ),
    ),
}
"""In escalation order: the cheapest in time first, and last the one that changes pixels."""

ESCALATION_ORDER = tuple(OPTIMIZATIONS)
"""The order in which they are enabled."""
EXACT = frozenset(each for each, traits in OPTIMIZATIONS.items() if traits.exact)
"""Those that give the wrapper's own frames, within rounding."""
DEFAULTS: Mapping[Optimization, Setting] = {each: traits.default for each, traits in OPTIMIZATIONS.items()}
"""How they are set unless the user changes them."""


def without_redundant(optimizations: frozenset[Optimization]) -> frozenset[Optimization]:
    """`optimizations` less those that save nothing because another one contains them."""
    return optimizations.difference(*(OPTIMIZATIONS[each].contains for each in optimizations))


def unused(fallbacks: Iterable[Optimization], enabled: frozenset[Optimization]) -> list[Optimization]:
    """Of the `fallbacks`, in their order, those that save memory in addition to the `enabled` optimizations."""
    return [each for each in fallbacks if each not in enabled and each in without_redundant(enabled | {each})]

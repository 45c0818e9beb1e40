"""The memory optimizations: one table that planner, nodes, command line, docs and messages read.

To add one: an entry here, its implementation in `low_vram`, and its rows in ``memory/constants.json``
(``sonic-guard trace`` derives them).
"""

from collections.abc import Collection, Iterable, Mapping
from enum import StrEnum
from typing import NamedTuple


class Optimization(StrEnum):
    """The same frames in less memory: arithmetic in another order, or tensors stored elsewhere than in the wrapper."""

    STREAMING_DECODE = "streaming_decode"
    """Decode and interpolate in one stream, with two frames on the GPU and no copy of the clip in host memory."""
    UNET_OFFLOAD = "unet_offload"
    """Keep the UNet in host memory until sampling begins; load it there where the GPU has no room."""
    TENSOR_OFFLOAD = "tensor_offload"
    """Keep the tensors of the whole clip in host memory and bring to the GPU what a window needs."""
    SEQUENTIAL_CFG = "sequential_cfg"
    """Send the three guidance (CFG) branches through the network one after the other."""
    FEED_FORWARD_CHUNKING = "feed_forward_chunking"
    """Run feed-forward layers in chunks."""
    STREAM_WEIGHTS = "stream_weights"
    """Keep the UNet's weights in host memory, and on the GPU those of two layers at a time."""
    LAYER_CHUNKING = "layer_chunking"
    """Run spatial layers by groups of frames and temporal ones by groups of positions."""


class Mode(StrEnum):
    """Of all optimizations together, as the user chooses it."""

    AUTO = "auto"
    """Each as in `DEFAULTS`: it is enabled where a run needs it."""
    LEAST_MEMORY = "least_memory"
    """Every one is enabled, with the smallest chunks."""
    OFF = "off"
    """None is enabled: the stock wrapper."""


class Setting(StrEnum):
    """Of one optimization, as the user chooses it."""

    MODE = "mode"
    """As the `Mode` says."""
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

    name: Text
    """As sentences call it; in English as the input of the node."""
    default: Setting
    time: float | None
    """Time of one pass of the network, as a ratio to the same run without this optimization: the largest that was
    measured on an H200 at 512² to 1024², with the smallest chunks. 1 where the pass is the same; None
    where nobody has measured it yet."""
    uses_host_memory: bool
    """Whether a run needs more host memory with it; otherwise it needs less, or as much."""
    contains: frozenset[Optimization]
    """Optimizations that save next to nothing in addition to this one, and cost time: never chosen together with it."""
    tooltip: Text
    """What it does, for the node's input."""
    reason: Text
    """What it does, for the report of a plan that enables it."""


_NONE: frozenset[Optimization] = frozenset()

OPTIMIZATIONS: Mapping[Optimization, Traits] = {
    Optimization.STREAMING_DECODE: Traits(
        name=Text("streaming_decode", "流式解码"),
        default=Setting.AUTO,
        time=1.0,
        uses_host_memory=False,
        contains=_NONE,
        tooltip=Text(
            "Streaming decode and interpolation: two frames on the GPU instead of the whole clip, and no second copy "
            "of it in host memory.",
            "流式解码与插帧：显存中只保留两帧，而非整段视频；内存中也没有第二份副本。",
        ),
        reason=Text(
            "Decodes and interpolates in one stream instead of holding the whole clip on the GPU. Same frames.",
            "以流的方式解码与插帧，显存中不再保留整段视频。画面不变。",
        ),
    ),
    Optimization.UNET_OFFLOAD: Traits(
        name=Text("unet_offload", "UNet 卸载"),
        default=Setting.ON,  # costs a second, and takes effect before the length of the sound is known
        time=1.0,
        uses_host_memory=False,
        contains=_NONE,
        tooltip=Text(
            "CPU offload of the UNet: it stays in host memory until sampling begins, and is loaded there if need be.",
            "UNet 卸载：采样开始前 UNet 留在内存中，必要时也加载到内存。",
        ),
        reason=Text(
            "Keeps the UNet in host memory until sampling begins. Same frames.",
            "采样开始前将 UNet 卸载到内存。画面不变。",
        ),
    ),
    Optimization.TENSOR_OFFLOAD: Traits(
        name=Text("tensor_offload", "张量卸载"),
        default=Setting.AUTO,
        time=1.0,  # a window's tensors are a few MB, copied once a pass
        uses_host_memory=True,
        contains=_NONE,
        tooltip=Text(
            "CPU offload of tensors: audio prompts and latents of the whole clip stay in host memory, not on the GPU.",
            "张量卸载：整段视频的音频特征和潜变量卸载到内存，不占显存。",
        ),
        reason=Text(
            "Keeps the tensors of the whole clip in host memory. Same frames.",
            "将整段视频的张量卸载到内存。画面不变。",
        ),
    ),
    Optimization.SEQUENTIAL_CFG: Traits(
        name=Text("sequential_cfg", "逐分支 CFG"),
        default=Setting.AUTO,
        time=1.13,  # 512²; 1.07 at 768², 1.05 at 1024²
        uses_host_memory=False,
        contains=_NONE,
        tooltip=Text(
            "Sequential CFG: one guidance (CFG) branch at a time instead of three.",
            "逐分支 CFG：依次计算三个引导（CFG）分支，而非同时计算。",
        ),
        reason=Text(
            "Runs the three guidance (CFG) branches one after the other. Same frames, slightly slower.",
            "依次计算三个引导（CFG）分支。画面不变，略慢。",
        ),
    ),
    Optimization.FEED_FORWARD_CHUNKING: Traits(
        name=Text("feed_forward_chunking", "前馈层分块"),
        default=Setting.AUTO,
        time=1.07,  # 512², one guidance branch at a time; 1.00 at 1024² with all three
        uses_host_memory=False,
        contains=_NONE,
        tooltip=Text(
            "Feed-forward chunking: runs the feed-forward layers on chunks of their input.",
            "前馈层分块：将前馈层的输入分块，依次计算。",
        ),
        reason=Text(
            "Runs the feed-forward layers in chunks. Same frames, slightly slower.",
            "分块计算前馈层。画面不变，略慢。",
        ),
    ),
    Optimization.STREAM_WEIGHTS: Traits(
        name=Text("stream_weights", "权重流式加载"),
        default=Setting.AUTO,
        time=None,  # 3.2 GB once a branch, copied while the network runs
        uses_host_memory=True,
        contains=_NONE,
        tooltip=Text(
            "Streamed weights: the UNet's weights stay in host memory; each layer's are brought to the GPU while the "
            "layer before it runs.",
            "权重流式加载：UNet 权重留在内存中；前一层计算时，把下一层的权重送入显存。",
        ),
        reason=Text(
            "Keeps the UNet's weights in host memory, and those of two layers on the GPU. Same frames.",
            "UNet 权重留在内存中，显存中只有两层的权重。画面不变。",
        ),
    ),
    Optimization.LAYER_CHUNKING: Traits(
        name=Text("layer_chunking", "逐层分块"),
        default=Setting.AUTO,
        time=1.84,  # 512², sequential CFG and tensor offload: 2.08 / 1.13; alone at 1024²: 1.37
        uses_host_memory=False,
        contains=frozenset({Optimization.FEED_FORWARD_CHUNKING}),
        tooltip=Text(
            "Layer chunking: runs spatial layers by groups of frames and temporal layers by groups of positions.",
            "逐层分块：空间层按帧分组计算，时间层按位置分组计算。",
        ),
        reason=Text(
            "Runs the network's layers by groups of frames and positions. Same frames, slower.",
            "按帧分组、按位置分组计算网络各层。画面不变，较慢。",
        ),
    ),
}
"""In escalation order: first those that leave the network's pass as it is, then by the time that a byte saved at the
peak of denoising costs. Streamed weights, whose time nobody has measured, are before layer chunking: on a card that
needs them, copies of one branch's weights take less time than its pass."""

ESCALATION_ORDER = tuple(OPTIMIZATIONS)
"""The order in which they are enabled."""
EVERY = frozenset(OPTIMIZATIONS)
"""All of them. The frames are the wrapper's own, within rounding, whichever are enabled."""
REORDERING = frozenset((Optimization.SEQUENTIAL_CFG, Optimization.FEED_FORWARD_CHUNKING, Optimization.LAYER_CHUNKING))
"""Those that change the order of the network's arithmetic. Without them its numbers are the stock ones to the bit."""
NAMES: Mapping[Optimization, Text] = {each: traits.name for each, traits in OPTIMIZATIONS.items()}
"""What sentences call them."""
DEFAULTS: Mapping[Optimization, Setting] = {each: traits.default for each, traits in OPTIMIZATIONS.items()}
"""How they are set unless the user changes them."""


def in_order(optimizations: Collection[str]) -> list[Optimization]:
    """Those of `optimizations` that there are, in escalation order."""
    return [each for each in ESCALATION_ORDER if each in optimizations]


def without_redundant(optimizations: frozenset[Optimization]) -> frozenset[Optimization]:
    """`optimizations` less those that save nothing because another one contains them."""
    return optimizations.difference(*(OPTIMIZATIONS[each].contains for each in optimizations))


def unused(fallbacks: Iterable[Optimization], enabled: frozenset[Optimization]) -> list[Optimization]:
    """Of the `fallbacks`, in their order, those that save memory in addition to the `enabled` optimizations."""
    return [each for each in fallbacks if each not in enabled and each in without_redundant(enabled | {each})]

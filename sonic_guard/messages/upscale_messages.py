"""Sentences about upscaling: what it will take, and what it did."""

from typing import TYPE_CHECKING

from ..devices.card_catalogue import GIB
from . import upscale_texts as texts
from .catalogue import clock, fill, gib

if TYPE_CHECKING:  # they load torch
    from ..finishing.upscale.upscale_video import Upscale, UpscalePlan


def plan_lines(step: "Upscale", plan: "UpscalePlan", lang: str = "en") -> list[str]:
    """How `step` works according to `plan`, and what it will take."""
    network = step.network
    if plan.tiling is None:
        return [fill(texts.RESIZED, lang)]
    if plan.tiles == 1:
        tiles = fill(texts.WHOLE, lang)
    elif plan.tiling.is_exact:
        tiles = fill(texts.EXACT, lang, tiles=plan.tiles, side=plan.tiling.side)
    else:
        tiles = fill(texts.BLENDED, lang, tiles=plan.tiles, side=plan.tiling.side)
    lines = [
        fill(
            texts.PLANNED, lang, model=network.name, scale=network.scale, device=plan.device, dtype=_name(plan.dtype),
            tiles=tiles, memory=_memory(plan.predicted_bytes),
        )
    ]  # fmt: skip
    if plan.frame_s is not None:
        lines.append(fill(texts.TIME, lang, seconds=plan.frame_s))
    return lines


def verdict_line(plan: "UpscalePlan | None", lang: str = "en", frames: int | None = None) -> str:
    """What `plan` will take for so many frames, in a few words; None: no network runs, or the frames are not known."""
    if plan is None or plan.tiling is None:
        return fill(texts.NO_MODEL, lang)
    memory = _memory(plan.predicted_bytes)
    if plan.frame_s is None:
        return fill(texts.FITS, lang, memory=memory, device=plan.device)
    if frames is None:
        return fill(texts.FITS_IN_TIME, lang, memory=memory, device=plan.device, seconds=plan.frame_s)
    time = clock(max(1.0, frames * plan.frame_s))
    return fill(texts.FITS_IN_ALL, lang, memory=memory, device=plan.device, time=time)


def unknown_line(lang: str = "en") -> str:
    """That the graph does not tell the video's size or the model."""
    return fill(texts.NOT_KNOWN, lang)


def upscale_lines(step: "Upscale", width: int, height: int, lang: str = "en") -> list[str]:
    """What `step` did with frames of `width` × `height`."""
    notes, network = step.notes, step.network
    plan = notes.plan or step.plan(width, height)  # none was made where all was kept from an earlier run
    lines = plan_lines(step, plan, lang)
    if plan.tiling is None:
        return lines
    ratio = step.size(width, height)[1] / height
    if ratio > network.scale * 1.01:
        lines.append(fill(texts.BEYOND, lang, scale=network.scale, ratio=ratio))
    if notes.peak_bytes is not None:
        lines.append(fill(texts.MEASURED, lang, memory=_memory(notes.peak_bytes)))
    if notes.halvings:
        lines.append(fill(texts.HALVED, lang, count=notes.halvings))
    if notes.is_fp32:
        lines.append(fill(texts.WIDENED, lang, dtype=_name(plan.dtype)))
    return lines


def upscale_dict(step: "Upscale", width: int, height: int) -> dict[str, object]:
    """What `step` did with frames of `width` × `height`, as JSON values."""
    notes, network = step.notes, step.network
    plan = notes.plan or step.plan(width, height)
    result: dict[str, object] = {"model": network.name, "scale": network.scale, "used_model": plan.tiling is not None}
    if plan.tiling is not None:
        result |= {
            "device": plan.device, "dtype": "fp32" if notes.is_fp32 else _name(plan.dtype), "tiles": plan.tiles,
            "tile": plan.tiling.side, "exact_tiles": plan.tiling.is_exact, "predicted_bytes": plan.predicted_bytes,
            "predicted_frame_s": plan.frame_s, "peak_bytes": notes.peak_bytes, "halvings": notes.halvings,
        }  # fmt: skip
    return result


def _memory(size_bytes: int) -> str:
    return gib(size_bytes) if size_bytes >= GIB else f"{size_bytes / (1 << 20):.0f} MiB"


def _name(dtype: object) -> str:
    """A number format as users know it."""
    return {"torch.float16": "fp16", "torch.bfloat16": "bf16"}.get(str(dtype), "fp32")

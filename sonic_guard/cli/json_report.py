"""A plan as plain dicts, ready for JSON."""

from dataclasses import fields
from typing import Any

from ..job import Job
from ..memory.article_formula import article_bytes
from ..memory.stage_model import Estimate
from ..messages import plan_messages
from ..operations.stock_plan import StockPlan
from ..optimizations import in_order
from ..preview.answer import time_dict
from .planned import Planned


def estimate_dict(estimate: Estimate, lang: str = "en") -> dict[str, Any]:
    """An estimate as JSON: stage bytes without overhead, peak with it."""
    job, size = estimate.job, estimate.job.frame_size
    return {
        "frames": job.latent_frames,
        "output_frames": job.output_frames,
        "output_s": job.output_s,
        "window": job.window,
        "windows": job.windows,
        "width": size.width,
        "height": size.height,
        "stages": dict(estimate.stages),
        "floors": dict(estimate.floors),
        "overhead_bytes": estimate.overhead_bytes,
        "peak_bytes": estimate.peak_bytes,
        "peak_stage": estimate.peak_stage,
        "host_ram_bytes": estimate.host_ram_bytes,
        "optimizations": in_order(job.optimizations),
        "limits": [plan_messages.limit_text(limit, lang) for limit in estimate.limits],
        "article_bytes": article_bytes(job),
    }


def job_dict(job: Job) -> dict[str, Any]:
    """A job as JSON, its optimizations in escalation order."""
    settings = {field.name: getattr(job, field.name) for field in fields(job)}
    return {**settings, "optimizations": in_order(job.optimizations)}


def plan_dict(planned: Planned, lang: str = "en") -> dict[str, Any]:
    """A plan as JSON, and what would be left of the request with Sonic's own nodes alone."""
    result = planned.result
    plan, selection = result.plan, result.selection
    return {
        "verdict": str(plan.risk.verdict),
        "fits": plan.fits,
        "budget_bytes": plan.budget.usable_bytes,
        "card": plan.budget.card,
        "headroom_bytes": plan.risk.headroom_bytes,
        "job": job_dict(plan.job),
        "optimizations": in_order(plan.job.optimizations),
        "available_optimizations": in_order(planned.available),
        "changes": [
            {
                "name": change.name,
                "before": change.before,
                "after": change.after,
                "before_bytes": change.before_bytes,
                "after_bytes": change.after_bytes,
                "clears": [str(limit.kind) for limit in change.clears],
                "why": plan_messages.why(change, lang),
            }
            for change in plan.changes
        ],
        "parts": plan.parts,
        "smallest_card": plan.smallest_card.title if plan.smallest_card else None,
        "estimate": estimate_dict(plan.estimate, lang),
        "stock": _stock_dict(planned.stock),
        "sound_warnings": list(planned.warnings),
        "longest_s": plan.longest_s,
        "sound_s": result.sound_s,
        "denoise_seconds": result.time.seconds,
        "time": time_dict(result.time, lang),
        "duration_s": plan.job.duration_s,
        "expand_ratio": selection.expand_ratio,
        "face": {"box": list(selection.face.box), "ratio": selection.ratio, "score": selection.face.score},
        "crop": list(selection.crop),
    }


def _stock_dict(stock: StockPlan | None) -> dict[str, Any] | None:
    if stock is None:
        return None
    return {
        "requested": estimate_dict(stock.requested),
        "fits": stock.plan.fits,
        "verdict": str(stock.plan.risk.verdict),
        "job": job_dict(stock.plan.job),
        "peak_bytes": stock.plan.estimate.peak_bytes,
    }

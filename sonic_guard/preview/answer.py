"""A preview and a run for the pages: plain dicts, ready for JSON."""

from typing import Any

from ..comfy.api_graph import Graph
from ..history.calibration import peaks
from ..history.history_cache import CardHistory
from ..history.run_record import Run
from ..job import Job
from ..media.face import Box
from ..memory.overhead import overhead
from ..memory.stage_model import STAGES, Estimate
from ..memory.stage_split import split_stages
from ..messages import advice_messages, plan_messages
from ..messages.time_messages import time_text
from ..optimizations import in_order
from ..planning.advice import advise, by_mode
from ..planning.pace import TimePrediction
from ..planning.planner import Level, level_of
from .context import Judged
from .evaluation import Preview
from .node_inputs import Assumption, Picture
from .remedies import InsertLowVram, actions_for, as_dict

WARNINGS = frozenset(("silent", "short", "no face"))
"""What is known of the inputs and in the way of the video, though not of its memory: shown as hard limits are."""
UNKNOWN = "unknown"
"""The verdict on a run that rests on an assumption: neither that it fits nor that it does not."""


def answer(
    preview: Preview, card_history: CardHistory, lang: str = "en", asked: tuple[Graph, str] | None = None
) -> dict[str, Any]:
    """Everything that a widget shows of a run before it starts.

    `asked`: the graph and the id of the node of the preview, for the button that does what the advice says.
    """
    judged = preview.judged
    plan = judged.plan
    estimate, budget = plan.estimate, plan.budget
    last = card_history.last(plan.job)
    return {
        "card": plan_messages.card_name(budget.card, lang),
        "verdict": UNKNOWN if preview.unknown else str(plan.risk.verdict),
        "level": str(Level.UNKNOWN if preview.unknown else level_of(plan.risk.verdict, judged.losses)),
        "verdict_text": (
            plan_messages.unknown_text(lang)
            if preview.unknown
            else plan_messages.verdict_text(plan.risk, lang, judged.losses)
        ),
        "headroom_text": plan_messages.headroom_line(plan.risk, lang),
        "budget_bytes": budget.usable_bytes,
        "available_bytes": budget.available_bytes,
        "peak_bytes": estimate.peak_bytes,
        "peak_stage": estimate.peak_stage,
        "stages": _stages(estimate, lang),
        "frame_text": (
            plan_messages.preview_line(judged.preview, lang)
            if judged.preview
            else plan_messages.frame_line(plan.job, lang)
        ),
        "advice": _advice(judged, asked, lang),
        "attempt": plan_messages.attempt_line(plan.attempt, lang) if plan.attempt else None,
        "crop": _crop(preview, lang),
        "risk": _risk(estimate, budget.available_bytes, card_history, lang),
        "assumed": [_in_words(each, lang) for each in preview.assumed if each.key not in WARNINGS],
        "optimizations": list(map(str, in_order(plan.job.optimizations))),
        "parts": plan.parts,
        "changes": [plan_messages.change_line(change, lang) for change in plan.changes],
        "limits": [
            *(plan_messages.limit_text(limit, lang) for limit in estimate.limits),
            *(_in_words(each, lang) for each in preview.assumed if each.key in WARNINGS),
        ],
        "time": time_dict(judged.time, lang),
        "settings": settings_dict(plan.job),
        "linked": {} if preview.unknown else dict(preview.linked),
        "linked_loaders": {} if preview.unknown else {key: dict(each) for key, each in preview.linked_loaders.items()},
        "last": run_dict(last) if last else None,
        "missing_files": [
            {"name": file.name, "folder": f"models/{file.folder}", "url": file.url, "page": file.page}
            for file in preview.missing
        ],
    }


def _in_words(assumed: Assumption, lang: str) -> str:
    return plan_messages.assumption(*assumed, lang=lang)


def time_dict(time: TimePrediction, lang: str = "en") -> dict[str, Any]:
    """How long a run denoises: a range in seconds, null where the card is unknown, and a text."""
    return {"low_s": time.low_s, "high_s": time.high_s, "text": time_text(time, lang)}


def _advice(judged: Judged, asked: tuple[Graph, str] | None, lang: str) -> dict[str, Any] | None:
    """The one sentence of help, and what its button does, if anything can."""
    low_vram = judged.low_vram or judged.mode
    advice = advise(judged.plan, judged.where, available=judged.available, low_vram=low_vram)
    if advice is None:
        return None
    advice = by_mode(advice) if judged.mode else advice
    actions = actions_for(advice, judged.where, *asked) if asked else ()
    adds_node = any(isinstance(action, InsertLowVram) for action in actions)
    return {
        "text": advice_messages.advice_sentence(advice, judged.where, lang, judged.plan.job.relative),
        "button": advice_messages.button_text(adds_node=adds_node, lang=lang) if actions else None,
        "actions": [as_dict(action) for action in actions],
    }


def _crop(preview: Preview, lang: str) -> dict[str, Any] | None:
    """The picture's file, and the crop and the face in it as parts of its sides: left, top, width, height."""
    cropped = preview.judged.cropped
    if cropped is None:
        return None
    picture, crop, face = cropped
    is_face_known = all(assumed.key != "face" for assumed in preview.assumed)
    return {
        "file": picture.name,
        "aspect": picture.width / picture.height,
        "crop": _parts(crop, picture),
        "face": _parts(face, picture) if is_face_known else None,
        "text": plan_messages.crop_line((crop.width, crop.height), preview.judged.plan.job, lang),
    }


def _parts(box: Box, picture: Picture) -> list[float]:
    sides = (picture.width, picture.height)
    return [part / side for part, side in zip((box.x1, box.y1, box.width, box.height), sides * 2, strict=True)]


def settings_dict(job: Job) -> dict[str, Any]:
    """The settings of a run that people compare; width and height are the frames'."""
    size = job.frame_size
    return {
        "width": size.width,
        "height": size.height,
        "min_resolution": job.min_resolution,
        "duration_s": job.duration_s,
        "fps": job.fps,
        "dtype": str(job.dtype),
        "steps": job.steps,
        "interpolate": job.interpolate,
    }


def run_dict(run: Run) -> dict[str, Any]:
    """A run of the history; its peaks are those that the calibration compares."""
    predicted, actual = peaks(run)
    return {
        "id": run.id,
        "started": run.started.isoformat(),
        "card": run.environment.card,
        "outcome": str(run.outcome),
        "stage": run.stage,
        "settings": settings_dict(run.job),
        "optimizations": sorted(run.job.optimizations),
        "predicted_peak": predicted,
        "actual_peak": actual,
        "stages": {stage: _figures(run, stage) for stage in STAGES if stage in run.stages or run.predicted.get(stage)},
        "wrapper": run.environment.wrapper,
        "comfyui": run.environment.comfyui,
        "torch": run.environment.torch,
        "driver": run.environment.driver,
    }


def _figures(run: Run, stage: str) -> dict[str, Any]:
    measured = run.stages.get(stage)
    return {
        "predicted": run.predicted.get(stage),
        "allocated": measured.allocated_bytes if measured else None,
        "reserved": measured.reserved_bytes if measured else None,
        "device": measured.device_bytes if measured else None,
        "seconds": measured.seconds if measured else None,
    }


def _stages(estimate: Estimate, lang: str) -> list[dict[str, Any]]:
    parts, stages = split_stages(estimate.job, device=estimate.device), []
    for stage, size in estimate.stages.items():
        if size:
            split = parts[stage]
            stages.append({
                "stage": stage,
                "text": plan_messages.stage_word(stage, lang),
                **split._asdict(),
                "overhead": overhead().of(split.total),
                "required": estimate.required(stage),
                "upto": estimate.most(stage),
            })  # fmt: skip
    return stages


def _risk(estimate: Estimate, available_bytes: int, card_history: CardHistory, lang: str) -> dict[str, Any]:
    known = card_history.calibration
    probability = known.probability(estimate, available_bytes)
    return {
        "probability": probability,
        "runs": known.runs,
        "upper_bytes": known.upper(estimate),
        "expected_bytes": known.corrected(estimate),
        "text": plan_messages.risk_line(probability, known.runs, lang),
    }

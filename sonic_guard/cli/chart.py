"""A picture of the plan: bars of VRAM by stage against the budget line."""

import io
from pathlib import Path

from ..atomic_files import write_file
from ..devices.card_catalogue import GIB
from ..errors import OutputError, SonicGuardError
from ..memory.stage_model import STAGES, Estimate, overhead, predict
from ..messages.catalogue import gib
from ..messages.plan_messages import headline
from ..operations.preflight import Preflight
from ..plain_files import shown
from ..planning.capacity import Verdict

_COLOURS = {Verdict.SAFE: "#2f8f46", Verdict.TIGHT: "#b7791f", Verdict.FAIL: "#c0392b"}
_REQUESTED, _PLAN, _OVERHEAD = "#c9ccd3", "#4a6fae", "#9db2d6"


def draw_chart(result: Preflight, path: Path) -> None:
    """Write the chart of a preflight as a picture, of the kind that the suffix of `path` names.

    Raises `OutputError` if `path` cannot be written, `SonicGuardError` without matplotlib.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise SonicGuardError("chart: drawing needs matplotlib; install it with `pip install matplotlib`.") from error
    if not path.suffix:
        raise OutputError(f"chart: {shown(path)} has no suffix; end it in .png, .svg or .pdf.")
    requested, plan = predict(result.requested, device=result.plan.budget.device), result.plan
    figure = Figure(figsize=(8, 4.2), layout="constrained")
    axes = figure.subplots()
    rows = range(len(STAGES))
    if plan.changes:
        axes.barh([row - 0.2 for row in rows], _gibs(requested), height=0.36, color=_REQUESTED, label="requested")
    shift, height = (0.2, 0.36) if plan.changes else (0.0, 0.6)
    assumed = "" if overhead().confirmed else " (assumed)"
    needed, extra = _gibs(plan.estimate), _overheads(plan.estimate)
    positions = [row + shift for row in rows]
    axes.barh(positions, needed, height=height, color=_PLAN, label="planned")
    axes.barh(positions, extra, left=needed, height=height, color=_OVERHEAD, label=f"overhead{assumed}")
    for position, value, more, stage in zip(positions, needed, extra, STAGES, strict=True):
        note = " (as much as is free)" if stage in plan.estimate.floors else ""
        axes.text(value + more, position, f" {value + more:.1f}{note}", va="center", fontsize=8)
    usable = plan.budget.usable_bytes
    axes.axvline(usable / GIB, color="#333333", linestyle="--", linewidth=1.2, label=f"budget {gib(usable)}")
    axes.set_yticks(list(rows), STAGES)
    axes.invert_yaxis()
    axes.margins(x=0.15)
    axes.set_xlabel("GiB of VRAM")
    axes.set_title(f"{plan.budget.card} · {headline(plan.risk)}", color=_COLOURS[plan.risk.verdict], fontsize=11)
    axes.legend(fontsize=8, frameon=False, loc="lower right")
    axes.spines[["top", "right"]].set_visible(False)
    chart = io.BytesIO()
    try:
        figure.savefig(chart, dpi=150, format=path.suffix.removeprefix("."))
    except ValueError as error:  # it does not know this kind
        raise OutputError(f"chart: cannot write {shown(path)}: {error}") from error
    write_file(path, [chart.getvalue()])


def _gibs(estimate: Estimate) -> list[float]:
    return [estimate.floors.get(stage, estimate.stages[stage]) / GIB for stage in STAGES]


def _overheads(estimate: Estimate) -> list[float]:
    return [
        (estimate.required(stage) - estimate.floors.get(stage, estimate.stages[stage])) / GIB
        if estimate.stages[stage]
        else 0.0
        for stage in STAGES
    ]

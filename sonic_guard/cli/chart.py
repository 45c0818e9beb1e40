"""A picture of the plan: bars of VRAM by stage against the budget line."""

import io
from pathlib import Path
from typing import Any

from ..atomic_files import write_file
from ..devices.card_catalogue import GIB
from ..errors import OutputError, SonicGuardError
from ..memory.overhead import overhead
from ..memory.stage_model import STAGES, Estimate, predict
from ..messages import cli_texts as texts
from ..messages.catalogue import LANGUAGES, fill, gib
from ..messages.plan_messages import card_name, headline, stage_word
from ..plain_files import shown
from ..planning.planner import Level
from .planned import Planned

_COLOURS = {Level.OK: "#2f8f46", Level.WARN: "#b7791f", Level.BAD: "#c0392b"}
_COMPARED, _PLAN, _OVERHEAD = "#c9ccd3", "#4a6fae", "#9db2d6"
_FONTS = {"zh": ("Noto Sans CJK SC", "Source Han Sans SC", "Microsoft YaHei", "PingFang SC", "WenQuanYi Zen Hei")}
"""Fonts with the signs of a language, those of the systems that have one."""


def draw_chart(planned: Planned, path: Path, lang: str = "en") -> None:
    """Write the chart of a plan as a picture, of the kind that the suffix of `path` names.

    It is in English where no font of this machine has the language's signs. Raises `OutputError` if `path` cannot be
    written, `SonicGuardError` without matplotlib.
    """
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
        from matplotlib.font_manager import fontManager
    except ImportError as error:
        raise SonicGuardError("chart: drawing needs matplotlib; install it with `pip install matplotlib`.") from error
    if not path.suffix:
        raise OutputError(f"chart: {shown(path)} has no suffix; end it in .png, .svg or .pdf.")
    fonts = [name for name in _FONTS.get(lang, ()) if name in {font.name for font in fontManager.ttflist}]
    lang = lang if fonts or lang == LANGUAGES[0] else LANGUAGES[0]
    chart = io.BytesIO()
    with rc_context({"font.sans-serif": [*fonts, "DejaVu Sans"]}):
        figure = Figure(figsize=(8, 4.2), layout="constrained")
        _draw(figure.subplots(), planned, lang)
        try:
            figure.savefig(chart, dpi=150, format=path.suffix.removeprefix("."))
        except ValueError as error:  # it does not know this kind
            raise OutputError(f"chart: cannot write {shown(path)}: {error}") from error
    write_file(path, [chart.getvalue()])


def _draw(axes: Any, planned: Planned, lang: str) -> None:
    plan, compared = planned.result.plan, _compared(planned, lang)
    rows = range(len(STAGES))
    if compared:
        name, estimate = compared
        axes.barh([row - 0.2 for row in rows], _required(estimate), height=0.36, color=_COMPARED, label=name)
        _write_figures(axes, [row - 0.2 for row in rows], _required(estimate), "#8a8f99")
    shift, height = (0.2, 0.36) if compared else (0.0, 0.6)
    positions = [row + shift for row in rows]
    needed = [plan.estimate.floors.get(stage, plan.estimate.stages[stage]) / GIB for stage in STAGES]
    required = _required(plan.estimate)
    extra = [whole - part for whole, part in zip(required, needed, strict=True)]
    assumed = "" if overhead().confirmed else fill(texts.ASSUMED, lang)
    size = plan.job.frame_size
    axes.barh(positions, needed, height=height, color=_PLAN, label=fill(texts.PLANNED, lang, size=size))
    axes.barh(positions, extra, left=needed, height=height, color=_OVERHEAD, label=fill(texts.OVERHEAD, lang) + assumed)
    _write_figures(axes, positions, required, "black")
    usable = plan.budget.usable_bytes
    label = fill(texts.BUDGET, lang, size=gib(usable))
    axes.axvline(usable / GIB, color="#333333", linestyle="--", linewidth=1.2, label=label)
    axes.set_yticks(list(rows), [stage_word(stage, lang) for stage in STAGES])
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set_xlabel(fill(texts.AXIS, lang))
    axes.set_title(
        f"{card_name(plan.budget.card, lang)} · {headline(plan.risk, lang, plan.losses)}",
        color=_COLOURS[plan.level],
        fontsize=11,
    )
    axes.legend(fontsize=8, frameon=False, loc="lower right")
    axes.spines[["top", "right"]].set_visible(False)


def _compared(planned: Planned, lang: str) -> tuple[str, Estimate] | None:
    """The bars behind the plan's: Sonic alone, or else the request where it was changed."""
    if planned.stock is not None:
        estimate = planned.stock.requested
        return fill(texts.STOCK_BAR, lang, size=estimate.job.frame_size), estimate
    requested = planned.result.requested
    if not planned.result.plan.changes:
        return None
    return fill(texts.REQUESTED, lang, size=requested.frame_size), predict(
        requested, device=planned.result.plan.budget.device
    )


def _required(estimate: Estimate) -> list[float]:
    """GiB by stage with overhead; 0 for a stage that is not in the run."""
    return [estimate.required(stage) / GIB if estimate.stages[stage] else 0.0 for stage in STAGES]


def _write_figures(axes: Any, positions: list[float], sizes: list[float], colour: str) -> None:
    for position, size in zip(positions, sizes, strict=True):
        if size:
            text = axes.text(size, position, f" {size:.1f}", va="center", fontsize=8, color=colour)
            text.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 0.5})  # the budget line may be there

"""A farm's report as a page and as JSON."""

import json
from html import escape

from ..messages import farm_run_texts as texts
from ..messages.catalogue import clock, fill, gib
from ..messages.error_messages import error_text
from ..park.files import FileStore, Location
from ..park.journal_tables import TaskRow
from ..park.outcomes import Outcome
from ..park.report import FarmReport
from ..park.task_content import label_of

PAGE, DATA = "farm-report.html", "farm-report.json"
_WIDTH, _ROW, _LEFT = 1000, 22, 150
"""Pixels of the picture, of a server's row in it, and of the names on its left."""
_COLOURS = {Outcome.DONE: "#3a7d44", Outcome.LOST: "#b0b0b0", Outcome.SERVER_DIED: "#b0b0b0", None: "#6c8ebf"}
_OTHER = "#c0392b"
_STYLE = (
    "body{font:14px system-ui,sans-serif;margin:2em;color-scheme:light dark}table{border-collapse:collapse}"
    "td,th{padding:.2em .7em;text-align:left;border-bottom:1px solid #8884}td.n{text-align:right}"
    "svg{max-width:100%;height:auto}svg text{fill:currentColor;font-size:12px}"
)


def write_report(report: FarmReport, out: Location, lang: str) -> str:
    """Write the report beside the farm's videos. Returns where the page is. Raises `OutputError`."""
    store = FileStore(out)
    store.write_text(DATA, json.dumps(report.as_dict(), indent=1, ensure_ascii=False) + "\n")
    store.write_text(PAGE, report_page(report, lang))
    return f"{store.location}/{PAGE}"


def report_page(report: FarmReport, lang: str) -> str:
    """The page, which loads nothing. All texts of job files and servers are escaped."""
    counts = "".join(
        f"<tr><td>{escape(fill(texts.STATES[state], lang))}</td><td class=n>{count}</td></tr>"
        for state, count in report.counts.items()
        if count
    )
    names = ("name", "kind", "state", "card", "attempts", "seconds", "predicted_s", "predicted", "used", "reason")
    head = "".join(f"<th>{escape(fill(texts.COLUMNS[name], lang))}</th>" for name in names)
    rows = "".join(_row(report, step, lang) for task in report.videos for step in _shown(report, task))
    title = escape(fill(texts.TITLE, lang))
    return (
        f'<!doctype html><html lang="{lang}"><head><meta charset="utf-8"><title>{title}</title>'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<style>{_STYLE}</style></head><body><h1>{title}</h1><table>{counts}"
        f"<tr><td>{escape(fill(texts.ELAPSED, lang))}</td><td class=n>{clock(report.elapsed_s)}</td></tr>"
        f"<tr><td>{escape(fill(texts.CARD_HOURS, lang))}</td><td class=n>{report.card_hours:.2f}</td></tr></table>"
        f"<h2>{escape(fill(texts.GANTT, lang))}</h2>{gantt(report, lang)}"
        f"<h2>{escape(fill(texts.COUNTS, lang))}</h2><table><tr>{head}</tr>{rows}</table></body></html>\n"
    )


def gantt(report: FarmReport, lang: str) -> str:
    """An SVG with a row for each server and CPU worker, and a box for each attempt from its beginning to its end."""
    attempts = report.attempts
    begin = min((each.started for each in attempts), default=0.0)
    end = max((each.ended or each.started for each in attempts), default=0.0)
    scale = (_WIDTH - _LEFT) / max(end - begin, 1e-9)
    places = list(dict.fromkeys(each.server or each.worker for each in attempts))
    parts = [f'<text x="0" y="{_ROW * row + 15}">{escape(place[-24:])}</text>' for row, place in enumerate(places)]
    tasks = {task.task: task for task in report.tasks}
    for each in attempts:
        x = _LEFT + scale * (each.started - begin)
        width = max(scale * ((each.ended or end) - each.started), 1.0)
        outcome = fill(texts.OUTCOMES[each.outcome], lang) if each.outcome else ""
        task = tasks.get(each.task)
        what = f"{label_of(task)} · {fill(texts.KINDS[task.kind], lang)}" if task else each.task[:8]
        title = f"{what} {clock((each.ended or end) - each.started)} {outcome} {each.text}"
        parts.append(
            f'<rect x="{x:.1f}" y="{_ROW * places.index(each.server or each.worker) + 2}" width="{width:.1f}" '
            f'height="{_ROW - 4}" fill="{_COLOURS.get(each.outcome, _OTHER)}"><title>{escape(title)}</title></rect>'
        )
    height = _ROW * max(len(places), 1)
    return f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" xmlns="http://www.w3.org/2000/svg">{"".join(parts)}</svg>'


def _shown(report: FarmReport, task: TaskRow) -> list[TaskRow]:
    """A video, and below it the steps to it where there are several."""
    steps = report.steps_of(task)
    return [task, *steps[:-1]]


def _row(report: FarmReport, task: TaskRow, lang: str) -> str:
    last = report.last_of(task.task)
    seconds = clock(last.ended - last.started) if last and last.ended else ""
    name = ", ".join(task.names) if task.names else f"\u2003{label_of(task)}"
    state = report.state_of(task) if task.names else task.state
    cells = (
        name, fill(texts.KINDS[task.kind], lang), fill(texts.STATES[state], lang), last.card if last else "",
        str(len(report.of(task.task))), seconds, clock(last.predicted_s) if last and last.predicted_s else "",
        gib(last.predicted_bytes) if last and last.predicted_bytes else "",
        gib(last.used_bytes) if last and last.used_bytes else "", error_text(task.reason, lang),
    )  # fmt: skip
    return "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"

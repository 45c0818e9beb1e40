"""The page of the results: Markdown with a table a check, and a picture where matplotlib is installed."""

import importlib.util
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from sonic_guard.devices.card_catalogue import GIB

from . import results
from .checks import CHECKS
from .results import Results, Row

_HIDDEN = {
    "stage", "width", "height", "frames", "window", "dtype", "vae_dtype", "optimizations", "chunk_size", "interpolate",
    "stand_in", "of", "card_gib", "outside_bytes", "device_bytes", "peaks", "took_s", "failed_bytes",
}  # fmt: skip
"""Fields that a row's key already says, or that belong to another column."""


def write_page(out: Path) -> Path:
    """Write ``page.md`` (and ``page.png``) from the results below the folder `out`; returns its path."""
    found = [results.read(file) for file in sorted(out.glob("*/results.jsonl"))]
    page, picture = out / "page.md", _draw(out / "page.png", found)
    lines = ["# Measured by `python -m bench.card`", ""]
    for each in found:
        lines += [*_heading(each), *(["![Time and memory](page.png)", ""] if picture else [])]
        picture = False
        for check in CHECKS:
            if check.name in each.rows:
                lines += [f"### {check.title}", "", *_table(each.rows[check.name])]
                lines += [] if check.name in each.finished else ["Not finished.", ""]
        given_up = each.given_up(check.name for check in CHECKS)
        lines += [f"Given up: {', '.join(given_up)}.", ""] if given_up else []
    page.write_text("\n".join(lines), encoding="utf-8")
    return page


def _heading(found: Results) -> Iterator[str]:
    header = found.header
    total = f" ({header['total_bytes'] / GIB:.1f} GiB)" if header.get("total_bytes") else ""
    yield f"## {header.get('card')}{total}, {header.get('allocator') or 'no allocator of a card'}"
    yield ""
    yield (
        f"{header.get('date', '')[:10]}, torch {header.get('torch')}, driver {header.get('driver')}, "
        f"diffusers {header.get('diffusers')}, Python {header.get('python')}, Sonic "
        f"{header.get('sonic_commit', '')[:7]} with random weights{', small networks' if header.get('tiny') else ''}."
    )
    yield ""


def _table(rows: Sequence[Row]) -> Iterator[str]:
    """The rows with the fields that any of them has; sizes in GiB, times as ratios to the stock row of the size."""
    stock = {_size(row): row["pass_s"] for row in rows if row.get("pass_s") and not row.get("optimizations")}
    shown = [{**row, "time / stock": _ratio(row, stock)} for row in rows]
    columns = [
        name
        for name in dict.fromkeys(name for row in shown for name in row)
        if name not in _HIDDEN and any(row.get(name) not in (None, "") for row in shown)
    ]
    yield _line(_title(name) for name in columns)
    yield _line("---" for _ in columns)
    for row in shown:
        yield _line(_cell(name, row.get(name)) for name in columns)
    yield ""


def _size(row: Row) -> tuple[Any, ...]:
    return row.get("width"), row.get("height"), row.get("frames")


def _ratio(row: Row, stock: dict[tuple[Any, ...], float]) -> str:
    before = stock.get(_size(row))
    return f"{row['pass_s'] / before:.2f}" if before and row.get("pass_s") else ""


def _title(name: str) -> str:
    return f"{name.removesuffix('_bytes')}, GiB" if name.endswith("_bytes") else name.replace("_", " ")


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if name.endswith("_bytes"):
        return f"{value / GIB:.3f}"
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value).replace("|", "\\|").replace("\n", " ")


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _draw(file: Path, found: Sequence[Results]) -> bool:
    """Draw the peak of the tensors against the time of a pass; returns whether there is something to draw with."""
    points = [
        (row["pass_s"], row["allocated_bytes"] / GIB, f"{row['width']}² {'+'.join(row['optimizations']) or 'stock'}")
        for each in found
        for row in each.rows.get("slowdowns", ())
        if row.get("pass_s") and row.get("allocated_bytes")
    ]
    if not points or importlib.util.find_spec("matplotlib") is None:
        return False
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 6), layout="constrained")
    axes = figure.subplots()
    for seconds, gib, name in points:
        axes.plot(seconds, gib, "o")
        axes.annotate(name, (seconds, gib), fontsize=6)
    axes.set(xlabel="a pass of the network, s", ylabel="tensors, GiB", xscale="log", yscale="log")
    figure.savefig(file, dpi=120)
    return True

"""The picture of the architecture, `docs/architecture.svg`: drawn from the imports in the code and the tables here.

A row is a layer. In the middle is who imports whom, with the number of modules that do; on the right, the layers that a
job and an out-of-memory error go through. An import against the direction would be on the other side of the diagonal.
"""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import NamedTuple

from .import_graph import Module, is_own, layer_of
from .layers import BASE, ENTRY, LAYERS, NODES, NOT_FOR_NODES, PURE
from .ways import JOB, OUT_OF_MEMORY, Step

ROW, CELL, TOP, LEFT, NAME = 26, 22, 168, 16, 346
STOP = 20
"""Width of one numbered stop of a way."""
INK, PALE, GRID = "#1f2328", "#59636e", "#d1d9e0"
JOB_COLOUR, ERROR_COLOUR, CELL_COLOUR = "#0969da", "#cf222e", "#8c959f"
GROUPS = {NODES: "#ddf4ff", "base": "#f6f8fa", "pure": "#dafbe1", "tools": "#fff8c5", "library": "#ffffff"}
LEGEND = (
    (NODES, "ComfyUI's side"),
    ("library", "library"),
    ("pure", "library, pure: no hardware, no clock"),
    ("base", "base modules"),
    ("tools", "not used by ComfyUI's side"),
)


class Row(NamedTuple):
    """A line of the picture."""

    name: str
    purpose: str
    group: str


def rows() -> list[Row]:
    """The layers, highest first; the entry point of ``python -m`` is left out."""
    return [Row(layer.name, layer.purpose, _group(layer.name)) for layer in reversed(LAYERS) if layer.name != ENTRY]


def count_importers(modules: Mapping[str, Module]) -> dict[tuple[str, str], int]:
    """How many modules of one layer import another, by both names."""
    pairs: dict[tuple[str, str], set[str]] = {}
    for module in modules.values():
        for each in module.imports:
            pair = layer_of(module.name), layer_of(each.module)
            if is_own(each.module) and pair[0] != pair[1]:
                pairs.setdefault(pair, set()).add(module.name)
    return {pair: len(importers) for pair, importers in pairs.items()}


def draw(modules: Mapping[str, Module]) -> str:
    """The text of the SVG file."""
    lines = rows()
    positions = {row.name: index for index, row in enumerate(lines)}
    matrix_x = LEFT + NAME + 10
    job_x = matrix_x + CELL * len(lines) + 16
    error_x = job_x + STOP * len(JOB) + 24
    width = error_x + STOP * len(OUT_OF_MEMORY) + LEFT
    matrix_bottom = TOP + ROW * len(lines)
    height = matrix_bottom + 56 + 18 * max(len(JOB), len(OUT_OF_MEMORY)) + LEFT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        'font-family="system-ui, sans-serif" font-size="12">',
        "<title>Layers of Sonic Guard, who imports whom, the way of a job and of an out-of-memory error</title>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        _text(LEFT, 28, "Sonic Guard: layers and imports", size=17, bold=True),
        _text(LEFT, 48, "A layer imports only layers below it. Drawn by tools/architecture_picture.py.", PALE),
        *_legend(),
        *_layers(lines),
        *_matrix(lines, positions, count_importers(modules), matrix_x),
        *_way(JOB, positions, job_x, JOB_COLOUR, "A job"),
        *_way(OUT_OF_MEMORY, positions, error_x, ERROR_COLOUR, "An out-of-memory error"),
        *_steps(JOB, LEFT, matrix_bottom + 40, JOB_COLOUR, "The way of a job"),
        *_steps(OUT_OF_MEMORY, width // 2 + 10, matrix_bottom + 40, ERROR_COLOUR, "The way of an out-of-memory error"),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _group(name: str) -> str:
    if name == NODES:
        return NODES
    if name in BASE:
        return "base"
    if name in PURE:
        return "pure"
    return "tools" if name in NOT_FOR_NODES else "library"


def _legend() -> Iterator[str]:
    for number, (group, meaning) in enumerate(LEGEND):
        y = 62 + 18 * number
        yield f'<rect x="{LEFT}" y="{y}" width="14" height="12" fill="{GROUPS[group]}" stroke="{GRID}"/>'
        yield _text(LEFT + 20, y + 10, meaning, PALE)


def _layers(lines: Sequence[Row]) -> Iterator[str]:
    for index, row in enumerate(lines):
        y = TOP + ROW * index
        yield (
            f'<rect x="{LEFT}" y="{y + 2}" width="{NAME}" height="{ROW - 4}" rx="4" '
            f'fill="{GROUPS[row.group]}" stroke="{GRID}"/>'
        )
        yield _text(LEFT + 8, y + 17, row.name, bold=True)
        yield _text(LEFT + 116, y + 17, row.purpose, PALE)


def _matrix(
    lines: Sequence[Row], positions: Mapping[str, int], counts: Mapping[tuple[str, str], int], left: int
) -> Iterator[str]:
    size = len(lines)
    for index, row in enumerate(lines):
        x, y = left + CELL * index, TOP + ROW * index
        yield (
            f'<text transform="translate({x + 15},{TOP - 8}) rotate(-60)" fill="{INK}">{escape(row.name)}</text>'
            f'<path d="M{left} {y + ROW / 2:g}H{left + CELL * size}M{x + CELL / 2:g} {TOP}V{TOP + ROW * size}" '
            f'stroke="{GRID}" stroke-width="0.6"/>'
        )
        yield f'<rect x="{x + 6}" y="{y + 8}" width="10" height="10" fill="{GRID}"/>'
    for (importer, imported), count in sorted(counts.items()):
        if importer in positions and imported in positions:
            x, y = left + CELL * positions[imported] + CELL / 2, TOP + ROW * positions[importer] + ROW / 2
            wrong = positions[imported] < positions[importer]
            yield f'<circle cx="{x:g}" cy="{y:g}" r="8.5" fill="{ERROR_COLOUR if wrong else CELL_COLOUR}"/>'
            yield _text(x, y + 3.5, str(count), "#ffffff", size=10, middle=True)
    yield _text(
        left,
        TOP + ROW * size + 14,
        "A row imports the columns that are marked; the number is that of its importing modules.",
        PALE,
    )


def _way(way: Sequence[Step], positions: Mapping[str, int], left: int, colour: str, title: str) -> Iterator[str]:
    stops = [(left + STOP * n + STOP / 2, TOP + ROW * (positions[layer_of(s.module)] + 0.5)) for n, s in enumerate(way)]
    yield _text(left, TOP - 14, title, colour, bold=True)
    yield (
        f'<polyline points="{" ".join(f"{x:g},{y:g}" for x, y in stops)}" fill="none" stroke="{colour}" '
        'stroke-width="1.5" stroke-linejoin="round" opacity="0.5"/>'
    )
    for number, (x, y) in enumerate(stops, start=1):
        yield f'<circle cx="{x:g}" cy="{y:g}" r="9" fill="{colour}"/>'
        yield _text(x, y + 4, str(number), "#ffffff", size=11, middle=True)


def _steps(way: Sequence[Step], left: int, top: int, colour: str, title: str) -> Iterator[str]:
    yield _text(left, top, title, colour, bold=True)
    for number, step in enumerate(way, start=1):
        where = step.module.removeprefix("sonic_guard.").replace(".", "/")
        yield _text(left, top + 18 * number, f"{number}  {where}.{step.symbol}: {step.text}")


def _text(
    x: float, y: float, text: str, colour: str = INK, *, size: int = 12, bold: bool = False, middle: bool = False
) -> str:
    weight, anchor = ' font-weight="600"' if bold else "", ' text-anchor="middle"' if middle else ""
    sized = f' font-size="{size}"' if size != 12 else ""
    return f'<text x="{x:g}" y="{y:g}" fill="{colour}"{sized}{weight}{anchor}>{escape(text)}</text>'

"""Tables in the documents whose figures the memory model computes, between two comments that name them.

``<!-- table NAME -->`` … ``<!-- end -->``: what is between them is written by `make generate`.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path

from sonic_guard.devices.card_catalogue import GIB, smallest_card_for
from sonic_guard.job import Job
from sonic_guard.memory.article_formula import ARTICLE_TABLE, GB, article_gb
from sonic_guard.memory.stage_model import predict, stage_bytes
from sonic_guard.messages.plan_messages import stage_word
from sonic_guard.messages.weight_messages import table_head, table_rows
from sonic_guard.optimizations import ESCALATION_ORDER, EVERY, OPTIMIZATIONS, Optimization, without_redundant
from sonic_guard.relatives import ADAPTERS, Relative

from .import_graph import ROOT
from .ways import TARGET_CARD

DOCUMENTS = ("README.md", "README_zh.md", "docs/memory-model.md", "docs/architecture.md", "docs/relatives.md")
_BLOCK = re.compile(r"(<!-- table (?P<name>[\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
_NUMBER = re.compile(r"[\d.]+|–")

SIDES = (512, 768, 1024)
SHOWN = ("predata", "denoise", "interpolate")


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table in Markdown; columns of numbers are aligned to the right."""
    names, lines = list(head), [list(row) for row in rows]
    rule = ["---:" if all(_NUMBER.fullmatch(cell) for cell in column) else "---" for column in zip(*lines, strict=True)]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (names, rule, *lines))


def stages_by_size(lang: str = "en") -> str:
    """GiB of tensors at the worst moment of three stages, stock, fp16, F = 25."""
    sides = (384, *SIDES)
    after = _in(lang, ", {} s", "，{} 秒").format
    rows = (("denoise", 10.0, ""), ("interpolate", 10.0, after(10)), ("interpolate", 60.0, after(60)))
    return table(
        ("", *(f"{side}²" for side in sides)),
        (
            (stage_word(stage, lang) + note, *(_gib(stage_bytes(_square(side, seconds))[stage]) for side in sides))
            for stage, seconds, note in rows
        ),
    )


def stock_and_optimized(lang: str = "en") -> str:
    """What Sonic alone needs, and what Sonic Talking Head needs with every optimization."""

    def rows() -> Iterable[Iterable[str]]:
        for side in SIDES:
            for seconds, sound in ((10.0, _in(lang, "10 s", "10 秒")), (600.0, _in(lang, "10 min", "10 分钟"))):
                job = _square(side, seconds)
                optimized = replace(job, optimizations=without_redundant(EVERY), to_file=True)
                for name, run in ((_in(lang, "stock", "原版"), job), (_in(lang, "optimized", "优化"), optimized)):
                    estimate = predict(run)
                    card = smallest_card_for(estimate.peak_bytes, 0.1)
                    sizes = [*(estimate.stages[stage] for stage in SHOWN), estimate.peak_bytes]
                    yield (
                        str(job.frame_size),
                        sound,
                        name,
                        *map(_gib, sizes),
                        card.title if card else _in(lang, "none", "无"),
                    )

    stages = (stage_word(stage, lang) for stage in SHOWN)
    head = (_in(lang, "picture", "画面"), _in(lang, "sound", "音频"), "", *stages)
    ends = (_in(lang, "peak with overhead", "含开销的峰值"), _in(lang, "smallest card", "最小的显卡"))
    return table((*head, *ends), rows())


def weight_files(lang: str = "en", relative: Relative = Relative.SONIC) -> str:
    """Every weight file: where it is put, and where it comes from."""
    return table(table_head(lang), table_rows(lang, relative))


def optimizations_in_denoise() -> str:
    """Denoise by combination of optimizations, GiB."""
    sequential, streamed, chunked_ff, chunked = (
        Optimization.SEQUENTIAL_CFG,
        Optimization.STREAM_WEIGHTS,
        Optimization.FEED_FORWARD_CHUNKING,
        Optimization.LAYER_CHUNKING,
    )
    combinations = (
        ("stock: three guidance branches in one batch", ()),
        (f"`{chunked_ff}`", (chunked_ff,)),
        (f"`{sequential}`", (sequential,)),
        (f"`{sequential}`, `{chunked_ff}`", (sequential, chunked_ff)),
        (f"`{sequential}`, `{chunked}`", (sequential, chunked)),
        (f"`{sequential}`, `{chunked}`, `{chunked_ff}`", (sequential, chunked, chunked_ff)),
        (f"`{sequential}`, `{streamed}`", (sequential, streamed)),
        ("every optimization that a plan combines", without_redundant(EVERY)),
    )

    def size(side: int, optimizations: Iterable[Optimization]) -> str:
        job = replace(_square(side, 10.0), optimizations=frozenset(optimizations))
        return f"{stage_bytes(job)['denoise'] / GIB:.2f}"

    return table(
        ("optimizations", *(f"{side}²" for side in SIDES)),
        ((name, *(size(side, optimizations) for side in SIDES)) for name, optimizations in combinations),
    )


def relatives_in_denoise() -> str:
    """Denoise of Sonic and DICE Talk by length, 512², fp16, F = 25, GiB."""
    offloaded = frozenset({Optimization.TENSOR_OFFLOAD})
    lengths = (4.0, 10.0, 30.0, 120.0)

    def size(relative: Relative, seconds: float, optimizations: frozenset[Optimization]) -> str:
        job = replace(_square(512, seconds), relative=relative, optimizations=optimizations)
        return f"{stage_bytes(job)['denoise'] / GIB:.2f}"

    return table(
        ("512², fp16", *(f"{seconds:.0f} s" for seconds in lengths)),
        (
            (name + note, *(size(relative, seconds, optimizations) for seconds in lengths))
            for relative, name in ((each, ADAPTERS[each].title) for each in Relative)
            for note, optimizations in ((", stock", frozenset[Optimization]()), (", `tensor_offload`", offloaded))
        ),
    )


MEASURED_GB = {384: 6.83, 512: 9.61, 768: 17.56, 1024: 28.69}
"""Most bytes of tensors in stock denoise on an H200 with torch's own allocator, 25 latent frames; in GB."""


def article() -> str:
    """The article's formula and table against traced and measured tensors, in GB."""
    printed = {row.resolution_px: f"{row.total_gb:.1f}" for row in ARTICLE_TABLE}

    def rows() -> Iterable[Iterable[str]]:
        for side, steps, ratio in ((384, 15, 0.20), (512, 20, 0.20), (768, 20, 0.20), (1024, 30, 0.15)):
            short, long = (stage_bytes(_square(side, seconds))["denoise"] / GB for seconds in (2.0, 10.0))
            yield (
                f"{side}², {steps} steps, {ratio:.2f}",
                f"{article_gb(side, 10.0, steps, ratio):.1f}",
                printed.get(side, "–"),
                f"{long:.2f}",
                f"{short:.2f}",
                f"{MEASURED_GB[side]:.2f}",
            )

    return table(("run", "formula, 10 s", "table, 10 s", "traced, 10 s", "traced, 2 s", "measured, 2 s"), rows())


def optimizations() -> str:
    """The table of optimizations, in the order of escalation."""

    def rows() -> Iterable[Iterable[str]]:
        for name in ESCALATION_ORDER:
            traits = OPTIMIZATIONS[name]
            time = f"{traits.time:.2f}" if traits.time else "not measured"
            yield f"`{name}`", traits.tooltip.en, str(traits.default), time

    return table(("name", "what it does", "default", "time"), rows())


def target_card() -> str:
    """The files between `target_card` and the planner's answer."""
    return table(
        ("", "file", "there", "what happens"),
        (
            (str(number), f"`{step.module.replace('.', '/')}.py`", f"`{step.symbol}`", step.text)
            for number, step in enumerate(TARGET_CARD, start=1)
        ),
    )


TABLES: dict[str, Callable[[], str]] = {
    "stages-by-size": stages_by_size,
    "stock-and-optimized": stock_and_optimized,
    "weight-files": weight_files,
    "stages-by-size-zh": partial(stages_by_size, "zh"),
    "stock-and-optimized-zh": partial(stock_and_optimized, "zh"),
    "weight-files-zh": partial(weight_files, "zh"),
    "weight-files-dice-talk": partial(weight_files, relative=Relative.DICE_TALK),
    "optimizations-in-denoise": optimizations_in_denoise,
    "relatives-in-denoise": relatives_in_denoise,
    "article": article,
    "optimizations": optimizations,
    "target-card": target_card,
}
"""By their names in the documents."""


def filled(text: str) -> str:
    """A document with its tables made anew. Raises `KeyError` for a name that is none of `TABLES`."""
    return _BLOCK.sub(lambda block: f"{block[1]}{TABLES[block['name']]()}{block[3]}", text)


def document_files() -> dict[Path, str]:
    """The documents with tables, by their paths."""
    return {ROOT / name: filled((ROOT / name).read_text(encoding="utf-8")) for name in DOCUMENTS}


def _in(lang: str, english: str, chinese: str) -> str:
    return chinese if lang == "zh" else english


def _square(side: int, seconds: float) -> Job:
    return Job(side, side, seconds, min_resolution=side)


def _gib(size: int) -> str:
    return f"{size / GIB:.1f}"

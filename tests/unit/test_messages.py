"""The texts as data: complete in every language, with the same placeholders, and filled with exactly these."""

import ast
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from string import Formatter
from types import ModuleType

import pytest

import sonic_guard
from sonic_guard.devices.budget import NO_GPU
from sonic_guard.memory.hard_limits import LimitKind
from sonic_guard.messages import (
    advice_texts,
    cli_texts,
    farm_run_texts,
    farm_texts,
    finish_texts,
    lease_texts,
    plan_messages,
    plan_texts,
    run_texts,
    sound_texts,
    time_texts,
    weight_texts,
)
from sonic_guard.messages.catalogue import LANGUAGES, Counted, clock, count, fill, gib
from sonic_guard.optimizations import OPTIMIZATIONS, Text
from sonic_guard.planning.capacity import Verdict

TEXT_MODULES = (
    plan_texts,
    advice_texts,
    run_texts,
    sound_texts,
    time_texts,
    cli_texts,
    weight_texts,
    finish_texts,
    lease_texts,
    farm_run_texts,
    farm_texts,
)
MESSAGE_MODULES = (
    *(f"messages.{name}_messages" for name in ("plan", "advice", "run", "sound", "time", "weight")),
    *(f"messages.{name}_messages" for name in ("finish", "finish_all", "lease", "farm")),
    *(f"cli.{name}" for name in ("commands", "tables", "chart", "output", "plan_command")),
    *(f"cli.{name}" for name in ("farm_command", "farm_commands", "farm_report")),
)
"""Those that fill texts, each with its texts as `texts`."""


def named_texts(module: ModuleType) -> Iterator[tuple[str, Text]]:
    """Every text of a module, those in a mapping and the forms for numbers too."""
    for name, value in vars(module).items():
        if isinstance(value, Text):
            yield name, value
        elif isinstance(value, Counted):
            yield from ((f"{name}[{form}]", text) for form, text in value._asdict().items())
        elif name.isupper() and isinstance(value, Mapping):
            yield from ((f"{name}[{key}]", text) for key, text in value.items())


ALL = {
    **{
        f"{module.__name__.rpartition('.')[2]}.{name}": text
        for module in TEXT_MODULES
        for name, text in named_texts(module)
    },
    **{f"{name}.tooltip": traits.tooltip for name, traits in OPTIMIZATIONS.items()},
    **{f"{name}.reason": traits.reason for name, traits in OPTIMIZATIONS.items()},
}


def placeholders(text: str) -> list[tuple[str, str | None]]:
    """Names and formats of the placeholders, sorted."""
    return sorted((name, spec) for _, name, spec, _ in Formatter().parse(text) if name is not None)


@pytest.mark.parametrize("text", ALL.values(), ids=ALL)
def test_a_text_exists_in_every_language_with_the_same_placeholders(text):
    assert LANGUAGES == ("en", "zh")
    assert all(part.strip() for part in text)
    assert placeholders(text.en) == placeholders(text.zh)


@pytest.mark.parametrize("text", ALL.values(), ids=ALL)
def test_chinese_sentences_use_chinese_punctuation(text):
    assert not text.zh.rstrip().endswith((".", ",", ";", ":"))
    assert not any("\u4e00" <= sign <= "\u9fff" for sign in text.en)


def test_every_verdict_and_hard_limit_has_its_texts():
    assert set(plan_texts.VERDICTS) == set(Verdict)
    assert set(plan_texts.LIMITS) == set(plan_texts.LIMIT_NAMES) == set(LimitKind)


def fill_calls() -> Iterator[tuple[str, list[str], set[str]]]:
    """Of each call of `fill`: where it is, the names of the texts it may fill, and the placeholders it gives."""
    folder = Path(next(iter(sonic_guard.__path__)))
    for module in MESSAGE_MODULES:
        file = folder.joinpath(*module.split(".")).with_suffix(".py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and (called := getattr(node.func, "id", "")) in ("fill", "count"):
                parts = [part.attr for part in ast.walk(node.args[0]) if isinstance(part, ast.Attribute)]
                used = [name for name in parts if name.isupper()]
                given = {word.arg for word in node.keywords if word.arg}
                yield f"{module}:{node.lineno}", used, given | ({"number"} if called == "count" else set())


@pytest.mark.parametrize(
    ("where", "used", "given"), list(fill_calls()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_call_gives_every_placeholder_of_its_text(where, used, given):
    """And no others, unless it picks one of several texts."""
    assert used, "the first argument of `fill` names its text, so that this test can find it"
    module = import_module(f"sonic_guard.{where.partition(':')[0]}").texts
    candidates = [text for name, text in named_texts(module) if name.partition("[")[0] in used]
    needed = {name for text in candidates for name, _ in placeholders(text.en)}
    assert needed == given - ({"number"} - needed)


def test_no_call_is_missed():
    assert sum(bool(used) for _, used, _ in fill_calls()) > 40


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 of them were"), (1, "1 of them was"), (2, "2 of them were"), (21, "21 of them were")]
)
def test_one_is_counted_as_one(number, text):
    assert count(run_texts.PARTS_KEPT, "en", number).startswith(text)
    assert count(run_texts.PARTS_KEPT, "zh", number) == f"其中 {number} 段由先前的运行完成。"


def test_a_missing_value_is_an_error():
    with pytest.raises(KeyError):
        fill(run_texts.ENABLED, "en")


@pytest.mark.parametrize(("size", "text"), [(0, "0.0 GiB"), (1.5 * 2**30, "1.5 GiB"), (2**40, "1024.0 GiB")])
def test_sizes_are_in_gib(size, text):
    assert gib(size) == text


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0:00"), (59.6, "1:00"), (3599.6, "1:00:00"), (36e3, "10:00:00")])
def test_seconds_are_read_as_on_a_clock(seconds, text):
    assert clock(seconds) == text


@pytest.mark.parametrize(
    "name", [name for name in ALL if name.endswith((".tooltip", ".reason")) or ".REASONS[" in name]
)
def test_texts_that_are_shown_without_values_have_no_placeholders(name):
    assert not placeholders(ALL[name].en)


@pytest.mark.parametrize(
    ("card", "lang", "shown"),
    [
        (NO_GPU, "en", NO_GPU),
        (NO_GPU, "zh", "CPU（未检测到 GPU）"),
        ("RTX 4060 8GB", "zh", "RTX 4060 8GB"),
    ],
)
def test_where_there_is_no_card_the_words_for_it_are_in_the_users_language(card, lang, shown):
    assert plan_messages.card_name(card, lang) == shown


def test_the_page_has_the_same_words_where_there_is_no_card():
    words = Path(__file__).parents[2].joinpath("web", "lib", "words.mjs").read_text(encoding="utf-8")
    assert f'"no gpu card": ["{NO_GPU}", "{plan_texts.NO_GPU.zh}"]' in words

"""Errors in the user's language: every error that is raised has its sentences, and they are filled with its values."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from string import Formatter

import pytest

from sonic_guard import errors
from sonic_guard.comfy.api_graph import parse_graph
from sonic_guard.devices.budget import budget_for
from sonic_guard.devices.card_catalogue import find_card
from sonic_guard.history.database import Database
from sonic_guard.job import Job
from sonic_guard.media import audio_file, face, picture
from sonic_guard.memory.checkpoints import read_header
from sonic_guard.messages.error_messages import ERRORS, SUBJECTS, error_text
from sonic_guard.operations.input_values import one_of
from sonic_guard.operations.preset_files import load_preset
from sonic_guard.resume.exclusive_lock import locked
from tests.support.installed import PACK

KINDS = {name for name in vars(errors) if name.endswith("Error")} | {
    "UnreadableError", "RefusedError", "_UnusableError",
}  # fmt: skip
TEXT_ARGUMENT = dict.fromkeys([*KINDS, "error", "_error"], 0) | {"fault": 1, "_refusal": 2, "RefusedError": 1}
"""Which argument of a call is an error's text. `error` is a class that a function is given."""
MADE_BY = {
    "sonic_guard/plain_files.py": ("_REASONS", "_NO_FILE", "_check", "_reason"),
    "sonic_guard/atomic_files.py": ("_advice",),
    "sonic_guard/devices/card_catalogue.py": ("_unusable", "_unknown"),
    "sonic_guard/history/database.py": ("_HINTS",),
    "sonic_guard/long_video/rendering.py": ("_no_fallback_left",),
    "sonic_guard/long_video/part_store.py": ("opened",),
    "sonic_guard/media/containers.py": ("refusal",),
    "sonic_guard/media/jpeg_parts.py": ("fault",),
    "sonic_guard/media/mp4_boxes.py": ("fault",),
    "sonic_guard/media/picture.py": ("_picture_error", "_too_large"),
    "sonic_guard/media/riff_chunks.py": ("fault",),
    "sonic_guard/operations/preset_files.py": ("_fault",),
    "sonic_guard/preview/node_inputs.py": ("_TYPE_WORDS",),
    "nodes/comfyui/sonic_wrapper.py": ("_ADVICE",),
}
"""Functions and constants by which the texts, or parts of them, are made."""
NOT_HERE = {
    "refusal(result.plan)", "refusal(plan)", "refusal(planned.preflight.plan)", "_report(result.plan, 'en')",
    # shown in the user's language already
    "str(error)", "busy", "text", "_advice(error, target)", "_too_large(name)", "_no_fallback_left(run, part, failure)",
    "_unusable(text, reading) or _unknown(text, reading)", "refusal_text(voice.name, info)",
    # made by the functions above, or another error's
}  # fmt: skip
"""Texts that are expressions."""


def shape(text: str) -> str:
    """A template with its placeholders alike."""
    return "".join(literal + ("\0" if name is not None else "") for literal, name, _, _ in Formatter().parse(text))


SHAPES = {shape(text.en) for text in ERRORS}


def written(node: ast.AST) -> str | None:
    """The shape of a string or an f-string in the source."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "\0" for part in node.values)
    return None


def modules() -> Iterator[tuple[str, ast.Module]]:
    for package in ("sonic_guard", "nodes"):
        for path in sorted((PACK / package).rglob("*.py")):
            name = path.relative_to(PACK).as_posix()
            if not name.startswith(("sonic_guard/devtools", "sonic_guard/messages")):
                yield name, ast.parse(path.read_text(encoding="utf-8"))


def raised() -> Iterator[tuple[str, str]]:
    """Of each error: where it is made, and its text, or the expression that is its text."""
    for module, tree in modules():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or getattr(node.func, "attr", "") == "error":  # a logger's
                continue
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            if name == "_refusal" and module != "nodes/web_api/request_guard.py":
                continue
            if name not in TEXT_ARGUMENT or len(node.args) <= TEXT_ARGUMENT[name]:
                continue
            text = node.args[TEXT_ARGUMENT[name]]
            if name in ("error", "_error", "fault") and written(text) is None:
                continue  # something else of that name, or made by a function of `MADE_BY`
            end = "." if name == "_UnusableError" else ""
            yield f"{module}:{node.lineno}", ast.unparse(text) if (made := written(text)) is None else made + end
            if name == "_UnusableError":
                yield from ((f"{module}:{node.lineno}", written(advice) or "") for advice in node.args[1:])


def made() -> Iterator[tuple[str, str]]:
    """The strings in what makes texts."""
    for module, tree in modules():
        for node in ast.walk(tree):
            names = [getattr(node, "name", "")] + [getattr(node, "id", "") for node in getattr(node, "targets", ())]
            if isinstance(node, ast.AnnAssign):
                names = [getattr(node.target, "id", "")]
            if set(names).isdisjoint(MADE_BY.get(module, ())):
                continue
            docs = {id(each.value) for each in getattr(node, "body", ()) if isinstance(each, ast.Expr)}
            in_strings = {
                id(part) for each in ast.walk(node) if isinstance(each, ast.JoinedStr) for part in each.values
            }
            for each in ast.walk(node):
                text = None if id(each) in docs | in_strings else written(each)
                if isinstance(each, ast.expr) and text and re.search("[a-z]{2} [a-z]", text):
                    yield f"{module}:{each.lineno}", text


def is_known(text: str) -> bool:
    """Whether a text, without what it is about, has its sentence: all of it, or each of its sentences."""
    for _ in range(4):
        if text in SHAPES or all(_is_sentence(each) for each in re.split(r"(?<=\.) ", text)):
            return True
        _, colon, text = text.partition(": ")
        if not colon:
            return False
    return False


def _is_sentence(text: str) -> bool:
    """Whether it is one, perhaps after sentences that are made elsewhere."""
    return not text.strip("\0 ") or text in SHAPES or text.lstrip("\0 ") in SHAPES


ALL = [*raised(), *made()]


@pytest.mark.parametrize(("where", "text"), ALL, ids=[where for where, _ in ALL])
def test_every_error_has_its_sentence_in_every_language(where, text):
    """If this fails, add the text to one of `sonic_guard/messages/error_texts_*.py`."""
    assert text in NOT_HERE or text.startswith("fill(texts.") or is_known(text)


def test_the_errors_are_found():
    assert len({where for where, _ in raised()}) > 180
    assert {name for names in MADE_BY.values() for name in names} == {
        name
        for module, tree in modules()
        for node in ast.walk(tree)
        for name in MADE_BY.get(module, ())
        if name in (getattr(node, "name", ""), getattr(node, "id", ""))
    }


def test_no_sentence_is_there_twice():
    assert len(SHAPES) == len(ERRORS)


@pytest.mark.parametrize("text", [*ERRORS, *SUBJECTS.values()], ids=lambda text: text.en[:60])
def test_a_sentence_is_filled_with_the_values_of_the_error(text):
    names = [name for _, name, _, _ in Formatter().parse(text.en) if name]
    assert sorted(names) == sorted(name for _, name, _, _ in Formatter().parse(text.zh) if name)
    assert len(set(names)) == len(names)
    values = {name: f"‹{name}›" for name in names}
    if text in ERRORS:
        assert error_text(text.en.format(**values), "zh") == text.zh.format(**values)
        assert error_text(f"a.png: {text.en.format(**values)}", "zh") == f"a.png：{text.zh.format(**values)}"


def no_picture(folder: Path) -> Path:
    file = folder / "a (1).png"
    file.write_bytes(b"no picture")
    return file


def preset(folder: Path, text: str) -> None:
    (folder / "mine.json").write_text(text, encoding="utf-8")
    load_preset("mine", folder)


def in_use(folder: Path) -> None:
    with locked(folder / "x", "in use"), locked(folder / "x", "in use"):
        pass


EXAMPLES = {
    "without a file": (lambda at: read_header(at / "x.pth"), "x.pth：没有这个文件。请检查路径。"),
    "a folder": (lambda at: audio_file.load(at), "{at}：这是文件夹，不是音频文件。"),
    "a colon in the name": (
        lambda at: picture.load(no_picture(at)),
        "a (1).png：这不是图片，无论文件名是什么。请使用 PNG、JPEG 或 WebP。",
    ),
    "a fault and an advice": (
        lambda at: read_header(no_picture(at)),
        "a (1).png：既不是 safetensors，也不是 torch 1.6 及以后版本的权重。如果是旧版权重，请用 torch 加载后重新保存。",
    ),
    "a number in between": (
        lambda _: face.pick_face([], 3, "image"),
        "image：没有检测到人脸。请使用更清晰、人脸更大、正对镜头且端正的图片；也可以围绕人脸裁剪，或手动填写人脸框。",
    ),
    "a card with others like it": (
        lambda _: find_card("RTX 3061"),
        "显卡：显卡表中没有 'RTX 3061'。相近的有：RTX 3060",
    ),
    "titles of cards": (
        lambda _: find_card("RTX 3060"),
        "显卡：'RTX 3060' 有多种显存大小。请指明：RTX 3060 8GB、RTX 3060 12GB。",
    ),
    "an amount": (
        lambda _: budget_for("0 GiB"),
        "显存：'0 GiB' 不是有效的大小。请填 0.5 到 1024 的 GiB 数值，例如 12。",
    ),
    "options": (lambda _: one_of("mode", 5, ("auto", "off")), "mode：没有 5；可选：auto, off。"),
    "a number of a job": (lambda _: Job(512, 512, -1), "duration：-1 超出 0 … 360000 的范围。"),
    "two faults of a preset": (
        lambda at: preset(at, '{"name": "mine", "fps": 1, "what": 2}'),
        "mine.json：fps：不允许 1。窗口长度：5 到 120；只有 25 能使声音与画面同步。what：未知的键。可用的有：",
    ),
    "a preset that is no JSON": (lambda at: preset(at, "{"), "mine.json：不是有效的 JSON："),
    "a graph": (lambda _: parse_graph([]), "工作流：应为以节点 id 为键的对象。"),
    "a lock": (in_use, "正在使用"),
    "a history that is not there": (
        lambda at: Database(at / "x.db", existing=True, busy_s=1).do(lambda _: None),
        "运行历史：没有文件 {at}/x.db。",
    ),
}


@pytest.mark.parametrize(("do", "chinese"), EXAMPLES.values(), ids=EXAMPLES)
def test_real_errors_in_chinese(tmp_path, do, chinese):
    with pytest.raises(errors.SonicGuardError) as caught:
        do(tmp_path)
    expected = chinese.replace("{at}/", f"{tmp_path}/").replace("{at}", tmp_path.name)
    assert error_text(caught.value, "zh").startswith(expected)
    assert error_text(caught.value, "en") == str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "", ": ", ". ", "not one of ours", "image: not one of ours.", "显存不足：放不下。",
        "no face found: ?", "a: " * 900,
        ". " * 1900, "expected " * 440, "it is damaged: " * 260, "x is not allowed. " * 200,
    ],
    ids=lambda text: text[:20],
)  # fmt: skip
def test_what_is_not_known_stays_as_it_is(text):
    assert error_text(text, "zh") == text

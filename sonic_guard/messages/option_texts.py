"""What Python's argparse says of options that cannot be parsed, in the user's language."""

from ..optimizations import Text
from .catalogue import LANGUAGES
from .sentences import sentences

ERROR = Text("error", "错误")
FAULTS: tuple[Text, ...] = (
    Text("the following arguments are required: {names}", "缺少参数：{names}"),
    Text("unrecognized arguments: {names}", "无法识别的参数：{names}"),
    Text("argument {name}: invalid choice: {value} (choose from {known})", "参数 {name}：没有 {value}；可选：{known}"),
    Text("argument {name}: invalid {kind} value: {value}", "参数 {name}：{value} 不是有效的值（{kind}）"),
    Text("argument {name}: expected one argument", "参数 {name}：需要一个值"),
    Text("argument {name}: expected at least one argument", "参数 {name}：至少需要一个值"),
    Text("argument {name}: not allowed with argument {other}", "参数 {name}：不能与 {other} 同时使用"),
    Text("argument {name}: ignored explicit argument {value}", "参数 {name}：不接受值 {value}"),
    Text("argument {name}: expected a number from 1, got {value}", "参数 {name}：应为从 1 起的整数，实际为 {value}"),
    Text("ambiguous option: {name} could match {known}", "选项 {name} 不明确，可能是 {known}"),
)
"""Those that this command line can lead to. Another version's may differ: they stay as they are."""


_SENTENCES = sentences(FAULTS)


def fault_text(message: str, lang: str) -> str:
    """Argparse's `message` in `lang`, one of `LANGUAGES`."""
    if lang == LANGUAGES[0]:
        return message
    for sentence in _SENTENCES:
        values = sentence.match(message)
        if values is not None:
            return sentence.text.zh.format(**values)
    return message

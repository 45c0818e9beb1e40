"""The one sentence that says what would help most, or how much more would fit."""

from collections.abc import Mapping, Sequence

from ..job import Job
from ..planning.advice import PLANNER_SETTINGS, Advice, Where
from ..planning.planner import VISIBLE, Change
from ..relatives import ADAPTERS, Relative
from . import advice_texts as texts
from .catalogue import fill, gib
from .plan_messages import limit_text, optimization_names, setting_word, what_would_fit


def advice_sentence(
    advice: Advice, where: Where = Where.THIS_NODE, lang: str = "en", relative: Relative = Relative.SONIC
) -> str:
    """`advice` in a sentence; `where` says which node the user would set, among others those of `relative`."""
    nodes = _nodes(relative) if where is Where.SONIC_NODES else {}
    if advice.limits:
        return " ".join(limit_text(limit, lang) for limit in advice.limits)
    if not advice.changes:
        return what_would_fit(advice.card, advice.longest_s, lang)
    if advice.keeps:
        return _keeping(advice.changes, advice.keeps, nodes, lang)
    planner = [_by_planner(where, lang)] if advice.rescue and advice.takes_planner(where) else []
    settings = _joined([*planner, *(_setting(change, nodes, lang) for change in advice.changes)], lang)
    size = gib(advice.changes[-1].after_bytes)
    if advice.fits:
        return fill(texts.ALSO_FITS, lang, settings=settings, size=size)
    if where in texts.BY_PLANNER and not advice.rescue:
        return fill(texts.BY_PLANNER[where], lang, settings=settings, size=size)
    one = not planner and len(advice.changes) == 1
    if any(change.clears for change in advice.changes):
        return fill(texts.ONE_CLEARS_LIMIT if one else texts.ALL_CLEAR_LIMIT, lang, settings=settings, size=size)
    return fill(texts.ONE_CHANGE if one else texts.ALL_CHANGES, lang, settings=settings, size=size)


def button_text(*, adds_node: bool, lang: str = "en") -> str:
    """What the button does that follows an advice."""
    return fill(texts.USE_LOW_VRAM if adds_node else texts.APPLY, lang)


def _nodes(relative: Relative) -> Mapping[str, str]:
    """The node on which a setting is, by the name of the change."""
    adapter = ADAPTERS[relative]
    return {"min_resolution": adapter.predata, "dtype": adapter.loader, "interpolate": adapter.loader}


def _keeping(changes: Sequence[Change], job: Job, nodes: Mapping[str, str], lang: str) -> str:
    """What makes the picture of `job` possible; its size and its rate are named as the result, not as settings."""
    made = [_setting(change, nodes, lang) for change in changes if change.name not in VISIBLE]
    settings, size, fps = _joined(made, lang), job.frame_size, job.output_fps
    is_one = len(made) == 1
    if len(made) == len(changes):
        return fill(texts.KEEPS if is_one else texts.ALL_KEEP, lang, settings=settings, size=size, fps=fps)
    return fill(texts.ALLOWS if is_one else texts.ALL_ALLOW, lang, settings=settings, size=size, fps=fps)


def _joined(settings: Sequence[str], lang: str) -> str:
    *first, last = settings
    return fill(texts.AND, lang).join([*([fill(texts.COMMA, lang).join(first)] if first else []), last])


def _by_planner(where: Where, lang: str) -> str:
    """The setting of a planning node with which that makes changes itself."""
    name, value = PLANNER_SETTINGS[where]
    return fill(texts.SETTING, lang, name=name, value=value)


def _setting(change: Change, nodes: Mapping[str, str], lang: str) -> str:
    """What to set to what, and on which node if it is one of `nodes`."""
    if change.name in texts.SPECIAL_SETTINGS:
        return fill(texts.SPECIAL_SETTINGS[change.name], lang, value=change.after)
    value = setting_word(change.after, lang)
    name = "use_interframe" if change.name == "interpolate" else optimization_names([change.name], lang) or change.name
    if change.name in nodes:
        return fill(texts.SETTING_ON_NODE, lang, name=name, value=value, node=nodes[change.name])
    return fill(texts.SETTING, lang, name=name, value=value)

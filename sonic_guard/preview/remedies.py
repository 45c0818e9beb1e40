"""What has to be done to a graph for an advice to come true: the actions of the button on a card.

Pure: an advice and a graph in, actions out. There are none unless all of the advice can be done: a value that a node
computes cannot be set. The page carries them out, as one step that can be undone.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from ..comfy.api_graph import Graph, Link, Node, upstream
from ..optimizations import ESCALATION_ORDER, Optimization, Setting
from ..planning.advice import LOW_VRAM as ADD_LOW_VRAM
from ..planning.advice import PLANNER_SETTINGS, POLICY, Advice, Where
from ..planning.capabilities import LOW_VRAM, MODE, TALKING_HEAD
from ..planning.planner import SPLIT, Change
from ..relatives import LOADERS, PREDATAS, SAMPLERS

PLANNERS = frozenset({"SonicGuardPreflight", "SonicGuardAutoDowngrade"})
"""Nodes that change settings until a run fits."""
RUNNERS = frozenset({*SAMPLERS, TALKING_HEAD})
"""Nodes that run the network."""


@dataclass(frozen=True)
class InsertLowVram:
    """Add Sonic Low VRAM in front of a node that runs the network."""

    sampler: str
    values: dict[str, str] = field(default_factory=dict[str, str])
    """Settings of the new node that are not its defaults."""
    do: str = "insert_low_vram"


@dataclass(frozen=True)
class SetValue:
    """Give a node's widget a value."""

    node: str
    input: str
    value: str | int | float | bool
    do: str = "set"


Action = InsertLowVram | SetValue


def actions_for(advice: Advice, where: Where, graph: Graph, node_id: str) -> tuple[Action, ...]:
    """The actions that do what `advice` for the run of the node `node_id` says; none where they cannot do all of it."""
    runners = list(_runners(graph, node_id))
    if not advice.changes or (not runners and graph[node_id].type in (*LOADERS, *PREDATAS)):
        return ()
    names = {change.name for change in advice.changes}
    if ADD_LOW_VRAM in names:
        return _with_low_vram(advice, where, graph, node_id, runners)
    planner = _let_planner_act(where, graph, runners[0] if runners else node_id)
    if POLICY in names or (where in PLANNER_SETTINGS and not advice.keeps and not advice.rescue):
        return planner
    takes_planner = advice.takes_planner(where)
    left = advice.keeps or takes_planner or MODE in names  # to the planner, which Sonic Talking Head is itself
    changes = [change for change in advice.changes if not (left and change.name not in (MODE, *ESCALATION_ORDER))]
    actions = _all(_action(change, graph, node_id, runners) for change in changes)
    if not takes_planner:
        return actions
    return (*planner, *actions) if planner and actions else ()


def as_dict(action: Action) -> dict[str, Any]:
    """For JSON."""
    return asdict(action)


def _with_low_vram(advice: Advice, where: Where, graph: Graph, node_id: str, runners: list[str]) -> tuple[Action, ...]:
    """Sonic Low VRAM in front of every runner, and the rest of the advice, which a planner in the graph does itself."""
    inserted = [InsertLowVram(runner) for runner in runners]
    planned = any(graph[each].type in PLANNERS for each in _upstream(graph, runners))
    rest = [change for change in advice.changes if change.name != ADD_LOW_VRAM]
    if inserted and planned and advice.takes_planner(where):
        planner = _let_planner_act(where, graph, runners[0])
        return (*inserted, *planner) if planner else ()
    if not inserted or not rest or planned:
        return tuple(inserted)
    others = _all(_action(change, graph, node_id, runners) for change in rest)
    return (*inserted, *others) if others else ()


def _let_planner_act(where: Where, graph: Graph, node_id: str) -> tuple[Action, ...]:
    """The setting with which the last planner before `node_id` makes the changes itself."""
    name, value = PLANNER_SETTINGS.get(where, PLANNER_SETTINGS[Where.POLICY])
    planners = [each for each in upstream(graph, node_id, _all_inputs) if name in graph[each].inputs]
    return _all([_set(graph, planners[-1], name, value)]) if planners else ()


def _action(change: Change, graph: Graph, node_id: str, runners: list[str]) -> Action | None:
    """What makes one change; None where nothing can."""
    if change.name in ESCALATION_ORDER:
        return _enable(Optimization(change.name), graph, node_id, runners)
    name = {"interpolate": "use_interframe", SPLIT: "part_s"}.get(change.name, change.name)
    owner = node_id if name in graph[node_id].inputs else _owner(graph, name, runners)
    return _set(graph, owner, name, _value(change)) if owner else None


def _enable(optimization: Optimization, graph: Graph, node_id: str, runners: list[str]) -> Action | None:
    """Enable an optimization on the node that has its switch."""
    owner = node_id if optimization in graph[node_id].inputs else _owner(graph, optimization, runners)
    if owner is None:
        return InsertLowVram(runners[0], {str(optimization): str(Setting.ON)}) if runners else None
    return _set(graph, owner, optimization, str(Setting.ON))


def _owner(graph: Graph, name: str, runners: list[str]) -> str | None:
    """The nearest node to the runners, they included, that has an input of that name and is no planner."""
    for each in reversed(_upstream(graph, runners)):
        if name in graph[each].inputs and graph[each].type in (*LOADERS, *PREDATAS, LOW_VRAM, *RUNNERS):
            return each
    return None


def _set(graph: Graph, node_id: str, name: str, value: str | int | float | bool) -> SetValue | None:
    """Set the widget that an input's value comes from, through primitives and reroutes; None where a node computes it.

    A node that exists only in the page has been left out there, and the page finds its widget.
    """
    given = graph[node_id].inputs.get(name)
    seen = {node_id}
    while isinstance(given, Link):
        source = graph.get(given.node)
        if source is None or given.node in seen:
            return None
        name = "" if source.type == "Reroute" else "value"
        if source.type != "Reroute" and not source.type.startswith("Primitive"):
            return None
        node_id, given = given.node, source.inputs.get(name)
        seen.add(node_id)
    return None if given is None else SetValue(node_id, str(name), value)


def _value(change: Change) -> str | int | float | bool:
    if change.name == "interpolate":
        return change.after == "on"
    if change.name == SPLIT:
        return float(change.after)
    return int(change.after) if change.after.isdecimal() else change.after


def _runners(graph: Graph, node_id: str) -> Iterator[str]:
    """The nodes that run the network of the run that `node_id` leads to."""
    if graph[node_id].type in RUNNERS:
        yield node_id
        return
    for each, node in graph.items():
        if node.type in RUNNERS and node_id in upstream(graph, each, _all_inputs):
            yield each


def _upstream(graph: Graph, runners: list[str]) -> list[str]:
    return upstream(graph, runners[0], _all_inputs) if runners else []


def _all_inputs(node: Node) -> list[str]:
    return list(node.inputs)


def _all(actions: Iterator[Action | None] | list[Action | None]) -> tuple[Action, ...]:
    """The actions if there is one for everything, else none."""
    unique: list[Action] = []
    for action in actions:
        if action is None:
            return ()
        if action not in unique:
            unique.append(action)
    return tuple(unique)

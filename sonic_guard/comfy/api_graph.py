"""Parts of a ComfyUI graph in API format: nodes with their widgets' values, and the links between them."""

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import NamedTuple

from ..errors import GraphError

MAX_NODES = 200
"""Most nodes in a request of a page; ten are usual."""
MAX_TEXT = 200
"""Most characters of an id, type or name in an error message."""


class Link(NamedTuple):
    """An output of another node."""

    node: str
    slot: int


class Node(NamedTuple):
    """A node of any pack."""

    type: str
    inputs: Mapping[str, object]
    """By name: a `Link` or a widget's value."""

    def links(self, names: Collection[str]) -> Iterator[Link]:
        """The links among the inputs `names`."""
        for name in names:
            value = self.inputs.get(name)
            if isinstance(value, Link):
                yield value


Graph = dict[str, Node]
"""Nodes by id. Links may lead to nodes that are not in it."""


def parse_graph(data: object, max_nodes: int | None = MAX_NODES) -> Graph:
    """The graph in `data`, which was parsed from JSON. Raises `GraphError` for anything else."""
    if not isinstance(data, Mapping):
        raise GraphError("graph: expected an object of nodes by id.")
    if max_nodes is not None and len(data) > max_nodes:
        raise GraphError(f"graph: {len(data)} nodes are more than {max_nodes}. Send what is upstream of the node only.")
    return {_text(node_id, "a node's id"): _node(node_id, node) for node_id, node in data.items()}


def upstream(graph: Graph, node_id: str, needed: Callable[[Node], Collection[str]]) -> list[str]:
    """The ids of `node_id` and of everything it depends on, in topological order: dependencies first.

    `needed` returns the names of the inputs of a node whose links are followed.
    Raises `GraphError` if the links form a cycle.
    """
    order: dict[str, None] = {}
    open_nodes: dict[str, Iterator[Link]] = {node_id: graph[node_id].links(needed(graph[node_id]))}
    while open_nodes:
        current, links = next(reversed(open_nodes.items()))
        link = next((link for link in links if link.node in graph and link.node not in order), None)
        if link is None:
            order[current] = None
            del open_nodes[current]
        elif link.node in open_nodes:
            raise GraphError(f"graph: the links run in a circle through node {link.node:.{MAX_TEXT}}.")
        else:
            open_nodes[link.node] = graph[link.node].links(needed(graph[link.node]))
    return list(order)


def _node(node_id: str, data: object) -> Node:
    if not isinstance(data, Mapping):
        raise GraphError(f"graph: node {node_id:.{MAX_TEXT}} is not an object with class_type and inputs.")
    inputs = data.get("inputs", {})
    if not isinstance(inputs, Mapping):
        raise GraphError(f"graph: the inputs of node {node_id:.{MAX_TEXT}} are not an object.")
    kind = _text(data.get("class_type"), f"the class_type of node {node_id:.{MAX_TEXT}}")
    return Node(kind, {str(name): _value(value) for name, value in inputs.items()})


def _value(value: object) -> object:
    """A `Link` for a list of an id and a slot, as in ComfyUI; everything else is a widget's value."""
    match value:
        case [str(node), int(slot)] if not isinstance(slot, bool):
            return Link(node, slot)
    return value


def _text(value: object, name: str) -> str:
    if not isinstance(value, str) or not value:
        raise GraphError(f"graph: {name} is missing or not a text.")
    return value

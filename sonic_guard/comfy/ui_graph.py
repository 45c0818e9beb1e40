"""A graph in ComfyUI's UI format 0.4 under construction, and a blueprint made of one."""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from .weight_files import WeightFile, as_properties

_FORMAT_VERSION = 0.4
CORE = "comfy-core"
"""What ComfyUI's own nodes name as their pack."""
INPUTS_ID, OUTPUTS_ID = -10, -20
"""Ids that stand for a subgraph's own inputs and outputs in its links."""


class Slot(NamedTuple):
    """An input of a node class."""

    name: str
    type: str
    widget: bool = False
    """Whether it is a widget's, which needs no link."""


@dataclass
class UiNode:
    """A node; its inputs are filled in as links are drawn."""

    id: int
    type: str
    position: tuple[int, int]
    size: tuple[int, int]
    outputs: list[tuple[str, str]]
    """Name and type."""
    widgets: list[Any]
    pack: str
    models: tuple[WeightFile, ...]
    """The files it reads, for ComfyUI's list of missing models."""
    inputs: list[dict[str, Any]] = field(default_factory=list)

    def input_slot(self, slot: Slot) -> int:
        """The number of an input, which is a new one unless there is one of that name."""
        names = [entry["name"] for entry in self.inputs]
        if slot.name in names:
            return names.index(slot.name)
        entry: dict[str, Any] = {"name": slot.name, "type": slot.type, "link": None}
        if slot.widget:
            entry["widget"] = {"name": slot.name}
        self.inputs.append(entry)
        return len(self.inputs) - 1

    def declare(self, slots: Iterable[Slot]) -> None:
        """Add all inputs of its class, in order: older front ends count them in a subgraph's links."""
        for slot in slots:
            self.input_slot(slot)

    def slot_of(self, output: str) -> int:
        """The number of an output."""
        return [name for name, _ in self.outputs].index(output)


class _Link(NamedTuple):
    id: int
    origin: int
    origin_slot: int
    target: int
    target_slot: int
    type: str


class Promoted(NamedTuple):
    """An input of a node that a subgraph shows as its own."""

    node: UiNode
    slot: Slot


class UiGraph:
    """Nodes and links in the order in which they were added."""

    def __init__(self) -> None:
        self.nodes: list[UiNode] = []
        self._links: list[_Link] = []

    def add(
        self,
        kind: str,
        position: tuple[int, int],
        size: tuple[int, int],
        outputs: Mapping[str, str] | tuple[tuple[str, str], ...] = (),
        widgets: tuple[Any, ...] = (),
        pack: str = CORE,
        models: Iterable[WeightFile] = (),
    ) -> UiNode:
        """Add a node of the class `kind`."""
        pairs = list(outputs.items()) if isinstance(outputs, Mapping) else list(outputs)
        node = UiNode(len(self.nodes) + 1, kind, position, size, pairs, list(widgets), pack, tuple(models))
        self.nodes.append(node)
        return node

    def link(
        self, source: UiNode, output: str, target: UiNode, name: str, *, widget: bool = False, kind: str = ""
    ) -> None:
        """Link an output to an input, which is a widget's where `widget` says so. `kind`: its type if not the same."""
        slot = source.slot_of(output)
        given = source.outputs[slot][1]
        self._draw(source.id, slot, target, Slot(name, kind or given, widget), given)

    def _draw(self, origin: int, slot: int, target: UiNode, wanted: Slot, kind: str) -> int:
        target_slot = target.input_slot(wanted)
        number = len(self._links) + 1
        target.inputs[target_slot]["link"] = number
        self._links.append(_Link(number, origin, slot, target.id, target_slot, kind))
        return number

    def to_dict(self, models: Iterable[WeightFile] = ()) -> dict[str, Any]:
        """The workflow. `models` are files that it needs and that no node selects."""
        listed = as_properties(tuple(models))
        return {
            # Derived from the content, so that a regenerated file is identical.
            "id": _id(*((node.type, node.widgets) for node in self.nodes)),
            "revision": 0,
            "last_node_id": len(self.nodes),
            "last_link_id": len(self._links),
            "nodes": self._node_dicts(),
            "links": [list(link) for link in self._links],
            "groups": [],
            "config": {},
            "extra": {},
            **({"models": listed} if listed else {}),
            "version": _FORMAT_VERSION,
        }

    def to_blueprint(
        self, name: str, description: str, category: str, inputs: Iterable[Promoted], outputs: tuple[UiNode, ...]
    ) -> dict[str, Any]:
        """A workflow of one subgraph node called `name`, which ComfyUI's node library offers as a whole.

        It shows the `inputs`, and every output of the nodes in `outputs`.
        """
        number = _id(name)
        shown_inputs = [self._promote(slot, each, number) for slot, each in enumerate(inputs)]
        shown_outputs = [
            self._hand_out(slot, node, output, number)
            for slot, (node, output) in enumerate((node, each) for node in outputs for each in range(len(node.outputs)))
        ]
        subgraph = {
            "id": number,
            "version": 1,
            "state": {
                "lastGroupId": 0,
                "lastNodeId": len(self.nodes),
                "lastLinkId": len(self._links),
                "lastRerouteId": 0,
            },
            "revision": 0,
            "config": {},
            "name": name,
            "category": category,
            "description": description,
            "inputNode": {"id": INPUTS_ID, "bounding": [-240, 0, 120, 20 * len(shown_inputs) + 40]},
            "outputNode": {"id": OUTPUTS_ID, "bounding": [1340, 0, 120, 20 * len(shown_outputs) + 40]},
            "inputs": shown_inputs,
            "outputs": shown_outputs,
            "widgets": [],
            "nodes": self._node_dicts(),
            "groups": [],
            "links": [
                dict(zip(("id", "origin_id", "origin_slot", "target_id", "target_slot", "type"), link, strict=True))
                for link in self._links
            ],
            "extra": {},
        }
        return {
            "id": _id(name, "workflow"),
            "revision": 0,
            "last_node_id": 1,
            "last_link_id": 0,
            "nodes": [_instance(number, name, shown_inputs, shown_outputs)],
            "links": [],
            "groups": [],
            "definitions": {"subgraphs": [subgraph]},
            "config": {},
            "extra": {},
            "version": _FORMAT_VERSION,
        }

    def _promote(self, slot: int, shown: Promoted, owner: str) -> dict[str, Any]:
        name, kind, widget = shown.slot
        link = self._draw(INPUTS_ID, slot, shown.node, shown.slot, kind)
        entry: dict[str, Any] = {"id": _id(owner, "in", name), "name": name, "type": kind}
        if widget:
            entry["widget"] = {"name": name}
        return {**entry, "linkIds": [link], "pos": [-140, 20 * slot + 20]}

    def _hand_out(self, slot: int, node: UiNode, output: int, owner: str) -> dict[str, Any]:
        name, kind = node.outputs[output]
        link = _Link(len(self._links) + 1, node.id, output, OUTPUTS_ID, slot, kind)
        self._links.append(link)
        return {
            "id": _id(owner, "out", name),
            "name": name,
            "type": kind,
            "linkIds": [link.id],
            "pos": [1360, 20 * slot + 20],
        }

    def _node_dicts(self) -> list[dict[str, Any]]:
        return [self._node(order, node) for order, node in enumerate(self.nodes)]

    def _node(self, order: int, node: UiNode) -> dict[str, Any]:
        properties: dict[str, Any] = {"cnr_id": node.pack, "Node name for S&R": node.type}
        if node.models:
            properties["models"] = as_properties(node.models)
        outputs = [
            {
                "name": name,
                "type": kind,
                "links": [link.id for link in self._links if (link.origin, link.origin_slot) == (node.id, slot)],
            }
            for slot, (name, kind) in enumerate(node.outputs)
        ]
        return {
            "id": node.id,
            "type": node.type,
            "pos": list(node.position),
            "size": list(node.size),
            "flags": {},
            "order": order,
            "mode": 0,
            "inputs": node.inputs,
            "outputs": outputs,
            "properties": properties,
            "widgets_values": node.widgets,
        }


def _instance(number: str, name: str, inputs: list[dict[str, Any]], outputs: list[dict[str, Any]]) -> dict[str, Any]:
    """The node that stands for a subgraph."""
    shown = [{key: each[key] for key in ("name", "type", "widget") if key in each} | {"link": None} for each in inputs]
    return {
        "id": 1,
        "type": number,
        "pos": [0, 0],
        "size": [420, 60 + 26 * len(inputs)],
        "flags": {},
        "order": 0,
        "mode": 0,
        "inputs": shown,
        "outputs": [{"name": each["name"], "type": each["type"], "links": []} for each in outputs],
        "properties": {"cnr_id": "sonic-guard"},
        "widgets_values": [],
        "title": name,
    }


def _id(*parts: Any) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, repr(parts)))

// A graph with the members of LiteGraph's that this pack reads, built from a short description.

export const MUTED = 2;
export const BYPASSED = 4;
const VIRTUAL = new Set(["Reroute", "PrimitiveNode", "SetNode", "GetNode"]);

/**
 * Nodes are {id, type, in: {name: [fromId, slot]}, out: [types], w: {widget: value}, mode, subgraph}. A link from "in"
 * comes from the subgraph's own inputs; a subgraph is {nodes, outputs: [[id, slot], …]}, its outputs in order.
 */
export function graph(nodes, { root, outputs = [] } = {}) {
  const made = {
    nodes: [],
    links: new Map(),
    getNodeById: (id) => made.nodes.find((node) => String(node.id) === String(id)) ?? null,
  };
  made.rootGraph = root ?? made;
  const link = (origin, slot, target, targetSlot) => {
    const id = made.links.size + 1;
    made.links.set(id, { id, origin_id: origin, origin_slot: slot, target_id: target, target_slot: targetSlot });
    return id;
  };
  for (const description of nodes) {
    const { id, type, in: inputs = {}, out = [], w = {}, mode = 0, subgraph, types = {} } = description;
    const node = { id, type, comfyClass: type, mode, graph: made, isVirtualNode: VIRTUAL.has(type) };
    node.inputs = Object.entries(inputs).map(([name, from], slot) => ({
      name,
      type: types[name] ?? "IMAGE",
      link: from === null ? null : link(from[0] === "in" ? -10 : from[0], from[1], id, slot),
      ...(name in w && { widget: { name } }),
    }));
    node.outputs = out.map((kind) => ({ type: kind }));
    node.widgets = Object.entries(w).map(([name, value]) =>
      value !== null && typeof value === "object" && "widget" in value ? { name, ...value.widget } : { name, value },
    );
    node.isSubgraphNode = () => Boolean(subgraph);
    // LiteGraph's subgraph nodes answer this one about their inside.
    node.getInputLink = (slot) =>
      subgraph ? { origin_id: "wrong" } : (made.links.get(node.inputs[slot]?.link) ?? null);
    if (subgraph) {
      node.subgraph = graph(subgraph.nodes, { root: made.rootGraph, outputs: subgraph.outputs });
      node.isVirtualNode = true;
    }
    made.nodes.push(node);
  }
  for (const [slot, [id, from]] of outputs.entries()) link(id, from, -20, slot);
  return made;
}

/** The node of a type, wherever it is. */
export function find(within, type) {
  for (const node of within.nodes) {
    if (node.type === type) return node;
    const inside = node.subgraph && find(node.subgraph, type);
    if (inside) return inside;
  }
  return null;
}

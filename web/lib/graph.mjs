// @ts-check
// Finding one's way in a graph: where a node is, by which id the server knows it, and what feeds its inputs, through
// subgraphs, reroutes, bypassed nodes and all else that is not there when ComfyUI runs it.
//
// It reads what the page shows, by LiteGraph's public members, and changes nothing.

/**
 * @typedef {import("./types.d.ts").Node} Node
 * @typedef {import("./types.d.ts").Graph} Graph
 * @typedef {import("./types.d.ts").Link} Link
 * @typedef {{node: Node, hosts: Node[]}} Place  A node, and the subgraph nodes around it, outermost first.
 * @typedef {{place: Place, slot: number} | {value: unknown} | null} Source  What feeds an input.
 */

const MUTED = 2;
const BYPASSED = 4;
/** Stand for a subgraph's own inputs and outputs in its links. */
const SUBGRAPH_INPUTS = -10;
const SUBGRAPH_OUTPUTS = -20;

const isSubgraph = (/** @type {Node} */ node) => Boolean(node.subgraph && node.isSubgraphNode?.());

/** Whether ComfyUI runs the node, as far as its own switches and those around it tell. @param {Place} place */
export const isRun = ({ node, hosts }) => ![...hosts, node].some(({ mode }) => mode === MUTED || mode === BYPASSED);

/** The id the server knows a node by, such as "1:5" inside a subgraph. @param {Place} place */
export const idOf = ({ node, hosts }) => [...hosts, node].map(({ id }) => id).join(":");

/**
 * Every place in which `node` runs: one, or one for each instance of its subgraph.
 * @param {Node} node
 * @returns {Place[]}
 */
export function placesOf(node) {
  if (!node.graph) return [];
  return [...allPlaces(node.graph.rootGraph ?? node.graph)].filter((place) => place.node === node);
}

/** The place an execution id stands for. @param {Graph} root @param {string} id @returns {Place | null} */
export function placeAt(root, id) {
  const hosts = [];
  /** @type {Graph | undefined} */
  let graph = root;
  const path = String(id).split(":");
  const last = path.pop();
  for (const step of path) {
    const host = /** @type {Node | null | undefined} */ (graph?.getNodeById(step));
    if (!host?.subgraph) return null;
    hosts.push(host);
    graph = host.subgraph;
  }
  const node = graph?.getNodeById(last ?? "");
  return node ? { node, hosts } : null;
}

/**
 * Every node of a graph and of the subgraphs in it.
 * @param {Graph} graph
 * @param {Node[]} [hosts]
 * @returns {Generator<Place>}
 */
export function* allPlaces(graph, hosts = []) {
  for (const node of graph.nodes) {
    yield { node, hosts };
    if (node.subgraph && isSubgraph(node) && !hosts.includes(node)) yield* allPlaces(node.subgraph, [...hosts, node]);
  }
}

/**
 * What feeds input `slot`: the node that really makes the value, or a value that is known already.
 * @param {Place} place
 * @param {number} slot
 * @param {Set<string>} [seen]  Guards against loops.
 * @returns {Source}
 */
export function sourceOf(place, slot, seen = new Set()) {
  const { node, hosts } = place;
  const link = isSubgraph(node) ? linkTo(node.graph, node.id, slot) : node.getInputLink(slot);
  return link ? follow(link, node.graph, hosts, node.inputs?.[slot]?.type ?? "*", seen) : null;
}

/**
 * @param {Link} link
 * @param {Graph | null | undefined} graph  The graph the link lies in.
 * @param {Node[]} hosts
 * @param {string | number} type
 * @param {Set<string>} seen
 * @returns {Source}
 */
function follow(link, graph, hosts, type, seen) {
  if (Number(link.origin_id) === SUBGRAPH_INPUTS) {
    const host = hosts.at(-1);
    if (!host) return null;
    const outside = { node: host, hosts: hosts.slice(0, -1) };
    return sourceOf(outside, link.origin_slot, seen) ?? promotedValue(host, link.origin_slot);
  }
  const node = graph?.getNodeById(link.origin_id);
  return node ? outputOf({ node, hosts }, link.origin_slot, type, seen) : null;
}

/**
 * @param {Place} place
 * @param {number} slot
 * @param {string | number} type
 * @param {Set<string>} seen
 * @returns {Source}
 */
function outputOf(place, slot, type, seen) {
  const { node, hosts } = place;
  const step = `${idOf(place)}/${slot}`;
  if (seen.has(step) || node.mode === MUTED) return null;
  seen.add(step);
  if (node.mode === BYPASSED) {
    const through = bypass(node, slot, type);
    return through === -1 ? null : sourceOf(place, through, seen);
  }
  if (isSubgraph(node)) {
    const link = linkTo(node.subgraph, SUBGRAPH_OUTPUTS, slot);
    return link ? follow(link, node.subgraph, [...hosts, node], type, seen) : null;
  }
  if (node.isVirtualNode) return virtualOutput(place, slot, type, seen);
  return { place, slot };
}

/**
 * Nodes that exist in the page only: reroutes, primitives, and pairs that set and get by name.
 * @param {Place} place
 * @param {number} slot
 * @param {string | number} type
 * @param {Set<string>} seen
 * @returns {Source}
 */
function virtualOutput(place, slot, type, seen) {
  const { node, hosts } = place;
  const value = node.widgets?.[0]?.value;
  if (node.inputs?.length) return sourceOf(place, slot, seen);
  if (node.type === "PrimitiveNode") return { value };
  const elsewhere = node.resolveVirtualOutput?.(slot);
  if (elsewhere) {
    const [there] = placesOf(elsewhere.node);
    return there ? outputOf(there, elsewhere.slot, type, seen) : null;
  }
  // Not by the getter's getInputLink: where its setter is missing, that raises a message for the user at every call.
  const setter = node.graph?.nodes.find((other) => /setNode$/i.test(other.type) && other.widgets?.[0]?.value === value);
  return setter ? sourceOf({ node: setter, hosts }, 0, seen) : null;
}

/**
 * The input that a bypassed node hands on: the same slot if its type fits, else the first that does; -1 for none.
 * @param {Node} node
 * @param {number} slot
 * @param {string | number} type
 */
function bypass(node, slot, type) {
  const inputs = node.inputs ?? [];
  if (inputs[slot] && fits(inputs[slot].type, type)) return slot;
  const exact = inputs.findIndex((input) => input.type === type);
  return exact === -1 ? inputs.findIndex((input) => fits(input.type, type)) : exact;
}

/**
 * Whether two slot types go together; a type may be a list, and * is any.
 * @param {unknown} one
 * @param {unknown} other
 */
function fits(one, other) {
  const names = String(other || "*").split(",");
  return String(one || "*")
    .split(",")
    .some((name) => name === "*" || names.includes(name) || names.includes("*"));
}

/**
 * Value of the widget that a subgraph node shows for its unconnected input `slot`.
 * @param {Node} host
 * @param {number} slot
 * @returns {Source}
 */
function promotedValue(host, slot) {
  const input = host.inputs?.[slot];
  if (!input?.widget) return null;
  const widget = host.getWidgetFromSlot?.(input) ?? host.widgets?.find(({ name }) => name === input.widget?.name);
  return widget ? { value: widget.value } : null;
}

/**
 * The link into a slot, looked for among all: a subgraph node's own getInputLink tells of its inside.
 * @param {Graph | null | undefined} graph
 * @param {number | string} id
 * @param {number} slot
 */
function linkTo(graph, id, slot) {
  for (const link of graph?.links.values() ?? []) {
    if (String(link.target_id) === String(id) && link.target_slot === slot) return link;
  }
  return null;
}

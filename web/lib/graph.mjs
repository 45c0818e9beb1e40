// @ts-check
// Nodes of a graph: their execution ids, and the sources of their inputs, through subgraphs, reroutes, bypassed nodes
// and other nodes that exist only in the page.
//
// It reads public members of LiteGraph and changes nothing.

/**
 * @typedef {import("./types.d.ts").Node} Node
 * @typedef {import("./types.d.ts").Graph} Graph
 * @typedef {import("./types.d.ts").Link} Link
 * @typedef {{node: Node, parents: Node[]}} NodeInstance  A node, and the subgraph nodes around it, outermost first.
 * @typedef {{node: Node, widget: import("./types.d.ts").Widget}} Owner  A widget, and the node it is on.
 * @typedef {{instance: NodeInstance, slot: number} | {value: unknown, owner: Owner | null} | null} Source  Of an input.
 */

/** Modes of a node. */
export const ALWAYS = 0;
const MUTED = 2;
const BYPASSED = 4;
/** Node ids that stand for a subgraph's own inputs and outputs in its links. */
const SUBGRAPH_INPUTS = -10;
const SUBGRAPH_OUTPUTS = -20;

const isSubgraph = (/** @type {Node} */ node) => Boolean(node.subgraph && node.isSubgraphNode?.());

/** Whether neither the node nor a subgraph around it is muted or bypassed. @param {NodeInstance} instance */
export const isRun = ({ node, parents }) => ![...parents, node].some(({ mode }) => mode === MUTED || mode === BYPASSED);

/** The id of a node on the server, such as "1:5" inside a subgraph. @param {NodeInstance} instance */
export const executionId = ({ node, parents }) => [...parents, node].map(({ id }) => id).join(":");

/**
 * All instances of `node`: one, or one for each instance of its subgraph.
 * @param {Node} node
 * @returns {NodeInstance[]}
 */
export function instancesOf(node) {
  if (!node.graph) return [];
  return [...allInstances(node.graph.rootGraph ?? node.graph)].filter((instance) => instance.node === node);
}

/** The instance with an execution id. @param {Graph} root @param {string} id @returns {NodeInstance | null} */
export function instanceAt(root, id) {
  const parents = [];
  /** @type {Graph | undefined} */
  let graph = root;
  const path = String(id).split(":");
  const last = path.pop();
  for (const step of path) {
    const parent = /** @type {Node | null | undefined} */ (graph?.getNodeById(step));
    if (!parent?.subgraph) return null;
    parents.push(parent);
    graph = parent.subgraph;
  }
  const node = graph?.getNodeById(last ?? "");
  return node ? { node, parents } : null;
}

/**
 * Every node of a graph and of the subgraphs in it.
 * @param {Graph} graph
 * @param {Node[]} [parents]
 * @returns {Generator<NodeInstance>}
 */
export function* allInstances(graph, parents = []) {
  for (const node of graph.nodes) {
    yield { node, parents };
    if (node.subgraph && isSubgraph(node) && !parents.includes(node)) {
      yield* allInstances(node.subgraph, [...parents, node]);
    }
  }
}

/**
 * The source of input `slot`: the node that makes the value at run time, or a value that is known already.
 * @param {NodeInstance} instance
 * @param {number} slot
 * @param {Set<string>} [seen]  Guards against loops.
 * @returns {Source}
 */
export function sourceOf(instance, slot, seen = new Set()) {
  const { node, parents } = instance;
  const link = isSubgraph(node) ? linkTo(node.graph, node.id, slot) : node.getInputLink(slot);
  return link ? follow(link, node.graph, parents, node.inputs?.[slot]?.type ?? "*", seen) : null;
}

/**
 * The node of a class that the value of input `slot` comes from or passes through, as it does where that is bypassed.
 * @param {NodeInstance} instance
 * @param {number} slot
 * @param {string} comfyClass
 */
export function nodeBefore(instance, slot, comfyClass) {
  /** @type {Set<string>} */
  const steps = new Set();
  sourceOf(instance, slot, steps);
  const [outermost] = [...instance.parents, instance.node];
  const passed = [...steps].map((step) => instanceAt(/** @type {Graph} */ (outermost.graph), step.split("/")[0]));
  return passed.find((each) => each?.node.comfyClass === comfyClass) ?? null;
}

/**
 * @param {Link} link
 * @param {Graph | null | undefined} graph  The graph the link lies in.
 * @param {Node[]} parents
 * @param {string | number} type
 * @param {Set<string>} seen
 * @returns {Source}
 */
function follow(link, graph, parents, type, seen) {
  if (Number(link.origin_id) === SUBGRAPH_INPUTS) {
    const parent = parents.at(-1);
    if (!parent) return null;
    const outside = { node: parent, parents: parents.slice(0, -1) };
    return sourceOf(outside, link.origin_slot, seen) ?? promotedValue(parent, link.origin_slot);
  }
  const node = graph?.getNodeById(link.origin_id);
  return node ? outputOf({ node, parents }, link.origin_slot, type, seen) : null;
}

/**
 * @param {NodeInstance} instance
 * @param {number} slot
 * @param {string | number} type
 * @param {Set<string>} seen
 * @returns {Source}
 */
function outputOf(instance, slot, type, seen) {
  const { node, parents } = instance;
  const step = `${executionId(instance)}/${slot}`;
  if (seen.has(step) || node.mode === MUTED) return null;
  seen.add(step);
  if (node.mode === BYPASSED) {
    const input = bypassedInput(node, slot, type);
    return input === -1 ? null : sourceOf(instance, input, seen);
  }
  if (isSubgraph(node)) {
    const link = linkTo(node.subgraph, SUBGRAPH_OUTPUTS, slot);
    return link ? follow(link, node.subgraph, [...parents, node], type, seen) : null;
  }
  if (node.isVirtualNode) return virtualOutput(instance, slot, type, seen);
  return { instance, slot };
}

/**
 * Nodes that exist in the page only: reroutes, primitives, and pairs that set and get by name.
 * @param {NodeInstance} instance
 * @param {number} slot
 * @param {string | number} type
 * @param {Set<string>} seen
 * @returns {Source}
 */
function virtualOutput(instance, slot, type, seen) {
  const { node, parents } = instance;
  const widget = node.widgets?.[0];
  const value = widget?.value;
  if (node.inputs?.length) return sourceOf(instance, slot, seen);
  if (node.type === "PrimitiveNode") return { value, owner: widget ? { node, widget } : null };
  const resolved = node.resolveVirtualOutput?.(slot);
  if (resolved) {
    const [other] = instancesOf(resolved.node);
    return other ? outputOf(other, resolved.slot, type, seen) : null;
  }
  // Not by the getter's getInputLink: it shows a message to the user at every call if its setter is missing.
  const setter = node.graph?.nodes.find((other) => /setNode$/i.test(other.type) && other.widgets?.[0]?.value === value);
  return setter ? sourceOf({ node: setter, parents }, 0, seen) : null;
}

/**
 * The input that a bypassed node passes on: the same slot if its type matches, else the first that does; -1 for none.
 * @param {Node} node
 * @param {number} slot
 * @param {string | number} type
 */
function bypassedInput(node, slot, type) {
  const inputs = node.inputs ?? [];
  if (inputs[slot] && compatible(inputs[slot].type, type)) return slot;
  const exact = inputs.findIndex((input) => input.type === type);
  return exact === -1 ? inputs.findIndex((input) => compatible(input.type, type)) : exact;
}

/**
 * Whether two slot types are compatible; a type may be a list, and * is any.
 * @param {unknown} one
 * @param {unknown} other
 */
function compatible(one, other) {
  const names = String(other || "*").split(",");
  return String(one || "*")
    .split(",")
    .some((name) => name === "*" || names.includes(name) || names.includes("*"));
}

/**
 * Value of the widget that a subgraph node shows for its unconnected input `slot`.
 * @param {Node} parent
 * @param {number} slot
 * @returns {Source}
 */
function promotedValue(parent, slot) {
  const input = parent.inputs?.[slot];
  if (!input?.widget) return null;
  const widget = parent.getWidgetFromSlot?.(input) ?? parent.widgets?.find(({ name }) => name === input.widget?.name);
  return widget ? { value: widget.value, owner: { node: parent, widget } } : null;
}

/**
 * The link into a slot, searched among all links: getInputLink of a subgraph node gives links inside of it.
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

// @ts-check
// Carries out what the button of a card promises: changes of the graph, as one step that can be undone.

import { ALWAYS, nodeBefore, instanceAt, sourceOf } from "./graph.mjs";
import { LOW_VRAM, PREFLIGHT } from "./node_classes.mjs";

/**
 * @typedef {import("./types.d.ts").Node} Node
 * @typedef {import("./types.d.ts").Graph} Graph
 * @typedef {import("./types.d.ts").Action} Action
 * @typedef {import("./graph.mjs").NodeInstance} NodeInstance
 *
 * @typedef {object} Page
 * @property {Graph} root  The outermost graph.
 * @property {any} canvas  LiteGraph's canvas, which tells ComfyUI's undo of a change.
 * @property {(type: string) => Node | null} create  A new node of a class.
 */

/** Room between a new node and what is beside it, and the step in which a free place is searched. */
const GAP = 50;
const STEP = 40;
const MOST_STEPS = 40;
const TITLE_HEIGHT = 30;
/** Width of a new node, as in the template: names and values of both languages have room side by side. */
const WIDTH = 400;

/** How far a place is from the wished one; above counts double, because the view seldom shows it. */
const cost = (/** @type {number[]} */ [dx, dy]) => Math.abs(dx) + (dy < 0 ? -2 * dy : dy);

/** Steps to the places that are tried, the nearest first. @type {[number, number][]} */
const STEPS = [...Array(2 * MOST_STEPS + 1).keys()]
  .flatMap((dx) => [...Array(2 * MOST_STEPS + 1).keys()].map((dy) => [dx - MOST_STEPS, dy - MOST_STEPS]))
  .map(([dx, dy]) => /** @type {[number, number]} */ ([dx, dy]))
  .sort((one, other) => cost(one) - cost(other));

/**
 * Carry out all `actions`. False, and nothing is changed, if a node they name is not there any more.
 * @param {Page} page
 * @param {Action[]} actions
 */
export function carryOut(page, actions) {
  const targets = actions.map((action) => instanceAt(page.root, "sampler" in action ? action.sampler : action.node));
  if (!targets.every((target) => target !== null)) return false;
  const graphs = new Set(targets.map(({ node }) => /** @type {Graph} */ (node.graph)));
  page.canvas.emitBeforeChange(); // ComfyUI saves one state for its undo when the last of these has ended
  for (const graph of graphs) graph.beforeChange?.();
  try {
    actions.forEach((action, index) => act(page, action, targets[index]));
  } finally {
    for (const graph of graphs) graph.afterChange?.();
    page.canvas.emitAfterChange();
    page.canvas.setDirty(true, true);
  }
  return true;
}

/** @param {Page} page @param {Action} action @param {NodeInstance} target */
function act(page, action, target) {
  if (action.do === "insert_low_vram") useLowVram(page, target, action.values);
  else setValue(page, target, action.input, action.value);
}

/**
 * Give the widget that decides an input a value: the node's own, or that of the primitive or the subgraph it comes from.
 * @param {Page} page
 * @param {NodeInstance} instance
 * @param {string} name
 * @param {unknown} value
 */
function setValue(page, instance, name, value) {
  const { node } = instance;
  const slot = (node.inputs ?? []).findIndex((input) => input.name === name);
  const source = slot === -1 ? null : sourceOf(instance, slot);
  const own = node.widgets?.find((widget) => widget.name === name);
  const owner = source && "owner" in source ? source.owner : own && { node, widget: own };
  if (!owner) return;
  owner.widget.value = value;
  owner.widget.callback?.(value, page.canvas, owner.node);
}

/**
 * Sonic Low VRAM between a node that runs the network and what gives it the model: one that is bypassed there, else a
 * new one.
 * @param {Page} page
 * @param {NodeInstance} sampler
 * @param {Record<string, string>} values  Its settings that are not the defaults.
 */
function useLowVram(page, sampler, values) {
  const there = nodeBefore(sampler, slotOf(sampler.node.inputs, "model"), LOW_VRAM);
  if (there) there.node.mode = ALWAYS;
  const used = there ?? insertLowVram(page, sampler);
  if (!used) return;
  for (const [name, value] of Object.entries(values)) setValue(page, used, name, value);
}

/** @param {Page} page @param {NodeInstance} sampler @returns {NodeInstance | null} */
function insertLowVram(page, sampler) {
  const graph = /** @type {Graph} */ (sampler.node.graph);
  const node = page.create(LOW_VRAM);
  if (!node) return null;
  node.setSize([Math.max(node.size[0], WIDTH), node.size[1]]);
  node.pos = freePlace(graph, node.size, sampler.node.pos);
  graph.add?.(node);
  passOn(graph, sampler.node, "model", node);
  link(node, "model", sampler.node, "model");
  const upstream = [...upstreamOf(sampler)].filter((other) => other.graph === graph);
  const planner = upstream.find(({ comfyClass }) => comfyClass === PREFLIGHT);
  if (planner) link(planner, "plan", node, "plan");
  return { node, parents: sampler.parents };
}

/**
 * Have what feeds the input `name` of `to` feed the input of that name of `node`, too.
 * @param {Graph} graph
 * @param {Node} to
 * @param {string} name
 * @param {Node} node
 */
function passOn(graph, to, name, node) {
  const into = slotOf(node.inputs, name);
  const given = to.getInputLink(slotOf(to.inputs, name));
  if (!given || into === -1) return;
  const origin = graph.getNodeById(given.origin_id);
  if (origin) origin.connect(given.origin_slot, node, into, given.parentId);
  else graph.inputs?.[given.origin_slot]?.connect(node.inputs?.[into], node); // from outside of a subgraph
}

/**
 * Connect an output to an input by their names, if both exist.
 * @param {Node} from
 * @param {string} output
 * @param {Node} to
 * @param {string} input
 */
function link(from, output, to, input) {
  const [out, into] = [slotOf(from.outputs, output), slotOf(to.inputs, input)];
  if (out !== -1 && into !== -1) from.connect(out, to, into);
}

/** @param {import("./types.d.ts").Slot[] | undefined} slots @param {string} name */
const slotOf = (slots, name) => (slots ?? []).findIndex((slot) => slot.name === name);

/** The nodes upstream of an instance, nearest first. @param {NodeInstance} start @returns {Set<Node>} */
function upstreamOf(start) {
  /** @type {Set<Node>} */
  const found = new Set();
  const waiting = [start];
  for (const instance of waiting) {
    for (const slot of (instance.node.inputs ?? []).keys()) {
      const source = sourceOf(instance, slot);
      if (!source || !("instance" in source) || found.has(source.instance.node)) continue;
      found.add(source.instance.node);
      waiting.push(source.instance);
    }
  }
  return found;
}

/**
 * The place nearest to the left of `right` where a node of this size overlaps no other.
 * @param {Graph} graph
 * @param {[number, number]} size
 * @param {[number, number]} right  The position of the node it is put to the left of.
 * @returns {[number, number]}
 */
export function freePlace(graph, [width, height], right) {
  const [x, y] = [right[0] - width - GAP, right[1]];
  const ends = [graph.inputNode, graph.outputNode].filter((end) => !!end); // of a subgraph
  const boxes = [...graph.nodes, ...ends].map(({ pos, size }) => [
    pos[0], pos[1] - TITLE_HEIGHT, size[0], size[1] + TITLE_HEIGHT,
  ]);
  const isFree = (/** @type {number} */ left, /** @type {number} */ top) =>
    boxes.every(
      ([boxX, boxY, boxWidth, boxHeight]) =>
        left + width + GAP <= boxX ||
        boxX + boxWidth + GAP <= left ||
        top + height + GAP <= boxY ||
        boxY + boxHeight + GAP <= top - TITLE_HEIGHT,
    );
  const free = STEPS.find(([dx, dy]) => isFree(x + dx * STEP, y + dy * STEP)) ?? [0, 0];
  return [x + free[0] * STEP, y + free[1] * STEP];
}

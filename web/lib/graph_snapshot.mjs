// @ts-check
// The part of a graph that a prediction for a node depends on, in ComfyUI's API format: the node, its upstream nodes,
// and the nodes anywhere in the graph that enable optimizations.
//
// Not by graphToPrompt, which converts the whole graph and writes values into widgets.

import { TALKING_HEAD, LOW_VRAM, SAMPLERS } from "./node_classes.mjs";
import { allInstances, executionId, isRun, instanceAt, sourceOf } from "./graph.mjs";

/**
 * @typedef {import("./types.d.ts").Node} Node
 * @typedef {import("./types.d.ts").Graph} Graph
 * @typedef {import("./types.d.ts").ApiNode} ApiNode
 * @typedef {import("./graph.mjs").NodeInstance} NodeInstance
 */

/** Limits of the server. */
const MOST_NODES = 200;
const MOST_BYTES = 60_000;
const utf8 = new TextEncoder();
/** Longer texts are prompts and notes, on which no prediction depends. */
const LONGEST_TEXT = 500;

/** ComfyUI's previews of a node's result are widgets with such names, and come when the node has run. */
const PREVIEW = "$$";

/** Nodes that run Sonic's network: what is asked about a node before them depends on them, too. */
const SAMPLING_NODES = new Set([...SAMPLERS, TALKING_HEAD]);
/** Nodes that enable optimizations: a plan uses them wherever they are in the graph. */
const OPTIMIZING_NODES = new Set([LOW_VRAM, TALKING_HEAD]);

/** A graph at one moment; questions about several of its nodes share what was read. */
export class GraphSnapshot {
  #root;
  /** @type {Map<Node, NodeInstance[]>} */
  #instances = new Map();
  /** @type {Map<string, {entry: ApiNode, sources: NodeInstance[]}>} */
  #read = new Map();
  /** @type {NodeInstance[]} */
  #optimizing;
  /** Those asked before: a card asks for its own twice. @type {Map<Node, import("./types.d.ts").Question | null>} */
  #questions = new Map();

  /** @param {Graph} root */
  constructor(root) {
    this.#root = root;
    for (const instance of allInstances(root)) {
      this.#instances.set(instance.node, [...this.#instancesOf(instance.node), instance]);
    }
    this.#optimizing = this.#ofClasses(OPTIMIZING_NODES).filter(isRun);
  }

  /**
   * The question for the server about `node`; null if the node is not in this graph.
   * @param {Node} node
   * @returns {import("./types.d.ts").Question | null}
   */
  question(node) {
    if (!this.#questions.has(node)) this.#questions.set(node, this.#ask(node));
    return this.#questions.get(node) ?? null;
  }

  /**
   * The inputs of `node` that are linked to the output of another; none where that is another one in each instance of a
   * subgraph.
   * @param {Node} node
   * @returns {Set<string>}
   */
  linkedInputs(node) {
    const [instance, ...others] = this.#instancesOf(node);
    if (!instance || others.length) return new Set();
    const { inputs } = this.#node(executionId(instance), instance).entry;
    return new Set(Object.keys(inputs).filter((name) => Array.isArray(inputs[name])));
  }

  /** Every instance of every node. */
  get instances() {
    return [...this.#instances.values()].flat();
  }

  /** @param {Node} node @returns {import("./types.d.ts").Question | null} */
  #ask(node) {
    const [instance] = this.#instancesOf(node);
    if (!instance) return null;
    const samplers = SAMPLING_NODES.has(node.comfyClass ?? "") ? [] : this.#samplersAfter(instance);
    const upstream = this.#upstream([instance, ...samplers]).values();
    const instances = new Map([instance, ...this.#optimizing, ...upstream].map((each) => [executionId(each), each]));
    return { graph: this.#inApiFormat(instances), node: executionId(instance) };
  }

  /**
   * Whether `node` takes part in a run: it is one of the running nodes, or upstream of one.
   * @param {Node} node
   * @param {Record<string, string>} running  Execution ids by node class, from the server.
   * @param {boolean} itself  Count only the running nodes, not those upstream.
   */
  isIn(node, running, itself) {
    const instances = Object.entries(running).flatMap(([kind, id]) => {
      const instance = instanceAt(this.#root, id);
      return instance?.node.comfyClass === kind ? [instance] : []; // otherwise the id is of another workflow
    });
    const ids = itself ? new Set(instances.map(executionId)) : this.#upstream(instances);
    return this.#instancesOf(node).some((instance) => ids.has(executionId(instance)));
  }

  /** One, or one for each instance of its subgraph. @param {Node} node */
  #instancesOf(node) {
    return this.#instances.get(node) ?? [];
  }

  /**
   * `starts` and all instances upstream of them, nearest first.
   * @param {NodeInstance[]} starts
   * @returns {Map<string, NodeInstance>}
   */
  #upstream(starts) {
    /** @type {Map<string, NodeInstance>} */
    const found = new Map();
    const waiting = [...starts];
    for (const instance of waiting) {
      const id = executionId(instance);
      if (found.has(id)) continue;
      if (found.size === MOST_NODES) break;
      found.set(id, instance);
      waiting.push(...this.#node(id, instance).sources);
    }
    return found;
  }

  /** The sampling nodes downstream of `instance`. @param {NodeInstance} instance */
  #samplersAfter(instance) {
    return this.#ofClasses(SAMPLING_NODES).filter((sampler) => this.#upstream([sampler]).has(executionId(instance)));
  }

  /** The instances of all nodes of some classes. @param {Set<string>} classes */
  #ofClasses(classes) {
    return this.instances.filter(({ node }) => classes.has(node.comfyClass ?? ""));
  }

  /** In API format, up to the limits of the server, from the first. @param {Map<string, NodeInstance>} instances */
  #inApiFormat(instances) {
    /** @type {Record<string, ApiNode>} */
    const graph = {};
    let bytes = 0;
    for (const [id, instance] of [...instances].slice(0, MOST_NODES)) {
      const { entry } = this.#node(id, instance);
      bytes += utf8.encode(JSON.stringify({ [id]: entry })).length; // as the server counts them
      if (bytes > MOST_BYTES) break;
      graph[id] = entry;
    }
    return graph;
  }

  /** A node in API format, and the sources of its inputs. @param {string} id @param {NodeInstance} instance */
  #node(id, instance) {
    const known = this.#read.get(id);
    if (known) return known;
    const { node } = instance;
    const sources = [];
    /** @type {Record<string, unknown>} */
    const inputs = {};
    for (const { name, value, options } of node.widgets ?? []) {
      if (name && !name.startsWith(PREVIEW) && options?.serialize !== false && isPlain(value)) inputs[name] = value;
    }
    for (const [slot, { name }] of (node.inputs ?? []).entries()) {
      const source = sourceOf(instance, slot);
      if (source && "instance" in source) {
        inputs[name] = [executionId(source.instance), source.slot];
        sources.push(source.instance);
      } else if (source && isPlain(source.value)) inputs[name] = source.value;
    }
    const read = { entry: { class_type: node.comfyClass ?? node.type, inputs }, sources };
    this.#read.set(id, read);
    return read;
  }
}

/** @param {unknown} value */
function isPlain(value) {
  return typeof value === "string" ? value.length <= LONGEST_TEXT : isNumber(value) || isBox(value);
}

/** @param {unknown} value */
const isNumber = (value) => typeof value === "number" || typeof value === "boolean";

/** Whether it is a box of a picture, such as ImageCropV2's. @param {unknown} value */
function isBox(value) {
  const sides = typeof value === "object" && value && !Array.isArray(value) ? Object.values(value) : [];
  return sides.length === 4 && sides.every(isNumber);
}

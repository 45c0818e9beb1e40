// @ts-check
// The piece of a graph that decides about a node: the node, what is upstream of it, and what enables optimizations anywhere, in
// ComfyUI's API format.
//
// Not by graphToPrompt, which makes all of it, and writes values into widgets.

import { allPlaces, idOf, isRun, placeAt, sourceOf } from "./graph.mjs";

/**
 * @typedef {import("./types.d.ts").Node} Node
 * @typedef {import("./types.d.ts").Graph} Graph
 * @typedef {import("./types.d.ts").ApiNode} ApiNode
 * @typedef {import("./graph.mjs").Place} Place
 */

/** What the server takes. */
const MOST_NODES = 200;
const MOST_BYTES = 60_000;
/** Longer texts are prompts and notes: they decide nothing here. */
const LONGEST_TEXT = 500;

/** Judged by the run they lead to, and the nodes that make one. */
const LEADING = new Set(["SONIC_PreData", "SonicGuardLowVRAM"]);
const MAKERS = new Set(["SONICSampler", "SonicGuardLongVideo"]);
/** Those that pull optimizations: planners count on them wherever they are. */
const LEAN = new Set(["SonicGuardLowVRAM", "SonicGuardLongVideo"]);

/** A graph as it is now: questions about several of its nodes share what was read. */
export class Reading {
  #root;
  /** @type {Map<Node, Place[]>} */
  #places = new Map();
  /** @type {Map<string, {entry: ApiNode, feeders: Place[]}>} */
  #read = new Map();
  /** @type {Place[]} */
  #lean;

  /** @param {Graph} root */
  constructor(root) {
    this.#root = root;
    for (const place of allPlaces(root)) this.#places.set(place.node, [...this.#placesOf(place.node), place]);
    this.#lean = this.#ofKind(LEAN).filter(isRun);
  }

  /**
   * What the server has to know to judge `node`; null where the graph does not have it.
   * @param {Node} node
   * @returns {import("./types.d.ts").Question | null}
   */
  question(node) {
    const [place] = this.#placesOf(node);
    if (!place) return null;
    const makers = LEADING.has(node.comfyClass ?? "") ? this.#makersAfter(place) : [];
    const upstream = this.#upstream([place, ...makers]).values();
    const places = new Map([place, ...this.#lean, ...upstream].map((each) => [idOf(each), each]));
    return { graph: this.#inApiFormat(places), node: idOf(place) };
  }

  /**
   * Whether a run concerns `node`: it is one of those that run, or feeds one of them.
   * @param {Node} node
   * @param {Record<string, string>} running  Execution ids by class, as the server knows them.
   * @param {boolean} itself  Only if it is one of them.
   */
  isIn(node, running, itself) {
    const places = Object.entries(running).flatMap(([kind, id]) => {
      const place = placeAt(this.#root, id);
      return place?.node.comfyClass === kind ? [place] : []; // else the id is another workflow's
    });
    const ids = itself ? new Set(places.map(idOf)) : this.#upstream(places);
    return this.#placesOf(node).some((place) => ids.has(idOf(place)));
  }

  /** One, or one for each instance of its subgraph. @param {Node} node */
  #placesOf(node) {
    return this.#places.get(node) ?? [];
  }

  /**
   * The places that feed `starts`, and they themselves, nearest first.
   * @param {Place[]} starts
   * @returns {Map<string, Place>}
   */
  #upstream(starts) {
    /** @type {Map<string, Place>} */
    const found = new Map();
    const waiting = [...starts];
    for (const place of waiting) {
      const id = idOf(place);
      if (found.has(id)) continue;
      if (found.size === MOST_NODES) break;
      found.set(id, place);
      waiting.push(...this.#node(id, place).feeders);
    }
    return found;
  }

  /** The nodes that make the run `place` has its part in. @param {Place} place */
  #makersAfter(place) {
    return this.#ofKind(MAKERS).filter((maker) => this.#upstream([maker]).has(idOf(place)));
  }

  /** The places of all nodes of some classes. @param {Set<string>} kinds */
  #ofKind(kinds) {
    return [...this.#places.values()].flat().filter(({ node }) => kinds.has(node.comfyClass ?? ""));
  }

  /** As many as the server takes, from the first. @param {Map<string, Place>} places */
  #inApiFormat(places) {
    /** @type {Record<string, ApiNode>} */
    const graph = {};
    let bytes = 0;
    for (const [id, place] of [...places].slice(0, MOST_NODES)) {
      const { entry } = this.#node(id, place);
      bytes += JSON.stringify(entry).length;
      if (bytes > MOST_BYTES) break;
      graph[id] = entry;
    }
    return graph;
  }

  /** A node in API format, and what feeds it. @param {string} id @param {Place} place */
  #node(id, place) {
    const known = this.#read.get(id);
    if (known) return known;
    const { node } = place;
    const feeders = [];
    /** @type {Record<string, unknown>} */
    const inputs = {};
    for (const { name, value, options } of node.widgets ?? []) {
      if (name && options?.serialize !== false && isPlain(value)) inputs[name] = value;
    }
    for (const [slot, { name }] of (node.inputs ?? []).entries()) {
      const source = sourceOf(place, slot);
      if (source && "place" in source) {
        inputs[name] = [idOf(source.place), source.slot];
        feeders.push(source.place);
      } else if (source && isPlain(source.value)) inputs[name] = source.value;
    }
    const read = { entry: { class_type: node.comfyClass ?? node.type, inputs }, feeders };
    this.#read.set(id, read);
    return read;
  }
}

/** @param {unknown} value */
function isPlain(value) {
  return typeof value === "string" ? value.length <= LONGEST_TEXT : ["number", "boolean"].includes(typeof value);
}

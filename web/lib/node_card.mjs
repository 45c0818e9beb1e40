// @ts-check
// The card on one node: a DOM widget that exists while its node is in a graph, and is updated while it is on screen.

import { patch } from "./dom.mjs";
import { Prediction } from "./prediction.mjs";
import { GraphSnapshot } from "./graph_snapshot.mjs";
import { card } from "./view.mjs";

/** Nodes of this pack that show a prediction, and nodes of Sonic that do. */
export const PREDICTING_NODES = new Set([
  ...["SonicGuardPreflight", "SonicGuardOOMRisk", "SonicGuardAutoDowngrade"],
  ...["SonicGuardLowVRAM", "SonicGuardLongVideo"],
]);
export const SONIC_NODES = new Set(["SONICSampler", "SONIC_PreData"]);

const NAME = "sonic_guard";
/** The property in which a node keeps, with its workflow, whether its card is folded. */
const FOLDED = "sonic_guard_folded";
/** LiteGraph's margin around a DOM widget. */
const MARGIN = 10;
const LEAST_WIDTH = 320;
/** Height until the card has been laid out for the first time. */
const FIRST_HEIGHT = 60;

/**
 * The cards on screen; only these are updated. A front end may drop a graph without calling its nodes' onRemoved; their
 * cards then leave the screen, and nothing here keeps a reference to them.
 * @type {Set<NodeCard>}
 */
export const onScreen = new Set();

/**
 * @typedef {import("./types.d.ts").Run} Run
 *
 * @typedef {object} PageContext  Shared by all cards of a page.
 * @property {import("./server.mjs").Server} server
 * @property {import("./live.mjs").LiveUpdates} updates
 * @property {() => import("./types.d.ts").Language} language
 * @property {() => string} targetCard  The graphics card that predictions on Sonic's own nodes are for.
 * @property {(kind: string) => boolean} wanted  Whether the settings enable predictions on nodes of a class.
 * @property {() => boolean} onCanvas  Whether LiteGraph draws the nodes, not Nodes 2.0.
 * @property {(event: WheelEvent) => void} onWheel
 * @property {() => void} onVisibility  Called when a card has come on the screen or left it.
 */

export class NodeCard {
  #node;
  #context;
  #prediction;
  #root = document.createElement("section");
  #body = document.createElement("div");
  #height = FIRST_HEIGHT;
  #resized = new ResizeObserver(() => this.#fit());
  #seen = new IntersectionObserver((entries) => this.#setOnScreen(entries[entries.length - 1].isIntersecting));
  /** Id of the node while it is in a graph. */
  #id = "";
  /** @type {any} */
  #widget = null;
  /** The node's own report of its last run. @type {string | null} */
  #report = null;
  /** The last run that this card saw begin (see LiveUpdates.begun), and the settings it showed then. */
  #ranAs = 0;
  #ranWith = "";
  /** Whether this node takes part in the newest run, and a key of the question that this answers. */
  #isInRun = false;
  #isInKey = "";
  /** @type {Record<string, boolean>} */
  #open = {};

  /** @param {import("./types.d.ts").Node} node @param {PageContext} context */
  constructor(node, context) {
    this.#node = node;
    this.#context = context;
    const extra = () => ({
      language: context.language(),
      ...(this.#isSonicNode && { target_card: context.targetCard() }),
    });
    this.#prediction = new Prediction(node, context.server, extra, () => this.draw());
    this.#root.className = "sonic-guard";
    this.#root.append(this.#body);
    // Keys that press a button must not reach the canvas; the wheel zooms the canvas as elsewhere.
    this.#root.addEventListener("keydown", (event) => [" ", "Enter"].includes(event.key) && event.stopPropagation());
    this.#root.addEventListener("wheel", context.onWheel, { passive: false });
    if (this.#isSonicNode) this.#fold(false);
    this.updateWidget();
  }

  /** The node was added to a graph. */
  start() {
    this.#id = String(this.#node.id);
    delete this.#root.dataset.left;
    // Nodes 2.0 may keep the elements of a node for the next one with its id, as after an undo: then replace them.
    document.querySelector(`.sonic-guard[data-left="${CSS.escape(this.#id)}"]`)?.replaceWith(this.#root);
    this.#seen.observe(this.#root);
    this.#resized.observe(this.#body);
    this.draw();
  }

  /** The node was removed from its graph: stop all activity of the card. */
  stop() {
    this.#root.dataset.left = this.#id;
    this.#seen.disconnect();
    this.#resized.disconnect();
    this.#prediction.stop();
    this.#setOnScreen(false);
  }

  /** Add the widget to the node or remove it, by the settings and whether there is a report. */
  updateWidget() {
    const wanted = this.#vram || this.#report !== null;
    if (wanted && !this.#widget) this.#attach();
    else if (!wanted && this.#widget) {
      this.#node.removeWidget(this.#widget);
      this.#widget = null;
      this.#shrink();
    }
    this.draw();
  }

  /** @param {string} text  The node's report of a run. */
  setReport(text) {
    this.#report = text;
    this.updateWidget();
  }

  /** On a node saved without this pack the card is folded: other nodes may lie right below. @param {any} saved */
  configured(saved) {
    if (this.#isSonicNode && saved?.properties?.[FOLDED] === undefined) this.#fold(true);
    this.draw();
  }

  /**
   * Ask for a new prediction if the graph has changed.
   * @param {GraphSnapshot} snapshot
   * @param {boolean} force  Ask the server even if nothing has changed.
   */
  check(snapshot, force) {
    if (this.#vram) this.#prediction.check(snapshot, force);
  }

  /** Draw the card. */
  draw() {
    const { server, updates, language } = this.#context;
    const { answer, problem, missing, busy } = this.#prediction;
    const run = this.#run();
    const state = {
      language: language(),
      vram: this.#vram,
      answer,
      problem,
      missing,
      busy,
      away: server.away,
      run,
      live: updates.live,
      samples: run !== null && run === updates.run ? updates.samples : [],
      report: this.#report,
      open: { ...this.#open, card: !this.#folded },
      toggle: (/** @type {string} */ what) => this.#toggle(what),
    };
    patch(this.#body, card(state));
  }

  get #isSonicNode() {
    return SONIC_NODES.has(String(this.#node.comfyClass));
  }

  /** Whether predictions are shown, in addition to the node's own report. */
  get #vram() {
    return this.#context.wanted(String(this.#node.comfyClass));
  }

  /** The run to show: the current one, or the last one with these settings. */
  #run() {
    const { run, begun } = this.#context.updates;
    const last = this.#prediction.answer?.last ?? null;
    if (!run || !this.#vram || !this.#isIn(run)) return last;
    const { settings: values, optimizations } = this.#prediction.answer ?? {};
    const settings = JSON.stringify([values, optimizations]);
    const running = run.outcome === "running";
    if (running && begun !== this.#ranAs) this.#ranWith = settings;
    if (running) this.#ranAs = begun;
    return running || this.#ranWith === settings ? run : last;
  }

  /** Whether this node takes part in `run`; computed again when run or graph has changed. @param {Run} run */
  #isIn(run) {
    const root = this.#node.graph?.rootGraph ?? this.#node.graph;
    const key = JSON.stringify(run.nodes) + this.#prediction.asked;
    if (root && key !== this.#isInKey) {
      this.#isInKey = key;
      this.#isInRun = key.startsWith("{}") || new GraphSnapshot(root).isIn(this.#node, run.nodes, this.#isSonicNode);
    }
    return this.#isInRun;
  }

  #attach() {
    const options = {
      serialize: false, // not sent with a prompt
      hideOnZoom: false,
      margin: MARGIN,
      getMinHeight: () => this.#height + 2 * MARGIN,
    };
    this.#widget = this.#node.addDOMWidget(NAME, NAME, this.#root, options);
    this.#widget.serialize = false; // not saved: it would shift the values of widgets added later
    const [width, height] = this.#node.computeSize();
    const least = this.#vram ? LEAST_WIDTH : 0;
    this.#node.setSize([Math.max(this.#node.size[0], width, least), Math.max(this.#node.size[1], height)]);
  }

  /** Give the card the height of its content, and shrink the node with it. */
  #fit() {
    const height = this.#body.offsetHeight;
    if (height === 0 || height === this.#height || !this.#widget) return;
    const tight = this.#node.size[1] <= this.#node.computeSize()[1] + 1;
    this.#height = height;
    if (tight) this.#shrink();
    this.#node.setDirtyCanvas?.(true, true);
  }

  /** LiteGraph enlarges nodes by itself but never shrinks them; Nodes 2.0 ignores these sizes. */
  #shrink() {
    if (this.#context.onCanvas()) this.#node.setSize([this.#node.size[0], this.#node.computeSize()[1]]);
  }

  /** @param {boolean} isOnScreen */
  #setOnScreen(isOnScreen) {
    if (isOnScreen) onScreen.add(this);
    else onScreen.delete(this);
    this.#context.onVisibility();
    if (isOnScreen) this.draw();
  }

  get #folded() {
    return this.#node.properties?.[FOLDED] === true;
  }

  /** @param {boolean} folded */
  #fold(folded) {
    this.#node.properties ??= {};
    this.#node.properties[FOLDED] = folded;
  }

  /** @param {string} what */
  #toggle(what) {
    if (what === "card") this.#fold(!this.#folded);
    else this.#open[what] = !this.#open[what];
    this.draw();
  }
}

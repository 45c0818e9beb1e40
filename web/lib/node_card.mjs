// @ts-check
// The card on one node: a DOM widget that lives while its node is in a graph, and follows it while it is on screen.

import { patch } from "./dom.mjs";
import { Prediction } from "./prediction.mjs";
import { Reading } from "./reading.mjs";
import { card } from "./view.mjs";

/** Our nodes that judge a run or make one, and Sonic's own. */
export const JUDGES = new Set([
  ...["SonicGuardPreflight", "SonicGuardOOMRisk", "SonicGuardAutoDowngrade"],
  ...["SonicGuardLowVRAM", "SonicGuardLongVideo"],
]);
export const SONICS = new Set(["SONICSampler", "SONIC_PreData"]);

const NAME = "sonic_guard";
/** The property in which a node keeps, with its workflow, whether its card is folded. */
const FOLDED = "sonic_guard_folded";
/** LiteGraph's, around a DOM widget. */
const MARGIN = 10;
const LEAST_WIDTH = 320;
/** Height until the card has been laid out for the first time. */
const FIRST_HEIGHT = 60;

/**
 * The cards on screen: all that anything is done for. A front end may drop a graph without telling its nodes; then they
 * leave the screen, and nothing here holds them.
 * @type {Set<NodeCard>}
 */
export const onScreen = new Set();

/**
 * @typedef {import("./types.d.ts").Run} Run
 *
 * @typedef {object} Surroundings  What all cards of a page share.
 * @property {import("./server.mjs").Server} server
 * @property {import("./live.mjs").News} news
 * @property {() => import("./types.d.ts").Language} language
 * @property {() => string} targetCard  The card Sonic's own nodes are judged for.
 * @property {(kind: string) => boolean} wanted  Whether the settings want predictions on nodes of a class.
 * @property {() => boolean} onCanvas  Whether LiteGraph lays nodes out, not Nodes 2.0.
 * @property {(event: WheelEvent) => void} onWheel
 * @property {() => void} onVisibility  Called when a card has come on the screen or left it.
 */

export class NodeCard {
  #node;
  #around;
  #prediction;
  #root = document.createElement("section");
  #body = document.createElement("div");
  #height = FIRST_HEIGHT;
  #resized = new ResizeObserver(() => this.#fit());
  #seen = new IntersectionObserver((entries) => this.#setOnScreen(entries[entries.length - 1].isIntersecting));
  /** The node's, while it is in a graph. */
  #id = "";
  /** @type {any} */
  #widget = null;
  /** What the node itself said after its last run. @type {string | null} */
  #report = null;
  /** What this card saw begin last, and the settings it showed then. */
  #ranAs = 0;
  #ranWith = "";
  /** Whether the newest run concerns this node, and what that was found out about. */
  #isInRun = false;
  #isInAbout = "";
  /** @type {Record<string, boolean>} */
  #open = {};

  /** @param {import("./types.d.ts").Node} node @param {Surroundings} around */
  constructor(node, around) {
    this.#node = node;
    this.#around = around;
    const more = () => ({
      language: around.language(),
      ...(this.#isSonics && { target_card: around.targetCard() }),
    });
    this.#prediction = new Prediction(node, around.server, more, () => this.draw());
    this.#root.className = "sonic-guard";
    this.#root.append(this.#body);
    // Keys that press a button are no commands for the canvas, and the wheel zooms it as everywhere.
    this.#root.addEventListener("keydown", (event) => [" ", "Enter"].includes(event.key) && event.stopPropagation());
    this.#root.addEventListener("wheel", around.onWheel, { passive: false });
    if (this.#isSonics) this.#fold(false);
    this.settle();
  }

  /** The node has come into a graph. */
  start() {
    this.#id = String(this.#node.id);
    delete this.#root.dataset.left;
    // Nodes 2.0 may keep what it shows of a node for the next one of that id, as after an undo: then take that place.
    document.querySelector(`.sonic-guard[data-left="${CSS.escape(this.#id)}"]`)?.replaceWith(this.#root);
    this.#seen.observe(this.#root);
    this.#resized.observe(this.#body);
    this.draw();
  }

  /** The node has left its graph: nothing of the card goes on. */
  stop() {
    this.#root.dataset.left = this.#id;
    this.#seen.disconnect();
    this.#resized.disconnect();
    this.#prediction.stop();
    this.#setOnScreen(false);
  }

  /** Put the widget on the node or take it off, as the settings and the report want it. */
  settle() {
    const wanted = this.#vram || this.#report !== null;
    if (wanted && !this.#widget) this.#attach();
    else if (!wanted && this.#widget) {
      this.#node.removeWidget(this.#widget);
      this.#widget = null;
      this.#shrink();
    }
    this.draw();
  }

  /** @param {string} text  What the node said after a run of it. */
  setReport(text) {
    this.#report = text;
    this.settle();
  }

  /** A node out of a workflow of before this pack: it keeps small, for what lies below it. @param {any} saved */
  configured(saved) {
    if (this.#isSonics && saved?.properties?.[FOLDED] === undefined) this.#fold(true);
    this.draw();
  }

  /**
   * Follow the graph.
   * @param {Reading} reading
   * @param {boolean} anyhow  Ask the server even if nothing has changed.
   */
  check(reading, anyhow) {
    if (this.#vram) this.#prediction.check(reading, anyhow);
  }

  /** Show what is known. */
  draw() {
    const { server, news, language } = this.#around;
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
      live: news.live,
      samples: run !== null && run === news.run ? news.samples : [],
      report: this.#report,
      open: { ...this.#open, card: !this.#folded },
      toggle: (/** @type {string} */ what) => this.#toggle(what),
    };
    patch(this.#body, card(state));
  }

  get #isSonics() {
    return SONICS.has(String(this.#node.comfyClass));
  }

  /** Whether predictions are shown, and not only the node's own report. */
  get #vram() {
    return this.#around.wanted(String(this.#node.comfyClass));
  }

  /** The run to show: one under way, or the last one of these very settings. */
  #run() {
    const { run, begun } = this.#around.news;
    const last = this.#prediction.answer?.last ?? null;
    if (!run || !this.#vram || !this.#isIn(run)) return last;
    const { settings: values, optimizations } = this.#prediction.answer ?? {};
    const settings = JSON.stringify([values, optimizations]);
    const running = run.outcome === "running";
    if (running && begun !== this.#ranAs) this.#ranWith = settings;
    if (running) this.#ranAs = begun;
    return running || this.#ranWith === settings ? run : last;
  }

  /** Whether `run` runs this node, or what it judges; found out again when either has changed. @param {Run} run */
  #isIn(run) {
    const root = this.#node.graph?.rootGraph ?? this.#node.graph;
    const about = JSON.stringify(run.nodes) + this.#prediction.asked;
    if (root && about !== this.#isInAbout) {
      this.#isInAbout = about;
      this.#isInRun = about.startsWith("{}") || new Reading(root).isIn(this.#node, run.nodes, this.#isSonics);
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

  /** Give the card the height it needs now, and the node what it gained by it. */
  #fit() {
    const height = this.#body.offsetHeight;
    if (height === 0 || height === this.#height || !this.#widget) return;
    const snug = this.#node.size[1] <= this.#node.computeSize()[1] + 1;
    this.#height = height;
    if (snug) this.#shrink();
    this.#node.setDirtyCanvas?.(true, true);
  }

  /** LiteGraph grows nodes by itself but never makes them smaller; Nodes 2.0 does neither by these sizes. */
  #shrink() {
    if (this.#around.onCanvas()) this.#node.setSize([this.#node.size[0], this.#node.computeSize()[1]]);
  }

  /** @param {boolean} isOnScreen */
  #setOnScreen(isOnScreen) {
    if (isOnScreen) onScreen.add(this);
    else onScreen.delete(this);
    this.#around.onVisibility();
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

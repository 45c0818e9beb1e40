// @ts-check
// The card on one node: it exists while its node is in a graph, and is updated while it is on screen.

import { CardWidget } from "./card_widget.mjs";
import { patch } from "./dom.mjs";
import { Prediction } from "./prediction.mjs";
import { GraphSnapshot } from "./graph_snapshot.mjs";
import { SONIC_NODES, UPSCALING_NODES } from "./node_classes.mjs";
import { card } from "./view.mjs";

/** The property in which a node keeps, with its workflow, whether the user has unfolded its card or folded it. */
const OPEN = "sonic_guard_open";

/**
 * The cards on screen; only these are updated. A front end may drop a graph without calling its nodes' onRemoved; their
 * cards then leave the screen, and nothing here keeps a reference to them.
 * @type {Set<NodeCard>}
 */
export const onScreen = new Set();

/** Keys of what nodes were given, by their newest reports. @type {Map<string, string>} */
const reportedOf = new Map();
const REMEMBERED = 50;

/**
 * @typedef {import("./types.d.ts").Run} Run
 *
 * @typedef {object} PageContext  Shared by all cards of a page.
 * @property {import("./server.mjs").Server} server
 * @property {import("./live.mjs").LiveUpdates} updates
 * @property {() => import("./types.d.ts").Language} language
 * @property {() => string} targetCard  The graphics card that nodes on "auto" are predicted for.
 * @property {(kind: string) => boolean} wanted  Whether the settings enable predictions on nodes of a class.
 * @property {() => boolean} onCanvas  Whether LiteGraph draws the nodes, not Nodes 2.0.
 * @property {(event: WheelEvent) => void} onWheel  The wheel was turned over a card that does not scroll.
 * @property {(node: import("./types.d.ts").Node, before: number[]) => void} onSized  A card has changed its node's size.
 * @property {() => void} onVisibility  Called when a card has come on the screen or left it.
 * @property {(actions: import("./types.d.ts").Action[]) => void} act  Do what an advice says.
 * @property {(file: string) => string} pictureUrl  The address of a small version of a picture in the input folder.
 */

export class NodeCard {
  #node;
  #context;
  #prediction;
  #root = document.createElement("section");
  #body = document.createElement("div");
  #widget;
  #seen = new IntersectionObserver((entries) => this.#setOnScreen(entries[entries.length - 1].isIntersecting));
  /** Id of the node while it is in a graph. */
  #id = "";
  /** The node's own report of its last run, and a key of what the node was given then. @type {string | null} */
  #report = null;
  #reportOf = "";
  /** A key of what the node is given now. */
  #given = "";
  /** Whether this is the node of its graph that shows the whole card. */
  #isMain = false;
  /** Whether the node takes part in a run: neither muted nor bypassed. Of one that does not, nothing is predicted. */
  #isRun = true;
  /** Whether the workflow was made without this card: then it takes no room unless the user wants it. */
  #isGuest = false;
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
    const extra = () => ({ language: context.language(), target_card: context.targetCard() });
    this.#prediction = new Prediction(node, context.server, extra, () => this.draw());
    this.#root.className = "sonic-guard";
    this.#root.append(this.#body);
    this.#widget = new CardWidget(node, this.#root, this.#body, context.onCanvas, context.onSized);
    // Keys that press a button must not reach the canvas; the wheel does, unless the card scrolls.
    this.#root.addEventListener("keydown", (event) => [" ", "Enter"].includes(event.key) && event.stopPropagation());
    this.#root.addEventListener("wheel", (event) => this.#onWheel(event), { passive: false });
    this.updateWidget();
  }

  /** As over ComfyUI's own texts: the wheel scrolls what does not fit, and zooms the canvas elsewhere. @param {WheelEvent} event */
  #onWheel(event) {
    const { scrollHeight, clientHeight, dataset } = this.#root;
    const upright = !event.ctrlKey && Math.abs(event.deltaY) >= Math.abs(event.deltaX);
    if (upright && dataset.shape !== "hanging" && scrollHeight > clientHeight + 1) event.stopPropagation();
    else this.#context.onWheel(event);
  }

  /** The node was added to a graph. */
  start() {
    this.#id = String(this.#node.id);
    delete this.#root.dataset.left;
    // Nodes 2.0 may keep the elements of a node for the next one with its id, as after an undo: then replace them.
    document.querySelector(`.sonic-guard[data-left="${CSS.escape(this.#id)}"]`)?.replaceWith(this.#root);
    this.#seen.observe(this.#root);
    this.#widget.start();
    this.draw();
  }

  /** The node was removed from its graph: stop all activity of the card. */
  stop() {
    this.#root.dataset.left = this.#id;
    this.#seen.disconnect();
    this.#widget.stop();
    this.#prediction.stop();
    this.#setOnScreen(false);
  }

  /** Add the widget to the node or remove it, by the settings and whether there is a report. */
  updateWidget() {
    const wanted = this.#vram || this.#report !== null;
    if (wanted && !this.#widget.isAttached) this.#widget.attach(this.#vram);
    else if (!wanted) this.#widget.detach();
    this.draw();
  }

  /** @param {string} text  The node's report of a run. */
  setReport(text) {
    const root = this.#rootGraph;
    this.#report = text;
    this.#reportOf = this.#given = root ? this.#keyIn(new GraphSnapshot(root)) : "";
    reportedOf.delete(text);
    reportedOf.set(text, this.#reportOf);
    for (const oldest of reportedOf.keys()) if (reportedOf.size > REMEMBERED) reportedOf.delete(oldest);
    this.updateWidget();
  }

  /** @param {string | null} text  A report of this node from before it was made anew from its workflow. */
  recall(text) {
    if (text === null || this.#report !== null) return;
    this.#report = text;
    this.#reportOf = reportedOf.get(text) ?? "";
    this.updateWidget();
  }

  /** The node has a new size. */
  resized() {
    this.#widget.resized();
  }

  /** The node was loaded from a workflow. @param {any} saved */
  configured(saved) {
    this.#isGuest = this.#isSonicNode;
    if (Array.isArray(saved?.size)) this.#widget.configured(saved.size);
    this.draw();
  }

  /**
   * @param {boolean} isMain  Whether this is the node of its graph that shows the whole card.
   * @param {boolean} isRun  Whether the node takes part in a run.
   */
  setPlace(isMain, isRun) {
    if (isMain === this.#isMain && isRun === this.#isRun) return;
    this.#isMain = isMain;
    this.#isRun = isRun;
    this.draw();
  }

  /**
   * Ask for a new prediction if the graph has changed.
   * @param {GraphSnapshot} snapshot
   * @param {boolean} force  Ask the server even if nothing has changed.
   */
  check(snapshot, force) {
    if (this.#report !== null) this.#compare(this.#keyIn(snapshot));
    if (this.#vram && this.#isRun) this.#prediction.check(snapshot, force);
  }

  /** The prediction, where there is one for what the node is given. */
  get known() {
    const { answer, problem } = this.#prediction;
    return this.#vram && this.#isRun && problem === null ? answer : null;
  }

  /** @param {string} given */
  #compare(given) {
    const changed = given !== this.#given;
    this.#given = given;
    if (changed) this.draw();
  }

  /** @param {GraphSnapshot} snapshot */
  #keyIn(snapshot) {
    return JSON.stringify(snapshot.question(this.#node)?.graph ?? null);
  }

  get #rootGraph() {
    return this.#node.graph?.rootGraph ?? this.#node.graph ?? null;
  }

  /** Draw the card. */
  draw() {
    const { server, updates, language } = this.#context;
    const { answer, problem, missing, busy } = this.#prediction;
    const run = this.#run();
    const mode = this.#mode;
    const shape = mode === "fixed" ? "line" : mode;
    this.#widget.setShape(shape === "full" || !this.#vram ? "card" : this.#isSonicNode ? "hanging" : shape);
    /** @type {import("./view.mjs").State} */
    const state = {
      language: language(),
      vram: this.#vram && this.#isRun,
      mode,
      answer,
      problem,
      missing,
      busy,
      away: server.away,
      run,
      live: updates.live,
      samples: run !== null && run === updates.run ? updates.samples : [],
      report: this.#report,
      stale: this.#report !== null && this.#given !== this.#reportOf,
      open: this.#open,
      toggle: (what) => this.#toggle(what),
      act: () => this.#context.act(answer?.advice?.actions ?? []),
      pictureUrl: this.#context.pictureUrl,
    };
    patch(this.#body, card(state));
  }

  get #isSonicNode() {
    return SONIC_NODES.has(String(this.#node.comfyClass));
  }

  /** How much of the card is shown: what the user has chosen, else all of it on the main node. */
  get #mode() {
    if (UPSCALING_NODES.has(String(this.#node.comfyClass))) return "fixed";
    const open = this.#node.properties?.[OPEN];
    if (open ?? (this.#isMain && !this.#isGuest)) return "full";
    return this.#isMain ? "folded" : "line";
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
    const root = this.#rootGraph;
    const key = JSON.stringify(run.nodes) + this.#prediction.asked;
    if (root && key !== this.#isInKey) {
      this.#isInKey = key;
      this.#isInRun = key.startsWith("{}") || new GraphSnapshot(root).isIn(this.#node, run.nodes, this.#isSonicNode);
    }
    return this.#isInRun;
  }

  /** @param {boolean} isOnScreen */
  #setOnScreen(isOnScreen) {
    if (isOnScreen) onScreen.add(this);
    else onScreen.delete(this);
    this.#context.onVisibility();
    if (isOnScreen) this.draw();
  }

  /** @param {string} what */
  #toggle(what) {
    if (what === "card") {
      this.#node.properties ??= {};
      this.#node.properties[OPEN] = this.#mode !== "full";
      this.#widget.release();
    } else this.#open[what] = !this.#open[what];
    this.draw();
  }
}

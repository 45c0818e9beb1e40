// @ts-check
// Sonic Guard in ComfyUI's page: the VRAM card on nodes, the history tab, settings and commands.
// The only file that knows ComfyUI's app; every .js below web/ is loaded by the page, so the rest are .mjs.

// @ts-ignore  served by ComfyUI
import { app } from "../../scripts/app.js";
// @ts-ignore  served by ComfyUI
import { api } from "../../scripts/api.js";
import { commands } from "./lib/commands.mjs";
import { GraphPoller } from "./lib/graph_poller.mjs";
import { allInstances, executionId, isRun } from "./lib/graph.mjs";
import { HistoryTab } from "./lib/history.mjs";
import { Lease, LiveUpdates } from "./lib/live.mjs";
import { runAsText } from "./lib/model.mjs";
import { NodeCard, onScreen } from "./lib/node_card.mjs";
import { LinkedValues } from "./lib/linked_values.mjs";
import { LOADERS, mainNodes, PREDICTING_NODES, SONIC_NODES } from "./lib/node_classes.mjs";
import { carryOut } from "./lib/remedy.mjs";
import { forgetLivePicture, keptReport, reportIn } from "./lib/node_outputs.mjs";
import { keepLanguage } from "./lib/note_language.mjs";
import { labelOptions } from "./lib/option_labels.mjs";
import { GraphSnapshot } from "./lib/graph_snapshot.mjs";
import { Server } from "./lib/server.mjs";
import { DEFAULTS, settings } from "./lib/settings.mjs";
import { orderTemplates } from "./lib/template_order.mjs";
import { languageOf, t } from "./lib/words.mjs";

const TAB = "sonic-guard-history";

const setting = (/** @type {string} */ id) => app.extensionManager?.setting.get(id) ?? DEFAULTS[id];
const language = () => languageOf(setting("Comfy.Locale"));

const server = new Server(api);
const updates = new LiveUpdates(api);
const lease = new Lease(server, () => ({ rate_hz: Number(setting("SonicGuard.Rate")) }));
const history = new HistoryTab({
  server,
  language,
  recording: () => Boolean(setting("SonicGuard.Record")),
  confirm: ask,
  onVisibility: updateActivity,
});
const poller = new GraphPoller(() => refresh(false));

const context = {
  server,
  updates,
  language,
  targetCard: () => String(setting("SonicGuard.TargetCard") || "auto"),
  wanted: (/** @type {string} */ kind) =>
    Boolean(setting("SonicGuard.Widget")) &&
    (PREDICTING_NODES.has(kind) || (SONIC_NODES.has(kind) && Boolean(setting("SonicGuard.SonicNodes")))),
  onCanvas: () => !setting("Comfy.VueNodes.Enabled"),
  onWheel: (/** @type {WheelEvent} */ event) => context.onCanvas() && app.canvas.processMouseWheel(event),
  onSized: keepOutOfUndo,
  onVisibility: updateActivity,
  act,
  pictureUrl: (/** @type {string} */ file) => api.apiURL(`/view?${pictureQuery(file)}`),
};

orderTemplates(api);

/** @type {WeakMap<object, NodeCard>} */
const cardOf = new WeakMap();
/** The linked fields of the nodes with cards, and of loaders, which have none. @type {WeakMap<object, LinkedValues>} */
const fieldsOf = new WeakMap();

/** Poll the graph and measure memory only while a card or the history is visible. */
function updateActivity() {
  const visible = document.visibilityState === "visible";
  const cards = onScreen.size > 0;
  poller.setActive(visible && cards);
  lease.setWanted(visible && (cards || history.isOpen));
}

/** @param {boolean} [force]  Ask the server even where nothing has changed. */
function refresh(force = true) {
  const snapshot = new GraphSnapshot(app.graph);
  const ours = snapshot.instances.filter(({ node }) => cardOf.has(node));
  const running = new Set(ours.filter(isRun).map(({ node }) => node));
  const main = mainNodes([...running].filter(({ comfyClass }) => context.wanted(comfyClass ?? "")));
  for (const { node } of ours) {
    const card = cardOf.get(node);
    card?.setPlace(main.has(node), running.has(node));
    card?.recall(keptReport(app, node)); // its tab was left and is shown again
  }
  for (const card of onScreen) card.check(snapshot, force);
  showLinked(snapshot);
}

/** Show what links bring into fields, as far as a card on screen knows it. @param {GraphSnapshot} snapshot */
function showLinked(snapshot) {
  /** @type {Record<string, Record<string, import("./lib/types.d.ts").Setting>>} */
  const brought = {};
  for (const instance of snapshot.instances) {
    const card = cardOf.get(instance.node);
    const known = card && onScreen.has(card) && card.known;
    if (known) Object.assign(brought, known.linked_loaders, { [executionId(instance)]: known.linked });
  }
  for (const instance of snapshot.instances) {
    const { node } = instance;
    fieldsOf.get(node)?.show(snapshot.linkedInputs(node), brought[executionId(instance)] ?? {});
  }
}

/** Do what an advice says, in one step of ComfyUI's undo. @param {import("./lib/types.d.ts").Action[]} actions */
function act(actions) {
  // @ts-ignore  global of the page
  const create = (/** @type {string} */ type) => globalThis.LiteGraph.createNode(type);
  const root = app.graph.rootGraph ?? app.graph;
  if (!carryOut({ root, canvas: app.canvas, create }, actions)) toast("cannot do", "info");
  refresh();
}

/**
 * The size that a card gives its node is no change of the user's: ComfyUI's undo shall not take a step for it. So the
 * state that it compares the graph with gets that size too.
 * @param {import("./lib/types.d.ts").Node} node
 * @param {number[]} before
 */
function keepOutOfUndo(node, before) {
  const state = app.extensionManager?.workflow?.activeWorkflow?.changeTracker?.activeState;
  const saved = savedNode(state, node);
  if (saved && saved.type === node.type && String([...saved.size]) === String(before)) saved.size = [...node.size];
}

/** A node in a saved workflow. @param {any} state @param {import("./lib/types.d.ts").Node} node */
function savedNode(state, node) {
  const isHere = (/** @type {any} */ one) => one.id === node.graph?.id;
  const inside = state?.definitions?.subgraphs?.find(isHere);
  return (inside ?? state)?.nodes?.find((/** @type {any} */ one) => String(one.id) === String(node.id));
}

/** A picture of the input folder, small. @param {string} file */
function pictureQuery(file) {
  const cut = file.lastIndexOf("/") + 1;
  const where = { filename: file.slice(cut), subfolder: file.slice(0, Math.max(0, cut - 1)), type: "input" };
  return new URLSearchParams({ ...where, preview: "webp;70" });
}

function redraw() {
  for (const card of onScreen) card.draw();
}

server.onPresence = () => {
  updates.forget();
  redraw();
  if (server.away) return;
  refresh();
  lease.renew();
  history.refresh();
};

updates.onUpdate = (ended) => {
  redraw();
  if (!ended) return;
  refresh(); // the run may have changed the calibration
  history.refresh();
};

document.addEventListener("visibilitychange", updateActivity);

function onSettings() {
  for (const { node } of allInstances(app.graph)) cardOf.get(node)?.updateWidget();
  lease.renew();
  history.draw();
  refresh(false);
}

/** @param {string} message @returns {Promise<boolean>} */
async function ask(message) {
  const { dialog } = app.extensionManager;
  if (!dialog?.confirm) return window.confirm(message);
  return Boolean(await dialog.confirm({ title: t(language(), "history"), message, type: "delete" }));
}

/** @param {string} key @param {"success" | "info"} severity */
const toast = (key, severity) =>
  app.extensionManager.toast.add({ severity, summary: "Sonic Guard", detail: t(language(), key), life: 4000 });

async function copyLastRun() {
  if (!updates.run) return toast("nothing to copy", "info");
  await navigator.clipboard.writeText(runAsText(language(), updates.run));
  toast("copied", "success");
}

const tabWords = () => ({ title: t(language(), "history"), tooltip: t(language(), "history.tooltip") });

/** ComfyUI keeps the words with which a tab was registered, whatever the language is set to afterwards. */
function renameTab() {
  const tab = app.extensionManager.getSidebarTabs?.().find((/** @type {{id: string}} */ { id }) => id === TAB);
  if (tab) Object.assign(tab, tabWords());
}

const toggleWidget = () => app.extensionManager.setting.set("SonicGuard.Widget", !setting("SonicGuard.Widget"));
const openHistory = () => app.extensionManager.command.execute(`Workspace.ToggleSidebarTab.${TAB}`);

/**
 * Call `then` after `node`'s own method `name`.
 * @param {any} node
 * @param {string} name
 * @param {(...given: any[]) => void} then
 */
function after(node, name, then) {
  const original = node[name];
  node[name] = function (/** @type {any[]} */ ...given) {
    const result = original?.apply(this, given);
    then(...given);
    return result;
  };
}

const all = commands({ openHistory, refresh, toggle: toggleWidget, copy: copyLastRun });

app.registerExtension({
  name: "SonicGuard",
  settings: settings(() => setTimeout(() => app.graph && onSettings())), // called before the value is stored
  commands: all,
  menuCommands: [{ path: ["Extensions", "Sonic Guard"], commands: all.map(({ id }) => id) }],
  setup() {
    for (const name of ["style.css", "history.css"]) {
      const link = document.createElement("link");
      link.rel = "stylesheet";
      link.href = new URL(`./lib/${name}`, import.meta.url).href;
      document.head.append(link);
    }
    app.extensionManager.registerSidebarTab({
      id: TAB,
      icon: "pi pi-chart-bar",
      ...tabWords(),
      type: "custom",
      render: (/** @type {HTMLElement} */ element) => history.open(element),
      destroy: () => history.close(),
    });
    // Called before the new language is stored.
    app.ui?.settings?.addEventListener?.("Comfy.Locale.change", () => setTimeout(renameTab));
  },
  refreshComboInNodes() {
    refresh(); // R: files may have come or gone
  },
  loadedGraphNode(/** @type {any} */ node) {
    keepLanguage(node, language());
  },
  nodeCreated(/** @type {any} */ node) {
    const kind = node.comfyClass ?? "";
    if (!kind.startsWith("SonicGuard") && !SONIC_NODES.has(kind) && !LOADERS.has(kind)) return;
    const fields = new LinkedValues(node);
    fieldsOf.set(node, fields);
    after(node, "onSerialize", (saved) => fields.keepOwn(saved));
    if (LOADERS.has(kind)) return;
    if (kind.startsWith("SonicGuard")) labelOptions(node, language);
    const card = new NodeCard(node, context);
    cardOf.set(node, card);
    after(node, "onAdded", () => card.start());
    after(node, "onRemoved", () => card.stop());
    after(node, "onResize", () => card.resized());
    after(node, "onConfigure", (saved) => card.configured(saved));
    after(node, "onExecuted", (output) => {
      if (output?.images) forgetLivePicture(app, node);
      const report = reportIn(output);
      if (report !== null) card.setReport(report);
    });
  },
});

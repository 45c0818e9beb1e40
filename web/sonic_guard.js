// @ts-check
// Sonic Guard in ComfyUI's page: the VRAM card on nodes, the history tab, settings and commands.
// The only file that knows ComfyUI's app; every .js below web/ is loaded by the page, so the rest are .mjs.

// @ts-ignore  served by ComfyUI
import { app } from "../../scripts/app.js";
// @ts-ignore  served by ComfyUI
import { api } from "../../scripts/api.js";
import { commands } from "./lib/commands.mjs";
import { Follower } from "./lib/follow.mjs";
import { allPlaces } from "./lib/graph.mjs";
import { HistoryTab } from "./lib/history.mjs";
import { Lease, News } from "./lib/live.mjs";
import { runAsText } from "./lib/model.mjs";
import { JUDGES, NodeCard, onScreen, SONICS } from "./lib/node_card.mjs";
import { Reading } from "./lib/reading.mjs";
import { Server } from "./lib/server.mjs";
import { DEFAULTS, settings } from "./lib/settings.mjs";
import { languageOf, say } from "./lib/words.mjs";

const TAB = "sonic-guard-history";

const setting = (/** @type {string} */ id) => app.extensionManager?.setting.get(id) ?? DEFAULTS[id];
const language = () => languageOf(setting("Comfy.Locale"));

const server = new Server(api);
const news = new News(api);
const lease = new Lease(server, () => ({ rate_hz: Number(setting("SonicGuard.Rate")) }));
const history = new HistoryTab({
  server,
  language,
  recording: () => Boolean(setting("SonicGuard.Record")),
  confirm: ask,
  onVisibility: attend,
});
const follower = new Follower(() => refresh(false));

const around = {
  server,
  news,
  language,
  targetCard: () => String(setting("SonicGuard.TargetCard") || "auto"),
  wanted: (/** @type {string} */ kind) =>
    Boolean(setting("SonicGuard.Widget")) &&
    (JUDGES.has(kind) || (SONICS.has(kind) && Boolean(setting("SonicGuard.SonicNodes")))),
  onCanvas: () => !setting("Comfy.VueNodes.Enabled"),
  onWheel: (/** @type {WheelEvent} */ event) => around.onCanvas() && app.canvas.processMouseWheel(event),
  onVisibility: attend,
};

/** @type {WeakMap<object, NodeCard>} */
const cardOf = new WeakMap();

/** Look at the graph and at the machine only while somebody looks at us. */
function attend() {
  const visible = document.visibilityState === "visible";
  const some = onScreen.size > 0;
  follower.follow(visible && some);
  lease.want(visible && (some || history.isOpen));
}

/** @param {boolean} [anyhow]  Ask the server even where nothing has changed. */
function refresh(anyhow = true) {
  const reading = new Reading(app.graph);
  for (const card of onScreen) card.check(reading, anyhow);
}

function redraw() {
  for (const card of onScreen) card.draw();
}

server.onPresence = () => {
  news.forget();
  redraw();
  if (server.away) return;
  refresh();
  lease.renew();
  history.refresh();
};

news.onNews = (ended) => {
  redraw();
  if (!ended) return;
  refresh(); // for what the run has taught
  history.refresh();
};

document.addEventListener("visibilitychange", attend);

function onSettings() {
  for (const { node } of allPlaces(app.graph)) cardOf.get(node)?.settle();
  lease.renew();
  history.draw();
  refresh(false);
}

/** @param {string} message @returns {Promise<boolean>} */
async function ask(message) {
  const { dialog } = app.extensionManager;
  if (!dialog?.confirm) return window.confirm(message);
  return Boolean(await dialog.confirm({ title: say(language(), "history"), message, type: "delete" }));
}

/** @param {string} key @param {"success" | "info"} severity */
const toast = (key, severity) =>
  app.extensionManager.toast.add({ severity, summary: "Sonic Guard", detail: say(language(), key), life: 4000 });

async function copyLastRun() {
  if (!news.run) return toast("nothing to copy", "info");
  await navigator.clipboard.writeText(runAsText(language(), news.run));
  toast("copied", "success");
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
  const before = node[name];
  node[name] = function (/** @type {any[]} */ ...given) {
    const result = before?.apply(this, given);
    then(...given);
    return result;
  };
}

const all = commands({ openHistory, refresh, toggle: toggleWidget, copy: copyLastRun });

app.registerExtension({
  name: "SonicGuard",
  settings: settings(() => setTimeout(() => app.graph && onSettings())), // ComfyUI calls before it has the new value
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
      title: say(language(), "history"),
      tooltip: say(language(), "history.tooltip"),
      type: "custom",
      render: (/** @type {HTMLElement} */ element) => history.open(element),
      destroy: () => history.close(),
    });
  },
  nodeCreated(/** @type {any} */ node) {
    const kind = node.comfyClass ?? "";
    if (!kind.startsWith("SonicGuard") && !SONICS.has(kind)) return;
    const card = new NodeCard(node, around);
    cardOf.set(node, card);
    after(node, "onAdded", () => card.start());
    after(node, "onRemoved", () => card.stop());
    after(node, "onConfigure", (saved) => card.configured(saved));
    after(node, "onExecuted", (output) => output?.text && card.setReport(output.text.join("\n")));
  },
});

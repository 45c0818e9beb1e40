// @ts-check
// The views of a node's card. Pure functions of its state.

import { h } from "./dom.mjs";
import { chart, figures, KINDS, memoryLine, outcome, progress, sparkline } from "./model.mjs";
import { bare, duration, gib, of, t } from "./words.mjs";

/**
 * @typedef {import("./dom.mjs").View} View
 * @typedef {import("./model.mjs").Row} Row
 * @typedef {import("./types.d.ts").Answer} Answer
 * @typedef {import("./types.d.ts").Language} Language
 *
 * @typedef {object} State
 * @property {Language} language
 * @property {boolean} vram  Whether predictions are shown; else only the report.
 * @property {Answer | null} answer  The newest prediction.
 * @property {string | null} problem  Error message if there is none for the current graph.
 * @property {boolean} missing  The server answers, but without the routes of this pack.
 * @property {boolean} away  The server does not answer.
 * @property {boolean} busy  An answer is overdue by a moment.
 * @property {import("./types.d.ts").Run | null} run  The current run, or the last one with the same settings.
 * @property {import("./types.d.ts").Live | null} live
 * @property {import("./types.d.ts").Sample[]} samples
 * @property {string | null} report  The node's own report of its last run.
 * @property {Record<string, boolean>} open  Which fold-outs are open; `card` is the card itself.
 * @property {(what: string) => void} toggle
 */

/** The card. @param {State} state @returns {View[]} */
export function card(state) {
  const { language, answer, problem, run, open } = state;
  if (!state.vram) return state.report ? [h("div", { class: "report" }, state.report)] : [];
  const running = run?.outcome === "running";
  const drawn = answer && problem === null ? chart(language, answer, run, running ? state.live : null) : null;
  return h(
    "div",
    {},
    foldButton(state),
    open.card && h("div", { class: "title" }, t(language, "title"), answer ? ` · ${answer.card}` : null),
    headline(state),
    drawn && bars(state, drawn),
    open.card && drawn && answer && legend(language, answer, drawn.rows),
    ...during(state),
    open.card && answer && problem === null && !running && explanation(state, answer),
    ...(open.card ? machine(state) : []),
  ).children.filter((child) => typeof child !== "string");
}

const TONES = { safe: "ok", tight: "warn", fail: "bad" };

/** Verdict and headroom, or why there are none. @param {State} state */
function headline({ language, answer, problem, missing, away, run }) {
  const sentence = (/** @type {string} */ tone, /** @type {string} */ words) =>
    h("div", { class: "top sentence", role: "status" }, icon(tone), h("span", {}, words));
  if (away) return sentence("away", t(language, "away"));
  if (missing) return sentence("away", t(language, "missing"));
  if (problem !== null) return sentence("bad", problem);
  if (!answer) return sentence("away", t(language, "looking"));
  const tone = TONES[answer.verdict];
  const words = (run?.outcome === "running" ? `${t(language, "running")} · ` : "") + answer.verdict_text;
  const verdict = h("span", { class: "verdict", "data-tone": tone }, icon(tone), h("span", {}, words));
  return h("div", { class: "top", role: "status" }, verdict, h("span", { class: "headroom" }, answer.headroom_text));
}

const SHAPES = {
  ok: [h("circle", { cx: 8, cy: 8, r: 7 }), h("path", { d: "M4.5 8.3l2.4 2.4 4.6-5" })],
  warn: [h("path", { d: "M8 1.2 15.2 14.4H.8z" }), h("path", { d: "M8 5.8v4.2M8 11.8v.6" })],
  bad: [
    h("path", { d: "M4.9.8h6.2l4.1 4.1v6.2l-4.1 4.1H4.9L.8 11.1V4.9z" }),
    h("path", { d: "M5.2 5.2l5.6 5.6M10.8 5.2l-5.6 5.6" }),
  ],
  away: [h("circle", { cx: 8, cy: 8, r: 6.5, class: "ring" })],
};

/** A shape for each verdict, so that it can be recognised without colour. @param {string} tone */
const icon = (tone) =>
  h(
    "svg",
    { class: "icon", viewBox: "0 0 16 16", "data-tone": tone, "aria-hidden": "true" },
    SHAPES[/** @type {keyof typeof SHAPES} */ (tone)],
  );

/** @param {State} state */
function foldButton({ language, open, toggle }) {
  const label = t(language, open.card ? "fold" : "unfold");
  const attributes = {
    class: "fold",
    type: "button",
    title: label,
    "aria-label": label,
    "aria-expanded": String(Boolean(open.card)),
  };
  return h("button", { ...attributes, onclick: () => toggle("card") }, open.card ? "▴" : "▾");
}

/** @param {State} state @param {{rows: Row[], budget: number}} drawn */
function bars({ language, away, missing, busy, open }, { rows, budget }) {
  const attributes = {
    class: open.card ? "rows" : "rows small",
    role: "group",
    "aria-label": t(language, "by stage"),
    "data-dim": away || missing || busy,
  };
  return h("div", attributes, ...rows.map((row) => bar(row, budget, open.card)));
}

/** @param {Row} row @param {number} budget @param {boolean} full */
function bar(row, budget, full) {
  const at = (/** @type {number} */ from, /** @type {number} */ size) =>
    `left:${from.toFixed(2)}%;width:${size.toFixed(2)}%`;
  const track = h(
    "span",
    { class: "bar" },
    row.more && h("i", { class: "more", style: at(row.more.from, row.more.size) }),
    ...row.parts.map(({ kind, from, size }) => h("i", { class: kind, style: at(from, size) })),
    row.measuredSize !== null && h("i", { class: "measured", style: at(0, row.measuredSize) }),
    h("i", { class: "budget", style: `left:${budget.toFixed(2)}%` }),
    row.needle !== null && h("i", { class: "needle", style: `left:${row.needle.toFixed(2)}%` }),
  );
  const number =
    row.measured === null
      ? [gib(row.required)]
      : [h("b", {}, bare(row.measured)), row.predicted === null ? " GiB" : ` / ${gib(row.predicted)}`];
  return h(
    "div",
    {
      class: "row",
      role: "img",
      "aria-label": row.label,
      title: row.label,
      "data-stage": row.stage,
      "data-now": row.now,
      "data-over": row.over,
    },
    full && h("span", { class: "name" }, row.now ? `▸ ${row.text}` : row.text),
    track,
    full && h("span", { class: "number" }, ...number),
  );
}

/** @param {Language} language @param {Answer} answer @param {Row[]} all */
function legend(language, answer, all) {
  const used = KINDS.filter((kind) => answer.stages.some((stage) => stage[kind] > 0));
  const key = (/** @type {string} */ kind, /** @type {string} */ words) =>
    h("span", { class: "key" }, h("i", { class: `swatch ${kind}` }), words);
  return h(
    "div",
    { class: "legend", "aria-hidden": "true" },
    ...used.map((kind) => key(kind, t(language, kind))),
    all.some(({ more }) => more) && key("more", t(language, "upto")),
    all.some(({ measured }) => measured !== null) && key("measured", t(language, "measured")),
    key("budget", t(language, "budget", { size: of(language, answer.budget_bytes, answer.available_bytes) })),
  );
}

/** Memory over time and the figures of a run. @param {State} state */
function during({ language, run, live, samples, open }) {
  if (!run) return [];
  const line = open.card ? sparkline(samples, run) : null;
  const box = { class: "spark", viewBox: "0 0 100 100", preserveAspectRatio: "none" };
  const spark =
    line &&
    h(
      "svg",
      { ...box, role: "img", "aria-label": t(language, "spark") },
      h("path", { class: "predicted", d: line.predicted }),
      h("path", { class: "measured", d: line.measured }),
    );
  if (run.outcome === "running") {
    const words = [figures(language, run, live), progress(language, run)];
    return [spark, h("div", { class: "figures" }, ...words.map((part) => h("span", {}, part)))];
  }
  const last = h(
    "div",
    { class: "figures" },
    h("span", {}, h("b", {}, t(language, "last run")), " · ", outcome(language, run)),
  );
  return open.card ? [spark, last] : [];
}

/** Advice, limits, notes and changes. @param {State} state @param {Answer} answer */
function explanation(state, answer) {
  const { language } = state;
  const { advice, limits, frame_text: frame, optimizations, parts, time_s: time, risk, assumed, changes } = answer;
  const part = parts > 1 ? ` · ${t(language, "one part", { parts })}` : "";
  const takes = time === null ? "" : ` · ${t(language, "takes", { time: duration(language, time) })}`;
  const upper = risk.upper_bytes === null ? "" : ` · ${t(language, "upper", { size: gib(risk.upper_bytes) })}`;
  const source = t(language, "prediction", { from: risk.text }) + upper;
  const enabled = optimizations.length > 0 && t(language, "optimizations", { optimizations: optimizations.join(" + ") });
  const guess = assumed.length > 0 && t(language, "assumed", { what: assumed.join(language === "zh" ? "；" : "; ") });
  const notes = [frame + part + takes, enabled, source, guess];
  return h(
    "div",
    { class: "explanation" },
    advice && h("div", { class: "help" }, advice.text),
    ...limits.map((limit) => h("div", { class: "limit" }, icon("warn"), h("span", {}, limit))),
    h("div", { class: "notes" }, ...notes.map((line) => line && h("div", {}, line))),
    changes.length > 0 &&
      foldOut(state, "changes", t(language, "changes", { count: changes.length }), () =>
        list(changes.map((text) => [text])),
      ),
  );
}

/**
 * Memory of the machine, its cards, and the node's own report.
 * @param {State} state
 * @returns {import("./dom.mjs").Maybe[]}
 */
function machine(state) {
  const { language, live, report } = state;
  const cards = live && live.cards.length > 1 ? live.cards : [];
  return [
    live && h("div", { class: "notes" }, memoryLine(language, live)),
    cards.length > 0 &&
      foldOut(state, "cards", t(language, "cards", { count: cards.length }), () =>
        list(cards.map((one) => oneCard(language, one))),
      ),
    report && foldOut(state, "report", t(language, "report"), () => h("div", { class: "report" }, report)),
  ];
}

/** @param {Language} language @param {{index: number, name: string, used: number | null, total: number | null}} one */
function oneCard(language, { index, name, used, total }) {
  if (used === null || total === null) return [`${index} · ${name}: –`];
  const size = of(language, used, total);
  const filled = h("i", { class: "weights", style: `left:0;width:${((used / total) * 100).toFixed(1)}%` });
  return [`${index} · ${name}: ${size}`, h("span", { class: "bar", "aria-hidden": "true" }, filled)];
}

/** @param {import("./dom.mjs").Child[][]} lines */
const list = (lines) => h("ul", {}, ...lines.map((line) => h("li", {}, ...line)));

/** @param {State} state @param {string} what @param {string} words @param {() => View} content */
function foldOut({ open, toggle }, what, words, content) {
  const isOpen = Boolean(open[what]);
  const button = { type: "button", "aria-expanded": String(isOpen), onclick: () => toggle(what) };
  return h("div", { class: "fold-out" }, h("button", button, `${isOpen ? "▾" : "▸"} ${words}`), isOpen && content());
}

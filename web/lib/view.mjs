// @ts-check
// What a node's card shows, as views. Pure: state in, views out.

import { h } from "./dom.mjs";
import { chart, figures, KINDS, meters, outcome, progress, sparkline } from "./model.mjs";
import { bare, duration, gib, of, say } from "./words.mjs";

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
 * @property {string | null} problem  Why there is none for what the graph says now.
 * @property {boolean} missing  There is a server, but not this pack's part of it.
 * @property {boolean} away  The server does not answer.
 * @property {boolean} busy  An answer is being waited for, and for longer than a moment.
 * @property {import("./types.d.ts").Run | null} run  The node's run, under way or the last one of the same settings.
 * @property {import("./types.d.ts").Live | null} live
 * @property {import("./types.d.ts").Sample[]} samples
 * @property {string | null} report  What the node itself said after its last run.
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
    open.card && h("div", { class: "title" }, say(language, "title"), answer ? ` · ${answer.card}` : null),
    headline(state),
    drawn && bars(state, drawn),
    open.card && drawn && answer && legend(language, answer, drawn.rows),
    ...during(state),
    open.card && answer && problem === null && !running && explanation(state, answer),
    ...(open.card ? machine(state) : []),
  ).children.filter((child) => typeof child !== "string");
}

const TONES = { safe: "ok", tight: "warn", fail: "bad" };

/** Verdict and headroom, or what keeps them away. @param {State} state */
function headline({ language, answer, problem, missing, away, run }) {
  const sentence = (/** @type {string} */ tone, /** @type {string} */ words) =>
    h("div", { class: "top sentence", role: "status" }, icon(tone), h("span", {}, words));
  if (away) return sentence("away", say(language, "away"));
  if (missing) return sentence("away", say(language, "missing"));
  if (problem !== null) return sentence("bad", problem);
  if (!answer) return sentence("away", say(language, "looking"));
  const tone = TONES[answer.verdict];
  const words = (run?.outcome === "running" ? `${say(language, "running")} · ` : "") + answer.verdict_text;
  const verdict = h("span", { class: "verdict", "data-tone": tone }, icon(tone), h("span", {}, words));
  return h("div", { class: "top", role: "status" }, verdict, h("span", { class: "room" }, answer.room_text));
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

/** A shape for each verdict, so that it is told without colour. @param {string} tone */
const icon = (tone) =>
  h(
    "svg",
    { class: "icon", viewBox: "0 0 16 16", "data-tone": tone, "aria-hidden": "true" },
    SHAPES[/** @type {keyof typeof SHAPES} */ (tone)],
  );

/** @param {State} state */
function foldButton({ language, open, toggle }) {
  const label = say(language, open.card ? "fold" : "unfold");
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
    "aria-label": say(language, "by stage"),
    "data-dim": away || missing || busy,
  };
  return h("div", attributes, ...rows.map((row) => bar(row, budget, open.card)));
}

/** @param {Row} row @param {number} budget @param {boolean} full */
function bar(row, budget, full) {
  const at = (/** @type {number} */ from, /** @type {number} */ size) =>
    `left:${from.toFixed(2)}%;width:${size.toFixed(2)}%`;
  const trough = h(
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
    trough,
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
    ...used.map((kind) => key(kind, say(language, kind))),
    all.some(({ more }) => more) && key("more", say(language, "upto")),
    all.some(({ measured }) => measured !== null) && key("measured", say(language, "measured")),
    key("budget", say(language, "budget", { size: of(language, answer.budget_bytes, answer.available_bytes) })),
  );
}

/** The line over time and the figures of a run. @param {State} state */
function during({ language, run, live, samples, open }) {
  if (!run) return [];
  const line = open.card ? sparkline(samples, run) : null;
  const box = { class: "spark", viewBox: "0 0 100 100", preserveAspectRatio: "none" };
  const spark =
    line &&
    h(
      "svg",
      { ...box, role: "img", "aria-label": say(language, "spark") },
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
    h("span", {}, h("b", {}, say(language, "last run")), " · ", outcome(language, run)),
  );
  return open.card ? [spark, last] : [];
}

/** Advice, limits, small print and what was changed. @param {State} state @param {Answer} answer */
function explanation(state, answer) {
  const { language } = state;
  const { advice, limits, frame_text: frame, optimizations, parts, time_s: time, risk, assumed, changes } = answer;
  const part = parts > 1 ? ` · ${say(language, "one part", { parts })}` : "";
  const takes = time === null ? "" : ` · ${say(language, "takes", { time: duration(language, time) })}`;
  const most = risk.upper_bytes === null ? "" : ` · ${say(language, "upper", { size: gib(risk.upper_bytes) })}`;
  const source = say(language, "prediction", { from: risk.text }) + most;
  const enabled = optimizations.length > 0 && say(language, "optimizations", { optimizations: optimizations.join(" + ") });
  const guess = assumed.length > 0 && say(language, "assumed", { what: assumed.join(language === "zh" ? "；" : "; ") });
  const notes = [frame + part + takes, enabled, source, guess];
  return h(
    "div",
    { class: "explanation" },
    advice && h("div", { class: "help" }, advice.text),
    ...limits.map((limit) => h("div", { class: "limit" }, icon("warn"), h("span", {}, limit))),
    h("div", { class: "notes" }, ...notes.map((line) => line && h("div", {}, line))),
    changes.length > 0 &&
      foldOut(state, "changes", say(language, "changes", { count: changes.length }), () =>
        list(changes.map((text) => [text])),
      ),
  );
}

/**
 * What the machine holds, its cards, and what the node said.
 * @param {State} state
 * @returns {import("./dom.mjs").Maybe[]}
 */
function machine(state) {
  const { language, live, report } = state;
  const cards = live && live.cards.length > 1 ? live.cards : [];
  return [
    live && h("div", { class: "notes" }, meters(language, live)),
    cards.length > 0 &&
      foldOut(state, "cards", say(language, "cards", { count: cards.length }), () =>
        list(cards.map((one) => oneCard(language, one))),
      ),
    report && foldOut(state, "report", say(language, "report"), () => h("div", { class: "report" }, report)),
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

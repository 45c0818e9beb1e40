// @ts-check
// The views of a node's card: the whole card, the folded one, and the line on nodes whose run another card shows.
// Pure functions of the card's state.

import { h } from "./dom.mjs";
import { chart, figures, memoryLine, outcome, progress, sparkline } from "./model.mjs";
import { bars, legend } from "./view_bars.mjs";
import { picture } from "./view_picture.mjs";
import { gib, of, optimizationWord, t } from "./words.mjs";

/**
 * @typedef {import("./dom.mjs").View} View
 * @typedef {import("./types.d.ts").Answer} Answer
 * @typedef {import("./types.d.ts").Language} Language
 *
 * @typedef {object} State
 * @property {Language} language
 * @property {boolean} vram  Whether predictions are shown; else only the report.
 * @property {"full" | "folded" | "line" | "fixed"} mode  fixed: a line that cannot be unfolded.
 * @property {Answer | null} answer  The newest prediction.
 * @property {string | null} problem  Error message if there is none for the current graph.
 * @property {boolean} missing  The server answers, but without the routes of this pack.
 * @property {boolean} away  The server does not answer.
 * @property {boolean} busy  An answer is overdue by a moment.
 * @property {import("./types.d.ts").Run | null} run  The current run, or the last one with the same settings.
 * @property {import("./types.d.ts").Live | null} live
 * @property {import("./types.d.ts").Sample[]} samples
 * @property {string | null} report  The node's own report of its last run.
 * @property {boolean} stale  Whether the node's inputs have changed since that run.
 * @property {Record<string, boolean>} open  Which fold-outs are open.
 * @property {(what: string) => void} toggle
 * @property {() => void} act  Do what the advice says.
 * @property {(file: string) => string} pictureUrl  The address of a small version of a picture in the input folder.
 */

/** The card. @param {State} state @returns {View[]} */
export function card(state) {
  const { language, answer, problem, run, mode } = state;
  if (!state.vram) return reportOf(state);
  if (mode === "line") return [line(state)];
  if (mode === "fixed") return [fixedLine(state), ...reportOf(state)];
  const full = mode === "full";
  const running = run?.outcome === "running";
  const known = problem === null ? answer : null;
  const drawn = known && chart(language, known, run, running ? state.live : null);
  return h(
    "div",
    {},
    foldButton(state),
    full && h("div", { class: "title" }, t(language, "title"), answer ? ` · ${answer.card}` : null),
    headline(state),
    known && !running && help(state, known),
    drawn && bars(state, drawn),
    full && drawn && known && legend(language, known, drawn.rows),
    ...during(state),
    full && known && !running && explanation(state, known),
    ...(full ? machine(state) : []),
  ).children.filter((child) => typeof child !== "string");
}

/** The state of the prediction as a tone, words, and the figure next to them. @param {State} state */
function verdict({ language, answer, problem, missing, away, run }) {
  if (away) return { tone: "away", words: t(language, "away"), figure: "" };
  if (missing) return { tone: "away", words: t(language, "missing"), figure: "" };
  if (problem !== null) return { tone: "bad", words: problem, figure: "" };
  if (!answer) return { tone: "away", words: t(language, "looking"), figure: "" };
  const words = (run?.outcome === "running" ? `${t(language, "running")} · ` : "") + answer.verdict_text;
  return { tone: answer.level, words, figure: answer.headroom_text };
}

/** Verdict and headroom, or why there are none. @param {State} state */
function headline(state) {
  const { tone, words, figure } = verdict(state);
  if (!figure) return h("div", { class: "top sentence", role: "status" }, icon(tone), h("span", {}, words));
  const said = h("span", { class: "verdict", "data-tone": tone }, icon(tone), h("span", {}, words));
  return h("div", { class: "top", role: "status" }, said, h("span", { class: "headroom" }, figure));
}

/** One line, which opens the whole card: the verdict, and what the node will run. @param {State} state */
function line(state) {
  const { language, answer, run, toggle } = state;
  const { tone, words, figure } = verdict(state);
  const more = run?.outcome === "running" ? progress(language, run) : answer && figure ? sizeOf(language, answer) : "";
  const linked = answer && linkedLine(language, answer);
  const title = [words, figure, linked, answer?.advice?.text, t(language, "unfold")].filter(Boolean).join("\n");
  return h(
    "button",
    { class: "line", type: "button", title, "aria-expanded": "false", onclick: () => toggle("card") },
    icon(tone),
    h("span", { class: "words", "data-tone": tone }, words),
    more && h("span", { class: "more-words" }, more),
  );
}

/** What the model of a node will need, in one line. @param {State} state */
function fixedLine(state) {
  const { tone, words } = verdict({ ...state, run: null });
  const title = [words, state.problem === null && state.answer?.details].filter(Boolean).join("\n");
  const said = h("span", { class: "words", "data-tone": tone }, words);
  // What is in the way is read, not hovered: it wraps. So does nothing else, because a verdict is short.
  return h("div", { class: state.problem === null ? "line" : "line whole", role: "status", title }, icon(tone), said);
}

/** The node's own report of its last run. @param {State} state */
const reportOf = (state) => (state.report ? [h("div", { class: "report" }, staleNote(state), state.report)] : []);

/** What links bring into the node: newer front ends show no value beside a link. @param {Language} language @param {Answer} answer */
function linkedLine(language, { linked = {} }) {
  const values = Object.entries(linked).map(([name, value]) => `${name} ${shortly(value)}`);
  return values.length > 0 && t(language, "linked", { values: values.join(" · ") });
}

/** @param {import("./types.d.ts").Setting} value */
const shortly = (value) => (typeof value === "number" ? Number(value.toFixed(3)) : value);

/** What will be run, in a few words. @param {Language} language @param {Answer} answer */
function sizeOf(language, { settings: { width, height, steps, dtype } }) {
  return `${width}×${height} · ${dtype} · ${t(language, steps === 1 ? "one step" : "steps", { steps })}`;
}

const SHAPES = {
  ok: [h("circle", { cx: 8, cy: 8, r: 7 }), h("path", { d: "M4.5 8.3l2.4 2.4 4.6-5" })],
  warn: [h("path", { d: "M8 1.2 15.2 14.4H.8z" }), h("path", { d: "M8 5.8v4.2M8 11.8v.6" })],
  bad: [
    h("path", { d: "M4.9.8h6.2l4.1 4.1v6.2l-4.1 4.1H4.9L.8 11.1V4.9z" }),
    h("path", { d: "M5.2 5.2l5.6 5.6M10.8 5.2l-5.6 5.6" }),
  ],
  unknown: [
    h("circle", { cx: 8, cy: 8, r: 7 }),
    h("path", { d: "M6 6.2a2 2 0 1 1 2.9 1.8c-.6.3-.9.7-.9 1.4M8 11.6v.4" }),
  ],
  away: [h("circle", { cx: 8, cy: 8, r: 6.5, class: "ring" })],
};

/** A shape for each tone, so that it can be recognised without colour. @param {string} tone */
const icon = (tone) =>
  h(
    "svg",
    { class: "icon", viewBox: "0 0 16 16", "data-tone": tone, "aria-hidden": "true" },
    SHAPES[/** @type {keyof typeof SHAPES} */ (tone)],
  );

/** @param {State} state */
function foldButton({ language, mode, toggle }) {
  const full = mode === "full";
  const label = t(language, full ? "fold" : "unfold");
  const attributes = { class: "fold", type: "button", title: label, "aria-label": label, "aria-expanded": String(full) };
  return h("button", { ...attributes, onclick: () => toggle("card") }, full ? "▴" : "▾");
}

/** What is in the way, the one sentence of advice, and the button that does it. @param {State} state @param {Answer} answer */
function help({ language, act }, { advice, limits, attempt, missing_files: files }) {
  const warning = (/** @type {import("./dom.mjs").Maybe[]} */ ...words) =>
    h("div", { class: "limit" }, icon("warn"), h("span", {}, ...words));
  const lines = [
    files?.length && warning(t(language, "missing files"), ...fileLines(language, files)),
    ...limits.map((limit) => warning(limit)),
    advice && h("div", { class: "advice" }, h("span", {}, advice.text), adviceButton(advice, act)),
    attempt && h("div", { class: "attempt" }, attempt),
  ].filter(Boolean);
  return lines.length > 0 && h("div", { class: "help" }, ...lines);
}

/** @param {NonNullable<Answer["advice"]>} advice @param {() => void} act */
function adviceButton({ button }, act) {
  return button && h("button", { class: "act", type: "button", onclick: act }, button);
}

/**
 * Files that have to be put in folders, a line for each folder; a file's name may begin with folders below its own.
 * @param {Language} language
 * @param {NonNullable<Answer["missing_files"]>} files
 */
function fileLines(language, files) {
  /** @type {Map<string, import("./dom.mjs").Maybe[]>} */
  const byFolder = new Map();
  for (const { name, folder, url, page } of files) {
    const [file, ...below] = name.split("/").reverse();
    const place = [folder, ...below.reverse()].join("/");
    const licence = page ? [" (", link(page, t(language, "licence")), ")"] : [];
    const line = byFolder.get(place) ?? [];
    byFolder.set(place, [...line, line.length > 0 && " · ", url ? link(url, file) : file, ...licence]);
  }
  return [...byFolder].map(([place, words]) => h("span", { class: "file" }, `${place}: `, ...words));
}

/** @param {string} href @param {string} words */
const link = (href, words) => h("a", { href, target: "_blank", rel: "noopener noreferrer" }, words);

/** Memory over time and the figures of a run. @param {State} state */
function during({ language, run, live, samples, mode }) {
  if (!run) return [];
  const full = mode === "full";
  const path = full ? sparkline(samples, run) : null;
  const box = { class: "spark", viewBox: "0 0 100 100", preserveAspectRatio: "none" };
  const spark =
    path &&
    h(
      "svg",
      { ...box, role: "img", "aria-label": t(language, "spark") },
      h("path", { class: "predicted", d: path.predicted }),
      h("path", { class: "measured", d: path.measured }),
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
  return full ? [spark, last] : [];
}

/** Picture, notes and changes. @param {State} state @param {Answer} answer */
function explanation(state, answer) {
  const { language, pictureUrl } = state;
  const { frame_text: frame, optimizations, parts, risk, assumed, changes, crop, time } = answer;
  const part = parts > 1 ? ` · ${t(language, "one part", { parts })}` : "";
  const upper = risk.upper_bytes === null ? "" : ` · ${t(language, "upper", { size: gib(risk.upper_bytes) })}`;
  const names = optimizations.map((name) => optimizationWord(language, name)).join(" + ");
  const enabled = names && t(language, "optimizations", { optimizations: names });
  const guess = assumed.length > 0 && t(language, "assumed", { what: assumed.join(t(language, "semicolon")) });
  const source = t(language, "prediction", { from: risk.text }) + upper;
  const notes = [frame + part, time.text, crop?.text, enabled, linkedLine(language, answer), source, guess];
  const text = h("div", { class: "notes" }, ...notes.map((words) => words && h("div", {}, words)));
  return h(
    "div",
    { class: "explanation" },
    crop ? h("div", { class: "beside" }, picture(language, crop, pictureUrl), text) : text,
    changes.length > 0 &&
      foldOut(state, "changes", t(language, "changes", { count: changes.length }), () =>
        list(changes.map((words) => [words])),
      ),
  );
}

/**
 * Memory of the machine, its cards, and the node's own report.
 * @param {State} state
 * @returns {import("./dom.mjs").Maybe[]}
 */
function machine(state) {
  const { language, live, report, stale } = state;
  const cards = live && live.cards.length > 1 ? live.cards : [];
  const title = t(language, stale ? "report.stale" : "report");
  return [
    live && h("div", { class: "notes" }, memoryLine(language, live)),
    cards.length > 0 &&
      foldOut(state, "cards", t(language, "cards", { count: cards.length }), () =>
        list(cards.map((one) => oneCard(language, one))),
      ),
    report && foldOut(state, "report", title, () => h("div", { class: "report" }, report)),
  ];
}

/** Above a report that is not of the current inputs. @param {State} state */
const staleNote = ({ language, stale }) => stale && h("div", { class: "stale" }, t(language, "report.stale"));

/** @param {Language} language @param {{index: number, name: string, used: number | null, total: number | null}} one */
function oneCard(language, { index, name, used, total }) {
  if (used === null || total === null) return [`${index} · ${name}: –`];
  const size = of(language, used, total);
  const filled = h("i", { class: "weights", style: `left:0;width:${((used / total) * 100).toFixed(1)}%` });
  return [`${index} · ${name}: ${size}`, h("span", { class: "bar", "aria-hidden": "true" }, filled)];
}

/** @param {import("./dom.mjs").Child[][]} lines */
const list = (lines) => h("ul", {}, ...lines.map((words) => h("li", {}, ...words)));

/** @param {State} state @param {string} what @param {string} words @param {() => View} content */
function foldOut({ open, toggle }, what, words, content) {
  const isOpen = Boolean(open[what]);
  const button = { type: "button", "aria-expanded": String(isOpen), onclick: () => toggle(what) };
  return h("div", { class: "fold-out" }, h("button", button, `${isOpen ? "▾" : "▸"} ${words}`), isOpen && content());
}

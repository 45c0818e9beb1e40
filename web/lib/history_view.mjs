// @ts-check
// The history of runs, as views: filter, calibration, plot and table. Pure functions.

import { h } from "./dom.mjs";
import { mark, plot } from "./plot.mjs";
import { bare, cardWord, moment, optimizationWord, percent, stageWord, t } from "./words.mjs";

/**
 * @typedef {import("./types.d.ts").PastRun} PastRun
 * @typedef {import("./types.d.ts").Language} Language
 *
 * @typedef {object} HistoryState
 * @property {Language} language
 * @property {import("./types.d.ts").History | null} history  Null until the server has answered.
 * @property {string | null} problem
 * @property {boolean} recording
 * @property {string} card  The card shown; "" for all.
 * @property {Set<number>} selected
 * @property {string} csv  Address of the export.
 * @property {(card: string) => void} choose
 * @property {(ids: number[], on: boolean) => void} select
 * @property {() => void} more  Read the next page.
 * @property {(what: {ids: number[]} | {card: string} | {all: true}) => void} remove
 */

/** @param {HistoryState} state @returns {import("./dom.mjs").View[]} */
export function historyView(state) {
  const { language, history, problem, card, recording, more } = state;
  const off = !recording && h("p", { class: "off" }, t(language, "history.off"));
  if (problem !== null) return [h("p", { class: "problem", role: "status" }, problem)];
  if (!history) return [h("p", { role: "status" }, t(language, "looking"))];
  const { runs, unreadable, before } = history;
  const lost = unreadable > 0 && h("p", { class: "off" }, t(language, "history.unreadable", { count: unreadable }));
  const older = before !== null && h("button", { type: "button", class: "more", onclick: more }, t(language, "more"));
  if (!runs.length && !card && !unreadable)
    return [h("p", { class: "empty" }, t(language, "history.empty")), off].filter(isView);
  return [off, tools(state), lost, calibration(state), plot(language, runs), table(state), older].filter(isView);
}

/** @param {import("./dom.mjs").View | false | null} view @returns {view is import("./dom.mjs").View} */
function isView(view) {
  return Boolean(view);
}

/** @param {HistoryState} state */
function tools({ language, history, card, selected, csv, choose, remove }) {
  const option = (/** @type {string} */ value, /** @type {string} */ words) =>
    h("option", { value, selected: value === card }, words);
  const cards = (history?.cards ?? []).map((name) => option(name, cardWord(language, name)));
  const filter = { "aria-label": t(language, "filter"), onchange: pick(choose) };
  const chosen = { type: "button", disabled: !selected.size, onclick: () => remove({ ids: [...selected] }) };
  const every = { type: "button", onclick: () => remove(card ? { card } : { all: true }) };
  return h(
    "div",
    { class: "tools" },
    h("select", filter, option("", t(language, "all cards")), ...cards),
    h("a", { href: csv, download: "sonic-guard-history.csv", class: "button" }, t(language, "csv")),
    h("button", chosen, t(language, "delete"), selected.size ? ` (${selected.size})` : null),
    h("button", every, t(language, "delete card")),
  );
}

/** @param {(value: string) => void} choose */
const pick = (choose) => (/** @type {Event} */ event) =>
  choose(/** @type {HTMLSelectElement} */ (event.currentTarget).value);

/** Accuracy of the prediction, a line for each card. @param {HistoryState} state */
function calibration({ language, history, card }) {
  const known = Object.entries(history?.calibration ?? {}).filter(([name]) => !card || name === card);
  const lines = known.map(([name, { runs, median_error: error, median_error_model: model, upper_factor: upper }]) => {
    const words = [
      error === null ? t(language, "calibration.none") : t(language, "calibration", { runs, error: percent(error) }),
    ];
    if (model !== null) words.push(t(language, "calibration.model", { error: percent(model) }));
    if (upper !== null) words.push(t(language, "calibration.upper", { factor: upper.toFixed(2) }));
    return h("div", {}, card ? null : h("b", {}, `${cardWord(language, name)}: `), words.join(" · "));
  });
  return lines.length > 0 && h("div", { class: "calibration" }, ...lines);
}

/** @param {HistoryState} state */
function table({ language, history, card, selected, select }) {
  const runs = history?.runs ?? [];
  const ids = runs.map(({ id }) => id);
  const all = {
    type: "checkbox",
    "aria-label": t(language, "select all"),
    checked: ids.length > 0 && ids.every((id) => selected.has(id)),
    indeterminate: ids.some((id) => selected.has(id)) && !ids.every((id) => selected.has(id)),
    onchange: (/** @type {Event} */ event) => select(ids, isChecked(event)),
  };
  const heads = ["when", "peaks", "outcome"];
  const head = [h("th", {}, h("input", all)), ...heads.map((key) => h("th", { scope: "col" }, t(language, key)))];
  const body = runs.map((run) => row(language, run, !card, selected.has(run.id), select));
  return h("table", {}, h("thead", {}, h("tr", {}, ...head)), h("tbody", {}, ...body));
}

/**
 * @param {Language} language
 * @param {PastRun} run
 * @param {boolean} withCard
 * @param {boolean} on
 * @param {HistoryState["select"]} select
 */
function row(language, run, withCard, on, select) {
  const { id, started, settings, outcome, stage, optimizations, predicted_peak: predicted, actual_peak: actual } = run;
  const when = moment(language, started);
  const box = {
    type: "checkbox",
    checked: on,
    "aria-label": t(language, "select", { when }),
    onchange: (/** @type {Event} */ event) => select([id], isChecked(event)),
  };
  const { width, height, duration_s, dtype } = settings;
  const what = [
    `${width}×${height}`,
    t(language, "s", { n: duration_s.toFixed(1) }),
    dtype,
    ...optimizations.map((name) => optimizationWord(language, name)),
    ...(withCard ? [cardWord(language, run.card).replace(/^NVIDIA (GeForce )?/, "")] : []),
  ];
  const error = predicted && actual ? signed(actual / predicted - 1) : null;
  const word = t(language, outcome);
  const how =
    outcome === "done" ? word : t(language, "ended in", { outcome: word, stage: stageWord(language, stage) });
  const figure = (/** @type {number | null} */ bytes) => (bytes === null ? "–" : bare(bytes));
  return h(
    "tr",
    {},
    h("td", {}, h("input", box)),
    h("td", {}, h("div", {}, when), h("div", { class: "dim" }, what.join(" · "))),
    h(
      "td",
      { class: "figure" },
      `${figure(predicted)} → ${figure(actual)}`,
      error && h("div", { class: "dim" }, error),
    ),
    h("td", {}, mark(outcome), " ", stage && outcome !== "done" ? how : word),
  );
}

/** @param {Event} event */
const isChecked = (event) => /** @type {HTMLInputElement} */ (event.currentTarget).checked;

/** @param {number} part */
const signed = (part) => `${part < 0 ? "−" : "+"}${percent(Math.abs(part))}`;

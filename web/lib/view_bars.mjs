// @ts-check
// The bars of a card: a row a stage, the budget, and what the patterns mean. Pure functions.

import { h } from "./dom.mjs";
import { KINDS } from "./model.mjs";
import { bare, gib, of, t } from "./words.mjs";

/**
 * @typedef {import("./model.mjs").Row} Row
 * @typedef {import("./types.d.ts").Answer} Answer
 * @typedef {import("./types.d.ts").Language} Language
 */

/**
 * @param {import("./view.mjs").State} state
 * @param {{rows: Row[], budget: number}} drawn
 */
export function bars({ language, away, missing, busy, mode }, { rows, budget }) {
  const full = mode === "full";
  const attributes = {
    class: full ? "rows" : "rows small",
    role: "group",
    "aria-label": t(language, "by stage"),
    "data-dim": away || missing || busy,
  };
  return h("div", attributes, ...rows.map((row) => bar(row, budget, full)));
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
      title: row.hint ? `${row.label}\n${row.hint}` : row.label,
      "data-stage": row.stage,
      "data-now": row.now,
      "data-over": row.over,
    },
    full && h("span", { class: "name" }, row.now ? `▸ ${row.text}` : row.text),
    track,
    full && h("span", { class: "number" }, ...number),
  );
}

/** What the patterns mean; hovering explains each. @param {Language} language @param {Answer} answer @param {Row[]} all */
export function legend(language, answer, all) {
  const used = KINDS.filter((kind) => answer.stages.some((stage) => stage[kind] > 0));
  const key = (/** @type {string} */ kind, /** @type {string} */ words) =>
    h("span", { class: "key", title: t(language, `hint.${kind}`) }, h("i", { class: `swatch ${kind}` }), words);
  return h(
    "div",
    { class: "legend" },
    ...used.map((kind) => key(kind, t(language, kind))),
    all.some(({ more }) => more) && key("more", t(language, "upto")),
    all.some(({ measured }) => measured !== null) && key("measured", t(language, "measured")),
    key("budget", t(language, "budget", { size: of(language, answer.budget_bytes, answer.available_bytes) })),
  );
}

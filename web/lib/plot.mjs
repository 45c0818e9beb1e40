// @ts-check
// Predicted against measured peak of past runs, as an SVG view. Pure functions.

import { h } from "./dom.mjs";
import { cardWord, gib, moment, t } from "./words.mjs";

/** @typedef {import("./types.d.ts").PastRun} PastRun */

const GIB = 2 ** 30;
const SIDE = 220;
const LEFT = 34;
const BOTTOM = 30;
const TOP = 8;

/** The shape of each outcome, around 0, 0. */
const SHAPES = {
  done: "M-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0-7 0z",
  oom: "M-4-4 4 4M4-4-4 4",
  interrupted: "M-3.2-3.2h6.4v6.4h-6.4z",
  error: "M0-4.6 4.6 0 0 4.6-4.6 0z",
  killed: "M0 4.4-4.4-3.2h8.8z",
  running: "M-3.5 0h7M0-3.5v7",
};

/** A small picture of an outcome's shape. @param {PastRun["outcome"]} outcome */
export const mark = (outcome) =>
  h("svg", { class: "mark", viewBox: "-6 -6 12 12", "aria-hidden": "true" }, shape(outcome, ""));

/** @param {PastRun["outcome"]} outcome @param {string} transform @param {...any} children */
const shape = (outcome, transform, ...children) =>
  h("path", { class: "point", "data-outcome": outcome, d: SHAPES[outcome], transform: transform || null }, ...children);

/** Values of at most six grid lines or so, evenly spaced from 0. @param {number} max */
export function ticks(max) {
  const step = [0.5, 1, 2, 5, 10, 20, 50].find((width) => max / width <= 6) ?? 100;
  return Array.from({ length: Math.floor(max / step) + 1 }, (_, index) => index * step);
}

/**
 * @param {import("./types.d.ts").Language} language
 * @param {PastRun[]} runs
 * @returns {import("./dom.mjs").View | null}  Null where no run has both figures.
 */
export function plot(language, runs) {
  const points = runs.flatMap(({ predicted_peak: x, actual_peak: y, ...run }) =>
    x === null || y === null ? [] : [{ x: x / GIB, y: y / GIB, run, words: `${gib(x)} → ${gib(y)}` }],
  );
  if (!points.length) return null;
  const max = Math.max(...points.map(({ x, y }) => Math.max(x, y))) * 1.08;
  const scale = (/** @type {number} */ value) => (value / max) * SIDE;
  const px = (/** @type {number} */ value) => (LEFT + scale(value)).toFixed(1);
  const py = (/** @type {number} */ value) => (TOP + SIDE - scale(value)).toFixed(1);
  const label = t(language, "plot", { count: points.length });
  const box = { viewBox: `0 0 ${LEFT + SIDE + 10} ${TOP + SIDE + BOTTOM}`, role: "img", "aria-label": label };
  const grid = ticks(max).flatMap((value) => [
    h("line", { class: "grid", x1: px(0), x2: px(max), y1: py(value), y2: py(value) }),
    h("text", { class: "tick", x: LEFT - 5, y: py(value), dy: "0.32em", "text-anchor": "end" }, value),
    h("text", { class: "tick", x: px(value), y: TOP + SIDE + 13, "text-anchor": "middle" }, value),
  ]);
  const dots = points.map(({ x, y, run, words }) => {
    const title = [moment(language, run.started), words, t(language, run.outcome), cardWord(language, run.card)].join(" · ");
    return shape(run.outcome, `translate(${px(x)} ${py(y)})`, h("title", {}, title));
  });
  const middle = TOP + SIDE / 2;
  return h(
    "svg",
    { class: "plot", ...box },
    ...grid,
    h("line", { class: "equal", x1: px(0), y1: py(0), x2: px(max), y2: py(max) }),
    ...dots,
    h(
      "text",
      { class: "axis", x: LEFT + SIDE / 2, y: TOP + SIDE + 27, "text-anchor": "middle" },
      t(language, "plot.x"),
    ),
    h(
      "text",
      { class: "axis", transform: `translate(9 ${middle}) rotate(-90)`, "text-anchor": "middle" },
      t(language, "plot.y"),
    ),
  );
}

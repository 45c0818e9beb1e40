// @ts-check
// Computes what is drawn from figures: percentages, scales, paths and sentences. Pure functions.

import { bare, duration, gib, of, stageHint, stageWord, t } from "./words.mjs";

/**
 * @typedef {import("./types.d.ts").Answer} Answer
 * @typedef {import("./types.d.ts").Live} Live
 * @typedef {import("./types.d.ts").Language} Language
 * @typedef {import("./types.d.ts").Run} Run
 * @typedef {import("./types.d.ts").Sample} Sample
 * @typedef {import("./types.d.ts").Stage} Stage
 */

export const KINDS = /** @type {const} */ (["weights", "window", "clip", "overhead"]);

/**
 * @typedef {object} Row  One stage; positions and sizes are percentages of the bar.
 * @property {string} stage
 * @property {string} text
 * @property {{kind: string, from: number, size: number}[]} parts  What it requires, from the left.
 * @property {{from: number, size: number} | null} more  What it uses beyond that if memory is free.
 * @property {number} required
 * @property {number | null} measured  Measured peak.
 * @property {number | null} predicted  Prediction to compare with `measured`: tensors, without overhead.
 * @property {number | null} measuredSize
 * @property {number | null} needle  Current allocation.
 * @property {boolean} now
 * @property {boolean} over
 * @property {string} label  The row as text.
 * @property {string} hint  What the stage does.
 */

/**
 * The rows, and the position of the budget on them.
 * @param {Language} language
 * @param {Answer} answer
 * @param {Run | null} run  The run of these figures, current or ended.
 * @param {Live | null} live
 * @returns {{rows: Row[], budget: number}}
 */
export function chart(language, answer, run, live) {
  const measures = answer.stages.map(({ stage }) => run?.stages[stage]?.allocated ?? 0);
  const max = Math.max(answer.budget_bytes, ...answer.stages.map(({ required }) => required), ...measures);
  const scale = max * 1.04 || 1;
  const at = (/** @type {number} */ bytes) => Math.min(100, (bytes / scale) * 100);
  const rows = answer.stages.map((stage) => {
    const figures = run?.stages[stage.stage];
    const now = run?.outcome === "running" && run.stage === stage.stage;
    const measured = figures?.allocated ?? null;
    const allocated = now ? (live?.allocated ?? null) : null;
    const row = {
      stage: stage.stage,
      text: stage.text,
      parts: partsOf(stage, at),
      more:
        stage.upto > stage.required ? { from: at(stage.required), size: at(stage.upto) - at(stage.required) } : null,
      required: stage.required,
      measured,
      predicted: measured === null ? null : (figures?.predicted ?? null),
      measuredSize: measured === null ? null : at(measured),
      needle: allocated === null ? null : at(allocated),
      now,
      over: stage.required > answer.budget_bytes,
    };
    const label = rowText(language, stage, row, answer.budget_bytes);
    return { ...row, label, hint: stageHint(language, stage.stage) };
  });
  return { rows, budget: at(answer.budget_bytes) };
}

/** @param {Stage} stage @param {(bytes: number) => number} at */
function partsOf(stage, at) {
  let bytes = 0;
  const parts = KINDS.map((kind) => {
    const from = at(bytes);
    bytes += stage[kind];
    return { kind, from, size: at(bytes) - from };
  });
  return parts.filter(({ size }) => size > 0);
}

/** @param {Language} language @param {Stage} stage @param {Omit<Row, "label" | "hint">} row @param {number} budget */
function rowText(language, stage, row, budget) {
  const parts = KINDS.filter((kind) => stage[kind] > 0).map((kind) => `${t(language, kind)} ${bare(stage[kind])}`);
  const listed = parts.join(t(language, "comma.items"));
  const words = [t(language, "row", { stage: row.text, size: gib(row.required), parts: listed })];
  if (row.more) words.push(t(language, "row.upto", { size: gib(stage.upto) }));
  if (row.over) words.push(t(language, "row.over", { size: gib(row.required - budget) }));
  if (row.measured !== null) words.push(t(language, "row.measured", { size: gib(row.measured) }));
  if (row.now) words.push(t(language, "row.now"));
  return words.join(t(language, "comma"));
}

/** Longest pause between two samples that a line still connects. */
const GAP_S = 12;

/**
 * Measured and predicted memory over time, as two SVG paths in a box of 100 × 100.
 * @param {Sample[]} samples  In order of time.
 * @param {Run} run
 * @returns {{measured: string, predicted: string} | null}  Null for less than two samples.
 */
export function sparkline(samples, run) {
  if (samples.length < 2) return null;
  const end = Math.max(run.elapsed_s, samples[samples.length - 1].elapsed_s) + (run.left_s ?? 0);
  const start = samples[0].elapsed_s;
  const predicted = (/** @type {string} */ stage) => run.stages[stage]?.predicted ?? 0;
  const top = Math.max(1, ...samples.map(({ bytes, stage }) => Math.max(bytes, predicted(stage)))) * 1.08;
  const x = (/** @type {number} */ time) => round(((time - start) / (end - start || 1)) * 100);
  const y = (/** @type {number} */ bytes) => round(100 - (bytes / top) * 100);
  let measured = "";
  let line = "";
  for (const [index, { elapsed_s, bytes, stage }] of samples.entries()) {
    const before = samples[index - 1];
    const joined = before && elapsed_s - before.elapsed_s <= GAP_S;
    measured += `${joined ? "L" : "M"}${x(elapsed_s)} ${y(bytes)}`;
    if (before?.stage !== stage) line += `${line ? `H${x(elapsed_s)}V` : `M${x(elapsed_s)} `}${y(predicted(stage))}`;
  }
  return { measured, predicted: `${line}H${x(end)}` };
}

const round = (/** @type {number} */ number) => Math.round(number * 100) / 100;

/** Most samples of a run: more cannot be distinguished on a screen. */
const MOST_SAMPLES = 400;

/**
 * `samples` with one more. When there are too many, only the higher one of every two is kept.
 * @param {Sample[]} samples
 * @param {Sample} sample
 */
export function withSample(samples, sample) {
  const all = [...samples, sample];
  if (all.length <= MOST_SAMPLES) return all;
  const thinned = [];
  for (let index = 0; index < all.length; index += 2) {
    const [one, other] = [all[index], all[index + 1] ?? all[index]];
    thinned.push(one.bytes > other.bytes ? one : other);
  }
  return thinned;
}

/** "live 3.7 · peak 3.8 · predicted 3.9 GiB of tensors". @param {Language} language @param {Run} run @param {Live | null} live */
export function figures(language, run, live) {
  const predicted = Math.max(0, ...Object.values(run.stages).map((stage) => stage.predicted));
  const now = run.outcome === "running" ? live?.allocated : null;
  return tensors(language, { live: now, peak: run.peak_bytes, predicted });
}

/**
 * What is known of them, in a line; a zero is unknown.
 * @param {Language} language
 * @param {Partial<Record<"live" | "peak" | "predicted", number | null>>} sizes
 */
function tensors(language, sizes) {
  const words = Object.entries(sizes).flatMap(([key, bytes]) => (bytes ? [t(language, key, { size: bare(bytes) })] : []));
  return words.length ? t(language, "tensors", { figures: words.join(" · ") }) : "";
}

/** "step 14 / 25 · 2 min left". @param {Language} language @param {Run} run */
export function progress(language, run) {
  const words = [];
  if (run.stage === "denoise" && run.steps) words.push(t(language, "step", { step: run.step, steps: run.steps }));
  if (run.left_s !== null) words.push(t(language, "left", { time: duration(language, run.left_s) }));
  return words.join(" · ");
}

/**
 * Memory of card, torch and host in a line, and a sentence if the card cannot be measured.
 * @param {Language} language
 * @param {Live} live
 */
export function memoryLine(language, live) {
  const words = [];
  if (live.device_used !== null && live.device_total) {
    words.push(t(language, "card", { size: of(language, live.device_used, live.device_total) }));
  }
  if (live.reserved !== null) words.push(t(language, "reserved", { size: gib(live.reserved) }));
  words.push(t(language, "ram", { size: of(language, live.host_used, live.host_total) }));
  if (!live.gpu) words.unshift(t(language, "no gpu"));
  else if (live.source === "none") words.unshift(t(language, "no nvml"));
  if (live.waits) words.unshift(live.waits);
  return words.join(" · ");
}

/** How an ended run went, in a line. @param {Language} language @param {Run} run */
export function outcome(language, run) {
  const how = t(language, run.outcome === "running" ? "running" : run.outcome);
  const stage = run.outcome !== "done" && run.stage;
  const words = [stage ? t(language, "ended in", { outcome: how, stage: stageWord(language, run.stage) }) : how];
  const line = figures(language, run, null);
  if (line) words.push(line);
  if (run.elapsed_s) words.push(duration(language, run.elapsed_s));
  return words.join(" · ");
}

/** A run as text for the clipboard: a line for the outcome, one a stage. @param {Language} language @param {Run} run */
export function runAsText(language, run) {
  const [colon, comma] = [t(language, "colon"), t(language, "comma")];
  const lines = Object.entries(run.stages).map(([stage, { predicted, allocated, seconds }]) => {
    const words = [tensors(language, { peak: allocated, predicted })].filter(Boolean);
    if (seconds !== null) words.push(duration(language, seconds));
    return `  ${stageWord(language, stage)}${colon}${words.join(comma)}`;
  });
  return [`${t(language, "last run")}${colon}${outcome(language, run)}`, ...lines].join("\n");
}

import assert from "node:assert/strict";
import { test } from "node:test";

import { textOf } from "../../../web/lib/dom.mjs";
import { historyView } from "../../../web/lib/history_view.mjs";
import { plot, ticks } from "../../../web/lib/plot.mjs";
import { card } from "../../../web/lib/view.mjs";
import { answer, GIB, live, run, stage } from "./figures.mjs";

const state = (more = {}) => ({
  language: "en",
  vram: true,
  answer: answer(),
  problem: null,
  missing: false,
  away: false,
  busy: false,
  run: null,
  live: null,
  samples: [],
  report: null,
  open: { card: true },
  toggle: () => {},
  ...more,
});
const all = (views) => views.flatMap((view) => (typeof view === "string" ? [] : [view, ...all(view.children)]));
const text = (more) => card(state(more)).map(textOf).join(" ").replace(/\s+/g, " ");
const ofClass = (views, name) =>
  all(views).filter(({ attributes }) =>
    String(attributes.class ?? "")
      .split(" ")
      .includes(name),
  );

for (const [name, more, expected, absent] of [
  ["before the first answer", { answer: null }, /Calculating …/, /GiB/],
  [
    "a prediction",
    {},
    /Sonic VRAM · RTX 4060 8GB .*Fits .*denoise, 0.5 GiB headroom.*budget 7.0 of 8.0 GiB.*512×512/,
    /Running/,
  ],
  ["the server's error message", { problem: "No face was found." }, /No face was found\./, /budget/],
  ["the server away", { away: true }, /ComfyUI does not answer.*denoise 6.5 GiB/, /Fits/],
  ["the pack's routes missing", { missing: true, answer: null }, /Restart ComfyUI/, /Calculating/],
  [
    "during a run",
    { run: run({ left_s: 60 }), live: live() },
    /Running · Fits.*▸ denoise.*live 3.0.*1 min left/,
    /from the model alone/,
  ],
  [
    "after a run",
    { run: run({ outcome: "done", stage: "", measured: { denoise: 5.9 } }) },
    /5.9 \/ 6.0 GiB.*Last run · done/,
    /Running/,
  ],
  ["what it rests on", {}, /Prediction: from the model alone/, /upper/],
  [
    "an upper bound",
    { answer: answer({ risk: { probability: 0.01, runs: 9, upper_bytes: 7 * GIB, text: "risk 1 %" } }) },
    /Prediction: risk 1 % · upper bound 7.0 GiB/,
    /undefined/,
  ],
  ["advice", { answer: answer({ advice: { text: "448 fits." } }) }, /448 fits\./, /Assumed/],
  ["what is assumed", { answer: answer({ assumed: ["a square", "10 s"] }) }, /Assumed: a square; 10 s/, /undefined/],
  ["hard limits", { answer: answer({ limits: ["batch over 65,535"] }) }, /batch over 65,535/, /undefined/],
  ["changes, folded", { answer: answer({ changes: ["steps: 30 → 20"] }) }, /▸ Changes \(1\)/, /30 → 20/],
  [
    "changes, open",
    { answer: answer({ changes: ["steps: 30 → 20"] }), open: { card: true, changes: true } },
    /▾ Changes \(1\) .*30 → 20/,
    /▸/,
  ],
  ["optimizations", { answer: answer({ optimizations: ["sequential_cfg", "layer_chunking"] }) }, /memory optimizations: sequential_cfg \+ layer_chunking/, /longest of/],
  [
    "optimizations in Chinese",
    { language: "zh", answer: answer({ optimizations: ["sequential_cfg", "layer_chunking"], parts: 4 }) },
    /共 4 段，最长一段.*显存优化：sequential_cfg \+ layer_chunking/,
    /optimizations/,
  ],
  ["one part of many", { answer: answer({ parts: 4 }) }, /249 frames · longest of 4 parts/, /optimizations/],
  ["one card", { live: live({ cards: [{ index: 0, name: "A", used: 1, total: 2 }] }) }, /RAM/, /1 cards/],
  ["the report next to the prediction", { report: "All is well." }, /Report of the last run/, /All is well/],
  ["the report alone", { vram: false, report: "All is well." }, /^All is well\.$/, /GiB/],
  [
    "in Chinese",
    { language: "zh", run: run({ left_s: 60 }), live: live() },
    /Sonic 显存.*运行中.*预算.*剩余 1 分/,
    /budget|Running/,
  ],
]) {
  test(`card: ${name}`, () => {
    assert.match(text(more), expected);
    assert.doesNotMatch(text(more), absent);
  });
}

test("no card without a prediction and a report", () => assert.deepEqual(card(state({ vram: false })), []));

test("a folded card keeps its verdict and its bars", () => {
  const views = card(state({ open: {} }));
  assert.match(views.map(textOf).join(" "), /Fits/);
  assert.doesNotMatch(views.map(textOf).join(" "), /Sonic VRAM|budget/);
  assert.equal(ofClass(views, "row").length, 1);
});

for (const verdict of ["safe", "tight", "fail"]) {
  test(`the verdict ${verdict} has a shape of its own`, () => {
    const shapeOf = (kind) =>
      JSON.stringify(ofClass(card(state({ answer: answer({ verdict: kind }) })), "icon")[0].children);
    for (const other of ["safe", "tight", "fail"]) assert.equal(shapeOf(verdict) === shapeOf(other), verdict === other);
  });
}

test("every image has a text alternative, and every button a label", () => {
  const views = all(
    card(
      state({
        run: run({ measured: { denoise: 4 } }),
        live: live(),
        samples: [0, 1].map((elapsed_s) => ({ elapsed_s, bytes: 1, stage: "denoise" })),
      }),
    ),
  );
  const pictures = views.filter(({ attributes }) => attributes.role === "img");
  assert.equal(pictures.length, 2);
  for (const { attributes } of pictures) assert.ok(attributes["aria-label"]);
  for (const button of views.filter(({ tag }) => tag === "button")) {
    assert.ok(button.attributes["aria-label"] ?? textOf(button));
    assert.match(button.attributes["aria-expanded"], /^(true|false)$/);
  }
});

test("several cards fold out, each with what it holds", () => {
  const two = [0, 1].map((index) => ({ index, name: `Card ${index}`, used: (index + 1) * GIB, total: 8 * GIB }));
  const words = text({ live: live({ cards: two }), open: { card: true, cards: true } });
  assert.match(words, /2 cards 0 · Card 0: 1.0 of 8.0 GiB 1 · Card 1: 2.0 of 8.0 GiB/);
});

// ---- history

const past = (id, more = {}) => ({
  id,
  started: "2026-11-02T12:00:00+00:00",
  card: "NVIDIA GeForce RTX 4060",
  outcome: "done",
  stage: "",
  settings: {
    width: 512,
    height: 512,
    min_resolution: 512,
    duration_s: 9.96,
    fps: 25,
    dtype: "fp16",
    steps: 25,
    interpolate: true,
  },
  optimizations: [],
  predicted_peak: 8 * GIB,
  actual_peak: 8.4 * GIB,
  stages: {},
  ...more,
});
const calibrated = { runs: 2, median_error_model: 0.041, median_error: 0.015, upper_factor: 1.06 };
const history = (more = {}) =>
  historyView({
    language: "en",
    history: {
      unreadable: 0,
      before: null,
      runs: [past(1), past(2)],
      cards: ["NVIDIA GeForce RTX 4060"],
      calibration: { "NVIDIA GeForce RTX 4060": calibrated },
    },
    problem: null,
    recording: true,
    card: "",
    selected: new Set(),
    csv: "/x.csv",
    choose: () => {},
    select: () => {},
    more: () => {},
    remove: () => {},
    ...more,
  });
const read = (views) => views.map(textOf).join(" ").replace(/\s+/g, " ");

for (const [name, more, expected] of [
  ["loading", { history: null }, /Calculating/],
  ["no runs yet", { history: { runs: [], unreadable: 0, before: null, cards: [], calibration: {} } }, /No runs yet\. Run a workflow/],
  ["recording is off", { recording: false }, /Recording is off/],
  ["a problem", { problem: "The database is locked." }, /The database is locked/],
  ["calibration", {}, /runs: 2 · median error 1.5 % · 4.1 % from the model alone · upper bound ×1.06/],
  ["a run", {}, /512×512 · 10.0 s · fp16 · RTX 4060 8.0 → 8.4 \+5.0 % done/],
  [
    "no measurement",
    {
      history: {
        runs: [past(1, { outcome: "error", stage: "predata", actual_peak: null })],
        unreadable: 0,
        before: null,
        cards: [],
        calibration: {},
      },
    },
    /8.0 → – failed in predata/,
  ],
  [
    "no calibration yet",
    {
      history: {
        runs: [past(1)],
        unreadable: 0,
        before: null,
        cards: [],
        calibration: { A: { runs: 1, median_error: null, median_error_model: null, upper_factor: null } },
      },
    },
    /A: runs: 1 · median error –/,
  ],
]) {
  test(`history: ${name}`, () => assert.match(read(history(more)), expected));
}

for (const [language, expected] of [
  ["en", /2 more runs cannot be read.*512×512/],
  ["zh", /另有 2 条记录无法读取.*512×512/],
]) {
  const torn = { runs: [past(1)], unreadable: 2, before: null, cards: [], calibration: {} };
  test(`history: runs that cannot be read, ${language}`, () =>
    assert.match(read(history({ language, history: torn })), expected));
  test(`history: only such runs, ${language}`, () =>
    assert.doesNotMatch(read(history({ language, history: { ...torn, runs: [] } })), /No runs yet|还没有/));
}

for (const before of [null, 17]) {
  test(`history: ${before ? "a button for the older runs" : "no button after the oldest"}`, () => {
    let asked = 0;
    const shown = { runs: [past(18)], unreadable: 0, before, cards: [], calibration: {} };
    const buttons = ofClass(history({ history: shown, more: () => asked++ }), "more");
    assert.equal(buttons.length, before ? 1 : 0);
    buttons[0]?.attributes.onclick();
    assert.equal(asked, buttons.length);
  });
}

test("deleting needs a selection", () => {
  const button = (selected) => all(history({ selected })).find((view) => view.tag === "button");
  assert.equal(button(new Set()).attributes.disabled, true);
  assert.equal(button(new Set([1])).attributes.disabled, false);
  assert.match(textOf(button(new Set([1]))), /Delete selected {2}?\(1\)/);
});

for (const [card_, expected] of [
  ["", { all: true }],
  ["NVIDIA GeForce RTX 4060", { card: "NVIDIA GeForce RTX 4060" }],
]) {
  test(`delete all shown of ${card_ || "all cards"}`, () => {
    let removed;
    const views = history({ card: card_, remove: (what) => (removed = what) });
    all(views)
      .filter(({ tag }) => tag === "button")[1]
      .attributes.onclick();
    assert.deepEqual(removed, expected);
  });
}

test("a point lies where its figures are, shaped by its outcome", () => {
  const runs = [
    past(1, { predicted_peak: 5 * GIB, actual_peak: 10 * GIB }),
    past(2, { outcome: "oom", predicted_peak: 10 * GIB, actual_peak: 10 * GIB }),
  ];
  const points = ofClass([plot("en", runs)], "point");
  const [one, other] = points.map(({ attributes }) => attributes.transform.match(/[\d.]+/g).map(Number));
  assert.match(points[0].attributes.transform, /^translate\(/);
  assert.equal(one[1], other[1]);
  assert.ok(one[1] < 60, "the more was measured, the higher it lies");
  const side = other[0] - 34;
  assert.ok(Math.abs(one[0] - 34 - side / 2) < 0.2);
  assert.notEqual(points[0].attributes.d, points[1].attributes.d);
  assert.match(textOf(points[0]), /5.0 GiB → 10.0 GiB · done/);
});

test("no plot without a run that was measured", () => assert.equal(plot("en", [past(1, { actual_peak: null })]), null));

for (const [most, expected] of [
  [0.9, [0, 0.5]],
  [5.9, [0, 1, 2, 3, 4, 5]],
  [18, [0, 5, 10, 15]],
  [700, [0, 100, 200, 300, 400, 500, 600, 700]],
]) {
  test(`ticks up to ${most}`, () => assert.deepEqual(ticks(most), expected));
}

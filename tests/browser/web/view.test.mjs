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
  mode: "full",
  answer: answer(),
  problem: null,
  missing: false,
  away: false,
  busy: false,
  run: null,
  live: null,
  samples: [],
  report: null,
  stale: false,
  open: {},
  act: () => {},
  pictureUrl: (file) => `/view?${file}`,
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
  ["how long it takes", { answer: answer({ time: { low_s: 240, high_s: 540, text: "4 to 9 minutes" } }) }, /4 to 9 min/, /about/],
  ["the best that was tried", { answer: answer({ attempt: "128 px: 3 GiB" }) }, /128 px: 3 GiB/, /undefined/],
  [
    "weight files that are missing",
    { answer: answer({ missing_files: [{ name: "unet.pth", folder: "models/sonic" }] }) },
    /Not there yet.*models\/sonic: +unet\.pth/,
    /undefined|licence/,
  ],
  [
    "a weight file that belongs in a folder below, and has a licence",
    { answer: answer({ missing_files: [{ name: "RIFE/flownet.pkl", folder: "models/sonic", url: "/f", page: "/p" }] }) },
    /models\/sonic\/RIFE: +flownet\.pkl +\( accept the licence first \)/,
    /undefined/,
  ],
  ["a report of other inputs", { report: "All is well.", stale: true }, /Report of the last run, with other inputs/, /undefined/],
  ["the report alone, of other inputs", { vram: false, report: "768", stale: true }, /other inputs than now 768/, /GiB/],
  [
    "what a stage can use",
    { answer: answer({ stages: [{ ...stage("decode", 1, 1, 0, 0), upto: 19.8 * GIB }] }) },
    /decode 2.0 GiB.*if there is room/,
    /19\.8/,
  ],
  ["what is assumed", { answer: answer({ assumed: ["a square", "10 s"] }) }, /Assumed: a square; 10 s/, /undefined/],
  ["hard limits", { answer: answer({ limits: ["batch over 65,535"] }) }, /batch over 65,535/, /undefined/],
  ["changes, folded", { answer: answer({ changes: ["steps: 30 → 20"] }) }, /▸ Changes \(1\)/, /30 → 20/],
  [
    "changes, open",
    { answer: answer({ changes: ["steps: 30 → 20"] }), open: { changes: true } },
    /▾ Changes \(1\) .*30 → 20/,
    /▸/,
  ],
  ["optimizations", { answer: answer({ optimizations: ["sequential_cfg", "layer_chunking"] }) }, /memory optimizations: sequential_cfg \+ layer_chunking/, /longest of/],
  [
    "optimizations in Chinese",
    { language: "zh", answer: answer({ optimizations: ["sequential_cfg", "layer_chunking"], parts: 4 }) },
    /共 4 段，最长一段.*显存优化：逐分支 CFG \+ 逐层分块/,
    /optimizations|chunking/,
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

test("missing weight files stand beside their folder, once for all in it", () => {
  const folder = "models/sonic";
  const files = ["unet.pth", "RIFE/flownet.pkl", "audio2token.pth"].map((name) => ({ name, folder, url: `/${name}` }));
  const views = card(state({ answer: answer({ missing_files: files }) }));
  assert.deepEqual(
    ofClass(views, "file").map((line) => textOf(line).replace(/\s+/g, " ")),
    ["models/sonic: unet.pth · audio2token.pth", "models/sonic/RIFE: flownet.pkl"],
  );
});

test("no card without a prediction and a report", () => assert.deepEqual(card(state({ vram: false })), []));

test("a folded card keeps its verdict and its bars", () => {
  const views = card(state({ mode: "folded" }));
  assert.match(views.map(textOf).join(" "), /Fits/);
  assert.doesNotMatch(views.map(textOf).join(" "), /Sonic VRAM|budget/);
  assert.equal(ofClass(views, "row").length, 1);
});

const LEVELS = ["ok", "warn", "bad", "unknown"];
for (const level of LEVELS) {
  test(`the level ${level} has a shape of its own, on the card and on the line`, () => {
    for (const mode of ["full", "line"]) {
      const shapeOf = (kind) =>
        JSON.stringify(ofClass(card(state({ mode, answer: answer({ level: kind }) })), "icon")[0].children);
      for (const other of LEVELS) assert.equal(shapeOf(level) === shapeOf(other), level === other);
    }
  });
}

test("the colour is that of the level, whatever the verdict", () => {
  const [verdict] = ofClass(card(state({ answer: answer({ verdict: "safe", level: "warn" }) })), "verdict");
  assert.equal(verdict.attributes["data-tone"], "warn");
});

const ADVICE = { text: "Sonic Low VRAM keeps 768.", button: "Use Sonic Low VRAM", actions: [{ do: "insert_low_vram" }] };

for (const mode of ["full", "folded"]) {
  test(`the advice and its button are on the ${mode} card`, () => {
    let done = 0;
    const views = card(state({ mode, answer: answer({ advice: ADVICE }), act: () => done++ }));
    assert.match(views.map(textOf).join(" "), /keeps 768\..*Use Sonic Low VRAM/);
    ofClass(views, "act")[0].attributes.onclick();
    assert.equal(done, 1);
  });
}

test("no button without actions, and no advice while the run is under way", () => {
  const advice = { text: "A larger card.", button: null, actions: [] };
  assert.equal(ofClass(card(state({ answer: answer({ advice }) })), "act").length, 0);
  assert.equal(ofClass(card(state({ answer: answer({ advice: ADVICE }), run: run() })), "act").length, 0);
});

test("a line has the verdict and what is run, and opens the card", () => {
  const opened = [];
  const settings = { width: 512, height: 640, steps: 25, dtype: "fp16" };
  const views = card(
    state({ mode: "line", answer: answer({ settings, advice: ADVICE }), toggle: (what) => opened.push(what) }),
  );
  assert.equal(views.map(textOf).join(" ").replace(/\s+/g, " ").trim(), "Fits 512×640 · fp16 · 25 steps");
  assert.match(views[0].attributes.title, /headroom\nSonic Low VRAM keeps 768\.\nShow more/);
  views[0].attributes.onclick();
  assert.deepEqual(opened, ["card"]);
});

test("what links bring is in the badge's title and on the card, shortly", () => {
  const linked = { duration: 4.123456, dtype: "fp16", use_interframe: true };
  const said = "Through links: duration 4.123 · dtype fp16 · use_interframe true";
  const [badge] = card(state({ mode: "line", answer: answer({ linked }) }));
  assert.ok(badge.attributes.title.includes(said));
  assert.ok(card(state({ answer: answer({ linked }) })).map(textOf).join(" ").includes(said));
  assert.ok(!card(state({ answer: answer({ linked: {} }) })).map(textOf).join(" ").includes("Through"));
});

test("a line shows how far a run is", () => {
  const words = text({ mode: "line", run: run({ step: 3, left_s: 60 }) });
  assert.match(words, /Running · Fits step 3 \/ 25 · 1 min left/);
});

test("the picture has its crop and its face, in parts of its sides", () => {
  const crop = { file: "a b.png", aspect: 1.5, crop: [0.1, 0, 0.5, 1], face: [0.2, 0.25, 0.25, 0.5], text: "384 px" };
  const views = card(state({ answer: answer({ crop }) }));
  const [image] = all(views).filter(({ tag }) => tag === "img");
  assert.equal(image.attributes.src, "/view?a b.png");
  assert.equal(ofClass(views, "kept")[0].attributes.style, "left:10.00%;top:0.00%;width:50.00%;height:100.00%");
  assert.equal(ofClass(views, "face")[0].attributes.style, "left:20.00%;top:25.00%;width:25.00%;height:50.00%");
  assert.equal(ofClass(card(state({ answer: answer({ crop: { ...crop, face: null } }) })), "face").length, 0);
});

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
    if (button.attributes.class !== "act") assert.match(button.attributes["aria-expanded"], /^(true|false)$/);
  }
});

test("several cards fold out, each with what it holds", () => {
  const two = [0, 1].map((index) => ({ index, name: `Card ${index}`, used: (index + 1) * GIB, total: 8 * GIB }));
  const words = text({ live: live({ cards: two }), open: { cards: true } });
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
  ["no runs yet", { history: { runs: [], unreadable: 0, before: null, cards: [], calibration: {} } }, /No runs yet\. After the first one, this tab lists/],
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
    /A: no run yet to compare/,
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

test("history: in Chinese nothing is in English, a machine without a GPU too", () => {
  const card = "CPU (no GPU found)";
  const calibration = { [card]: { runs: 1, median_error: null, median_error_model: null, upper_factor: null } };
  const runs = [past(1, { card, optimizations: ["sequential_cfg"] })];
  const said = read(history({ language: "zh", history: { runs, unreadable: 0, before: null, cards: [card], calibration } }));
  assert.match(said, /512×512 · 10\.0 秒 · fp16 · 逐分支 CFG · CPU（未检测到 GPU）/);
  assert.doesNotMatch(said.replace(/CSV|CFG|CPU|GPU|GiB|fp16/g, ""), /[A-Za-z]/);
});

test("a node that runs an upscale model shows one line that cannot be unfolded", () => {
  const told = { level: "ok", verdict_text: "Fits: about 1.2 GiB on cuda:0", details: "12 tiles of 200 pixels a frame." };
  const views = card(state({ mode: "fixed", answer: told }));
  const [line] = ofClass(views, "line");
  assert.equal(textOf(line).trim(), told.verdict_text);
  assert.match(line.attributes.title, /12 tiles/);
  assert.equal(line.tag, "div");
  assert.equal(ofClass(views, "fold").length, 0);
  assert.match(text({ mode: "fixed", answer: told, report: "Done." }), /Fits.*Done\./);
  assert.match(text({ mode: "fixed", answer: null }), /Calculating/);
  assert.match(text({ mode: "fixed", answer: told, problem: "There is no such model." }), /no such model/);
});

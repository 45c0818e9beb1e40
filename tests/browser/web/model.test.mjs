import assert from "node:assert/strict";
import { test } from "node:test";

import { chart, figures, memoryLine, outcome, progress, runAsText, sparkline, withSample } from "../../../web/lib/model.mjs";
import { answer, GIB, live, run, stage } from "./figures.mjs";

const close = (actual, expected) => assert.ok(Math.abs(actual - expected) < 0.01, `${actual} is not ${expected}`);

test("bars and budget share one scale, a little longer than the longest of them", () => {
  const { rows, budget } = chart("en", answer({ budget: 7, stages: [stage("denoise", 3, 5, 1, 1)] }), null, null);
  const scale = 10 * 1.04;
  close(budget, (7 / scale) * 100);
  assert.deepEqual(
    rows[0].parts.map(({ kind }) => kind),
    ["weights", "window", "clip", "overhead"],
  );
  for (const [index, from] of [0, 3, 8, 9].entries()) close(rows[0].parts[index].from, (from / scale) * 100);
  const last = rows[0].parts[3];
  close(last.from + last.size, (10 / scale) * 100);
});

test("parts that are nothing are not drawn", () => {
  const { rows } = chart("en", answer({ stages: [stage("load", 3, 0, 0, 0)] }), null, null);
  assert.deepEqual(
    rows[0].parts.map(({ kind }) => kind),
    ["weights"],
  );
});

test("the optional memory of a stage begins where the required memory ends, and stays within the chart", () => {
  const { rows } = chart(
    "en",
    answer({ budget: 7, stages: [{ ...stage("decode", 1, 1, 0, 0), upto: 99 * GIB }] }),
    null,
    null,
  );
  const { from, size } = rows[0].more;
  close(from, (2 / 7.28) * 100);
  close(from + size, 100);
});

for (const [required, over] of [
  [7, false],
  [7.01, true],
]) {
  test(`${required} GiB of 7 is ${over ? "" : "not "}over`, () => {
    const [row] = chart("en", answer({ budget: 7, stages: [stage("load", required, 0, 0, 0)] }), null, null).rows;
    assert.equal(row.over, over);
  });
}

test("of a run: what was measured, and the needle on the stage under way only", () => {
  const two = answer({ budget: 7, stages: [stage("load", 3, 0, 0, 0.5), stage("denoise", 3, 3, 0, 0.5)] });
  const now = run({ stage: "denoise", measured: { load: 3.1, denoise: 5 } });
  const { rows } = chart("en", two, now, live({ allocated: 4 * GIB }));
  assert.deepEqual(
    rows.map(({ now: here }) => here),
    [false, true],
  );
  assert.deepEqual(
    rows.map(({ needle }) => needle === null),
    [true, false],
  );
  close(rows[1].needle, (4 / 7.28) * 100);
  close(rows[0].measuredSize, (3.1 / 7.28) * 100);
  assert.equal(rows[0].predicted, now.stages.load.predicted);
});

test("an ended run has no stage under way", () => {
  const ended = run({ outcome: "oom", stage: "denoise", measured: { denoise: 5 } });
  const [row] = chart("en", answer({ stages: [stage("denoise", 3, 3, 0, 0)] }), ended, live()).rows;
  assert.deepEqual([row.now, row.needle, row.measured], [false, null, 5 * GIB]);
});

test("a measured peak above every prediction stays in the picture", () => {
  const wild = run({ measured: { load: 20 } });
  const { rows } = chart("en", answer({ budget: 7, stages: [stage("load", 3, 0, 0, 0)] }), wild, null);
  assert.ok(rows[0].measuredSize < 100 && rows[0].measuredSize > 90);
});

for (const [language, words] of [
  [
    "en",
    "denoise: 9.5 GiB predicted (weights 3.0, window 5.5, overhead 1.0), 2.5 GiB over budget, 8.0 GiB of tensors measured, running now",
  ],
  ["zh", "denoise：预测 9.5 GiB（权重 3.0、窗口 5.5、开销 1.0），超出预算 2.5 GiB，实测张量 8.0 GiB，正在运行"],
]) {
  test(`a row as text: ${language}`, () => {
    const one = answer({ budget: 7, stages: [stage("denoise", 3, 5.5, 0, 1)] });
    const [row] = chart(language, one, run({ stage: "denoise", measured: { denoise: 8 } }), null).rows;
    assert.equal(row.label, words);
  });
}

const sample = (elapsed_s, gib, at = "denoise") => ({ elapsed_s, bytes: gib * GIB, stage: at });
const points = (path) => [...path.matchAll(/[ML]([\d.]+) ([\d.]+)/g)].map(([, x, y]) => [Number(x), Number(y)]);

test("the line over time runs from the first sample to the expected end", () => {
  const now = run({ elapsed_s: 60, left_s: 40, predicted: { denoise: 10 } });
  const { measured, predicted } = sparkline([sample(0, 0), sample(10, 10), sample(20, 5)], now);
  const top = 10 * 1.08;
  const expected = [
    [0, 100],
    [10, 100 - 1000 / top],
    [20, 100 - 500 / top],
  ];
  for (const [index, [x, y]] of points(measured).entries()) {
    close(x, expected[index][0]);
    close(y, expected[index][1]);
  }
  assert.equal(predicted, "M0 7.41H100");
});

test("the predicted line steps where the stage changes", () => {
  const now = run({ elapsed_s: 10, left_s: null, predicted: { load: 5, denoise: 10 } });
  const { predicted } = sparkline([sample(0, 1, "load"), sample(4, 1), sample(10, 1)], now);
  assert.equal(predicted, "M0 53.7H40V7.41H100");
});

test("a pause in the samples is a gap in the line", () => {
  const { measured } = sparkline([sample(0, 1), sample(1, 1), sample(60, 1), sample(61, 1)], run({ elapsed_s: 61 }));
  assert.equal(measured.match(/M/g).length, 2);
});

for (const samples of [[], [sample(1, 1)]]) {
  test(`no line for ${samples.length} samples`, () => assert.equal(sparkline(samples, run()), null));
}

test("a long run keeps its peaks in few samples", () => {
  let samples = [];
  for (let time = 0; time < 5000; time++) samples = withSample(samples, sample(time, time === 1234 ? 9 : 3));
  assert.ok(samples.length <= 400);
  assert.equal(Math.max(...samples.map(({ bytes }) => bytes)), 9 * GIB);
  assert.ok(samples.every(({ elapsed_s }, index) => !index || elapsed_s > samples[index - 1].elapsed_s));
});

test("figures of a run under way and of one that has ended", () => {
  const now = run({ peak_bytes: 3.8 * GIB, predicted: { denoise: 3.9 } });
  assert.equal(figures("en", now, live({ allocated: 3.7 * GIB })), "live 3.7 · peak 3.8 · predicted 3.9 GiB of tensors");
  assert.equal(figures("en", { ...now, outcome: "done" }, live()), "peak 3.8 · predicted 3.9 GiB of tensors");
  assert.equal(figures("zh", now, live({ allocated: null })), "张量 峰值 3.8 · 预测 3.9 GiB");
  assert.equal(figures("en", run({ peak_bytes: null, predicted: {} }), live({ allocated: null })), "");
});

for (const [state, words] of [
  [{ stage: "denoise", step: 14, steps: 25, left_s: 125 }, "step 14 / 25 · 2 min 5 s left"],
  [{ stage: "denoise", step: 1, steps: 25, left_s: null }, "step 1 / 25"],
  [{ stage: "decode", step: 25, steps: 25, left_s: 5 }, "5 s left"],
]) {
  test(`progress: ${words}`, () => assert.equal(progress("en", run(state)), words));
}

for (const [state, words] of [
  [{}, "card 5.0 of 8.0 GiB · torch reserved 4.0 GiB · RAM 12.0 of 32.0 GiB"],
  [{ reserved: null }, "card 5.0 of 8.0 GiB · RAM 12.0 of 32.0 GiB"],
  [
    { gpu: false, source: "none", device_used: null, device_total: null, reserved: null },
    /^No GPU found: .* · RAM 12.0 of 32.0 GiB$/,
  ],
  [{ source: "none", device_used: null, device_total: null, reserved: null }, /^The card cannot be measured: .* · RAM/],
]) {
  test(`machine: ${words}`, () => assert.match(memoryLine("en", live(state)), new RegExp(words)));
}

for (const [ended, words] of [
  [{ outcome: "done", stage: "" }, "done · peak 4.0 · predicted 5.0 GiB of tensors · 1 min"],
  [{ outcome: "oom", stage: "denoise" }, "out of memory in denoise · peak 4.0 · predicted 5.0 GiB of tensors · 1 min"],
  [{ outcome: "killed", stage: "", peak_bytes: null, predicted: {}, elapsed_s: 0 }, "killed"],
]) {
  test(`outcome: ${words}`, () => {
    assert.equal(
      outcome("en", run({ elapsed_s: 60, peak_bytes: 4 * GIB, predicted: { denoise: 5 }, ...ended })),
      words,
    );
  });
}

test("a run as text: the outcome, then a line a stage", () => {
  const ended = run({
    outcome: "done",
    stage: "",
    elapsed_s: 60,
    peak_bytes: 4 * GIB,
    predicted: { load: 3, decode: 5 },
    measured: { load: 2.9 },
  });
  assert.equal(
    runAsText("en", ended),
    "Last run: done · peak 4.0 · predicted 5.0 GiB of tensors · 1 min\n" +
      "  load: peak 2.9 · predicted 3.0 GiB of tensors, 10 s\n" +
      "  decode: predicted 5.0 GiB of tensors",
  );
  assert.equal(
    runAsText("zh", ended),
    "上次运行：完成 · 张量 峰值 4.0 · 预测 5.0 GiB · 1 分\n  加载：张量 峰值 2.9 · 预测 3.0 GiB，10 秒\n  解码：张量 预测 5.0 GiB",
  );
});

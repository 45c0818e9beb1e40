// Requests to the server: presence, predictions, the lease and live updates.
import assert from "node:assert/strict";
import { mock, test } from "node:test";

import { Lease, LiveUpdates } from "../../../web/lib/live.mjs";
import { Prediction } from "../../../web/lib/prediction.mjs";
import { GraphSnapshot } from "../../../web/lib/graph_snapshot.mjs";
import { Server } from "../../../web/lib/server.mjs";
import { live, run } from "./figures.mjs";
import { graph } from "./litegraph.mjs";
import { fakeTimers } from "./timers.mjs";

/** ComfyUI's api; `answers` are responses, errors, or functions of the request that give one. */
class Api extends EventTarget {
  clientId = "me";
  asked = [];

  constructor(...answers) {
    super();
    this.answers = answers;
  }

  async fetchApi(route, options) {
    this.asked.push({ route, body: options.body && JSON.parse(options.body), method: options.method ?? "GET" });
    const next = this.answers.length > 1 ? this.answers.shift() : this.answers[0];
    const answer = typeof next === "function" ? await next(options) : next;
    if (answer instanceof Error) throw answer;
    return answer.clone();
  }

  emit(type, detail) {
    this.dispatchEvent(Object.assign(new Event(type), { detail }));
  }
}

const json = (body, status = 200) => new Response(JSON.stringify(body), { status });
const refused = () => new TypeError("Failed to fetch");
const settled = () => new Promise((done) => setImmediate(done));

for (const [name, answer, reply, away] of [
  ["an answer", json({ a: 1 }), { data: { a: 1 } }, false],
  ["an error message", json({ error: "no face" }, 422), { problem: "no face" }, false],
  ["a page instead of an answer", new Response("<html>", { status: 404 }), { missing: true }, false],
  ["an error without a message", json({}, 500), { missing: true }, false],
  ["a proxy without a server", new Response("bad gateway", { status: 502 }), { away: true }, true],
  ["a proxy that has waited too long", new Response("", { status: 504 }), { away: true }, true],
  ["no connection", refused(), { away: true }, true],
]) {
  test(`server: ${name}`, async () => {
    const server = new Server(new Api(answer));
    assert.deepEqual(await server.ask("/x", "{}"), reply);
    assert.equal(server.away, away);
  });
}

test("server: other errors are not swallowed", async () => {
  await assert.rejects(new Server(new Api(new RangeError("bug"))).ask("/x"), RangeError);
});

test("server: away and back, reported once each", async () => {
  const api = new Api(refused(), refused(), json({}));
  const server = new Server(api);
  const reported = [];
  server.onPresence = () => reported.push(server.away);
  for (let time = 0; time < 3; time++) await server.ask("/x");
  api.emit("reconnecting");
  api.emit("status", null);
  api.emit("reconnected");
  api.emit("status", { exec_info: {} });
  assert.deepEqual(reported, [true, false, true, false]);
});

const oneNode = (value = 512) => graph([{ id: 1, type: "SonicGuardOOMRisk", w: { min_resolution: value } }]).nodes[0];
const predicting = (api, node = oneNode()) => {
  const drawn = mock.fn();
  const prediction = new Prediction(node, new Server(api), () => ({ language: "en" }), drawn);
  const check = (force) => prediction.check(new GraphSnapshot(node.graph), force);
  return { prediction, check, node, drawn };
};

test("prediction: asks once for what stays the same, again when it changes", async () => {
  const api = new Api(({ body }) => json({ size: JSON.parse(body).graph[1].inputs.min_resolution }));
  const { prediction, check, node } = predicting(api);
  for (let time = 0; time < 3; time++) check();
  await settled();
  check();
  node.widgets[0].value = 768;
  check();
  await settled();
  assert.deepEqual(
    api.asked.map(({ body }) => body.graph[1].inputs.min_resolution),
    [512, 768],
  );
  assert.deepEqual(api.asked[0].body, {
    graph: { 1: { class_type: "SonicGuardOOMRisk", inputs: { min_resolution: 512 } } },
    node: "1",
    language: "en",
  });
  assert.deepEqual(prediction.answer, { size: 768 });
});

test("prediction: the newest question wins, whichever answer comes first", async () => {
  const waiting = [];
  const api = new Api(() => new Promise((answer) => waiting.push(answer)));
  const { prediction, check, node, drawn } = predicting(api);
  check();
  node.widgets[0].value = 768;
  check();
  waiting[1](json({ size: 768 }));
  await settled();
  waiting[0](json({ size: 512 }));
  await settled();
  assert.deepEqual(prediction.answer, { size: 768 });
  assert.equal(drawn.mock.callCount(), 1);
});

test("prediction: an error stays until an answer comes, and a server that is away changes neither", async () => {
  const api = new Api(json({ ok: 1 }), json({ error: "no face" }, 422), refused(), json({ ok: 2 }));
  const { prediction, check } = predicting(api);
  const seen = [];
  for (let time = 0; time < 4; time++) {
    check(true);
    await settled();
    seen.push([prediction.answer.ok, prediction.problem]);
  }
  assert.deepEqual(seen, [
    [1, null],
    [1, "no face"],
    [1, "no face"],
    [2, null],
  ]);
});

test("prediction: asks again when the answer is old, and soon while the server is away", async (context) => {
  const clock = context.mock.method(performance, "now", () => 0);
  const api = new Api(json({}), refused(), json({}));
  const { prediction, check } = predicting(api);
  const at = async (seconds) => {
    clock.mock.mockImplementation(() => seconds * 1000);
    check();
    await settled();
    return api.asked.length;
  };
  assert.deepEqual([await at(0), await at(14), await at(16), await at(17), await at(19)], [1, 1, 2, 2, 3]);
});

test("prediction: waiting is shown only when it lasts", async (context) => {
  const timers = fakeTimers(context);
  let answer;
  const { prediction, check, drawn } = predicting(new Api(() => new Promise((given) => (answer = given))));
  check();
  timers.tick(299);
  assert.equal(prediction.busy, false);
  timers.tick(1);
  assert.equal(prediction.busy, true);
  answer(json({}));
  await settled();
  assert.equal(prediction.busy, false);
  assert.equal(drawn.mock.callCount(), 2);
});

test("lease: taken, renewed every 5 s, and given back", (context) => {
  const timers = fakeTimers(context);
  const api = new Api(json({ lease_s: 15 }));
  const lease = new Lease(new Server(api), () => ({ rate_hz: 2 }));
  lease.renew();
  assert.equal(api.asked.length, 0, "not before it is wanted");
  lease.setWanted(true);
  lease.setWanted(true);
  timers.tick(5000);
  lease.renew();
  lease.setWanted(false);
  timers.tick(60_000);
  const terms = { client: "me", rate_hz: 2 };
  assert.deepEqual(
    api.asked.map(({ body }) => body),
    [terms, terms, terms, { client: "me", rate_hz: 0 }],
  );
});

const listening = () => {
  const api = new Api();
  const updates = new LiveUpdates(api);
  const ends = [];
  updates.onUpdate = (ended) => ends.push(ended);
  return { api, updates, ends };
};

test("updates: samples of a run add up, and a new run begins with none", () => {
  const { api, updates } = listening();
  for (const elapsed_s of [0, 1, 2]) api.emit("sonic_guard.live", live({ run: run({ id: 1, elapsed_s }) }));
  assert.equal(updates.samples.length, 3);
  api.emit("sonic_guard.live", live({ run: run({ id: 2, elapsed_s: 0 }) }));
  assert.equal(updates.samples.length, 1);
  assert.equal(updates.run.id, 2);
});

test("updates: a run without a number begins again when its time goes back", () => {
  const { api, updates } = listening();
  for (const elapsed_s of [5, 6, 1]) api.emit("sonic_guard.live", live({ run: run({ id: null, elapsed_s }) }));
  assert.deepEqual(
    updates.samples.map(({ elapsed_s }) => elapsed_s),
    [1],
  );
});

test("updates: an ended run stays, one whose end was missed does not", () => {
  const { api, updates, ends } = listening();
  api.emit("sonic_guard.run", run());
  api.emit("sonic_guard.run", run({ outcome: "oom" }));
  api.emit("sonic_guard.live", live());
  assert.equal(updates.run.outcome, "oom");
  assert.deepEqual(ends, [false, true, false]);
  api.emit("sonic_guard.run", run({ id: 2 }));
  api.emit("sonic_guard.live", live());
  assert.equal(updates.run, null);
});

test("updates: without torch the whole card is drawn, without a GPU nothing", () => {
  const { api, updates } = listening();
  api.emit("sonic_guard.live", live({ allocated: null, run: run({ elapsed_s: 1 }) }));
  api.emit("sonic_guard.live", live({ allocated: null, device_used: null, run: run({ elapsed_s: 2 }) }));
  assert.deepEqual(
    updates.samples.map(({ bytes }) => bytes),
    [live().device_used],
  );
});

for (const [name, first, second, seconds, begun] of [
  ["the next part of a long video", {}, {}, 2, 1],
  ["a long video made again later", {}, {}, 60, 2],
  ["another long video", {}, { nodes: { SonicGuardTalkingHead: "8" } }, 2, 2],
  ["a long video after one that failed", { outcome: "oom" }, {}, 2, 2],
  ["another sampler's run", { nodes: { SONICSampler: "5" } }, { nodes: { SONICSampler: "5" } }, 2, 2],
  ["the same run", { outcome: "running" }, { id: 1 }, 2, 1],
]) {
  test(`updates: ${name}`, (context) => {
    const clock = context.mock.method(performance, "now", () => 0);
    const { api, updates } = listening();
    const nodes = { SonicGuardTalkingHead: "7" };
    api.emit("sonic_guard.run", run({ id: 1, nodes: { SONICTLoader: "3", ...nodes } }));
    api.emit("sonic_guard.run", run({ id: 1, nodes: { SONICTLoader: "3", ...nodes }, outcome: "done", ...first }));
    clock.mock.mockImplementation(() => seconds * 1000);
    api.emit("sonic_guard.run", run({ id: 2, nodes, ...second }));
    assert.equal(updates.begun, begun);
  });
}

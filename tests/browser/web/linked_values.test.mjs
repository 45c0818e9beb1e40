import assert from "node:assert/strict";
import { test } from "node:test";

import { GraphSnapshot } from "../../../web/lib/graph_snapshot.mjs";
import { LinkedValues } from "../../../web/lib/linked_values.mjs";
import { find, graph } from "./litegraph.mjs";

const node = () => ({
  widgets: [
    { name: "steps", value: 25 },
    { name: "dtype", value: "fp16" },
    { name: "fps", value: 25 },
    { name: "switch", value: true },
  ],
});
const values = ({ widgets }) => widgets.map(({ value }) => value);
const saved = (one, linked) => {
  const data = { widgets_values: values(one), widgets_values_named: { steps: one.widgets[0].value, fps: 25 } };
  linked.keepOwn(data);
  return data;
};

for (const [name, links, brought, shown] of [
  ["what a link brings is shown", ["steps", "dtype"], { steps: 10, dtype: "fp32" }, [10, "fp32", 25, true]],
  ["without a link the field's own value stays", [], { steps: 10 }, [25, "fp16", 25, true]],
  ["so it does where nobody knows what the link brings", ["steps"], {}, [25, "fp16", 25, true]],
  ["or where it is not what the field holds", ["steps", "switch"], { steps: "10", switch: 1 }, [25, "fp16", 25, true]],
]) {
  test(name, () => {
    const one = node();
    assert.equal(new LinkedValues(one).show(new Set(links), brought), String(shown) !== String(values(node())));
    assert.deepEqual(values(one), shown);
  });
}

test("what is saved is the field's own value, and so is what it shows when the link is gone", () => {
  const one = node();
  const linked = new LinkedValues(one);
  linked.show(new Set(["steps"]), { steps: 10 });
  linked.show(new Set(["steps"]), { steps: 12 });
  assert.deepEqual(saved(one, linked), {
    widgets_values: [25, "fp16", 25, true],
    widgets_values_named: { steps: 25, fps: 25 },
  });
  assert.equal(linked.show(new Set(), { steps: 12 }), true);
  assert.deepEqual(values(one), values(node()));
  assert.equal(linked.show(new Set(), {}), false);
});

test("a value that somebody else has set is the field's own from then on", () => {
  const one = node();
  const linked = new LinkedValues(one);
  linked.show(new Set(["steps"]), { steps: 10 });
  one.widgets[0].value = 40;
  assert.equal(saved(one, linked).widgets_values[0], 40);
  linked.show(new Set(["steps"]), { steps: 10 });
  linked.show(new Set(), {});
  assert.equal(one.widgets[0].value, 40);
});

test("a widget that is not saved keeps its place empty", () => {
  const one = node();
  const linked = new LinkedValues(one);
  linked.show(new Set(["fps"]), { fps: 12.5 });
  const data = { widgets_values: [25, "fp16"] };
  linked.keepOwn(data);
  assert.deepEqual(data.widgets_values, [25, "fp16"]);
});

const sampler = { id: 2, type: "SONICSampler", in: { model: [1, 0], inference_steps: [1, 1] }, w: { inference_steps: 25 } };

test("links are those that a node stands at the other end of", () => {
  const made = graph([{ id: 1, type: "SONICTLoader", out: ["MODEL", "INT"] }, sampler]);
  const links = new GraphSnapshot(made).linkedInputs(find(made, "SONICSampler"));
  assert.deepEqual([...links], ["inference_steps", "model"]);
});

test("a node in two instances of a subgraph brings one value here and another there: neither is shown", () => {
  const inside = { nodes: [{ id: 1, type: "SONICTLoader", out: ["MODEL", "INT"] }, sampler] };
  const made = graph([5, 6].map((id) => ({ id, type: "s", subgraph: inside })));
  made.nodes[1].subgraph = made.nodes[0].subgraph;
  assert.deepEqual([...new GraphSnapshot(made).linkedInputs(find(made, "SONICSampler"))], []);
});

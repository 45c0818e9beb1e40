// The part of a graph that is sent for a node, compared with what ComfyUI would queue for it.
import assert from "node:assert/strict";
import { test } from "node:test";

import { allInstances, executionId, instanceAt, nodeBefore } from "../../../web/lib/graph.mjs";
import { GraphSnapshot } from "../../../web/lib/graph_snapshot.mjs";
import { BYPASSED, find, graph, MUTED } from "./litegraph.mjs";

const picture = { id: 1, type: "LoadImage", w: { image: "face.png" } };
const loaded = { class_type: "LoadImage", inputs: { image: "face.png" } };
const risk = (from, more = {}) => ({ id: 9, type: "SonicGuardOOMRisk", in: { image: from }, ...more });
const riskNode = (inputs) => ({ class_type: "SonicGuardOOMRisk", inputs });
const box = { x: 0, y: 8, width: 512, height: 640 };
const asked = (nodes, kind = "SonicGuardOOMRisk") => {
  const root = graph(nodes);
  return new GraphSnapshot(root).question(find(root, kind));
};

const cases = {
  "a link and widgets": {
    nodes: [picture, risk([1, 0], { w: { fps: 25, dtype: "fp16", stop: true } })],
    graph: { 9: riskNode({ image: ["1", 0], fps: 25, dtype: "fp16", stop: true }), 1: loaded },
  },
  "of a widget's objects only a box": {
    nodes: [risk(null, { w: { crop_region: box, curve: { points: [1] }, list: [1, 2, 3, 4] } })],
    graph: { 9: riskNode({ crop_region: box }) },
  },
  "nothing connected": { nodes: [risk(null)], graph: { 9: riskNode({}) } },
  "a link to a widget's input wins over the widget": {
    nodes: [{ id: 2, type: "Number", w: { n: 7 } }, risk(null, { in: { fps: [2, 0] }, w: { fps: 25 } })],
    graph: { 9: riskNode({ fps: ["2", 0] }), 2: { class_type: "Number", inputs: { n: 7 } } },
  },
  "reroutes are skipped": {
    nodes: [
      picture,
      { id: 2, type: "Reroute", in: { "": [1, 0] } },
      { id: 3, type: "Reroute", in: { "": [2, 0] } },
      risk([3, 0]),
    ],
    graph: { 9: riskNode({ image: ["1", 0] }), 1: loaded },
  },
  "a primitive is its value": {
    nodes: [
      { id: 2, type: "PrimitiveNode", w: { value: 768 } },
      risk(null, { in: { size: [2, 0] }, w: { size: 512 } }),
    ],
    graph: { 9: riskNode({ size: 768 }) },
  },
  "a setter and a getter by name": {
    nodes: [
      picture,
      { id: 2, type: "SetNode", in: { IMAGE: [1, 0] }, w: { name: "portrait" } },
      { id: 3, type: "SetNode", in: { IMAGE: null }, w: { name: "other" } },
      { id: 4, type: "GetNode", w: { name: "portrait" } },
      risk([4, 0]),
    ],
    graph: { 9: riskNode({ image: ["1", 0] }), 1: loaded },
  },
  "a bypassed node passes on the first input of the type": {
    nodes: [
      picture,
      {
        id: 2,
        type: "Blur",
        mode: BYPASSED,
        in: { mask: null, image: [1, 0] },
        types: { mask: "MASK" },
        out: ["IMAGE"],
      },
      risk([2, 0]),
    ],
    graph: { 9: riskNode({ image: ["1", 0] }), 1: loaded },
  },
  "a bypassed node without such an input passes on nothing": {
    nodes: [
      { id: 2, type: "Make", mode: BYPASSED, in: { n: null }, types: { n: "INT" }, out: ["IMAGE"] },
      risk([2, 0]),
    ],
    graph: { 9: riskNode({}) },
  },
  "a muted node is skipped, and the value of the widget is used": {
    nodes: [{ id: 2, type: "Number", mode: MUTED }, risk(null, { in: { fps: [2, 0] }, w: { fps: 25 } })],
    graph: { 9: riskNode({ fps: 25 }) },
  },
  "widgets that are not sent, lists, long texts and nothing are left out": {
    nodes: [
      risk(null, {
        w: {
          shown: { widget: { value: 1, options: { serialize: false } } },
          list: [1],
          text: "x".repeat(501),
          none: null,
          ok: "",
        },
      }),
    ],
    graph: { 9: riskNode({ ok: "" }) },
  },
  "from outside into a subgraph": {
    nodes: [picture, { id: 5, type: "uuid", in: { image: [1, 0] }, subgraph: { nodes: [risk(["in", 0])] } }],
    node: "5:9",
    graph: { "5:9": riskNode({ image: ["1", 0] }), 1: loaded },
  },
  "out of a subgraph": {
    nodes: [{ id: 5, type: "uuid", out: ["IMAGE"], subgraph: { nodes: [picture], outputs: [[1, 0]] } }, risk([5, 0])],
    graph: { 9: riskNode({ image: ["5:1", 0] }), "5:1": loaded },
  },
  "through a subgraph and a reroute in it, two levels deep": {
    nodes: [
      picture,
      {
        id: 5,
        type: "outer",
        in: { a: [1, 0] },
        out: ["IMAGE"],
        subgraph: {
          nodes: [
            {
              id: 6,
              type: "inner",
              in: { b: ["in", 0] },
              out: ["IMAGE"],
              subgraph: {
                nodes: [
                  { id: 1, type: "Crop", in: { image: [2, 0] } },
                  { id: 2, type: "Reroute", in: { "": ["in", 0] } },
                ],
                outputs: [[1, 0]],
              },
            },
          ],
          outputs: [[6, 0]],
        },
      },
      risk([5, 0]),
    ],
    graph: {
      9: riskNode({ image: ["5:6:1", 0] }),
      "5:6:1": { class_type: "Crop", inputs: { image: ["1", 0] } },
      1: loaded,
    },
  },
  "a bypassed subgraph": {
    nodes: [
      picture,
      { id: 5, type: "uuid", mode: BYPASSED, in: { a: [1, 0] }, out: ["IMAGE"], subgraph: { nodes: [] } },
      risk([5, 0]),
    ],
    graph: { 9: riskNode({ image: ["1", 0] }), 1: loaded },
  },
  "a value on the subgraph node": {
    nodes: [
      {
        id: 5,
        type: "uuid",
        in: { size: null },
        w: { size: 640 },
        subgraph: { nodes: [risk(null, { in: { min_resolution: ["in", 0] }, w: { min_resolution: 512 } })] },
      },
    ],
    node: "5:9",
    graph: { "5:9": riskNode({ min_resolution: 640 }) },
  },
  "an input of the subgraph that is not connected": {
    nodes: [{ id: 5, type: "uuid", in: { size: null }, subgraph: { nodes: [risk(["in", 0], { w: { fps: 25 } })] } }],
    node: "5:9",
    graph: { "5:9": riskNode({ fps: 25 }) },
  },
  "ComfyUI's preview of a result, which a node has after its run": {
    nodes: [risk(null, { w: { fps: 25, $$comfy_animation_preview: "" } })],
    graph: { 9: riskNode({ fps: 25 }) },
  },
  "reroutes in a ring": {
    nodes: [
      { id: 2, type: "Reroute", in: { "": [3, 0] } },
      { id: 3, type: "Reroute", in: { "": [2, 0] } },
      risk([2, 0]),
    ],
    graph: { 9: riskNode({}) },
  },
  "nodes in a ring": {
    nodes: [{ id: 2, type: "Blur", in: { image: [9, 0] } }, risk([2, 0])],
    graph: { 9: riskNode({ image: ["2", 0] }), 2: { class_type: "Blur", inputs: { image: ["9", 0] } } },
  },
};

for (const [name, { nodes, graph: expected, node = "9" }] of Object.entries(cases)) {
  test(name, () => assert.deepEqual(asked(nodes), { node, graph: expected }));
}

const trio = [
  { id: 3, type: "SONICTLoader", w: { dtype: "fp16" } },
  { id: 4, type: "SONIC_PreData", in: { image: [1, 0] }, w: { min_resolution: 512 } },
  { id: 5, type: "SONICSampler", in: { model: [3, 0], data_dict: [4, 0] }, w: { fps: 25 } },
];

test("a sampler brings its loader and predata", () => {
  const { node, graph: part } = asked([picture, ...trio], "SONICSampler");
  assert.equal(node, "5");
  assert.deepEqual(Object.keys(part).sort(), ["1", "3", "4", "5"]);
});

test("predata brings the sampler it feeds, and its loader, but no other", () => {
  const unrelated = { id: 7, type: "SONICSampler", w: { fps: 50 } };
  const { node, graph: part } = asked([picture, ...trio, unrelated], "SONIC_PreData");
  assert.equal(node, "4");
  assert.deepEqual(Object.keys(part).sort(), ["1", "3", "4", "5"]);
});

test("predata finds its sampler in a subgraph", () => {
  const [loader, predata, sampler] = trio;
  const inside = { ...sampler, in: { model: ["in", 0], data_dict: ["in", 1] } };
  const subgraphNode = { id: 8, type: "uuid", in: { a: [3, 0], b: [4, 0] }, subgraph: { nodes: [inside] } };
  const { graph: part } = asked([picture, loader, predata, subgraphNode], "SONIC_PreData");
  assert.deepEqual(part["8:5"].inputs, { fps: 25, model: ["3", 0], data_dict: ["4", 0] });
});

test("of a large graph the nearest 200 nodes", () => {
  const chain = Array.from({ length: 300 }, (_, index) => ({
    id: 1000 + index,
    type: "Blur",
    in: { image: [1001 + index, 0] },
  }));
  const ids = Object.keys(asked([risk([1000, 0]), ...chain]).graph);
  assert.equal(ids.length, 200);
  assert.ok(ids.includes("9") && ids.includes("1198") && !ids.includes("1199"));
});

for (const letter of ["x", "显"]) test(`never more than the server takes, ${letter}`, () => {
  const wide = Array.from({ length: 190 }, (_, index) => ({
    id: 1000 + index,
    type: "Text",
    in: { text: [1001 + index, 0] },
    w: { note: letter.repeat(490) },
  }));
  const part = asked([risk([1000, 0]), ...wide]);
  const size = new TextEncoder().encode(JSON.stringify(part)).length;
  assert.ok(size < 65_000 && size > 50_000, `${size} bytes`);
});

test("a virtual node that knows its source in another graph", () => {
  const root = graph([
    { id: 5, type: "uuid", subgraph: { nodes: [picture] } },
    { id: 2, type: "GetNode", w: { name: "portrait" } },
    risk([2, 0]),
  ]);
  root.getNodeById(2).resolveVirtualOutput = () => ({ node: find(root, "LoadImage"), slot: 1 });
  const part = new GraphSnapshot(root).question(find(root, "SonicGuardOOMRisk"));
  assert.deepEqual(part.graph, { 9: riskNode({ image: ["5:1", 1] }), "5:1": loaded });
});

test("there is no question about a node of another graph", () => {
  const [unrelated] = graph([risk(null)]).nodes;
  assert.equal(new GraphSnapshot(graph([risk(null)])).question(unrelated), null);
});

test("a node in two instances of a subgraph has two instances, each found by its id", () => {
  const root = graph([
    { id: 5, type: "one", subgraph: { nodes: [risk(null)] } },
    { id: 6, type: "other" },
  ]);
  const [one, other] = root.nodes;
  Object.assign(other, { subgraph: one.subgraph, isSubgraphNode: () => true });
  const node = find(root, "SonicGuardOOMRisk");
  const instances = [...allInstances(root)].filter((instance) => instance.node === node);
  assert.deepEqual(instances.map(executionId), ["5:9", "6:9"]);
  assert.equal(instanceAt(root, "6:9").node, node);
  for (const id of ["7:9", "5:8", "9", "5:9:1", ""]) assert.equal(instanceAt(root, id), null, id);
});

for (const [name, running, itself, expected] of [
  ["its own id", { SONICSampler: "5" }, true, true],
  ["another's id", { SONICSampler: "4" }, true, false],
  ["an id that is another class's in this workflow", { SONIC_PreData: "5" }, true, false],
  ["an id this workflow does not have", { SONICSampler: "77" }, true, false],
]) {
  test(`a sampler's run, recognised by ${name}`, () => {
    const root = graph([picture, ...trio]);
    assert.equal(new GraphSnapshot(root).isIn(find(root, "SONICSampler"), running, itself), expected);
  });
}

test("a run concerns its upstream nodes, in a subgraph too, and no others", () => {
  const [loader, predata, sampler] = trio;
  const inside = { ...sampler, in: { model: ["in", 0], data_dict: ["in", 1] } };
  const subgraphNode = { id: 8, type: "uuid", in: { a: [3, 0], b: [4, 0] }, subgraph: { nodes: [inside] } };
  const root = graph([
    picture,
    risk([1, 0]),
    loader,
    { ...predata, in: { image: [9, 0] } },
    subgraphNode,
    { id: 10, type: "LoadImage" },
  ]);
  const concerned = (id) => new GraphSnapshot(root).isIn(root.getNodeById(id), { SONICSampler: "8:5" }, false);
  assert.deepEqual([1, 9, 3, 4, 10].map(concerned), [true, true, true, true, false]);
});

// ---- nodes that enable optimizations

const lowVram = (more = {}) => ({ id: 20, type: "SonicGuardLowVRAM", w: { sequential_cfg: "auto" }, ...more });
const talkingHead = (more = {}) => ({ id: 21, type: "SonicGuardTalkingHead", w: { part_s: 0 }, ...more });
const lowVramSent = { class_type: "SonicGuardLowVRAM", inputs: { sequential_cfg: "auto" } };
const long = { class_type: "SonicGuardTalkingHead", inputs: { part_s: 0 } };

for (const [name, nodes, sent] of [
  ["anywhere in the graph", [lowVram(), talkingHead()], { 20: lowVramSent, 21: long }],
  ["muted", [lowVram({ mode: MUTED }), talkingHead()], { 21: long }],
  ["bypassed", [lowVram(), talkingHead({ mode: BYPASSED })], { 20: lowVramSent }],
  ["in a subgraph", [{ id: 5, type: "uuid", subgraph: { nodes: [lowVram()] } }], { "5:20": lowVramSent }],
  ["in a muted subgraph", [{ id: 5, type: "uuid", mode: MUTED, subgraph: { nodes: [lowVram()] } }], {}],
  ["in a bypassed subgraph", [{ id: 5, type: "uuid", mode: BYPASSED, subgraph: { nodes: [talkingHead()] } }], {}],
  [
    "without what feeds them",
    [{ id: 19, type: "SONICTLoader" }, lowVram({ in: { model: [19, 0] } })],
    { 20: { ...lowVramSent, inputs: { sequential_cfg: "auto", model: ["19", 0] } } },
  ],
]) {
  test(`a question contains Low VRAM and Talking Head ${name}`, () => {
    assert.deepEqual(asked([picture, risk([1, 0]), ...nodes]).graph, {
      9: riskNode({ image: ["1", 0] }),
      1: loaded,
      ...sent,
    });
  });
}

test("nodes that enable optimizations are sent even if not all nodes fit", () => {
  const chain = Array.from({ length: 300 }, (_, index) => ({
    id: 1000 + index,
    type: "Text",
    in: { text: [1001 + index, 0] },
    w: { note: "x".repeat(490) },
  }));
  const part = asked([risk([1000, 0]), ...chain, lowVram(), talkingHead()]);
  assert.ok(JSON.stringify(part).length < 65_000);
  assert.ok(["9", "20", "21", "1000"].every((id) => id in part.graph));
  const many = Array.from({ length: 300 }, (_, index) => ({
    id: 1000 + index,
    type: "Blur",
    in: { i: [1001 + index, 0] },
  }));
  assert.equal(Object.keys(asked([risk([1000, 0]), ...many, lowVram(), talkingHead()]).graph).length, 200);
});

for (const [name, sampling] of [
  ["the sampler", { id: 5, type: "SONICSampler", in: { model: [20, 0], data_dict: [4, 0] }, w: { fps: 25 } }],
  ["Talking Head", talkingHead({ id: 5, in: { model: [20, 0], image: [4, 0] } })],
]) {
  test(`Low VRAM brings ${name} downstream of it, and all nodes upstream of that`, () => {
    const nodes = [picture, trio[0], { ...trio[1], id: 4 }, lowVram({ in: { model: [3, 0] } }), sampling];
    const { node, graph: part } = asked(nodes, "SonicGuardLowVRAM");
    assert.equal(node, "20");
    assert.deepEqual(Object.keys(part).sort(), ["1", "20", "3", "4", "5"]);
  });
}

test("a run of Talking Head concerns it and its upstream nodes, Low VRAM and OOM Risk too", () => {
  const [loader] = trio;
  const root = graph([
    picture,
    risk([1, 0]),
    loader,
    lowVram({ in: { model: [3, 0] } }),
    talkingHead({ in: { model: [20, 0], image: [9, 0] } }),
    { id: 30, type: "SonicGuardLowVRAM" },
  ]);
  const concerned = (id) => new GraphSnapshot(root).isIn(root.getNodeById(id), { SonicGuardTalkingHead: "21" }, false);
  assert.deepEqual([21, 20, 9, 1, 30].map(concerned), [true, true, true, true, false]);
});

const loader = { id: 1, type: "SONICTLoader", out: ["MODEL"] };
const bypassed = { id: 2, type: "SonicGuardLowVRAM", mode: BYPASSED, in: { model: [1, 0] }, types: { model: "MODEL" }, out: ["MODEL"] };
const sampler = (from) => ({ id: 9, type: "SONICSampler", in: { model: from }, types: { model: "MODEL" } });
const within = (from) => ({ id: 5, type: "uuid", in: { model: from }, types: { model: "MODEL" }, subgraph: { nodes: [sampler(["in", 0])] } });
for (const [name, nodes, expected] of [
  ["bypassed", [loader, bypassed, sampler([2, 0])], "2"],
  ["bypassed, behind a reroute", [loader, bypassed, { id: 3, type: "Reroute", in: { "": [2, 0] } }, sampler([3, 0])], "2"],
  ["bypassed, outside of the subgraph", [loader, bypassed, within([2, 0])], "2"],
  ["running", [loader, { ...bypassed, mode: 0 }, sampler([2, 0])], "2"],
  ["muted: it stops the graph", [loader, { ...bypassed, mode: MUTED }, sampler([2, 0])], null],
  ["elsewhere", [loader, bypassed, sampler([1, 0])], null],
  ["not there", [loader, sampler([1, 0])], null],
]) {
  test(`the Low VRAM before a sampler: ${name}`, () => {
    const [instance] = [...allInstances(graph(nodes))].filter(({ node }) => node.type === "SONICSampler");
    const found = nodeBefore(instance, 0, "SonicGuardLowVRAM");
    assert.equal(found && executionId(found), expected);
  });
}

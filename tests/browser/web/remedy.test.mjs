import assert from "node:assert/strict";
import { test } from "node:test";

import { mainNodes } from "../../../web/lib/node_classes.mjs";
import { freePlace } from "../../../web/lib/remedy.mjs";

for (const [name, kinds, main] of [
  ["the node that makes the video before all others", ["SONICSampler", "SonicGuardPreflight", "SonicGuardTalkingHead"], [2]],
  ["Preflight before Low VRAM and the sampler", ["SONICSampler", "SonicGuardLowVRAM", "SonicGuardPreflight"], [2]],
  ["Low VRAM before the sampler", ["SONIC_PreData", "SONICSampler", "SonicGuardLowVRAM"], [2]],
  ["the sampler where it is alone with its data", ["SONIC_PreData", "SONICSampler", "LoadImage"], [1]],
  ["the samplers of Sonic and of a relative", ["Dice_Talk_Sampler", "Dice_Talk_PreData", "SONICSampler"], [0, 2]],
  ["a relative's data where that is all", ["Dice_Talk_PreData", "LoadImage"], [0]],
  ["all of the same class", ["SonicGuardPreflight", "SonicGuardPreflight", "SONICSampler"], [0, 1]],
  ["none where there is none", ["LoadImage", undefined], []],
]) {
  test(`the whole card is on ${name}`, () => {
    const nodes = kinds.map((comfyClass) => ({ comfyClass }));
    assert.deepEqual([...mainNodes(nodes)], main.map((index) => nodes[index]));
  });
}

const TITLE = 30;
const node = (x, y, width, height) => ({ pos: [x, y], size: [width, height] });
const overlap = (one, other) =>
  one.pos[0] < other.pos[0] + other.size[0] &&
  other.pos[0] < one.pos[0] + one.size[0] &&
  one.pos[1] - TITLE < other.pos[1] + other.size[1] &&
  other.pos[1] - TITLE < one.pos[1] + one.size[1];

for (const [name, nodes] of [
  ["an empty graph", []],
  ["a loader where the new node would be", [node(600, 0, 300, 160)]],
  ["a crowd", [0, 1, 2, 3, 4].flatMap((x) => [-1, 0, 1].map((y) => node(x * 330 - 300, y * 400, 300, 330)))],
]) {
  test(`a new node overlaps nothing in ${name}`, () => {
    const sampler = node(1000, 0, 300, 320);
    const size = [310, 350];
    const made = { pos: freePlace({ nodes: [...nodes, sampler] }, size, sampler.pos), size };
    for (const other of [...nodes, sampler]) assert.ok(!overlap(made, other), `${made.pos}`);
    assert.ok(Math.hypot(made.pos[0] - 1000, made.pos[1]) < 1300, "it is near");
  });
}

test("it lies on neither end of a subgraph", () => {
  const [sampler, inputNode, outputNode] = [node(1000, 20, 300, 320), node(500, 20, 160, 300), node(1400, 20, 160, 300)];
  const size = [310, 350];
  const made = { pos: freePlace({ nodes: [sampler], inputNode, outputNode }, size, sampler.pos), size };
  for (const other of [sampler, inputNode, outputNode]) assert.ok(!overlap(made, other), `${made.pos}`);
});

test("it goes to the left of the node it is put before, where there is room", () => {
  assert.deepEqual(freePlace({ nodes: [node(1000, 20, 300, 320)] }, [310, 350], [1000, 20]), [640, 20]);
});

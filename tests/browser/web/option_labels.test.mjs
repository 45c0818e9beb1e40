import assert from "node:assert/strict";
import { test } from "node:test";

import { labelOptions, optionLabel } from "../../../web/lib/option_labels.mjs";

const node = () => ({
  widgets: [
    { type: "combo", name: "on_risk", options: { values: ["downgrade", "warn", "stop"] } },
    { type: "combo", name: "target_card", options: { values: ["auto", "4 GiB"] } },
    { type: "toggle", name: "stream_weights", options: { on: "true" } },
    { type: "button", name: "mode" },
  ],
});

for (const [name, value, label] of [
  ["on_risk", "downgrade", "自动调整 (downgrade)"],
  ["mode", "off", "关闭 (off)"],
  ["aspect", "16:9", "16:9"],
  ["preset", "mine", "mine"],
  ["stream_weights", "auto", "需要时启用 (auto)"],
  ["aspect", null, ""],
]) {
  test(`${name} ${value}`, () => assert.equal(optionLabel(name, value), label));
}

test("in Chinese the menus with known options have labels", () => {
  const labelled = node();
  labelOptions(labelled, () => "zh");
  assert.deepEqual(
    labelled.widgets.map(({ options }) => options?.getOptionLabel?.("stop")),
    ["停止 (stop)", undefined, undefined, undefined],
  );
});

test("a preset of Finish Video is not one of Sonic", () => {
  const finish = { comfyClass: "SonicGuardFinishVideo", widgets: [{ type: "combo", name: "preset", options: {} }] };
  labelOptions(finish, () => "zh");
  assert.deepEqual(
    ["fast", "hd"].map((value) => finish.widgets[0].options.getOptionLabel(value)),
    ["快速 (fast)", "全高清 (hd)"],
  );
});

test("in English the menus are ComfyUI's own", () => {
  const plain = node();
  labelOptions(plain, () => "en");
  assert.deepEqual(plain, node());
});

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { commands } from "../../../web/lib/commands.mjs";
import { DEFAULTS, settings } from "../../../web/lib/settings.mjs";
import { duration, gib, languageOf, percent, t, stageWord, TEXT } from "../../../web/lib/words.mjs";

const values = (text) => [...text.matchAll(/\{(\w+)\}/g)].map(([, name]) => name).sort();

for (const [key, [en, zh]] of Object.entries(TEXT)) {
  test(`"${key}" has the same placeholders in both languages`, () => {
    assert.deepEqual(values(zh), values(en));
    assert.ok(en && zh);
  });
}

for (const [locale, language] of [
  ["en", "en"],
  ["zh", "zh"],
  ["zh-TW", "zh"],
  ["fr", "en"],
  [undefined, "en"],
]) {
  test(`ComfyUI in ${locale}: ${language}`, () => assert.equal(languageOf(locale), language));
}

for (const [seconds, en, zh] of [
  [0, "0 s", "0 秒"],
  [59.4, "59 s", "59 秒"],
  [59.6, "1 min", "1 分"],
  [125, "2 min 5 s", "2 分 5 秒"],
  [599, "9 min 59 s", "9 分 59 秒"],
  [601, "10 min", "10 分"],
  [3570, "1 h 0 min", "1 小时 0 分"],
  [7300, "2 h 2 min", "2 小时 2 分"],
]) {
  test(`${seconds} s`, () => assert.deepEqual([duration("en", seconds), duration("zh", seconds)], [en, zh]));
}

for (const [part, words] of [
  [0.002, "0.2 %"],
  [0.041, "4.1 %"],
  [0.37, "37 %"],
  [0, "0.0 %"],
]) {
  test(`${part} of 1`, () => assert.equal(percent(part), words));
}

test("GiB is 2 to the 30", () => assert.equal(gib(1.25 * 2 ** 30 + 2 ** 28), "1.5 GiB"));

test("a stage this page does not know keeps its name", () => assert.equal(stageWord("zh", "upscale"), "upscale"));

test("values are filled", () => assert.equal(t("zh", "step", { step: 3, steps: 25 }), "第 3 / 25 步"));

const file = (language, name) =>
  JSON.parse(readFileSync(new URL(`../../../locales/${language}/${name}.json`, import.meta.url), "utf8"));
const key = (id) => id.replaceAll(".", "_");

test("settings: each has a default, and its texts are in the files of both languages", () => {
  const known = settings(() => {});
  assert.deepEqual(known.map(({ id }) => id).sort(), Object.keys(DEFAULTS).sort());
  const [en, zh] = ["en", "zh"].map((language) => file(language, "settings"));
  assert.deepEqual(en, Object.fromEntries(known.map(({ id, name, tooltip }) => [key(id), { name, tooltip }])));
  assert.deepEqual(Object.keys(zh).sort(), Object.keys(en).sort());
  for (const words of Object.values(zh)) assert.deepEqual(Object.keys(words), ["name", "tooltip"]);
});

test("commands: their texts are in the files of both languages, and each runs its own action", () => {
  const done = [];
  const known = commands({
    openHistory: () => done.push("openHistory"),
    refresh: () => done.push("refresh"),
    toggle: () => done.push("toggle"),
    copy: () => done.push("copy"),
  });
  for (const command of known) command.function();
  assert.deepEqual(done, ["openHistory", "refresh", "toggle", "copy"]);
  assert.deepEqual(file("en", "commands"), Object.fromEntries(known.map(({ id, label }) => [key(id), { label }])));
  assert.deepEqual(Object.keys(file("zh", "commands")), Object.keys(file("en", "commands")));
});

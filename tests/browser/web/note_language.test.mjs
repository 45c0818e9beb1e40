// The notes of the templates are shown in one language.

import assert from "node:assert/strict";
import { test } from "node:test";

import { inLanguage, keepLanguage } from "../../../web/lib/note_language.mjs";

const NOTE = "<!-- en -->\n## A voice\n<!-- zh -->\n## 语音\n";

test("a note of a template says it in the user's language", () => {
  assert.equal(inLanguage(NOTE, "en"), "## A voice\n");
  assert.equal(inLanguage(NOTE, "zh"), "## 语音\n");
});

test("other notes stay as they are", () => {
  for (const text of ["", "## A voice\n", `mine\n${NOTE}`, "<!-- fr -->\nvoix"]) assert.equal(inLanguage(text, "zh"), text);
  const node = { type: "Note", widgets: [{ value: NOTE }] };
  keepLanguage(node, "en");
  assert.equal(node.widgets[0].value, NOTE);
});

test("the widget of a note gets its text", () => {
  const node = { type: "MarkdownNote", widgets: [{ value: NOTE }] };
  keepLanguage(node, "zh");
  assert.equal(node.widgets[0].value, "## 语音\n");
});

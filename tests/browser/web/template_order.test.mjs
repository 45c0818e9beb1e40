// The order in which the page gets the templates of packs.
import assert from "node:assert/strict";
import { test } from "node:test";

import { orderTemplates } from "../../../web/lib/template_order.mjs";

test("this pack's templates are in the order of their numbers, those of others as the server lists them", async () => {
  const api = {
    packs: { other: ["b", "a"], guard: ["Sonic Guard - 2 Own nodes", "Sonic Guard - 1 Talking head"] },
    async getWorkflowTemplates() {
      return this.packs;
    },
  };
  orderTemplates(api);
  assert.deepEqual(await api.getWorkflowTemplates(), {
    other: ["b", "a"],
    guard: ["Sonic Guard - 1 Talking head", "Sonic Guard - 2 Own nodes"],
  });
});

test("a front end without that call is left alone", () => {
  const api = {};
  orderTemplates(api);
  assert.deepEqual(api, {});
});

// Timers that a test advances. (Node's own mock timers are missing in some of Debian's versions.)

/** @param {import("node:test").TestContext} context */
export function fakeTimers(context) {
  let now = 0;
  let next = 1;
  const waiting = new Map();
  context.mock.method(globalThis, "setTimeout", (run, pause) => {
    waiting.set(next, { run, at: now + pause });
    return next++;
  });
  context.mock.method(globalThis, "clearTimeout", (id) => waiting.delete(id));
  return {
    tick(pause) {
      const end = now + pause;
      for (;;) {
        const due = [...waiting].filter(([, { at }]) => at <= end).sort(([, one], [, other]) => one.at - other.at)[0];
        if (!due) break;
        const [id, { run, at }] = due;
        waiting.delete(id);
        now = at;
        run();
      }
      now = end;
    },
  };
}

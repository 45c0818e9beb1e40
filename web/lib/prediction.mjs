// @ts-check
// The server's prediction for one node: asked for when what decides has changed, the newest question winning.

/** Asked again after this long, for the memory that is free changes too; sooner while the server is away. */
const STALE_MS = 15_000;
const AWAY_MS = 2_000;
/** Waiting is shown only if it lasts. */
const BUSY_MS = 300;

export class Prediction {
  /** @type {import("./types.d.ts").Answer | null} */
  answer = null;
  /** What is wrong with the newest question, if anything. @type {string | null} */
  problem = null;
  /** There is a server, but not this pack's part of it. */
  missing = false;
  /** An answer has been waited for for longer than a moment. */
  busy = false;
  /** The newest question as text; the answer is to it unless `busy`. */
  asked = "";

  #node;
  #server;
  #more;
  #onChange;
  #askedAt = -Infinity;
  /** @type {AbortController | null} */
  #asking = null;

  /**
   * @param {import("./types.d.ts").Node} node
   * @param {import("./server.mjs").Server} server
   * @param {() => object} more  What the question says beside the graph.
   * @param {() => void} onChange
   */
  constructor(node, server, more, onChange) {
    this.#node = node;
    this.#server = server;
    this.#more = more;
    this.#onChange = onChange;
  }

  /**
   * Ask if what decides has changed, or the answer is old.
   * @param {import("./reading.mjs").Reading} reading
   * @param {boolean} [anyhow]  Ask in any case.
   */
  check(reading, anyhow = false) {
    const piece = reading.question(this.#node);
    if (!piece) return;
    const text = JSON.stringify({ ...piece, ...this.#more() });
    const age = performance.now() - this.#askedAt;
    const fresh = this.#asking || age < (this.#server.away ? AWAY_MS : STALE_MS);
    if (anyhow || text !== this.asked || !fresh) this.#ask(text);
  }

  /** Give up what is being asked. */
  stop() {
    this.#asking?.abort();
    this.#asking = null;
    this.busy = false;
  }

  /** @param {string} text */
  async #ask(text) {
    this.stop();
    const asking = (this.#asking = new AbortController());
    this.asked = text;
    this.#askedAt = performance.now();
    const slow = setTimeout(() => {
      this.busy = true;
      this.#onChange();
    }, BUSY_MS);
    const reply = await this.#server.ask("/sonic_guard/predict", text, asking.signal);
    clearTimeout(slow);
    if (asking !== this.#asking || reply === null) return; // a newer one is under way
    this.#asking = null;
    this.busy = false;
    if (!reply.away) {
      this.missing = reply.missing === true;
      this.problem = reply.problem ?? null;
      if (reply.data) this.answer = reply.data;
    }
    this.#onChange();
  }
}

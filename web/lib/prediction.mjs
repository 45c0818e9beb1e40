// @ts-check
// The server's prediction for one node: requested when its inputs have changed; the newest request wins.

/** Request again after this time, because free memory changes too; sooner while the server is away. */
const STALE_MS = 15_000;
const AWAY_MS = 2_000;
/** Waiting is shown only after this time. */
const BUSY_MS = 300;

export class Prediction {
  /** @type {import("./types.d.ts").Answer | null} */
  answer = null;
  /** Error message for the newest question, if any. @type {string | null} */
  problem = null;
  /** The server answers, but without the routes of this pack. */
  missing = false;
  /** An answer is overdue by more than BUSY_MS. */
  busy = false;
  /** The newest question as text; `answer` belongs to it once it has arrived. */
  asked = "";

  #node;
  #server;
  #extra;
  #onChange;
  #askedAt = -Infinity;
  /** @type {AbortController | null} */
  #asking = null;

  /**
   * @param {import("./types.d.ts").Node} node
   * @param {import("./server.mjs").Server} server
   * @param {() => object} extra  Fields of the question in addition to the graph.
   * @param {() => void} onChange
   */
  constructor(node, server, extra, onChange) {
    this.#node = node;
    this.#server = server;
    this.#extra = extra;
    this.#onChange = onChange;
  }

  /**
   * Request a prediction if the question has changed or the answer is old.
   * @param {import("./graph_snapshot.mjs").GraphSnapshot} snapshot
   * @param {boolean} [force]  Request in any case.
   */
  check(snapshot, force = false) {
    const question = snapshot.question(this.#node);
    if (!question) return;
    const text = JSON.stringify({ ...question, ...this.#extra() });
    const age = performance.now() - this.#askedAt;
    const fresh = this.#asking || age < (this.#server.away ? AWAY_MS : STALE_MS);
    if (force || text !== this.asked || !fresh) this.#ask(text);
  }

  /** Cancel the current request. */
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
    if (asking !== this.#asking || reply === null) return; // a newer request has replaced it
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

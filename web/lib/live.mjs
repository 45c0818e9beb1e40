// @ts-check
// What the server says of the machine and of the run under way, and the lease that makes it say so.

import { withSample } from "./model.mjs";

/** @typedef {import("./types.d.ts").Run} Run */

const RENEW_MS = 5000;

export class Lease {
  #server;
  #terms;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #wanted = false;

  /**
   * @param {import("./server.mjs").Server} server
   * @param {() => {rate_hz: number}} terms
   */
  constructor(server, terms) {
    this.#server = server;
    this.#terms = terms;
  }

  /** Have the server push while `wanted`. @param {boolean} wanted */
  want(wanted) {
    if (wanted === this.#wanted) return;
    this.#wanted = wanted;
    if (wanted) this.renew();
    else {
      clearTimeout(this.#timer);
      this.#post({ rate_hz: 0 });
    }
  }

  /** Ask again at once: the rate has changed, or the server is a new one. */
  renew() {
    clearTimeout(this.#timer);
    if (!this.#wanted) return;
    this.#timer = setTimeout(() => this.renew(), RENEW_MS);
    this.#post(this.#terms());
  }

  /** @param {object} terms */
  #post(terms) {
    const client = this.#server.api.clientId;
    if (client) this.#server.ask("/sonic_guard/watch", JSON.stringify({ client, ...terms }));
  }
}

/** Longest pause between two parts of a long video. */
const PART_GAP_MS = 10_000;

/** The newest news, kept for all cards of the page. */
export class News {
  /** @type {import("./types.d.ts").Live | null} */
  live = null;
  /** The run under way, or the last that ended while the page was there. @type {Run | null} */
  run = null;
  /** Counts what the user has begun: a run each, or all parts of a long video. */
  begun = 0;
  /** Its memory over time. @type {import("./types.d.ts").Sample[]} */
  samples = [];
  /** Called after every piece of news; `ended` when a run has just come to its end. @type {(ended: boolean) => void} */
  onNews = () => {};
  /** The run last heard of, and when. @type {Run | null} */
  #heard = null;
  #heardAt = 0;

  /** @param {any} api  ComfyUI's api. */
  constructor(api) {
    api.addEventListener("sonic_guard.live", (/** @type {CustomEvent} */ { detail }) => this.#hearLive(detail));
    api.addEventListener("sonic_guard.run", (/** @type {CustomEvent} */ { detail }) => this.#hearRun(detail));
  }

  /** No news any more: what was live is not. */
  forget() {
    this.live = null;
    if (this.run?.outcome === "running") this.run = null;
  }

  /** @param {import("./types.d.ts").Live} live */
  #hearLive(live) {
    this.live = live;
    const bytes = live.allocated ?? live.device_used;
    if (live.run) this.#takeRun(live.run);
    else if (this.run?.outcome === "running") this.run = null; // its end was missed
    if (live.run?.outcome === "running" && bytes !== null) {
      this.samples = withSample(this.samples, { elapsed_s: live.run.elapsed_s, bytes, stage: live.run.stage });
    }
    this.onNews(false);
  }

  /** @param {Run} run */
  #hearRun(run) {
    this.#takeRun(run);
    this.onNews(run.outcome !== "running");
  }

  /** @param {Run} run */
  #takeRun(run) {
    const last = this.samples.at(-1);
    const other =
      this.run === null || (this.run.id !== null && this.run.id !== run.id) || (last && run.elapsed_s < last.elapsed_s);
    if (other) this.samples = [];
    if (run.outcome === "running" && !this.#goesOn(run)) this.begun++;
    this.run = this.#heard = run;
    this.#heardAt = performance.now();
  }

  /** Whether `run` is what was heard of last, or the next part of the same long video. @param {Run} run */
  #goesOn(run) {
    const before = this.#heard;
    if (!before) return false;
    if (before.outcome === "running") {
      return before.elapsed_s <= run.elapsed_s && (before.id === null || before.id === run.id);
    }
    const video = run.nodes.SonicGuardLongVideo;
    const soon = performance.now() - this.#heardAt < PART_GAP_MS;
    return before.outcome === "done" && video !== undefined && video === before.nodes.SonicGuardLongVideo && soon;
  }
}

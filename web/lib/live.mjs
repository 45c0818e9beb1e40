// @ts-check
// Live updates from the server about the machine and the current run, and the lease that requests them.

import { withSample } from "./model.mjs";
import { TALKING_HEAD } from "./node_classes.mjs";

/** @typedef {import("./types.d.ts").Run} Run */

const RENEW_MS = 5000;

export class Lease {
  #server;
  #options;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #wanted = false;

  /**
   * @param {import("./server.mjs").Server} server
   * @param {() => {rate_hz: number}} options
   */
  constructor(server, options) {
    this.#server = server;
    this.#options = options;
  }

  /** Have the server send updates while `wanted`. @param {boolean} wanted */
  setWanted(wanted) {
    if (wanted === this.#wanted) return;
    this.#wanted = wanted;
    if (wanted) this.renew();
    else {
      clearTimeout(this.#timer);
      this.#post({ rate_hz: 0 });
    }
  }

  /** Renew the lease now, because the rate has changed or the server has restarted. */
  renew() {
    clearTimeout(this.#timer);
    if (!this.#wanted) return;
    this.#timer = setTimeout(() => this.renew(), RENEW_MS);
    this.#post(this.#options());
  }

  /** @param {object} options */
  #post(options) {
    const client = this.#server.api.clientId;
    if (client) this.#server.ask("/sonic_guard/watch", JSON.stringify({ client, ...options }));
  }
}

/** Id of the node that makes a whole video, if it runs. @param {Run} run */
const idOfVideo = ({ nodes }) => nodes[TALKING_HEAD];

/** Longest pause between two parts of a long video. */
const PART_GAP_MS = 10_000;

/** The newest live data, shared by all cards of the page. */
export class LiveUpdates {
  /** @type {import("./types.d.ts").Live | null} */
  live = null;
  /** The current run, or the last one that ended since the page was loaded. @type {Run | null} */
  run = null;
  /** Number of runs so far; all parts of a long video count as one. */
  begun = 0;
  /** Its memory over time. @type {import("./types.d.ts").Sample[]} */
  samples = [];
  /** Called after every update; `ended` if a run has just ended. @type {(ended: boolean) => void} */
  onUpdate = () => {};
  /** The run of the last update, and the time of it. @type {Run | null} */
  #lastRun = null;
  #lastRunAt = 0;

  /** @param {any} api  ComfyUI's api. */
  constructor(api) {
    api.addEventListener("sonic_guard.live", (/** @type {CustomEvent} */ { detail }) => this.#onLive(detail));
    api.addEventListener("sonic_guard.run", (/** @type {CustomEvent} */ { detail }) => this.#onRun(detail));
  }

  /** The connection is lost: live figures are no longer valid. */
  forget() {
    this.live = null;
    if (this.run?.outcome === "running") this.run = null;
  }

  /** @param {import("./types.d.ts").Live} live */
  #onLive(live) {
    this.live = live;
    const bytes = live.allocated ?? live.device_used;
    if (live.run) this.#takeRun(live.run);
    else if (this.run?.outcome === "running") this.run = null; // its end was not received
    if (live.run?.outcome === "running" && bytes !== null) {
      this.samples = withSample(this.samples, { elapsed_s: live.run.elapsed_s, bytes, stage: live.run.stage });
    }
    this.onUpdate(false);
  }

  /** @param {Run} run */
  #onRun(run) {
    this.#takeRun(run);
    this.onUpdate(run.outcome !== "running");
  }

  /** @param {Run} run */
  #takeRun(run) {
    const last = this.samples.at(-1);
    const other =
      this.run === null || (this.run.id !== null && this.run.id !== run.id) || (last && run.elapsed_s < last.elapsed_s);
    if (other) this.samples = [];
    if (run.outcome === "running" && !this.#continuesLast(run)) this.begun++;
    this.run = this.#lastRun = run;
    this.#lastRunAt = performance.now();
  }

  /** Whether `run` is the run of the last update, or the next part of the same long video. @param {Run} run */
  #continuesLast(run) {
    const before = this.#lastRun;
    if (!before) return false;
    if (before.outcome === "running") {
      return before.elapsed_s <= run.elapsed_s && (before.id === null || before.id === run.id);
    }
    const video = idOfVideo(run);
    const soon = performance.now() - this.#lastRunAt < PART_GAP_MS;
    return before.outcome === "done" && video !== undefined && video === idOfVideo(before) && soon;
  }
}

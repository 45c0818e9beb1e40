// @ts-check
// Requests to the server part of this pack, and whether it can be reached.

/**
 * @typedef {object} Reply  Exactly one of these is set.
 * @property {any} [data]
 * @property {string} [problem]  The server's error message for the user.
 * @property {boolean} [missing]  The server answers, but without the routes of this pack.
 * @property {boolean} [away]  The server cannot be reached.
 */

export class Server {
  away = false;
  /** Called when `away` has changed. */
  onPresence = () => {};

  /** @param {any} api  ComfyUI's api. */
  constructor(api) {
    this.api = api;
    api.addEventListener("reconnecting", () => this.#setAway(true));
    api.addEventListener("reconnected", () => this.#setAway(false));
    api.addEventListener("status", (/** @type {CustomEvent} */ { detail }) => detail && this.#setAway(false));
  }

  /**
   * @param {string} route
   * @param {string} [json]  The body of a POST; without one it is a GET.
   * @param {AbortSignal} [signal]
   * @returns {Promise<Reply | null>}  Null if `signal` has cancelled it.
   */
  async ask(route, json, signal) {
    const post = { method: "POST", headers: { "Content-Type": "application/json" }, body: json };
    try {
      const response = await this.api.fetchApi(route, { ...(json !== undefined && post), signal });
      const data = await response.json().catch(() => null);
      if (signal?.aborted) return null;
      if ([502, 503, 504].includes(response.status)) return this.#gone(); // the answer of a proxy in front of it
      this.#setAway(false);
      if (data === null || (!response.ok && typeof data.error !== "string")) return { missing: true };
      return response.ok ? { data } : { problem: data.error };
    } catch (error) {
      if (signal?.aborted) return null;
      if (!(error instanceof TypeError)) throw error; // what fetch throws without a connection
      return this.#gone();
    }
  }

  #gone() {
    this.#setAway(true);
    return { away: true };
  }

  /** @param {boolean} away */
  #setAway(away) {
    if (this.away === away) return;
    this.away = away;
    this.onPresence();
  }
}

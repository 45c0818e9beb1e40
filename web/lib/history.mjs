// @ts-check
// The sidebar tab with the history of runs.

import { patch } from "./dom.mjs";
import { historyView } from "./history_view.mjs";
import { cardWord, t } from "./words.mjs";

/** @typedef {import("./types.d.ts").History} History */

const ROUTE = "/sonic_guard/history";
const PAGE = 200;
/** Most runs per request. */
const MOST = 1000;

export class HistoryTab {
  /** Where the tab is shown; null while it is closed. @type {HTMLElement | null} */
  #root = null;
  #context;
  /** @type {History | null} */
  #history = null;
  /** @type {string | null} */
  #problem = null;
  #card = "";
  /** @type {Set<number>} */
  #selected = new Set();

  /**
   * @param {object} context
   * @param {import("./server.mjs").Server} context.server
   * @param {() => import("./types.d.ts").Language} context.language
   * @param {() => boolean} context.recording
   * @param {(message: string) => Promise<boolean>} context.confirm
   * @param {() => void} context.onVisibility  Called when the tab has been opened or closed.
   */
  constructor(context) {
    this.#context = context;
  }

  get isOpen() {
    return this.#root !== null;
  }

  /** @param {HTMLElement} element */
  open(element) {
    if (this.#root?.parentElement === element) return; // ComfyUI calls again at each of its own redraws
    this.#root = document.createElement("section");
    this.#root.className = "sonic-guard-history";
    element.replaceChildren(this.#root);
    this.draw();
    this.refresh();
    this.#context.onVisibility();
  }

  close() {
    this.#root?.remove();
    this.#root = null;
    this.#context.onVisibility();
  }

  /** Read the shown part of the history again, if the tab is open. */
  async refresh() {
    const shown = this.#history?.runs.length ?? 0;
    await this.#read({ limit: String(Math.min(Math.max(shown, PAGE), MOST)) }, (history) => history);
  }

  /** Read the page after the last one that is shown. */
  async #more() {
    const before = this.#history?.before;
    if (!before) return;
    await this.#read({ limit: String(PAGE), before: String(before) }, (page) => {
      const known = this.#history;
      if (known?.before !== before) return known; // it was read again meanwhile
      return {
        ...page,
        runs: [...known.runs, ...page.runs],
        unreadable: known.unreadable + page.unreadable,
        calibration: known.calibration,
      };
    });
  }

  /**
   * @param {Record<string, string>} which
   * @param {(answer: History) => History | null} merge  What is shown once the answer is there.
   */
  async #read(which, merge) {
    if (!this.#root) return;
    const card = this.#card;
    const reply = await this.#context.server.ask(`${ROUTE}?${this.#query(which)}`);
    if (!reply || card !== this.#card) return; // the user has chosen another card meanwhile
    if (reply.data) this.#take(merge(reply.data));
    else if (reply.problem !== undefined) this.#problem = reply.problem;
    else this.#problem = t(this.#context.language(), reply.away ? "away" : "missing");
    this.draw();
  }

  draw() {
    if (!this.#root) return;
    const { server, language, recording } = this.#context;
    const views = historyView({
      language: language(),
      history: this.#history,
      problem: this.#problem,
      recording: recording(),
      card: this.#card,
      selected: this.#selected,
      csv: server.api.apiURL(`${ROUTE}.csv?${this.#query({})}`),
      choose: (card) => this.#choose(card),
      select: (ids, on) => this.#select(ids, on),
      more: () => this.#more(),
      remove: (what) => this.#remove(what),
    });
    patch(this.#root, views);
  }

  /** @param {Record<string, string>} more */
  #query(more) {
    return new URLSearchParams({ ...(this.#card && { card: this.#card }), ...more }).toString();
  }

  /** @param {History | null} history */
  #take(history) {
    if (!history) return;
    this.#history = history;
    this.#problem = null;
    const there = new Set(history.runs.map(({ id }) => id));
    this.#selected = new Set([...this.#selected].filter((id) => there.has(id)));
  }

  /** @param {string} card */
  #choose(card) {
    this.#card = card;
    if (this.#history) this.#history = { ...this.#history, before: null }; // it belongs to the previous card
    this.refresh();
  }

  /** @param {number[]} ids @param {boolean} on */
  #select(ids, on) {
    for (const id of ids) {
      if (on) this.#selected.add(id);
      else this.#selected.delete(id);
    }
    this.draw();
  }

  /** @param {{ids: number[]} | {card: string} | {all: true}} what */
  async #remove(what) {
    const { server, language, confirm } = this.#context;
    const key = "ids" in what ? "confirm" : "card" in what ? "confirm card" : "confirm all";
    const values = { card: cardWord(language(), this.#card), count: this.#selected.size };
    if (!(await confirm(t(language(), key, values)))) return;
    const reply = await server.ask(`${ROUTE}/delete`, JSON.stringify(what));
    if (reply?.data && "card" in what) this.#card = "";
    if (reply?.problem !== undefined) this.#problem = reply.problem;
    else await this.refresh();
    this.draw();
  }
}

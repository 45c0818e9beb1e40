// @ts-check
// The sidebar tab with the history of runs.

import { patch } from "./dom.mjs";
import { historyView } from "./history_view.mjs";
import { say } from "./words.mjs";

const ROUTE = "/sonic_guard/history";

export class HistoryTab {
  /** Where the tab is shown; null while it is closed. @type {HTMLElement | null} */
  #root = null;
  #around;
  /** @type {import("./types.d.ts").History | null} */
  #history = null;
  /** @type {string | null} */
  #problem = null;
  #card = "";
  /** @type {Set<number>} */
  #selected = new Set();

  /**
   * @param {object} around
   * @param {import("./server.mjs").Server} around.server
   * @param {() => import("./types.d.ts").Language} around.language
   * @param {() => boolean} around.recording
   * @param {(message: string) => Promise<boolean>} around.confirm
   * @param {() => void} around.onVisibility  Called when the tab has been opened or closed.
   */
  constructor(around) {
    this.#around = around;
  }

  get isOpen() {
    return this.#root !== null;
  }

  /** @param {HTMLElement} element */
  open(element) {
    if (this.#root?.parentElement === element) return; // the host calls again at each of its own redraws
    this.#root = document.createElement("section");
    this.#root.className = "sonic-guard-history";
    element.replaceChildren(this.#root);
    this.draw();
    this.refresh();
    this.#around.onVisibility();
  }

  close() {
    this.#root?.remove();
    this.#root = null;
    this.#around.onVisibility();
  }

  /** Read the history again, if anybody looks. */
  async refresh() {
    if (!this.#root) return;
    const reply = await this.#around.server.ask(`${ROUTE}?${this.#query({ limit: "200" })}`);
    if (!reply) return;
    if (reply.data) this.#take(reply.data);
    else if (reply.problem !== undefined) this.#problem = reply.problem;
    else this.#problem = say(this.#around.language(), reply.away ? "away" : "missing");
    this.draw();
  }

  draw() {
    if (!this.#root) return;
    const { server, language, recording } = this.#around;
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
      remove: (what) => this.#remove(what),
    });
    patch(this.#root, views);
  }

  /** @param {Record<string, string>} more */
  #query(more) {
    return new URLSearchParams({ ...(this.#card && { card: this.#card }), ...more }).toString();
  }

  /** @param {import("./types.d.ts").History} history */
  #take(history) {
    this.#history = history;
    this.#problem = null;
    const there = new Set(history.runs.map(({ id }) => id));
    this.#selected = new Set([...this.#selected].filter((id) => there.has(id)));
  }

  /** @param {string} card */
  #choose(card) {
    this.#card = card;
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
    const { server, language, confirm } = this.#around;
    const key = "ids" in what ? "confirm" : "card" in what ? "confirm card" : "confirm all";
    const holes = { card: this.#card, count: this.#selected.size };
    if (!(await confirm(say(language(), key, holes)))) return;
    const reply = await server.ask(`${ROUTE}/delete`, JSON.stringify(what));
    if (reply?.data && "card" in what) this.#card = "";
    if (reply?.problem !== undefined) this.#problem = reply.problem;
    else await this.refresh();
    this.draw();
  }
}

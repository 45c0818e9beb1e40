// @ts-check
// Polls the graph for changes.
//
// The front end has no event for all changes of a value: widget callbacks are not called by undo, nor for links inside
// a subgraph. But everything a user does begins with an input event of the page. So: after an input event poll fast for
// a moment, otherwise slowly.

/** Time between two polls after an input event, and otherwise. */
const ACTIVE_MS = 40;
const IDLE_MS = 100;
/** How long after an input event its effect may come. */
const EFFECT_MS = 400;
/** Least pause as a multiple of the duration of a poll, so that large graphs do not slow the page down. */
const ACTIVE_REST = 10;
const IDLE_REST = 50;
const INPUTS = [
  "input",
  "change",
  "click",
  "pointerdown",
  "pointerup",
  "pointermove",
  "keydown",
  "keyup",
  "wheel",
  "drop",
  "focusout",
];

export class GraphPoller {
  #poll;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #activeUntil = 0;
  #running = false;

  /** @param {() => void} poll  Called often; must be cheap when nothing has changed. */
  constructor(poll) {
    this.#poll = poll;
  }

  /** Start or stop polling. @param {boolean} active */
  setActive(active) {
    if (active === this.#running) return;
    this.#running = active;
    clearTimeout(this.#timer);
    for (const name of INPUTS) {
      if (active) document.addEventListener(name, this.#onInput, { capture: true, passive: true });
      else document.removeEventListener(name, this.#onInput, { capture: true });
    }
    if (active) this.#tick();
  }

  #tick = () => {
    const start = performance.now();
    this.#poll();
    if (!this.#running) return;
    const now = performance.now();
    const active = now < this.#activeUntil;
    const rest = (now - start) * (active ? ACTIVE_REST : IDLE_REST);
    this.#timer = setTimeout(this.#tick, Math.max(active ? ACTIVE_MS : IDLE_MS, rest));
  };

  /** @param {Event} event */
  #onInput = (event) => {
    if (event instanceof PointerEvent && event.type === "pointermove" && !event.buttons) return;
    const idle = performance.now() >= this.#activeUntil;
    this.#activeUntil = performance.now() + EFFECT_MS;
    if (!idle) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(this.#tick, ACTIVE_MS / 2);
  };
}

// @ts-check
// When to look at the graph again.
//
// A front end has many ways to change a value, and none that tells of all of them: widget callbacks know nothing of
// undo, nor of links made in a subgraph. But whatever the user does begins with an event of the page. So: after any
// input look often for a moment, otherwise now and then.

/** Time between two looks while the user is at it, and otherwise. */
const ACTIVE_MS = 40;
const IDLE_MS = 100;
/** How long after an input its effect may come. */
const EFFECT_MS = 400;
/** Looking takes no more than a part of the time, however large the graph is: so many times as long is the pause. */
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

export class Follower {
  #look;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #activeUntil = 0;
  #running = false;

  /** @param {() => void} look  Called often; must be cheap when nothing has changed. */
  constructor(look) {
    this.#look = look;
  }

  /** Look while `wanted`, and only while the page is visible. @param {boolean} wanted */
  follow(wanted) {
    if (wanted === this.#running) return;
    this.#running = wanted;
    clearTimeout(this.#timer);
    for (const name of INPUTS) {
      if (wanted) document.addEventListener(name, this.#stir, { capture: true, passive: true });
      else document.removeEventListener(name, this.#stir, { capture: true });
    }
    if (wanted) this.#tick();
  }

  #tick = () => {
    const start = performance.now();
    this.#look();
    if (!this.#running) return;
    const now = performance.now();
    const active = now < this.#activeUntil;
    const rest = (now - start) * (active ? ACTIVE_REST : IDLE_REST);
    this.#timer = setTimeout(this.#tick, Math.max(active ? ACTIVE_MS : IDLE_MS, rest));
  };

  /** @param {Event} event */
  #stir = (event) => {
    if (event instanceof PointerEvent && event.type === "pointermove" && !event.buttons) return;
    const idle = performance.now() >= this.#activeUntil;
    this.#activeUntil = performance.now() + EFFECT_MS;
    if (!idle) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(this.#tick, ACTIVE_MS / 2);
  };
}

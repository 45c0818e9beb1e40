// @ts-check
// The DOM widget that holds a card on its node, and how much of the node it takes.
//
// On a node of another pack, what the user has not unfolded takes nothing: it hangs below the widgets, because the
// workflow was laid out without it. Where a saved node has room for a card, the card stays within that room and scrolls.

const NAME = "sonic_guard";
/** Room around the widget, by its shape. */
const MARGINS = { card: 10, folded: 10, line: 4, hanging: 0 };
const LEAST_WIDTH = 320;
/** Height until the card has been laid out for the first time. */
const FIRST_HEIGHT = 26;
/** A saved node with this much room for a card was saved with one. */
const ROOM = 90;
/** Nodes 2.0 measures a node this long after its card has changed, at most. */
const MEASURED_MS = 500;

export class CardWidget {
  #node;
  #root;
  #body;
  #onCanvas;
  #onSized;
  #height = FIRST_HEIGHT;
  /** @type {keyof typeof MARGINS} */
  #shape = "line";
  #wide = false;
  /** Whether the node has a size that the user has saved. */
  #isSaved = false;
  /** Height that the saved node leaves for the card; null while the card may take what it needs. @type {number | null} */
  #room = null;
  /** @type {any} */
  #widget = null;
  /** When the card last changed its height, and the last known size of the node. */
  #fittedAt = -Infinity;
  /** @type {number[]} */
  #size = [];
  #resized = new ResizeObserver(() => this.#fit());

  /**
   * @param {import("./types.d.ts").Node} node
   * @param {HTMLElement} root
   * @param {HTMLElement} body  The content, inside of `root`.
   * @param {() => boolean} onCanvas  Whether LiteGraph draws the nodes, not Nodes 2.0.
   * @param {(node: import("./types.d.ts").Node, before: number[]) => void} onSized  Called when the card has changed the
   *   size of its node, with the size before.
   */
  constructor(node, root, body, onCanvas, onSized) {
    this.#node = node;
    this.#root = root;
    this.#root.dataset.shape = this.#shape;
    this.#body = body;
    this.#onCanvas = onCanvas;
    this.#onSized = onSized;
  }

  get isAttached() {
    return this.#widget !== null;
  }

  /** @param {boolean} wide  Whether the card shows bars. */
  attach(wide) {
    const options = {
      serialize: false, // not sent with a prompt
      hideOnZoom: false,
      margin: MARGINS[this.#shape],
      getMinHeight: () => this.#least(),
    };
    this.#widget = this.#node.addDOMWidget(NAME, NAME, this.#root, options);
    // ComfyUI's panel of properties gives the widgets that it shows its own width, and they keep it on the canvas.
    Object.defineProperty(this.#widget, "width", { get: () => undefined, set: () => {} });
    this.#widget.serialize = false; // not saved: it would shift the values of widgets added later
    this.#wide = wide;
    this.#grow();
  }

  /** Give the card the room that it needs, unless the user has saved a size. */
  #grow() {
    if (this.#isSaved || this.#shape === "hanging") return;
    const [width, height] = this.#node.computeSize();
    const least = this.#wide && this.#shape !== "line" ? LEAST_WIDTH : 0;
    this.#setSize(Math.max(this.#node.size[0], width, least), Math.max(this.#node.size[1], height));
  }

  /** @param {number} width @param {number} height */
  #setSize(width, height) {
    const before = [...this.#node.size];
    if (width === before[0] && height === before[1]) return;
    this.#node.setSize([width, height]);
    this.#onSized(this.#node, before);
  }

  detach() {
    if (!this.#widget) return;
    this.#node.removeWidget(this.#widget);
    this.#widget = null;
    if (this.#shape !== "hanging") this.#shrink();
  }

  /** The node is in a graph: follow the size of the content. */
  start() {
    this.#resized.observe(this.#body);
  }

  stop() {
    this.#resized.disconnect();
  }

  /** The node has a new size: in Nodes 2.0, which measures nodes, from its card if that has just changed. */
  resized() {
    const before = this.#size;
    this.#size = [...this.#node.size];
    if (this.#onCanvas()) return;
    const since = performance.now() - this.#fittedAt;
    if (since <= MEASURED_MS || this.#body.offsetHeight !== this.#height) this.#onSized(this.#node, before);
  }

  /** The node has got the size that was saved with it. @param {[number, number]} size */
  configured([, height]) {
    const room = height - this.#bare() - 2 * MARGINS.card;
    this.#room = room >= ROOM ? room : null;
    this.#isSaved = true;
  }

  /** The user has folded or unfolded the card: it takes what it needs. */
  release() {
    this.#room = null;
    this.#isSaved = false;
  }

  /** How much of the node it takes: as the whole or the folded card, one line, or nothing. @param {keyof typeof MARGINS} shape */
  setShape(shape) {
    if (shape === this.#shape) return;
    const tight = this.#isTight();
    this.#shape = shape;
    this.#root.dataset.shape = shape;
    if (!this.#widget) return;
    this.#widget.options.margin = MARGINS[shape];
    if (tight) this.#shrink();
    this.#grow();
    this.#node.setDirtyCanvas?.(true, true);
  }

  #least() {
    if (this.#shape === "hanging") return 0;
    return (this.#room === null ? this.#height : Math.min(this.#height, this.#room)) + 2 * MARGINS[this.#shape];
  }

  /** Height of the node without the card. */
  #bare() {
    return this.#node.computeSize()[1] - (this.#widget ? this.#least() : 0);
  }

  #isTight() {
    return this.#widget !== null && this.#node.size[1] <= this.#node.computeSize()[1] + 1;
  }

  /** Give the card the height of its content, and shrink the node with it. */
  #fit() {
    const height = this.#body.offsetHeight;
    if (height === 0 || height === this.#height || !this.#widget) return;
    const tight = this.#isTight();
    this.#height = height;
    this.#fittedAt = performance.now();
    this.#size = [...this.#node.size];
    if (this.#room === null && this.#shape !== "hanging") {
      if (tight) this.#shrink();
      else if (this.#onCanvas()) this.#setSize(this.#node.size[0], Math.max(this.#node.size[1], this.#node.computeSize()[1]));
    }
    this.#node.setDirtyCanvas?.(true, true);
  }

  /** LiteGraph enlarges nodes by itself but never shrinks them; Nodes 2.0 ignores these sizes. */
  #shrink() {
    if (this.#onCanvas()) this.#setSize(this.#node.size[0], this.#node.computeSize()[1]);
  }
}

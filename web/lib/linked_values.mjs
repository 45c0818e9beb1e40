// @ts-check
// A field with a link into it shows what the link will bring. ComfyUI shows the value from before the link, which is not
// sent. The field's own value is kept: it is what is saved, and what the field shows again without the link.

/** @typedef {import("./types.d.ts").Setting} Setting */

export class LinkedValues {
  #node;
  /** By input. @type {Map<string, {own: unknown, shown: Setting}>} */
  #replaced = new Map();

  /** @param {import("./types.d.ts").Node} node */
  constructor(node) {
    this.#node = node;
  }

  /**
   * @param {Set<string>} links  The inputs that a node's output is linked to.
   * @param {Record<string, Setting>} brought  What the links will bring, as far as it is known.
   * @returns {boolean}  Whether a field has changed.
   */
  show(links, brought) {
    let changed = false;
    for (const widget of this.#node.widgets ?? []) {
      const { name } = widget;
      if (!name) continue;
      const replaced = this.#replaced.get(name);
      const isKept = replaced !== undefined && widget.value === replaced.shown;
      // Whoever else has set the value has set the field's own.
      const own = isKept ? replaced.own : widget.value;
      const value = links.has(name) && typeof brought[name] === typeof own ? brought[name] : own;
      if (value === own) this.#replaced.delete(name);
      else this.#replaced.set(name, { own, shown: /** @type {Setting} */ (value) });
      if (value === widget.value) continue;
      widget.value = value;
      changed = true;
    }
    if (changed) this.#node.setDirtyCanvas?.(true, true);
    return changed;
  }

  /** Put the fields' own values into what is saved of the node. @param {any} saved */
  keepOwn(saved) {
    for (const [index, { name, value }] of (this.#node.widgets ?? []).entries()) {
      const replaced = this.#replaced.get(name ?? "");
      if (!name || !replaced || value !== replaced.shown) continue;
      if (saved.widgets_values && index in saved.widgets_values) saved.widgets_values[index] = replaced.own;
      if (saved.widgets_values_named) saved.widgets_values_named[name] = replaced.own;
    }
  }
}

// @ts-check
// Views are plain data: h(tag, attributes, ...children). patch() updates a page element to show views and changes only
// what differs, so that focus, selection and hover survive a redraw. Data becomes text nodes and attributes, no markup.

/**
 * @typedef {{tag: string, attributes: Record<string, any>, children: Child[]}} View
 * @typedef {View | string} Child
 * @typedef {View | string | number | null | undefined | false} Maybe
 */

const SVG = "http://www.w3.org/2000/svg";
const SVG_TAGS = new Set(["svg", "path", "line", "circle", "rect", "text", "g", "title"]);

/**
 * A view; children that are null, undefined or false are left out.
 * @param {string} tag
 * @param {Record<string, any>} attributes  Those that begin with "on" are listeners; null and false mean none.
 * @param {...(Maybe | Maybe[])} children
 * @returns {View}
 */
export function h(tag, attributes, ...children) {
  const kept = children.flat().filter((child) => child !== null && child !== undefined && child !== false);
  return { tag, attributes, children: kept.map((child) => (typeof child === "object" ? child : String(child))) };
}

/** All text of a view, in order. @param {Child} child @returns {string} */
export const textOf = (child) => (typeof child === "string" ? child : child.children.map(textOf).join(" "));

/** Make `parent` show `children`. @param {Element} parent @param {Child[]} children */
export function patch(parent, children) {
  const olds = [...parent.childNodes];
  for (const [index, child] of children.entries()) {
    const old = olds[index];
    if (!old) parent.append(make(child));
    else if (!update(old, child)) old.replaceWith(make(child));
  }
  for (const old of olds.slice(children.length)) old.remove();
}

/** @param {Child} child @returns {globalThis.Node} */
function make(child) {
  if (typeof child === "string") return document.createTextNode(child);
  const made = SVG_TAGS.has(child.tag) ? document.createElementNS(SVG, child.tag) : document.createElement(child.tag);
  update(made, child);
  return made;
}

/** Make `old` show `child`; false if it is of another kind. @param {globalThis.Node} old @param {Child} child */
function update(old, child) {
  if (typeof child === "string") {
    if (old.nodeType !== 3) return false;
    if (old.nodeValue !== child) old.nodeValue = child;
    return true;
  }
  if (!(old instanceof Element) || old.localName !== child.tag) return false;
  setAttributes(old, child.attributes);
  patch(old, child.children);
  return true;
}

/** Set as properties: their attributes are only initial values. */
const PROPERTIES = new Set(["checked", "selected", "indeterminate", "disabled"]);
const isProperty = (/** @type {string} */ name) => PROPERTIES.has(name) || name.startsWith("on");

/** @param {any} element @param {Record<string, any>} attributes */
function setAttributes(element, attributes) {
  for (const name of element.shownAttributes ?? []) {
    if (name in attributes) continue;
    if (isProperty(name)) element[name] = null;
    else element.removeAttribute(name);
  }
  element.shownAttributes = Object.keys(attributes);
  for (const [name, value] of Object.entries(attributes)) {
    if (isProperty(name)) {
      if (element[name] !== value) element[name] = value;
    } else if (value === null || value === undefined || value === false) {
      element.removeAttribute(name);
    } else {
      const text = value === true ? "" : String(value);
      if (element.getAttribute(name) !== text) element.setAttribute(name, text);
    }
  }
}

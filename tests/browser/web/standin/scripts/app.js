// Stands in for ComfyUI's scripts/app.js: the members this pack uses, and a graph that behaves like LiteGraph's.
const SLOT = 24;

/** The values that a test has set, and the defaults that extensions have declared. */
class Settings {
  known = new Map();
  values = new Map([["Comfy.Locale", "en"]]);

  add(setting) {
    this.known.set(setting.id, setting);
    setting.onChange?.(this.get(setting.id));
  }

  get(id) {
    return this.values.get(id) ?? this.known.get(id)?.defaultValue;
  }

  set(id, value) {
    this.values.set(id, value);
    this.known.get(id)?.onChange?.(value);
  }
}

class Node {
  id = -1;
  mode = 0;
  graph = null;
  properties = {};
  widgets = [];
  size = [300, 60];
  removers = [];

  constructor(type, inputs, values) {
    this.type = this.comfyClass = type;
    this.inputs = inputs.map(([name, kind]) => ({ name, type: kind, link: null }));
    for (const [name, value] of Object.entries(values)) this.addInput(name, value);
  }

  /** A widget the user can type in. */
  addInput(name, value) {
    const element = document.createElement("input");
    const widget = { name, value, element };
    element.value = value;
    element.setAttribute("aria-label", name);
    element.addEventListener(
      "input",
      () => (widget.value = isNaN(element.value) ? element.value : Number(element.value)),
    );
    this.widgets.push(widget);
  }

  addDOMWidget(name, type, element, options) {
    const widget = { name, type, element, options, value: "" };
    this.widgets.push(widget);
    this.frame?.append(element);
    return widget;
  }

  removeWidget(widget) {
    this.widgets = this.widgets.filter((other) => other !== widget);
    widget.element.remove();
  }

  computeSize() {
    return [200, this.widgets.reduce((sum, { options }) => sum + (options?.getMinHeight?.() ?? SLOT), 40)];
  }

  setSize(size) {
    this.size = size;
    if (this.frame) this.frame.style.cssText = `width:${size[0]}px;min-height:${size[1]}px`;
  }

  setDirtyCanvas() {
    this.setSize([this.size[0], Math.max(this.size[1], this.computeSize()[1])]); // grows by itself, never shrinks
  }

  getInputLink(slot) {
    return this.graph.links.get(this.inputs[slot].link) ?? null;
  }

  configure(saved) {
    Object.assign(this.properties, saved.properties);
    this.onConfigure?.(saved);
  }

  serialize() {
    const kept = this.widgets.filter((widget) => widget.serialize !== false);
    return { id: this.id, properties: { ...this.properties }, widgets_values: kept.map(({ value }) => value) };
  }
}

class Graph {
  nodes = [];
  links = new Map();

  getNodeById(id) {
    return this.nodes.find((node) => String(node.id) === String(id)) ?? null;
  }

  /** With `frame`, that of an earlier node of the same id, and what is shown in it, stay as they are: so do Nodes 2.0. */
  add(node, frame = null) {
    node.id = this.nodes.length + 1;
    node.graph = this;
    this.nodes.push(node);
    node.frame = frame ?? document.createElement("div");
    if (!frame) {
      node.frame.className = "node";
      for (const { element } of node.widgets) node.frame.append(element);
      document.querySelector("main").append(node.frame);
    }
    node.setSize(node.size);
    node.onAdded?.(this);
    return node;
  }

  remove(node, { keepFrame = false } = {}) {
    this.nodes = this.nodes.filter((other) => other !== node);
    if (!keepFrame) node.frame.remove();
    node.onRemoved?.();
    node.graph = null;
  }

  connect(from, fromSlot, to, toSlot) {
    const id = this.links.size + 1;
    this.links.set(id, { id, origin_id: from.id, origin_slot: fromSlot, target_id: to.id, target_slot: toSlot });
    to.inputs[toSlot].link = id;
  }
}

const settings = new Settings();
const extensions = [];
const commands = new Map();

export const app = {
  graph: new Graph(),
  canvas: { processMouseWheel: () => (app.wheeled = true) },
  extensionManager: {
    setting: settings,
    toasts: [],
    toast: { add: (toast) => app.extensionManager.toasts.push(toast) },
    asked: [],
    dialog: { confirm: async (what) => Boolean(app.extensionManager.asked.push(what)) },
    command: { execute: (id) => commands.get(id)() },
    registerSidebarTab(tab) {
      const element = document.querySelector("aside");
      commands.set(`Workspace.ToggleSidebarTab.${tab.id}`, () => {
        element.hidden = !element.hidden;
        if (element.hidden) tab.destroy();
        else tab.render(element);
      });
    },
  },
  registerExtension(extension) {
    extensions.push(extension);
    for (const setting of extension.settings ?? []) settings.add(setting);
    for (const { id, function: run } of extension.commands ?? []) commands.set(id, run);
  },
  start: () => extensions.forEach((extension) => extension.setup?.(app)),
  /** A new node in the graph, as when the user adds one; with `saved` as when a workflow is opened. */
  addNode(type, { inputs = [], values = {}, saved = null, frame = null } = {}) {
    const node = new Node(type, inputs, values);
    extensions.forEach((extension) => extension.nodeCreated?.(node, app));
    if (saved) node.configure(saved);
    return app.graph.add(node, frame);
  },
};

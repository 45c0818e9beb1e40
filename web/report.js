// @ts-check
// Shows what a node of this pack reports on the node itself, after every run of it.

import { app } from "../../scripts/app.js";

const MIN_HEIGHT = 120;
const STYLE = `box-sizing: border-box; height: 100%; padding: 8px; overflow-y: auto; border-radius: 6px;
  font: 12px/1.45 sans-serif; white-space: pre-wrap; overflow-wrap: anywhere; user-select: text;
  color: var(--input-text); background: var(--comfy-input-bg);`;

/** The element for reports on `node`; made when there is something to say. */
function reportElement(node) {
  const known = node.widgets?.find((widget) => widget.type === "sonic_guard_report");
  if (known) return known.element;
  const element = document.createElement("div");
  element.style.cssText = STYLE;
  const options = { serialize: false, hideOnZoom: true, getMinHeight: () => MIN_HEIGHT };
  const widget = node.addDOMWidget("sonic_guard_report", "sonic_guard_report", element, options);
  widget.serialize = false; // else it would shift the saved values of widgets added later
  const [width, height] = node.computeSize();
  node.setSize([Math.max(node.size[0], width), Math.max(node.size[1], height)]);
  return element;
}

app.registerExtension({
  name: "SonicGuard.Report",
  nodeCreated(node) {
    if (!node.comfyClass?.startsWith("SonicGuard")) return;
    const before = node.onExecuted;
    node.onExecuted = function (output) {
      before?.call(this, output);
      if (output?.text) reportElement(this).textContent = output.text.join("\n");
    };
  },
});

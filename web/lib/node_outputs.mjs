// @ts-check
// What ComfyUI keeps of the nodes' runs. It keeps it by workflow, through a change of the workflow's tab.

/** @typedef {import("./types.d.ts").Node} Node */

/** How ComfyUI names a node there. @param {Node} node */
function placeOf({ graph, id }) {
  const isInside = graph && graph.rootGraph && graph.rootGraph !== graph;
  return isInside ? `${graph.id}:${id}` : String(id);
}

/** The report in what a run gave a node for display; null where there is none. @param {any} output */
export const reportIn = (output) => (Array.isArray(output?.text) ? output.text.join("\n") : null);

/** The report of a node's last run, as far as ComfyUI still has it. @param {any} app  ComfyUI's. @param {Node} node */
export const keptReport = (app, node) => reportIn(app.nodeOutputs?.[placeOf(node)]);

/**
 * Forget the last live picture of a node that has its result. ComfyUI shows it beside the result, or in place of it, and
 * Nodes 2.0 even as if it were the video, which then "cannot be loaded". It has no call for that, but its store has.
 * @param {any} app  ComfyUI's.
 * @param {Node} node
 */
export function forgetLivePicture(app, node) {
  const place = placeOf(node);
  app.extensionManager?._p?._s?.get?.("nodeOutput")?.revokePreviewsByLocatorId?.(place);
  delete app.nodePreviewImages?.[place]; // older front ends have no such store
}

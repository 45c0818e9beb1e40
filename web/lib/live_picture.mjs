// @ts-check

/**
 * Forget the last live picture of a node that has its result. ComfyUI shows it beside the result, or in place of it, and
 * Nodes 2.0 even as if it were the video, which then "cannot be loaded". It has no call for that, but its store has.
 * @param {any} app  ComfyUI's.
 * @param {import("./types.d.ts").Node} node
 */
export function forgetLivePicture(app, node) {
  const { graph } = node;
  const isInside = graph && graph.rootGraph && graph.rootGraph !== graph;
  const place = isInside ? `${graph.id}:${node.id}` : String(node.id);
  app.extensionManager?._p?._s?.get?.("nodeOutput")?.revokePreviewsByLocatorId?.(place);
  delete app.nodePreviewImages?.[place]; // older front ends have no such store
}

// @ts-check
// The options of this pack's menus in Chinese. ComfyUI's locale files have no place for them, but a menu asks its
// widget for the label of a value (seen in front end 1.49; 1.27 shows the value). The value stays in the label, and is
// what is saved: reports, help pages and other people's workflows name it.

const SWITCH = { mode: "同上", auto: "需要时启用", on: "开启", off: "关闭" };

/** By the input's name and the value. @type {Record<string, Record<string, string>>} */
export const LABELS = {
  preset: { fast: "快速预览", hd: "高清", minimal: "最低显存" },
  mode: { auto: "按需启用", least_memory: "最省显存", off: "关闭" },
  aspect: { none: "不裁剪", original: "原图比例" },
  on_risk: { downgrade: "自动调整", warn: "仅警告", stop: "停止" },
  policy: { lossless_first: "优先保画质", article: "按原文章" },
  format: { h264: "通用", ffv1: "无损", prores: "剪辑用" },
  language: { auto: "跟随界面", en: "英文", zh: "中文" },
  finish: { off: "关闭", fast: "快速", hd: "全高清" },
  device: { auto: "自动选择" },
  streaming_decode: SWITCH,
  unet_offload: SWITCH,
  tensor_offload: SWITCH,
  sequential_cfg: SWITCH,
  feed_forward_chunking: SWITCH,
  layer_chunking: SWITCH,
  stream_weights: SWITCH,
};

/** Where a node means something else by a name. @type {Record<string, typeof LABELS>} */
export const LABELS_OF_NODES = { SonicGuardFinishVideo: { preset: LABELS.finish } };

/**
 * The label of a value: the word for it, and the value. `kind` is the node's class.
 * @param {string} name @param {unknown} value @param {string} [kind]
 */
export function optionLabel(name, value, kind = "") {
  const word = (LABELS_OF_NODES[kind]?.[name] ?? LABELS[name])?.[String(value)];
  return word ? `${word} (${value})` : String(value ?? "");
}

/**
 * Label the options of a new node in the interface's language. In English they are left alone: ComfyUI's longer menus
 * have a filter only where values have no labels.
 * @param {{ comfyClass?: string, widgets?: { type?: string, name: string, options?: any }[] }} node
 * @param {() => import("./types.d.ts").Language} language
 */
export function labelOptions(node, language) {
  if (language() === "en") return;
  for (const { type, name, options } of node.widgets ?? []) {
    if (type !== "combo" || !options || !(name in LABELS)) continue;
    options.getOptionLabel = (/** @type {unknown} */ value) =>
      language() === "en" ? String(value ?? "") : optionLabel(name, value, node.comfyClass);
  }
}

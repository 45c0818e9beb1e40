// @ts-check
// The picture on a card: the whole of it, the crop that Sonic gets, and the face in it. A pure function.

import { h } from "./dom.mjs";
import { t } from "./words.mjs";

/** Where a box lies in a picture. @param {import("./types.d.ts").Box} box */
const place = ([x, y, width, height]) =>
  `left:${percent(x)};top:${percent(y)};width:${percent(width)};height:${percent(height)}`;

/** @param {number} part */
const percent = (part) => `${(part * 100).toFixed(2)}%`;

/**
 * @param {import("./types.d.ts").Language} language
 * @param {import("./types.d.ts").Crop} crop
 * @param {(file: string) => string} url
 */
export function picture(language, { file, aspect, crop, face }, url) {
  return h(
    "span",
    { class: "frame", style: `aspect-ratio:${aspect.toFixed(4)}`, title: t(language, "hint.picture") },
    h("img", { src: url(file), alt: t(language, "picture"), loading: "lazy", draggable: "false" }),
    h("i", { class: "kept", style: place(crop) }),
    face && h("i", { class: "face", style: place(face) }),
  );
}

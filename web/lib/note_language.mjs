// @ts-check
// The note in a template has its text in each language, behind a comment that ComfyUI does not show; the page keeps one.

/**
 * What a note says in `language`; a note without such comments stays as it is.
 * @param {string} text
 * @param {import("./types.d.ts").Language} language
 */
export function inLanguage(text, language) {
  const [before, ...parts] = text.split(/^<!-- (en|zh) -->\n/m);
  const at = parts.indexOf(language);
  return before === "" && at >= 0 ? parts[at + 1] : text;
}

/**
 * Have a note of a loaded workflow say what it says in the user's language.
 * @param {any} node
 * @param {import("./types.d.ts").Language} language
 */
export function keepLanguage(node, language) {
  if (node.type !== "MarkdownNote") return;
  for (const widget of node.widgets ?? [])
    if (typeof widget.value === "string") {
      const text = inLanguage(widget.value, language);
      if (text !== widget.value) widget.value = text;
    }
}

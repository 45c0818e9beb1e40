// @ts-check
// The order of this pack's templates. ComfyUI lists those of a pack as its file system does, on most disks of Linux in
// no order (seen in 0.33.0); the page keeps that order. Their names begin with their numbers.

/** How the names of this pack's templates begin. */
const OURS = "Sonic Guard - ";

/**
 * Have the page get this pack's templates in the order of their names, and those of other packs as they are.
 * @param {{ getWorkflowTemplates?: () => Promise<Record<string, string[]>> }} api  ComfyUI's.
 */
export function orderTemplates(api) {
  const original = api.getWorkflowTemplates;
  if (!original) return;
  api.getWorkflowTemplates = async () => {
    const packs = await original.call(api);
    for (const names of Object.values(packs)) if (names.every((name) => name.startsWith(OURS))) names.sort();
    return packs;
  };
}

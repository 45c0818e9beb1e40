// @ts-check
// The classes of the nodes that this pack shows something on, and which of them shows the whole card.

export const LOW_VRAM = "SonicGuardLowVRAM";
export const PREFLIGHT = "SonicGuardPreflight";
/** The node that makes a whole video. */
export const TALKING_HEAD = "SonicGuardTalkingHead";

/** Nodes of Sonic and of its relatives that run the network. */
export const SAMPLERS = ["SONICSampler", "Dice_Talk_Sampler"];

const PREDATAS = ["SONIC_PreData", "Dice_Talk_PreData"];

/** Nodes of Sonic and of its relatives that load the network. */
export const LOADERS = new Set(["SONICTLoader", "Dice_Talk_Loader"]);

/** Nodes of Sonic and of its relatives that show a prediction. */
export const SONIC_NODES = new Set([...SAMPLERS, ...PREDATAS]);

/** Nodes that show a prediction, those that say most about the run first. Nodes of two relatives say equally much. */
const RANKING = [
  ...[TALKING_HEAD, PREFLIGHT, "SonicGuardAutoDowngrade", "SonicGuardOOMRisk", LOW_VRAM].map((kind) => [kind]),
  SAMPLERS,
  PREDATAS,
];

/** Nodes that run an upscale model, which show in a line what it will need. */
export const UPSCALING_NODES = new Set(["SonicGuardUpscaleVideo", "SonicGuardFinishVideo"]);

/** Nodes of this pack that show a prediction. */
export const PREDICTING_NODES = new Set([...RANKING.flat().filter((kind) => !SONIC_NODES.has(kind)), ...UPSCALING_NODES]);

/**
 * The nodes among `nodes` that show the whole card: those of the first classes in the ranking that are among them. On the
 * others a line is enough, because the run is the same.
 * @template {{comfyClass?: string}} Node
 * @param {Iterable<Node>} nodes
 * @returns {Set<Node>}
 */
export function mainNodes(nodes) {
  const all = [...nodes];
  const rank = (/** @type {Node} */ { comfyClass }) => RANKING.findIndex((kinds) => kinds.includes(comfyClass ?? ""));
  const first = Math.min(...all.map(rank).filter((place) => place !== -1));
  return new Set(all.filter((node) => rank(node) === first));
}

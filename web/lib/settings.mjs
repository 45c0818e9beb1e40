// @ts-check
// The settings of this pack and their defaults; locales/*/settings.json has the same texts in each language.

/** @type {Record<string, boolean | number | string>} */
export const DEFAULTS = {
  "SonicGuard.Widget": true,
  "SonicGuard.SonicNodes": true,
  "SonicGuard.Rate": 2,
  "SonicGuard.Record": true,
  "SonicGuard.TargetCard": "auto",
  "SonicGuard.Leases": "auto",
  "SonicGuard.MaxRuns": 2,
};

/** Range of the rate that the server accepts, in Hz. */
const RATES = { min: 0.2, max: 10, step: 0.2 };

/** @param {() => void} onChange  Called after any of them has changed. */
export function settings(onChange) {
  const one = (/** @type {string} */ id, /** @type {object} */ more) => ({
    id,
    category: ["Sonic Guard", "Sonic Guard", id],
    defaultValue: DEFAULTS[id],
    onChange,
    ...more,
  });
  // ComfyUI shows the last one first.
  return [
    one("SonicGuard.MaxRuns", {
      name: "Most runs of Sonic at a time on one graphics card, of all ComfyUIs on this machine",
      tooltip: "Further runs wait for their turn. The setting above decides whether they do.",
      type: "number",
      attrs: { min: 1, max: 16, step: 1, showButtons: true },
    }),
    one("SonicGuard.Leases", {
      name: "Wait for runs of other ComfyUIs that use the same graphics card",
      tooltip:
        "auto: where there are others. on: also while other programs leave too little memory. off: run at once, as without Sonic Guard.",
      type: "combo",
      options: ["auto", "on", "off"],
    }),
    one("SonicGuard.TargetCard", {
      name: "Graphics card of nodes whose target_card is auto, and of Sonic's own nodes",
      tooltip: "auto: the card of this machine and its free memory. Or a card or size, such as RTX 3060 12GB or 20 GiB.",
      type: "text",
    }),
    one("SonicGuard.Record", {
      name: "Keep a history of runs",
      tooltip: "Records the memory of each run to improve the prediction. No image, audio or text is stored.",
      type: "boolean",
    }),
    one("SonicGuard.Rate", {
      name: "Measurements per second",
      tooltip: "How often memory is measured during a run, or while a card or the history is visible.",
      type: "slider",
      attrs: RATES,
    }),
    one("SonicGuard.SonicNodes", {
      name: "Show VRAM on Sonic's own nodes too",
      tooltip: "On SONICSampler and SONIC_PreData.",
      type: "boolean",
    }),
    one("SonicGuard.Widget", {
      name: "Show VRAM on nodes",
      tooltip: "Predicted and measured VRAM of each stage, on the nodes that affect it.",
      type: "boolean",
    }),
  ];
}

// @ts-check
// The settings of this pack and their defaults; locales/*/settings.json has the same words in each language.

/** @type {Record<string, boolean | number | string>} */
export const DEFAULTS = {
  "SonicGuard.Widget": true,
  "SonicGuard.SonicNodes": true,
  "SonicGuard.Rate": 2,
  "SonicGuard.Record": true,
  "SonicGuard.TargetCard": "auto",
};

/** The slowest and fastest rate the server takes, in Hz. */
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
  // The page shows the last one first.
  return [
    one("SonicGuard.TargetCard", {
      name: "Card to judge Sonic's own nodes for",
      tooltip: "auto: this machine's, with what is free right now. Or a card or size, such as RTX 3060 12GB or 20 GiB.",
      type: "text",
    }),
    one("SonicGuard.Record", {
      name: "Keep a history of runs",
      tooltip: "What each run took, so that the prediction learns. No picture, sound or text is kept.",
      type: "boolean",
    }),
    one("SonicGuard.Rate", {
      name: "Measurements a second",
      tooltip: "How often memory is read while you look or a run is under way.",
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
      tooltip: "What a run will need and what it takes, stage by stage, on the nodes that decide it.",
      type: "boolean",
    }),
  ];
}

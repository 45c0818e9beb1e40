// @ts-check
// The commands of this pack; locales/*/commands.json has the same texts in each language.

/** @param {{openHistory: Function, refresh: Function, toggle: Function, copy: Function}} actions */
export function commands(actions) {
  const one = (
    /** @type {string} */ id,
    /** @type {string} */ icon,
    /** @type {string} */ label,
    /** @type {Function} */ run,
  ) => ({
    id: `SonicGuard.${id}`,
    icon: `pi ${icon}`,
    label,
    function: () => run(),
  });
  return [
    one("OpenHistory", "pi-chart-bar", "Sonic Guard: open or close the history", actions.openHistory),
    one("Refresh", "pi-refresh", "Sonic Guard: predict again", actions.refresh),
    one("ToggleWidget", "pi-eye", "Sonic Guard: show or hide VRAM on nodes", actions.toggle),
    one("CopyRun", "pi-copy", "Sonic Guard: copy the last run as text", actions.copy),
  ];
}

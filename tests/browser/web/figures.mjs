// Answers, runs and live updates as the server sends them, from a few figures in GiB.

export const GIB = 2 ** 30;

export function stage(name, weights, window, clip, overhead) {
  const parts = Object.fromEntries(
    Object.entries({ weights, window, clip, overhead }).map(([kind, size]) => [kind, size * GIB]),
  );
  const required = (weights + window + clip + overhead) * GIB;
  return { stage: name, text: name, ...parts, required, upto: required };
}

export const answer = ({ budget = 7, stages = [stage("denoise", 3, 3, 0, 0.5)], ...more } = {}) => ({
  card: "RTX 4060 8GB",
  verdict: "safe",
  level: "ok",
  verdict_text: "Fits",
  headroom_text: "denoise, 0.5 GiB headroom",
  budget_bytes: budget * GIB,
  available_bytes: 8 * GIB,
  peak_bytes: Math.max(...stages.map(({ required }) => required)),
  peak_stage: "denoise",
  stages,
  frame_text: "512×512 · 249 frames",
  advice: null,
  risk: { probability: null, runs: 0, upper_bytes: null, text: "from the model alone" },
  assumed: [],
  optimizations: [],
  parts: 1,
  changes: [],
  limits: [],
  time: { low_s: null, high_s: null, text: "as long as 512², 10 s" },
  settings: {},
  last: null,
  ...more,
});

export function run({ measured = {}, predicted = { load: 3, denoise: 6 }, ...more } = {}) {
  const names = new Set([...Object.keys(predicted), ...Object.keys(measured)]);
  const stages = [...names].map((name) => {
    const allocated = name in measured ? measured[name] * GIB : null;
    const seconds = allocated === null ? null : 10;
    return [name, { predicted: (predicted[name] ?? 0) * GIB, allocated, reserved: null, device: null, seconds }];
  });
  return {
    id: 1,
    outcome: "running",
    stage: "denoise",
    step: 1,
    steps: 25,
    elapsed_s: 10,
    left_s: null,
    peak_bytes: null,
    nodes: {},
    stages: Object.fromEntries(stages),
    ...more,
  };
}

export const live = (more = {}) => ({
  gpu: true,
  source: "nvml+torch",
  card: "NVIDIA GeForce RTX 4060",
  index: 0,
  device_used: 5 * GIB,
  device_total: 8 * GIB,
  allocated: 3 * GIB,
  reserved: 4 * GIB,
  host_used: 12 * GIB,
  host_total: 32 * GIB,
  cards: [],
  run: null,
  ...more,
});

// What the server sends (POST sonic_guard/predict, GET sonic_guard/history, events sonic_guard.live and sonic_guard.run),
// and the members of a LiteGraph graph that this pack reads. Sizes are in bytes.

export type Language = "en" | "zh";
export type Verdict = "safe" | "tight" | "fail" | "unknown";
/** How a user should take it; the page colours by it. */
export type Level = "ok" | "warn" | "bad" | "unknown";
export type Outcome = "running" | "done" | "oom" | "interrupted" | "error" | "killed";

/** Predicted memory of one stage. `weights + window + clip + overhead == required`. */
export interface Stage {
  stage: string;
  /** Its name in the user's language. */
  text: string;
  weights: number;
  window: number;
  clip: number;
  overhead: number;
  required: number;
  /** What it uses if memory is free; at least `required`. */
  upto: number;
}

export interface Answer {
  card: string;
  verdict: Verdict;
  level: Level;
  verdict_text: string;
  headroom_text: string;
  budget_bytes: number;
  available_bytes: number;
  peak_bytes: number;
  peak_stage: string;
  stages: Stage[];
  frame_text: string;
  advice: Advice | null;
  /** Where nothing fits: the best that was tried. */
  attempt?: string | null;
  /** Weight files that are not there. */
  missing_files?: { name: string; folder: string; url?: string | null; page?: string }[];
  /** The picture of the run, if it is a file's. */
  crop?: Crop | null;
  /** How long the run takes, in words. */
  time: { low_s: number | null; high_s: number | null; text: string };
  risk: { probability: number | null; runs: number; upper_bytes: number | null; text: string };
  assumed: string[];
  /** The optimizations the prediction includes. */
  optimizations: string[];
  /** Number of parts of the audio; the figures are of the longest one. */
  parts: number;
  changes: string[];
  limits: string[];
  settings: Settings;
  /** The numbers and texts that links bring into the node, by input, as far as they are known. */
  linked?: Record<string, Setting>;
  /** The same of the loaders before it, by execution id. */
  linked_loaders?: Record<string, Record<string, Setting>>;
  last: Run | null;
  /** Of a node that runs an upscale model: how, in sentences. Such an answer has a level and a verdict besides. */
  details?: string;
}

export type Setting = string | number | boolean;

/** The one sentence of help, and what its button does; no button without actions. */
export interface Advice {
  text: string;
  button: string | null;
  actions: Action[];
}

/** A change of the graph; nodes by execution id, slots by name. */
export type Action =
  | { do: "insert_low_vram"; sampler: string; values: Record<string, string> }
  | { do: "set"; node: string; input: string; value: string | number | boolean };

/** Left, top, width and height as parts of a picture's sides. */
export type Box = [number, number, number, number];

export interface Crop {
  /** Its name in the input folder. */
  file: string;
  /** Width of the whole picture by its height. */
  aspect: number;
  crop: Box;
  face: Box | null;
  text: string;
}

export interface Settings {
  width: number;
  height: number;
  min_resolution: number;
  duration_s: number;
  fps: number;
  dtype: string;
  steps: number;
  interpolate: boolean;
}

export interface StageFigures {
  /** Tensor bytes, without the allocator's overhead. */
  predicted: number;
  allocated: number | null;
  reserved: number | null;
  device: number | null;
  seconds: number | null;
}

export interface Run {
  id: number | null;
  outcome: Outcome;
  stage: string;
  step: number;
  steps: number;
  elapsed_s: number;
  left_s: number | null;
  peak_bytes: number | null;
  /** Execution ids by class of node. */
  nodes: Record<string, string>;
  stages: Record<string, StageFigures>;
}

export interface Live {
  gpu: boolean;
  source: string;
  card: string;
  index: number;
  device_used: number | null;
  device_total: number | null;
  allocated: number | null;
  reserved: number | null;
  host_used: number;
  host_total: number;
  cards: { index: number; name: string; used: number | null; total: number | null }[];
  run: Run | null;
  /** Where the run stands in line for the card, as a sentence; null while none waits. */
  waits: string | null;
}

export interface PastRun {
  id: number;
  started: string;
  card: string;
  outcome: Outcome;
  stage: string;
  settings: Settings;
  optimizations: string[];
  predicted_peak: number | null;
  actual_peak: number | null;
  stages: Record<string, StageFigures>;
}

export interface Calibration {
  runs: number;
  median_error_model: number | null;
  median_error: number | null;
  upper_factor: number | null;
}

export interface History {
  runs: PastRun[];
  /** Number of further runs that the server cannot read. */
  unreadable: number;
  /** The id before which the next page begins; null after the last. */
  before: number | null;
  cards: string[];
  calibration: Record<string, Calibration>;
}

/** One moment of a run. */
export interface Sample {
  elapsed_s: number;
  bytes: number;
  stage: string;
}

// ---- the graph

export interface Link {
  origin_id: number | string;
  origin_slot: number;
  target_id: number | string;
  target_slot: number;
  parentId?: number;
}

export interface Widget {
  name?: string;
  value?: unknown;
  serialize?: boolean;
  options?: { serialize?: boolean };
  [more: string]: any;
}

export interface Slot {
  name: string;
  type: string | number;
  widget?: { name: string };
}

export interface Graph {
  nodes: Node[];
  links: Map<number | string, Link>;
  rootGraph?: Graph;
  /** Of a subgraph: the inputs of its node, as its own nodes see them. */
  inputs?: { connect(slot: Slot | undefined, node: Node): unknown }[];
  /** Of a subgraph: where its inputs and outputs are drawn. */
  inputNode?: { pos: ArrayLike<number>; size: ArrayLike<number> };
  outputNode?: { pos: ArrayLike<number>; size: ArrayLike<number> };
  getNodeById(id: number | string): Node | null | undefined;
  add?(node: Node): unknown;
  beforeChange?(): void;
  afterChange?(): void;
}

export interface Node {
  id: number | string;
  type: string;
  comfyClass?: string;
  mode?: number;
  graph?: Graph | null;
  inputs?: Slot[];
  outputs?: Slot[];
  widgets?: Widget[];
  isVirtualNode?: boolean;
  subgraph?: Graph;
  isSubgraphNode?(): boolean;
  getInputLink(slot: number): Link | null;
  getWidgetFromSlot?(slot: Slot): Widget | undefined;
  resolveVirtualOutput?(slot: number): { node: Node; slot: number } | undefined;
  [more: string]: any;
}

/** A node of a prompt in ComfyUI's API format. */
export interface ApiNode {
  class_type: string;
  inputs: Record<string, unknown>;
}

export interface Question {
  graph: Record<string, ApiNode>;
  node: string;
}

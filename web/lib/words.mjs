// @ts-check
// The texts of this page, in English and Chinese, and the format of figures.
// Verdicts, advice and reasons come from the server as sentences.

/** @typedef {import("./types.d.ts").Language} Language */

/** @type {Record<string, [en: string, zh: string]>} */
export const TEXT = {
  colon: [": ", "："],
  comma: [", ", "，"],
  "comma.items": [", ", "、"],
  semicolon: ["; ", "；"],
  title: ["Sonic VRAM", "Sonic 显存"],
  looking: ["Calculating …", "正在计算……"],
  away: ["ComfyUI does not answer. Waiting for the connection.", "ComfyUI 没有响应，正在等待连接恢复。"],
  missing: [
    "The server part of Sonic Guard does not answer. Restart ComfyUI.",
    "Sonic Guard 的服务端没有响应，请重启 ComfyUI。",
  ],
  budget: ["budget {size}", "预算 {size}"],
  weights: ["weights", "权重"],
  window: ["window", "窗口"],
  clip: ["clip", "整段"],
  overhead: ["overhead", "开销"],
  upto: ["if there is room", "显存有余时"],
  measured: ["tensors measured", "实测张量"],
  row: ["{stage}: {size} predicted ({parts})", "{stage}：预测 {size}（{parts}）"],
  "row.upto": ["up to {size} if there is room", "显存有余时可达 {size}"],
  "row.over": ["{size} over budget", "超出预算 {size}"],
  "row.measured": ["{size} of tensors measured", "实测张量 {size}"],
  "row.now": ["running now", "正在运行"],
  of: ["{a} of {b}", "{a} / {b}"],
  running: ["Running", "运行中"],
  live: ["live {size}", "当前 {size}"],
  peak: ["peak {size}", "峰值 {size}"],
  predicted: ["predicted {size}", "预测 {size}"],
  tensors: ["{figures} GiB of tensors", "张量 {figures} GiB"],
  step: ["step {step} / {steps}", "第 {step} / {steps} 步"],
  left: ["{time} left", "剩余 {time}"],
  spark: ["Memory over time", "显存随时间变化"],
  "no gpu": [
    "No GPU found: the figures are predictions without measurements.",
    "未检测到 GPU：数字为预测值，无法实测。",
  ],
  "no nvml": ["The card cannot be measured: neither NVML nor torch finds it.", "无法测量显卡：NVML 与 torch 均未检测到它。"],
  "no gpu card": ["CPU (no GPU found)", "CPU（未检测到 GPU）"],
  card: ["card {size}", "显卡 {size}"],
  reserved: ["torch reserved {size}", "torch 预留 {size}"],
  ram: ["RAM {size}", "内存 {size}"],
  cards: ["{count} cards", "{count} 张显卡"],
  "last run": ["Last run", "上次运行"],
  done: ["done", "完成"],
  oom: ["out of memory", "显存不足"],
  interrupted: ["interrupted", "已中断"],
  error: ["failed", "出错"],
  killed: ["killed", "被强制终止"],
  "ended in": ["{outcome} in {stage}", "在{stage}阶段{outcome}"],
  changes: ["Changes ({count})", "改动（{count}）"],
  report: ["Report of the last run", "上次运行的报告"],
  "report.stale": ["Report of the last run, with other inputs than now", "上次运行的报告（输入已改变）"],
  "missing files": [
    "Not there yet. Put these files into these folders, then press R:",
    "缺少以下文件，请放入对应文件夹，然后按 R 刷新：",
  ],
  licence: ["accept the licence first", "请先接受许可协议"],
  picture: ["The picture, its face and the crop", "图片、人脸与裁剪范围"],
  steps: ["{steps} steps", "{steps} 步"],
  "one step": ["1 step", "1 步"],
  "cannot do": ["The graph has changed meanwhile; try again.", "工作流已改变，请重试。"],
  linked: ["Through links: {values}", "连线传入：{values}"],
  assumed: ["Assumed: {what}", "假定：{what}"],
  prediction: ["Prediction: {from}", "预测：{from}"],
  upper: ["upper bound {size}", "上界 {size}"],
  "one part": ["longest of {parts} parts", "共 {parts} 段，最长一段"],
  optimizations: ["memory optimizations: {optimizations}", "显存优化：{optimizations}"],
  "optimization.streaming_decode": ["streaming_decode", "流式解码"],
  "optimization.unet_offload": ["unet_offload", "UNet 卸载"],
  "optimization.tensor_offload": ["tensor_offload", "张量卸载"],
  "optimization.sequential_cfg": ["sequential_cfg", "逐分支 CFG"],
  "optimization.feed_forward_chunking": ["feed_forward_chunking", "前馈层分块"],
  "optimization.layer_chunking": ["layer_chunking", "逐层分块"],
  "optimization.stream_weights": ["stream_weights", "权重流式加载"],
  "by stage": ["VRAM by stage", "各阶段显存"],
  fold: ["Show less", "收起"],
  unfold: ["Show more", "展开"],
  "stage.load": ["load", "加载"],
  "stage.predata": ["predata", "预处理"],
  "stage.denoise": ["denoise", "去噪"],
  "stage.decode": ["decode", "解码"],
  "stage.interpolate": ["interpolate", "插帧"],
  "hint.load": ["load: the network comes into memory.", "加载：载入网络。"],
  "hint.predata": [
    "predata: picture and sound become what the network is given.",
    "预处理：把图片和声音变成网络的输入。",
  ],
  "hint.denoise": [
    "denoise: the network makes the frames out of noise, a window of frames at a time. This takes most of the time.",
    "去噪：网络从噪声中生成画面，每次一个窗口。大部分时间用在这里。",
  ],
  "hint.decode": [
    "decode: what the network made becomes pixels. It uses what is free, and needs much less.",
    "解码：把网络的结果变成像素。有多少空闲显存就用多少，实际需要的少得多。",
  ],
  "hint.interpolate": [
    "interpolate: a frame is added between every two, for 25 frames a second.",
    "插帧：在每两帧之间加一帧，达到每秒 25 帧。",
  ],
  "hint.weights": ["The network's own numbers: the same for every video.", "网络自身的参数：与视频无关。"],
  "hint.window": [
    "What one pass of the network computes with: grows with width × height.",
    "网络计算一次所用：随宽 × 高增长。",
  ],
  "hint.clip": ["What is kept of the whole video: grows with its length.", "整段视频需保留的部分：随时长增长。"],
  "hint.overhead": [
    "What the driver and torch take in addition.",
    "驱动程序与 torch 额外占用的部分。",
  ],
  "hint.more": ["Used if it is free, but not needed.", "有空闲时会用到，但并非必需。"],
  "hint.measured": [
    "The tensors that the run really had, to compare with the prediction without overhead.",
    "运行时张量的实际占用，与不含开销的预测相比。",
  ],
  "hint.budget": [
    "The free memory of the card less a reserve. A stage beyond this line may fail.",
    "显卡的空闲显存减去预留。超过此线的阶段可能失败。",
  ],
  "hint.picture": [
    "Bright: the part that Sonic gets. Dashed: the face.",
    "明亮部分交给 Sonic；虚线为人脸。",
  ],
  history: ["Sonic history", "Sonic 历史"],
  "history.tooltip": [
    "Sonic history: predicted and measured VRAM of every run",
    "Sonic 历史：每次运行的预测与实测显存",
  ],
  "history.empty": [
    "No runs yet. After the first one, this tab lists for each run when it was, its settings, the memory predicted and " +
      "measured, and how it ended; a plot shows how good the predictions are.",
    "还没有运行记录。首次运行之后，这里会列出每次运行的时间、设置、预测与实测显存以及结果，并以图显示预测的准确程度。",
  ],
  "history.unreadable": [
    "{count} more runs cannot be read and are not used for the prediction. See ComfyUI's log.",
    "另有 {count} 条记录无法读取，不参与预测。详见 ComfyUI 日志。",
  ],
  more: ["Show older runs", "显示更早的记录"],
  "history.off": ["Recording is off in the settings.", "设置中已关闭记录。"],
  "all cards": ["All cards", "全部显卡"],
  filter: ["Card", "显卡"],
  csv: ["Export CSV", "导出 CSV"],
  delete: ["Delete selected", "删除所选"],
  "delete card": ["Delete all shown", "删除当前全部"],
  confirm: [
    "Delete the selected runs ({count})? The prediction will no longer use them.",
    "删除 {count} 条运行记录？预测将不再使用它们。",
  ],
  "confirm card": [
    "Delete all runs on {card}? The prediction will no longer use them.",
    "删除 {card} 的全部记录？预测将不再使用它们。",
  ],
  "confirm all": [
    "Delete the whole history? The prediction will no longer use it.",
    "删除全部历史？预测将不再使用这些记录。",
  ],
  "select all": ["Select all", "全选"],
  select: ["Select the run of {when}", "选择 {when} 的运行"],
  when: ["When", "时间"],
  peaks: ["Predicted → measured, with overhead", "预测 → 实测（含开销）"],
  outcome: ["Outcome", "结果"],
  plot: [
    "Predicted and measured peaks of past runs ({count}); on the line both are equal",
    "{count} 次运行的预测与实测峰值；斜线上二者相等",
  ],
  "plot.x": ["predicted, GiB", "预测，GiB"],
  "plot.y": ["measured, GiB", "实测，GiB"],
  "calibration.none": ["no run yet to compare with its prediction", "还没有可与预测比较的运行"],
  calibration: ["runs: {runs} · median error {error}", "{runs} 次运行 · 误差中位数 {error}"],
  "calibration.model": ["{error} from the model alone", "仅模型 {error}"],
  "calibration.upper": ["upper bound ×{factor}", "上界 ×{factor}"],
  copied: ["The last run was copied to the clipboard.", "上次运行已复制到剪贴板。"],
  "nothing to copy": ["There is no run yet.", "还没有运行记录。"],
  s: ["{n} s", "{n} 秒"],
  min: ["{n} min", "{n} 分"],
  "min s": ["{n} min {s} s", "{n} 分 {s} 秒"],
  "h min": ["{h} h {n} min", "{h} 小时 {n} 分"],
};

const GIB = 2 ** 30;

/** The language of ComfyUI's setting Comfy.Locale. @param {unknown} locale @returns {Language} */
export const languageOf = (locale) => (String(locale).startsWith("zh") ? "zh" : "en");

/**
 * A text in `language`, with `values` for its {placeholders}.
 * @param {Language} language
 * @param {string} key
 * @param {Record<string, string | number>} [values]
 */
export function t(language, key, values = {}) {
  return TEXT[key][language === "zh" ? 1 : 0].replace(/\{(\w+)\}/g, (_, name) => String(values[name]));
}

/** GiB with one decimal, without the unit. @param {number} bytes */
export const bare = (bytes) => (bytes / GIB).toFixed(1);

/** GiB with one decimal. @param {number} bytes */
export const gib = (bytes) => `${bare(bytes)} GiB`;

/** "5.1 of 8.0 GiB". @param {Language} language @param {number} part @param {number} whole */
export const of = (language, part, whole) => t(language, "of", { a: bare(part), b: gib(whole) });

/** A share of 1 as a percentage, with a decimal below 10 %: 0.2 %, 4.1 %, 37 %. @param {number} part */
export const percent = (part) => `${(part * 100).toFixed(part < 0.1 ? 1 : 0)} %`;

/** Seconds in minutes and hours. @param {Language} language @param {number} seconds */
export function duration(language, seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return t(language, "s", { n: s });
  if (s < 600) return t(language, s % 60 ? "min s" : "min", { n: Math.floor(s / 60), s: s % 60 });
  const n = Math.round(s / 60);
  return n < 60 ? t(language, "min", { n }) : t(language, "h min", { h: Math.floor(n / 60), n: n % 60 });
}

/**
 * A date and time in the format of `language`; with the year only if it is not the current one.
 * @param {Language} language
 * @param {string} iso
 */
export function moment(language, iso) {
  const date = new Date(iso);
  const year = date.getFullYear() === new Date().getFullYear() ? undefined : "numeric";
  const time = /** @type {const} */ ({ hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  return date.toLocaleString(language === "zh" ? "zh-CN" : "en", { year, month: "short", day: "numeric", ...time });
}

/** The name of a card; the server's English words where there is none are translated. @param {Language} language @param {string} card */
export const cardWord = (language, card) => (card === TEXT["no gpu card"][0] ? t(language, "no gpu card") : card);

/** The text for a stage; an unknown stage keeps its name. @param {Language} language @param {string} stage */
export const stageWord = (language, stage) => (TEXT[`stage.${stage}`] ? t(language, `stage.${stage}`) : stage);

/** An optimization as its input is labelled; an unknown one keeps its name. @param {Language} language @param {string} name */
export const optimizationWord = (language, name) =>
  TEXT[`optimization.${name}`] ? t(language, `optimization.${name}`) : name;

/** What a stage does, in a sentence; empty for an unknown one. @param {Language} language @param {string} stage */
export const stageHint = (language, stage) => (TEXT[`hint.${stage}`] ? t(language, `hint.${stage}`) : "");

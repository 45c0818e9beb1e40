"""What the user reads, in English and Chinese: verdicts, reasons and the report.

Numbers come in, sentences go out; nothing is decided here.
"""

from ..devices.card_catalogue import GIB, Card
from ..job import MIN_SOUND_S, Job
from ..memory.hard_limits import MAX_ATTENTION_BATCH, Limit
from ..memory.stage_model import STAGES, Estimate, overhead
from ..operations.preflight import Preflight
from ..optimizations import OPTIMIZATIONS, Optimization
from ..planning.advice import LOW_VRAM, Advice, Where
from ..planning.capacity import Risk, Verdict
from ..planning.planner import SPLIT, Change, Plan, Policy

LANGUAGES = ("en", "zh")

_TEXT: dict[str, tuple[str, str]] = {
    **{str(each): traits.reason for each, traits in OPTIMIZATIONS.items()},
    "dtype": (
        "Half-size numbers need half the memory; the eye sees no difference.",
        "半精度数值只需一半显存，肉眼看不出差别。",
    ),
    "split": (
        "The whole sound needs more memory than there is; each part of this length fits.",
        "整段音频所需内存超出预算；按此长度分段后每段都放得下。",
    ),
    "interpolate": (
        "Frame interpolation needs the whole clip on the GPU; without it the video has 12.5 frames a second.",
        "插帧需要把整段视频放在显存里；关闭后视频为每秒 12.5 帧。",
    ),
    "min_resolution": (
        "The largest picture that fits: memory follows width × height.",
        "能放得下的最大画面：显存随宽 × 高增长。",
    ),
    "steps": (
        "The article's policy. Steps cost time, not memory.",
        "文章的策略。步数只影响时间，不影响显存。",
    ),
    "verdict.safe": ("Fits", "放得下"),
    "verdict.tight": ("Tight", "很紧张"),
    "verdict.fail": ("Will run out of memory", "显存会不足"),
    "stage.load": ("load", "加载"),
    "stage.predata": ("predata", "预处理"),
    "stage.denoise": ("denoise", "去噪"),
    "stage.decode": ("decode", "解码"),
    "stage.interpolate": ("interpolate", "插帧"),
    "headline": ("{verdict}: {room}", "{verdict}：{room}"),
    "spare": ("{size} spare", "余 {size}"),
    "over": ("{size} over", "还差 {size}"),
    "short of host ram": ("; the frames do not fit into host memory", "；主机内存放不下全部画面"),
    "refusal": (
        "{headline}. Nothing this pack can change makes it fit {card}. {hope}",
        "{headline}。在 {card} 上没有可行的设置。{hope}",
    ),
    "hope": ("The smallest common card that would do is the {card}.", "常见显卡中最低需要 {card}。"),
    "no hope": ("No common card would do.", "没有常见显卡能放下。"),
    "longest": (" Up to {minutes:.1f} min of sound would fit.", " 音频最长 {minutes:.1f} 分钟时可以放下。"),
    "unchanged": (
        "{headline} on {card}. Nothing was changed; with on_risk “downgrade” settings that fit are looked for.",
        "{headline}（{card}）。未改动任何设置；将 on_risk 设为 downgrade 可自动寻找放得下的设置。",
    ),
    "article": (
        "{headline} on {card}. The article's policy has no more to offer; “lossless_first” looks further.",
        "{headline}（{card}）。article 策略已无更多办法；可改用 lossless_first 策略。",
    ),
    "frames": (
        "{size} px, {sound:.2f} s of sound → {frames} frames at {fps:g} fps ({seconds:.2f} s), {steps} steps, {dtype}",
        "{size} 像素，音频 {sound:.2f} 秒 → {frames} 帧，每秒 {fps:g} 帧（{seconds:.2f} 秒），{steps} 步，{dtype}",
    ),
    "face": (
        "face {ratio:.0%} of the picture → expand_ratio {margin:g}, crop {width}×{height}",
        "人脸占画面 {ratio:.0%} → expand_ratio {margin:g}，裁剪 {width}×{height}",
    ),
    "budget": (
        "budget {budget} of {card}, peak {peak} with overhead",
        "预算 {budget}（{card}），峰值 {peak}（含开销）",
    ),
    "parts": ("in {parts} parts", "分 {parts} 段"),
    "change": ("{name}: {before} → {after} ({bytes}). {why}", "{name}：{before} → {after}（{bytes}）。{why}"),
    "time": ("about {minutes:.0f} min of denoising", "去噪约需 {minutes:.0f} 分钟"),
    "no time": (
        "Run time: unknown until runs on this card are known.",
        "运行时间：在此显卡上有运行记录之前无法预测。",
    ),
    "small crop": (
        "The crop has fewer pixels than the video and is enlarged. A larger picture would be sharper.",
        "裁剪部分的像素少于视频，将被放大。换用更大的图片会更清晰。",
    ),
    "low vram": (
        "With Sonic Low VRAM in the graph: {size} px, {fps:g} frames a second, {dtype}.",
        "在工作流中加入 Sonic Low VRAM 后：{size} 像素，每秒 {fps:g} 帧，{dtype}。",
    ),
    "padded": (
        "The sound is shorter than Sonic can take; silence was added.",
        "音频短于 Sonic 的最短要求，已补静音。",
    ),
    "fps": (
        "fps sets the window, not the speed: play the video at {fps:g} frames a second.",
        "fps 只决定窗口长度，不决定播放速度：请以每秒 {fps:g} 帧播放。",
    ),
    "setting": ("{name} {value}", "{name} 设为 {value}"),
    "setting there": ("{name} {value} on {node}", "{node} 的 {name} 设为 {value}"),
    "setting parts": ("parts of {value} s", "按 {value} 秒分段"),
    "setting low_vram": ("Sonic Low VRAM", "加入 Sonic 低显存"),
    "setting unet_offload": ("weight_dtype from Sonic Low VRAM", "weight_dtype 接自 Sonic 低显存"),
    "on": ("on", "开"),
    "off": ("off", "关"),
    "comma": (", ", "，"),
    "and": (" and ", "，"),
    "advice.one": ("{settings} brings it to {size}.", "{settings}，可降到 {size}。"),
    "advice.all": ("{settings} together bring it to {size}.", "{settings}，合起来可降到 {size}。"),
    "advice.on_risk": (
        "on_risk “downgrade” makes it fit: {settings}, {size}.",
        "将 on_risk 设为 downgrade 即可放下：{settings}，{size}。",
    ),
    "advice.policy": (
        "policy “lossless_first” makes it fit: {settings}, {size}.",
        "将 policy 设为 lossless_first 即可放下：{settings}，{size}。",
    ),
    "advice.larger": ("{settings} would fit too, with {size}.", "{settings} 也放得下（{size}）。"),
    "room": ("{stage}, {room}", "{stage}阶段，{room}"),
    "frame": (
        "{size} · {frames} frames · {seconds:.2f} s · {dtype} · {steps} steps",
        "{size} · {frames} 帧 · {seconds:.2f} 秒 · {dtype} · {steps} 步",
    ),
    "assumed.picture": ("picture unknown: a square is assumed", "图片未知：按正方形计算"),
    "assumed.sound": ("sound unknown: {value} s are assumed", "音频未知：按 {value} 秒计算"),
    "assumed.face": (
        "face unknown: one in the middle of the picture is assumed",
        "人脸位置未知：按位于图片中央计算",
    ),
    "assumed.claimed": (
        "the sound takes too long to count: {value} s, as its header says",
        "音频过长，无法逐一计数：按文件头所示 {value} 秒计算",
    ),
    "assumed.silence": (
        "silence is not cut in this preview: the sound is too long, or not from a file",
        "此预览未切除静音：音频过长，或并非来自文件",
    ),
    "assumed.value": ("{name} unknown: {value} is assumed", "{name} 未知：按 {value} 计算"),
    "risk.model": ("from the model alone", "仅来自模型"),
    "risk.few": ("from the model and {runs} runs here", "来自模型与本机 {runs} 次运行"),
    "risk.known": ("risk {percent:.3g} %, from {runs} runs here", "风险 {percent:.3g} %，来自本机 {runs} 次运行"),
    "limit.short sound": (
        "short sound: {figure:.2f} s is less than the {least:.2f} s the wrapper can take (it stops with “mat1 and mat2 "
        "shapes cannot be multiplied”). Add silence; Preflight does.",
        "音频过短：{figure:.2f} 秒，少于封装节点所需的 {least:.2f} 秒（会以 “mat1 and mat2 shapes cannot be "
        "multiplied” 中止）。请补静音；预检节点会自动补。",
    ),
    "limit.attention batch": (
        "attention batch: temporal attention runs with batch {figure:,}, over {most:,}; with some torch versions this "
        "stops with “CUDA error: invalid configuration argument” (not yet confirmed on a GPU). Use a smaller "
        "min_resolution{or_branch}.",
        "注意力批量：时间注意力的批量为 {figure:,}，超过 {most:,}；在部分 torch 版本上会以 “CUDA error: invalid "
        "configuration argument” 中止（尚未在显卡上证实）。请减小 min_resolution{or_branch}。",
    ),
    "limit.or branch": (", or one guidance branch at a time", "，或逐个计算引导分支"),
    "limit.mps": (
        "MPS indexing: spatial attention makes {figure:,} scores, over 2**31; Apple GPUs stop with “Can't be indexed "
        "using 32-bit iterator” (not yet confirmed on a Mac). Use a smaller min_resolution or fps.",
        "MPS 索引：空间注意力产生 {figure:,} 个分数，超过 2**31；Apple 显卡会以 “Can't be indexed using 32-bit "
        "iterator” 中止（尚未在 Mac 上证实）。请减小 min_resolution 或 fps。",
    ),
    "overhead": (
        "The allocator's overhead is an assumption until it is measured on a card.",
        "分配器开销为假设值，尚未在显卡上实测。",
    ),
}


def gib(size: float) -> str:
    """Bytes as people read them: GiB with one decimal."""
    return f"{size / GIB:.1f} GiB"


def why(change: Change, lang: str = "en") -> str:
    """The reason for a change, in a sentence."""
    return _text(change.name, lang)


def verdict_word(verdict: Verdict, lang: str = "en") -> str:
    """The verdict in a word or two."""
    return _text(f"verdict.{verdict}", lang)


def stage_word(stage: str, lang: str = "en") -> str:
    """A stage's name."""
    return _text(f"stage.{stage}", lang)


def headline(risk: Risk, lang: str = "en") -> str:
    """Verdict, stage and headroom in a line."""
    return _text("headline", lang, verdict=verdict_word(risk.verdict, lang), room=room(risk, lang))


def room(risk: Risk, lang: str = "en") -> str:
    """The stage that needs most, and by how much it fits or not."""
    size = _text("over" if risk.headroom_bytes < 0 else "spare", lang, size=gib(abs(risk.headroom_bytes)))
    line = _text("room", lang, stage=stage_word(risk.stage, lang), room=size)
    return line + (_text("short of host ram", lang) if risk.short_of_host_ram else "")


def frame_line(job: Job, lang: str = "en") -> str:
    """What comes out, in a line."""
    return _text(
        "frame",
        lang,
        size=job.frame_size,
        frames=job.output_frames,
        seconds=job.output_s,
        dtype=job.dtype,
        steps=job.steps,
    )


def assumption(key: str, name: str = "", value: object = None, lang: str = "en") -> str:
    """What had to be assumed: the value of an input, or a picture, sound, face or silence nobody knows."""
    if isinstance(value, bool):
        value = _text("on" if value else "off", lang)
    return _text(f"assumed.{key}", lang, name=name, value=f"{value:g}" if isinstance(value, float) else value)


def risk_line(probability: float | None, runs: int, lang: str = "en") -> str:
    """How likely the run is to fail, or where the prediction comes from."""
    if probability is None:
        return _text("risk.few" if runs else "risk.model", lang, runs=runs)
    return _text("risk.known", lang, percent=100 * probability, runs=runs)


def refusal(plan: Plan, lang: str = "en") -> str:
    """Why it does not fit and what would help."""
    if plan.policy is not Policy.LOSSLESS_FIRST:
        key = "article" if plan.policy else "unchanged"
        return _text(key, lang, headline=headline(plan.risk, lang), card=plan.budget.card)
    return _text(
        "refusal",
        lang,
        headline=headline(plan.risk, lang),
        card=plan.budget.card,
        hope=hope(plan.smallest_card, plan.longest_s, lang),
    )


def hope(card: Card | None, longest_s: float | None, lang: str = "en") -> str:
    """Where nothing fits: the smallest card on which something would, and the longest sound."""
    text = _text("hope", lang, card=card.title) if card else _text("no hope", lang)
    return text + ("" if longest_s is None else _text("longest", lang, minutes=longest_s / 60))


def report(result: Preflight, lang: str = "en") -> str:
    """The whole preflight as a text of a few lines."""
    plan, stages = result.plan, result.plan.estimate.stages
    lines = [headline(plan.risk, lang), *summary_lines(result, lang)]
    lines += [f"  {stage_word(stage, lang)}: {gib(stages[stage])}" for stage in STAGES if stages[stage]]
    lines += [f"· {change_line(change, lang)}" for change in plan.changes]
    if not plan.fits:
        lines.append(refusal(plan, lang))
    return "\n".join([*lines, *notes(result, lang), *limit_lines(plan.estimate, lang)])


def summary_lines(result: Preflight, lang: str = "en") -> list[str]:
    """Frames, face, budget and time in a line each."""
    plan, look, job = result.plan, result.look, result.plan.job
    lines = [
        _text(
            "frames", lang, size=job.frame_size, sound=job.duration_s, frames=job.output_frames, fps=job.output_fps,
            seconds=job.output_s, steps=job.steps, dtype=job.dtype,
        ),
        _text(
            "face", lang, ratio=look.ratio, margin=job.expand_ratio, width=look.crop.width, height=look.crop.height
        ),
        _text(
            "budget", lang, budget=gib(plan.budget.usable_bytes), card=plan.budget.card,
            peak=gib(plan.estimate.peak_bytes),
        ),
    ]  # fmt: skip
    if plan.parts > 1:
        lines.append(_text("parts", lang, parts=plan.parts))
    if result.seconds is not None:
        lines.append(_text("time", lang, minutes=result.seconds / 60))
    return lines


def notes(result: Preflight, lang: str = "en") -> list[str]:
    """What else the user should know."""
    job, crop = result.plan.job, result.look.crop
    said = {
        "padded": result.sound_s < job.duration_s,
        "small crop": min(crop.width, crop.height) < job.min_resolution,
        "fps": job.fps != job.output_fps,
        "no time": result.seconds is None,
        "overhead": not overhead().confirmed,
    }
    lines = [_text(key, lang, fps=job.output_fps) for key, holds in said.items() if holds]
    return lines if result.with_low_vram is None else [low_vram_line(result.with_low_vram, lang), *lines]


def low_vram_line(plan: Plan, lang: str = "en") -> str:
    """What the levers of Sonic Low VRAM would make possible."""
    return _text("low vram", lang, size=plan.job.frame_size, fps=plan.job.output_fps, dtype=plan.job.dtype)


def limit_lines(estimate: Estimate, lang: str = "en") -> list[str]:
    """The hard limits an estimate meets, in a line each."""
    return [f"! {limit_text(limit, lang)}" for limit in estimate.limits]


def limit_text(limit: Limit, lang: str = "en") -> str:
    """A hard limit and what to do about it, in a sentence or two."""
    or_branch = "" if limit.one_branch else _text("limit.or branch", lang)
    return _text(
        f"limit.{limit.kind}",
        lang,
        figure=limit.figure,
        least=MIN_SOUND_S,
        most=MAX_ATTENTION_BATCH,
        or_branch=or_branch,
    )


def change_line(change: Change, lang: str = "en") -> str:
    """A change, what it bought and why, in a line."""
    bought = f"{gib(change.before_bytes)} → {gib(change.after_bytes)}"
    return _text(
        "change",
        lang,
        name=change.name,
        before=change.before,
        after=change.after,
        bytes=bought,
        why=why(change, lang),
    )


def advice_sentence(advice: Advice, where: Where = Where.HERE, lang: str = "en") -> str:
    """What would help, or what there is room for, in a sentence."""
    if not advice.changes:
        return hope(advice.card, advice.longest_s, lang)
    *first, last = (_setting(change, where, lang) for change in advice.changes)
    settings = _text("and", lang).join([*([_text("comma", lang).join(first)] if first else []), last])
    if advice.fits:
        key = "larger"
    elif where in (Where.ON_RISK, Where.POLICY) and advice.changes[0].name != LOW_VRAM:
        key = str(where)
    else:
        key = "one" if len(advice.changes) == 1 else "all"
    return _text(f"advice.{key}", lang, settings=settings, size=gib(advice.changes[-1].after_bytes))


_NODES = {"min_resolution": "SONIC_PreData", "dtype": "SONICTLoader", "interpolate": "SONICTLoader"}


def _setting(change: Change, where: Where, lang: str) -> str:
    """What to set to what, and on which node if it is one of Sonic's."""
    if change.name == SPLIT:
        return _text("setting parts", lang, value=change.after)
    if change.name in (LOW_VRAM, Optimization.UNET_OFFLOAD):
        return _text(f"setting {change.name}", lang)
    value = _text(change.after, lang) if change.after in ("on", "off") else change.after
    name = "use_interframe" if change.name == "interpolate" else change.name
    if where is Where.SONIC and change.name in _NODES:
        return _text("setting there", lang, name=name, value=value, node=_NODES[change.name])
    return _text("setting", lang, name=name, value=value)


def _text(key: str, lang: str, **numbers: object) -> str:
    return _TEXT[key][LANGUAGES.index(lang)].format(**numbers)

"""What the user reads, in English and Chinese: verdicts, reasons and the report.

Numbers come in, sentences go out; nothing is decided here.
"""

from .plan import Change, Plan, Policy
from .preflight import Preflight
from .vram.cards import GIB
from .vram.model import STAGES, Estimate, overhead
from .vram.risk import Risk, Verdict

LANGUAGES = ("en", "zh")

_TEXT: dict[str, tuple[str, str]] = {
    "pairwise": (
        "Interpolates pair by pair instead of holding the whole clip on the GPU. Same frames.",
        "逐对插帧，不再把整段视频放在显存里。画面完全相同。",
    ),
    "branch": (
        "Runs the three guidance branches one after the other. Same frames, a little slower.",
        "三个引导分支依次计算。画面相同，略慢。",
    ),
    "ff": (
        "Runs the feed-forward layers in chunks. Same frames, a little slower.",
        "前馈层分块计算。画面相同，略慢。",
    ),
    "block": (
        "Runs the network's layers by groups of frames and positions. Same frames, slower.",
        "按帧组与位置组计算网络各层。画面相同，较慢。",
    ),
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
    "headline": ("{verdict}: {stage}, {room}", "{verdict}：{stage}阶段，{room}"),
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
    "change": ("{lever}: {before} → {after} ({bytes}). {why}", "{lever}：{before} → {after}（{bytes}）。{why}"),
    "time": ("about {minutes:.0f} min of denoising", "去噪约需 {minutes:.0f} 分钟"),
    "no time": (
        "Run time: unknown until runs on this card are known.",
        "运行时间：在此显卡上有运行记录之前无法预测。",
    ),
    "small crop": (
        "The crop has fewer pixels than the video and is enlarged. A larger picture would be sharper.",
        "裁剪部分的像素少于视频，将被放大。换用更大的图片会更清晰。",
    ),
    "padded": (
        "The sound is shorter than Sonic can take; silence was added.",
        "音频短于 Sonic 的最短要求，已补静音。",
    ),
    "fps": (
        "fps sets the window, not the speed: play the video at {fps:g} frames a second.",
        "fps 只决定窗口长度，不决定播放速度：请以每秒 {fps:g} 帧播放。",
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
    return _say(change.lever, lang)


def verdict_word(verdict: Verdict, lang: str = "en") -> str:
    """The verdict in a word or two."""
    return _say(f"verdict.{verdict}", lang)


def stage_word(stage: str, lang: str = "en") -> str:
    """A stage's name."""
    return _say(f"stage.{stage}", lang)


def headline(risk: Risk, lang: str = "en") -> str:
    """Verdict, stage and headroom in a line."""
    room = _say("over" if risk.headroom_bytes < 0 else "spare", lang, size=gib(abs(risk.headroom_bytes)))
    line = _say(
        "headline", lang, verdict=verdict_word(risk.verdict, lang), stage=stage_word(risk.stage, lang), room=room
    )
    return line + (_say("short of host ram", lang) if risk.short_of_host_ram else "")


def refusal(plan: Plan, lang: str = "en") -> str:
    """Why it does not fit and what would help."""
    if plan.policy is not Policy.LOSSLESS_FIRST:
        key = "article" if plan.policy else "unchanged"
        return _say(key, lang, headline=headline(plan.risk, lang), card=plan.budget.card)
    card = plan.smallest_card
    hope = _say("hope", lang, card=card.title) if card else _say("no hope", lang)
    if plan.longest_s is not None:
        hope += _say("longest", lang, minutes=plan.longest_s / 60)
    return _say("refusal", lang, headline=headline(plan.risk, lang), card=plan.budget.card, hope=hope)


def report(result: Preflight, lang: str = "en") -> str:
    """The whole preflight as a text of a few lines."""
    plan, stages = result.plan, result.plan.estimate.stages
    lines = [headline(plan.risk, lang), *summary_lines(result, lang)]
    lines += [f"  {stage_word(stage, lang)}: {gib(stages[stage])}" for stage in STAGES if stages[stage]]
    lines += [f"· {change_line(change, lang)}" for change in plan.changes]
    if not plan.fits:
        lines.append(refusal(plan, lang))
    return "\n".join([*lines, *notes(result, lang), *limit_lines(plan.estimate)])


def summary_lines(result: Preflight, lang: str = "en") -> list[str]:
    """Frames, face, budget and time in a line each."""
    plan, look, job = result.plan, result.look, result.plan.job
    lines = [
        _say(
            "frames", lang, size=job.frame_size, sound=job.duration_s, frames=job.output_frames, fps=job.output_fps,
            seconds=job.output_s, steps=job.steps, dtype=job.dtype,
        ),
        _say(
            "face", lang, ratio=look.ratio, margin=job.expand_ratio, width=look.crop.width, height=look.crop.height
        ),
        _say(
            "budget", lang, budget=gib(plan.budget.usable_bytes), card=plan.budget.card,
            peak=gib(plan.estimate.peak_bytes),
        ),
    ]  # fmt: skip
    if plan.parts > 1:
        lines.append(_say("parts", lang, parts=plan.parts))
    if result.seconds is not None:
        lines.append(_say("time", lang, minutes=result.seconds / 60))
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
    return [_say(key, lang, fps=job.output_fps) for key, holds in said.items() if holds]


def limit_lines(estimate: Estimate) -> list[str]:
    """The hard limits an estimate meets, in a line each."""
    return [f"! {limit}" for limit in estimate.limits]


def change_line(change: Change, lang: str = "en") -> str:
    """A change, what it bought and why, in a line."""
    bought = f"{gib(change.before_bytes)} → {gib(change.after_bytes)}"
    return _say(
        "change",
        lang,
        lever=change.lever,
        before=change.before,
        after=change.after,
        bytes=bought,
        why=why(change, lang),
    )


def _say(key: str, lang: str, **numbers: object) -> str:
    return _TEXT[key][LANGUAGES.index(lang)].format(**numbers)

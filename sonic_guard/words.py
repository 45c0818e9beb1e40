"""What the user reads, in English and Chinese: verdicts, reasons and the report.

Numbers come in, sentences go out; nothing is decided here.
"""

from .plan import Change, Plan
from .preflight import Preflight
from .vram.cards import GIB
from .vram.model import STAGES, overhead
from .vram.risk import Risk, Verdict

LANGUAGES = ("en", "zh")

_WHY = {
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
}

_VERDICT = {
    Verdict.SAFE: ("Fits", "放得下"),
    Verdict.TIGHT: ("Tight", "很紧张"),
    Verdict.FAIL: ("Will run out of memory", "显存会不足"),
}

_STAGE = {
    "load": ("load", "加载"),
    "predata": ("predata", "预处理"),
    "denoise": ("denoise", "去噪"),
    "decode": ("decode", "解码"),
    "interpolate": ("interpolate", "插帧"),
}


def gib(size: float) -> str:
    """Bytes as people read them: GiB with one decimal."""
    return f"{size / GIB:.1f} GiB"


def why(change: Change, lang: str = "en") -> str:
    """The reason for a change, in a sentence."""
    return _WHY[change.lever][_column(lang)]


def verdict_word(verdict: Verdict, lang: str = "en") -> str:
    """The verdict in a word or two."""
    return _VERDICT[verdict][_column(lang)]


def stage_word(stage: str, lang: str = "en") -> str:
    """A stage's name."""
    return _STAGE[stage][_column(lang)]


def headline(risk: Risk, lang: str = "en") -> str:
    """Verdict, stage and headroom in a line."""
    word, stage, room = verdict_word(risk.verdict, lang), stage_word(risk.stage, lang), gib(abs(risk.headroom_bytes))
    if lang == "zh":
        detail = f"还差 {room}" if risk.headroom_bytes < 0 else f"余 {room}"
        return f"{word}：{stage}阶段，{detail}" + ("；主机内存不足" if risk.short_of_host_ram else "")
    detail = f"{room} over" if risk.headroom_bytes < 0 else f"{room} spare"
    return f"{word}: {stage}, {detail}" + ("; the frames do not fit into host memory" if risk.short_of_host_ram else "")


def refusal(plan: Plan, lang: str = "en") -> str:
    """Why nothing fits and what would help."""
    card = plan.smallest_card
    if lang == "zh":
        hope = f"最低需要 {card.title}。" if card else "没有常见显卡能放下。"
        return f"{headline(plan.risk, lang)}。在 {plan.budget.card} 上没有可行的设置。{hope}"
    hope = f"The smallest common card that would do is the {card.title}." if card else "No common card would do."
    return f"{headline(plan.risk, lang)}. Nothing this pack can change makes it fit {plan.budget.card}. {hope}"


def report(result: Preflight, lang: str = "en") -> str:
    """The whole preflight as a text of a few lines."""
    plan, estimate = result.plan, result.plan.estimate
    lines = [headline(plan.risk, lang), *summary_lines(result, lang)]
    lines += [
        f"  {stage_word(stage, lang)}: {gib(estimate.stages[stage])}" for stage in STAGES if estimate.stages[stage]
    ]
    lines += [f"· {change_line(change, lang)}" for change in plan.changes]
    if plan.smallest_card or not plan.fits:
        lines.append(refusal(plan, lang))
    lines += notes(result, lang)
    return "\n".join([*lines, *(f"! {limit}" for limit in estimate.limits)])


def notes(result: Preflight, lang: str = "en") -> list[str]:
    """What else the user should know."""
    job, crop = result.plan.job, result.look.crop
    lines = []
    if min(crop.width, crop.height) < job.min_resolution:
        lines.append(_pick(lang, _SMALL_NOTE))
    if job.fps != 25:
        lines.append(_pick(lang, _FPS_NOTE))
    if not overhead().confirmed:
        lines.append(_pick(lang, _OVERHEAD_NOTE))
    return lines


def summary_lines(result: Preflight, lang: str = "en") -> list[str]:
    """Frames, face and budget in a line each."""
    return _zh_lines(result) if lang == "zh" else _en_lines(result)


_SMALL_NOTE = (
    "The crop has fewer pixels than the video and is enlarged. With aspect none the whole picture is used.",
    "裁剪部分的像素少于视频，将被放大。aspect 选 none 则使用整张图片。",
)
_FPS_NOTE = (
    "fps sets the window, not the speed: play the video at 25 frames a second (12.5 without interpolation).",
    "fps 只决定窗口长度，不决定播放速度：请以每秒 25 帧播放（不插帧时为 12.5）。",
)
_OVERHEAD_NOTE = (
    "The allocator's overhead is an assumption until it is measured on a card.",
    "分配器开销为假设值，尚未在显卡上实测。",
)


def _en_lines(result: Preflight) -> list[str]:
    job, plan = result.plan.job, result.plan
    lines = [
        f"{job.frame_size} px, {job.duration_s:.2f} s of sound → {job.output_frames} frames at {job.output_fps:g} fps "
        f"({job.output_s:.2f} s), {job.steps} steps, {job.dtype}",
        f"face {result.look.ratio:.0%} of the picture → expand_ratio {job.expand_ratio:g}, "
        f"crop {result.look.crop.width}×{result.look.crop.height}",
        f"budget {gib(plan.budget.usable_bytes)} of {plan.budget.card}, "
        f"peak {gib(plan.estimate.peak_bytes)} with overhead",
    ]
    return lines + ([f"in {plan.parts} parts"] if plan.parts > 1 else [])


def _zh_lines(result: Preflight) -> list[str]:
    job, plan = result.plan.job, result.plan
    lines = [
        f"{job.frame_size} 像素，音频 {job.duration_s:.2f} 秒 → {job.output_frames} 帧，每秒 {job.output_fps:g} 帧"
        f"（{job.output_s:.2f} 秒），{job.steps} 步，{job.dtype}",
        f"人脸占画面 {result.look.ratio:.0%} → expand_ratio {job.expand_ratio:g}，"
        f"裁剪 {result.look.crop.width}×{result.look.crop.height}",
        f"预算 {gib(plan.budget.usable_bytes)}（{plan.budget.card}），峰值 {gib(plan.estimate.peak_bytes)}（含开销）",
    ]
    return lines + ([f"分 {plan.parts} 段"] if plan.parts > 1 else [])


def change_line(change: Change, lang: str = "en") -> str:
    """A change, what it bought and why, in a line."""
    bytes_ = f"{gib(change.before_bytes)} → {gib(change.after_bytes)}"
    return f"{change.lever}: {change.before} → {change.after} ({bytes_}). {why(change, lang)}"


def _column(lang: str) -> int:
    return 1 if lang == "zh" else 0


def _pick(lang: str, pair: tuple[str, str]) -> str:
    return pair[_column(lang)]

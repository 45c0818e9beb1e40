"""Sentences about a plan: verdict, changes, the report of a preflight, hard limits and assumptions."""

from collections.abc import Collection, Sequence

from ..devices.budget import NO_GPU
from ..devices.card_catalogue import Card
from ..job import MIN_SOUND_S, Job
from ..media.audio_tracks import Hearing
from ..memory.hard_limits import MAX_ATTENTION_BATCH, Limit, LimitKind
from ..memory.overhead import overhead
from ..memory.stage_model import STAGES, Estimate
from ..operations.preflight import Preflight
from ..optimizations import OPTIMIZATIONS, Optimization, in_order
from ..planning.capacity import Risk, Verdict
from ..planning.planner import Change, Plan, Policy
from . import plan_texts as texts
from .catalogue import count, fill, gib
from .sound_messages import silence_text
from .time_messages import time_text


def why(change: Change, lang: str = "en") -> str:
    """The reason for a change, in a sentence or two."""
    reason = fill(texts.REASONS.get(change.name) or OPTIMIZATIONS[Optimization(change.name)].reason, lang)
    if not change.clears:
        return reason
    limits = fill(texts.SEMICOLON, lang).join(limit_name(limit, lang) for limit in change.clears)
    return reason + fill(texts.CLEARS_LIMIT, lang, limits=limits)


def verdict_word(verdict: Verdict, lang: str = "en") -> str:
    """The verdict in a few words."""
    return fill(texts.VERDICTS[verdict], lang)


def stage_word(stage: str, lang: str = "en") -> str:
    """A stage's name."""
    return fill(texts.STAGES[stage], lang)


def card_name(card: str, lang: str = "en") -> str:
    """The name of a budget's card; what stands there where there is none, in words."""
    return fill(texts.NO_GPU, lang) if card == NO_GPU else card


def switch_word(on: bool, lang: str = "en") -> str:
    """A boolean setting in a word."""
    return fill(texts.ON if on else texts.OFF, lang)


def setting_word(value: str, lang: str = "en") -> str:
    """The value of a setting as a change has it: "on" and "off" in a word, any other as it is."""
    return switch_word(value == "on", lang) if value in ("on", "off") else value


def optimization_names(names: Collection[str], lang: str = "en") -> str:
    """The optimizations among `names`, in escalation order; empty for none."""
    return " + ".join(fill(texts.OPTIMIZATION_NAMES[each], lang) for each in in_order(names))


def headline(risk: Risk, lang: str = "en", losses: Sequence[Change] = ()) -> str:
    """Verdict, decisive stage and headroom in a line."""
    return fill(texts.HEADLINE, lang, verdict=verdict_text(risk, lang, losses), headroom=headroom_line(risk, lang))


def unknown_text(lang: str = "en") -> str:
    """Instead of a verdict, where a picture, a sound or a setting is not known."""
    return fill(texts.UNKNOWN, lang)


def verdict_text(risk: Risk, lang: str = "en", losses: Sequence[Change] = ()) -> str:
    """The verdict in a few words.

    Where a hard limit is all that stops the run, it says so; where the run fits because the changes `losses` took size
    or frame rate from it, these.
    """
    if risk.limits and not risk.missing_bytes and not risk.short_of_host_ram:
        return fill(texts.WILL_FAIL_AT_LIMIT, lang)
    if losses and risk.verdict is Verdict.SAFE:
        return fill(texts.SEMICOLON, lang).join(loss_text(change, lang) for change in losses)
    return verdict_word(risk.verdict, lang)


def loss_text(change: Change, lang: str = "en") -> str:
    """A change that a viewer of the video sees, in a few words."""
    return fill(texts.LOSSES[change.name], lang, before=change.before, after=change.after)


def headroom_line(risk: Risk, lang: str = "en") -> str:
    """The stage with the highest peak and how much memory is left or missing, or the hard limits that are exceeded."""
    items = [limit_name(limit, lang) for limit in risk.limits]
    if not items or risk.headroom_bytes < 0:
        size = gib(abs(risk.headroom_bytes))
        over = texts.INTO_RESERVE if risk.verdict is Verdict.TIGHT else texts.OVER_BUDGET
        left = fill(over if risk.headroom_bytes < 0 else texts.HEADROOM, lang, size=size)
        items.insert(0, fill(texts.DECISIVE_STAGE, lang, stage=stage_word(risk.stage, lang), headroom=left))
    line = fill(texts.SEMICOLON, lang).join(items)
    return line + (fill(texts.SHORT_OF_HOST_RAM, lang) if risk.short_of_host_ram else "")


def frame_line(job: Job, lang: str = "en") -> str:
    """Size, number and length of the frames, data type and steps in a line."""
    return fill(
        texts.FRAME, lang, size=job.frame_size, frames=frame_count(job.output_frames, lang),
        seconds=job.output_s, dtype=job.dtype, steps=count(texts.STEP_COUNT, lang, job.steps),
    )  # fmt: skip


def preview_line(job: Job, lang: str = "en") -> str:
    """The same of a preview."""
    return fill(texts.PREVIEW, lang, frames=frame_line(job, lang))


def frame_count(frames: int, lang: str = "en") -> str:
    """A number of frames, as part of a sentence."""
    return count(texts.FRAME_COUNT, lang, frames)


def crop_line(crop: tuple[int, int], job: Job, lang: str = "en") -> str:
    """The shorter side of the crop, given in pixels as width and height, next to that of the video."""
    size = job.frame_size
    return fill(texts.CROP, lang, picture=min(crop), video=min(size.width, size.height))


def assumption(
    key: str, name: str = "", value: object = None, cause: str = "", source: str = "", lang: str = "en"
) -> str:
    """What a preview assumes: the value of the input `name`, or what is not known of image, audio or face; and why.

    `cause` is why it is not known, and `source` the node or file that it would come from.
    """
    if isinstance(value, Hearing):
        return silence_text(value, lang)
    if isinstance(value, bool):
        value = switch_word(value, lang)
    value = f"{value:g}" if isinstance(value, float) else value
    text = fill(texts.ASSUMPTIONS[key], lang, name=name, value=value, least=MIN_SOUND_S)
    if not cause:
        return text
    own = f"{cause} {key}"
    why = fill(texts.CAUSES[own if own in texts.CAUSES else cause], lang, source=source)
    return fill(texts.ASSUMED_BECAUSE, lang, why=why, assumption=text)


def risk_line(probability: float | None, runs: int, lang: str = "en") -> str:
    """The probability of an out-of-memory error, or where the prediction comes from."""
    if probability is not None:
        return count(texts.RISK_KNOWN, lang, runs, percent=100 * probability)
    return count(texts.RISK_FEW_RUNS, lang, runs) if runs else fill(texts.RISK_MODEL, lang)


def refusal(plan: Plan, lang: str = "en") -> str:
    """Why a plan does not fit, and what would help."""
    verdict, card = headline(plan.risk, lang), card_name(plan.budget.card, lang)
    if any(limit.kind is LimitKind.SHORT_SOUND for limit in plan.risk.limits):
        return fill(texts.AUDIO_TOO_SHORT, lang, headline=verdict)
    if plan.policy is None:
        return fill(texts.UNCHANGED, lang, headline=verdict, card=card)
    if plan.policy is not Policy.LOSSLESS_FIRST:
        return fill(texts.ARTICLE_EXHAUSTED, lang, headline=verdict, card=card)
    advice = rescue_line(plan.rescue, lang) if plan.rescue else what_would_fit(plan.smallest_card, plan.longest_s, lang)
    closest = f"{attempt_line(plan.attempt, lang)} " if plan.attempt else ""
    return fill(texts.REFUSAL, lang, headline=verdict, card=card, advice=closest + advice)


def rescue_line(plan: Plan, lang: str = "en") -> str:
    """The settings that fit with optimizations of Sonic Low VRAM that are not enabled."""
    job = plan.job
    return fill(texts.RESCUE, lang, size=job.frame_size, fps=job.output_fps, dtype=job.dtype)


def attempt_line(attempt: Estimate, lang: str = "en") -> str:
    """Where nothing fits: the run that needs the least, and how much that is."""
    job = attempt.job
    return fill(
        texts.ATTEMPT, lang, size=job.frame_size, fps=job.output_fps, dtype=job.dtype, peak=gib(attempt.peak_bytes)
    )  # fmt: skip


def what_would_fit(card: Card | None, longest_s: float | None, lang: str = "en") -> str:
    """Where nothing fits: the smallest card on which something would, and the longest audio."""
    text = fill(texts.SMALLEST_CARD, lang, card=card.title) if card else fill(texts.NO_CARD, lang)
    return text + ("" if longest_s is None else fill(texts.LONGEST_AUDIO, lang, minutes=longest_s / 60))


def report(result: Preflight, lang: str = "en") -> str:
    """A whole preflight as text, in several lines."""
    plan = result.plan
    lines = [headline(plan.risk, lang, plan.losses), *summary_lines(result, lang), *stage_lines(plan.estimate, lang)]
    lines += [f"· {change_line(change, lang)}" for change in plan.changes]
    if not plan.fits:
        lines.append(refusal(plan, lang))
    return "\n".join([*lines, *notes(result, lang), *limit_lines(plan.estimate, lang)])


def stage_line(estimate: Estimate, stage: str, lang: str = "en") -> str:
    """What a stage requires, overhead included, and what it uses if there is room."""
    required, most = estimate.required(stage), estimate.most(stage)
    name = stage_word(stage, lang)
    return fill(
        texts.STAGE_UPTO if most > required else texts.STAGE, lang, stage=name, size=gib(required), most=gib(most)
    )  # fmt: skip


def stage_lines(estimate: Estimate, lang: str = "en") -> list[str]:
    """What each stage needs, a line each."""
    return [f"  {stage_line(estimate, stage, lang)}" for stage in STAGES if estimate.stages[stage]]


def summary_lines(result: Preflight, lang: str = "en") -> list[str]:
    """Frames, face, budget, parts if there are several, and time, in a line each."""
    plan, face, job = result.plan, result.selection, result.plan.job
    lines = [
        fill(
            texts.FRAMES, lang, size=job.frame_size, sound=job.duration_s, fps=job.output_fps, seconds=job.output_s,
            frames=frame_count(job.output_frames, lang), steps=count(texts.STEP_COUNT, lang, job.steps),
            dtype=job.dtype,
        ),
        fill(
            texts.FACE, lang, ratio=face.ratio, margin=job.expand_ratio, width=face.crop.width, height=face.crop.height,
        ),
        fill(
            texts.BUDGET, lang, budget=gib(plan.budget.usable_bytes), card=card_name(plan.budget.card, lang),
            peak=gib(plan.estimate.peak_bytes),
        ),
    ]  # fmt: skip
    if plan.parts > 1:
        lines.append(fill(texts.PARTS, lang, parts=plan.parts))
    lines.append(time_text(result.time, lang))
    return lines


def optimizations_line(
    enabled: Collection[Optimization], available: Collection[Optimization] = (), lang: str = "en"
) -> str:
    """The optimizations that are enabled; if none is, those that could be."""
    names, others = (optimization_names(some, lang) for some in (enabled, available))
    if names:
        return fill(texts.ENABLED, lang, enabled=names)
    return fill(texts.NONE_ENABLED, lang, available=others) if others else fill(texts.STOCK, lang)


def notes(result: Preflight, lang: str = "en") -> list[str]:
    """What else the user should know, a line each."""
    job, crop = result.plan.job, result.selection.crop
    lines = [] if result.with_low_vram is None else [low_vram_line(result.with_low_vram, lang)]
    lines += padding_lines(result.sound_s, lang)
    if min(crop.width, crop.height) < job.min_resolution:
        lines.append(fill(texts.SMALL_CROP, lang))
    if job.fps != job.output_fps:
        lines.append(fill(texts.WINDOW_FPS, lang, fps=job.output_fps))
    return [*lines, *overhead_lines(lang)]


def padding_lines(sound_s: float, lang: str = "en") -> list[str]:
    """That silence was added to a sound of `sound_s` seconds; nothing where it was long enough."""
    return [fill(texts.PADDED, lang, sound=sound_s, least=MIN_SOUND_S)] if sound_s < MIN_SOUND_S else []


def overhead_lines(lang: str = "en") -> list[str]:
    """What of the overhead is an assumption; nothing once all of it is measured."""
    known = overhead()
    return [] if known.confirmed else [fill(texts.OVERHEAD, lang, share=known.fraction)]


def low_vram_line(plan: Plan, lang: str = "en") -> str:
    """The settings that would fit with the optimizations of Sonic Low VRAM."""
    job = plan.job
    return fill(texts.WITH_LOW_VRAM, lang, size=job.frame_size, fps=job.output_fps, dtype=job.dtype)


def limit_lines(estimate: Estimate, lang: str = "en") -> list[str]:
    """The hard limits that an estimate exceeds, a line each."""
    return [f"! {limit_text(limit, lang)}" for limit in estimate.limits]


def limit_text(limit: Limit, lang: str = "en") -> str:
    """A hard limit and how to stay within it, in a sentence or two."""
    clearing = optimization_names(limit.cleared_by, lang)
    cleared_by = fill(texts.CLEARED_BY, lang, optimizations=clearing) if clearing else ""
    return fill(
        texts.LIMITS[limit.kind], lang, figure=limit.figure, least=MIN_SOUND_S, most=MAX_ATTENTION_BATCH,
        cleared_by=cleared_by,
    )  # fmt: skip


def limit_name(limit: Limit, lang: str = "en") -> str:
    """A hard limit, as part of a sentence."""
    return fill(
        texts.LIMIT_NAMES[limit.kind], lang, figure=limit.figure, least=MIN_SOUND_S, most=MAX_ATTENTION_BATCH
    )  # fmt: skip


def change_line(change: Change, lang: str = "en") -> str:
    """A change, the memory of its stage before and after it, and its reason, in a line."""
    name = optimization_names([change.name], lang) or change.name
    before, after = (setting_word(value, lang) for value in (change.before, change.after))
    return fill(
        texts.CHANGE, lang, name=name, before=before, after=after,
        stage=stage_word(change.stage, lang), old=gib(change.stage_before_bytes), new=gib(change.stage_after_bytes),
        why=why(change, lang),
    )  # fmt: skip

"""Tasks as the journal keeps them, and as the calls that make them take them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..comfy.talking_head_prompt import AskedPart, Loaded
from ..finishing.finish_presets import FinishPreset
from ..job import duration_of
from ..long_video.part_bundle import SUFFIX as BUNDLE
from ..media.video_writer import Encoding, formats
from ..operations.preset_files import load_preset
from .content import input_file, input_path, share_input
from .cpu_call import CpuCall, Finish, Join, MadeFile
from .files import Location
from .job_plans import JobPlanner, Options, settings_of, widgets
from .jobs import NO_FINISH, FarmJob, content_id
from .journal_tables import NewTask, TaskKind, TaskRow
from .server_call import Call


@dataclass(frozen=True)
class Models:
    """Names of the weights on the servers."""

    checkpoint: str = "svd_xt_1_1.safetensors"
    sonic_unet: str = "unet.pth"


@dataclass(frozen=True)
class Cut:
    """Into what parts a video is cut."""

    count: int
    longest: int
    """Latent frames that a part may have."""


def new_tasks(job: FarmJob, out: Location) -> list[NewTask]:
    """The tasks of a job: its video, and what is done to that. Whoever asks for both gets the video once."""
    made = NewTask(job.id, job.name if job.finish == NO_FINISH else "", content_of(job, out))
    if job.finish == NO_FINISH:
        return [made]
    content = {"title": job.name, "finish": job.finish, "settings": asdict(job.settings)}
    return [made, NewTask(job.finished_id, job.name, content, TaskKind.FINISH, (job.id,))]


def part_tasks(row: TaskRow, cut: Cut) -> list[NewTask]:
    """The tasks of the parts of a video. Each is a job whose parts are that long, of which one is made."""
    settings = {**row.content["settings"], "part_s": duration_of(cut.longest)}
    return [
        NewTask(
            content_id(row.task, "part", index, cut.count, cut.longest), "",
            {**row.content, "settings": settings, "part": list(AskedPart(index, cut.count, cut.longest))},
            TaskKind.PART,
        )
        for index in range(cut.count)
    ]  # fmt: skip


def content_of(job: FarmJob, out: Location) -> dict[str, Any]:
    """The job for the journal, as JSON values, with its files where the workers find them. Raises `OutputError`."""
    return {
        "image": share_input(out, job.image), "audio": share_input(out, job.audio), "image_digest": job.image_digest,
        "audio_digest": job.audio_digest, "settings": asdict(job.settings), "title": job.name,
    }  # fmt: skip


def bring_inputs(row: TaskRow, out: Location) -> None:
    """Have the portrait and the voice of a task, if it has them, on this machine. Raises `OutputError`."""
    if row.kind is TaskKind.FINISH:
        return
    job = job_of(row)
    input_file(out, job.image, job.image_digest)
    input_file(out, job.audio, job.audio_digest)


def part_of(row: TaskRow) -> AskedPart | None:
    """The part that a task makes; None where it makes another thing."""
    asked = row.content.get("part")
    return AskedPart(*asked) if row.kind is TaskKind.PART and asked else None


def label_of(row: TaskRow) -> str:
    """What a person calls it: the video's name, of a part with its number."""
    name = row.names[0] if row.names else str(row.content.get("title", row.task[:8]))
    part = part_of(row)
    return f"{name} ({part.part + 1}/{part.parts})" if part else name


def job_of(row: TaskRow) -> FarmJob:
    """The job of a task."""
    content = row.content
    return FarmJob(
        row.names[0] if row.names else row.task, input_path(content["image"]), input_path(content["audio"]),
        content["image_digest"], content["audio_digest"], settings_of(content["settings"]),
    )  # fmt: skip


def suffix_of(row: TaskRow) -> str:
    """Of the task's file, with the dot."""
    return BUNDLE if row.kind is TaskKind.PART else formats()[row.content["settings"]["format"]].suffix


def call_of(row: TaskRow, out: Location, models: Models, options: Options, index: int, dtype: str) -> Call:
    """The call for one of the ways to make a task, without the server it goes to."""
    job = job_of(row)
    settings = job.settings
    loaded = Loaded(
        "", "", settings.track, models.checkpoint, models.sonic_unet, load_preset(settings.preset).use_interframe, dtype
    )
    # Another name after each failure: ComfyUI would answer with what it remembers of the same graph.
    prefix = f"sonic_guard_farm/{row.task}-{row.tries}"
    return Call(
        row.task, row.tries, "", job.image, job.audio, job.image_digest, job.audio_digest, loaded,
        widgets(settings, options.modes[index], prefix), out, suffix_of(row), options.frames, part=part_of(row),
    )  # fmt: skip


def cpu_call_of(row: TaskRow, needs: Sequence[TaskRow], out: Location) -> CpuCall:
    """The call for what a CPU worker makes of the files of other tasks, which are done."""
    settings = settings_of(row.content["settings"])
    encoding = Encoding(settings.format, settings.crf, settings.encoder_preset)
    files = tuple(MadeFile(each.digest, each.size_bytes, suffix_of(each)) for each in needs)
    work: Join | Finish = Finish(FinishPreset(row.content["finish"])) if row.kind is TaskKind.FINISH else _join(row)
    return CpuCall(row.task, files, work, encoding, out, suffix_of(row))


def _join(row: TaskRow) -> Join:
    job = job_of(row)
    return Join(job.audio, job.audio_digest, job.settings.track, job.settings.cut_silence)


def dtype_of(row: TaskRow, planner: JobPlanner, card: str) -> str:
    """Number format of the network for a task on a card."""
    return planner.dtype(settings_of(row.content["settings"]), card)

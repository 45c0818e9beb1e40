"""A job as the journal keeps it, and as a server's call takes it."""

from dataclasses import asdict, dataclass
from typing import Any

from ..comfy.talking_head_prompt import Loaded
from ..media.video_writer import formats
from ..operations.preset_files import load_preset
from .content import input_file, input_path, share_input
from .files import Location
from .job_plans import JobPlanner, Options, settings_of, widgets
from .jobs import FarmJob
from .journal_tables import TaskRow
from .server_call import Call


@dataclass(frozen=True)
class Models:
    """Names of the weights on the servers."""

    checkpoint: str = "svd_xt_1_1.safetensors"
    sonic_unet: str = "unet.pth"


def content_of(job: FarmJob, out: Location) -> dict[str, Any]:
    """The job for the journal, as JSON values, with its files where the workers find them. Raises `OutputError`."""
    return {
        "image": share_input(out, job.image), "audio": share_input(out, job.audio), "image_digest": job.image_digest,
        "audio_digest": job.audio_digest, "settings": asdict(job.settings),
    }  # fmt: skip


def bring_inputs(row: TaskRow, out: Location) -> None:
    """Have the portrait and the voice of a task on this machine. Raises `OutputError`."""
    job = job_of(row)
    input_file(out, job.image, job.image_digest)
    input_file(out, job.audio, job.audio_digest)


def job_of(row: TaskRow) -> FarmJob:
    """The job of a task."""
    content = row.content
    return FarmJob(
        row.names[0] if row.names else row.task, input_path(content["image"]), input_path(content["audio"]),
        content["image_digest"], content["audio_digest"], settings_of(content["settings"]),
    )  # fmt: skip


def suffix_of(row: TaskRow) -> str:
    """Of the task's video, with the dot."""
    return formats()[row.content["settings"]["format"]].suffix


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
        widgets(settings, options.modes[index], prefix), out, suffix_of(row), options.frames,
    )  # fmt: skip


def dtype_of(row: TaskRow, planner: JobPlanner, card: str) -> str:
    """Number format of the network for a task on a card."""
    return planner.dtype(settings_of(row.content["settings"]), card)

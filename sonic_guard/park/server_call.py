"""One video made by one server, in a process of its own, which may die alone.

The graph is queued under an id that follows from the job. So whoever comes after a call that died finds the server's
work by it, running or done, and does not have it made twice.
"""

import asyncio
import contextlib
import os
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from ..comfy.talking_head_prompt import HEAD, PART, AskedPart, Loaded, talking_head_prompt
from ..devices.out_of_memory import is_out_of_memory
from ..errors import FarmError, OutputError, PartError, SonicGuardError
from ..plain_files import shown
from .call_pipe import on_cancel, reporter
from .comfyui_client import (
    POLL_S,
    ComfyUiClient,
    Finished,
    RefusedError,
    ServerDeadError,
    ServerGoneError,
    ServerStuckError,
    connected,
)
from .content import input_file, keep, made_before, objects_folder
from .files import Location
from .outcomes import Ended, Outcome

_NAMESPACE = uuid.UUID("7c1a7a58-5d5b-4f0e-9d3c-6f1c0f5a2b11")
OUT_OF_MEMORY_ERRORS = frozenset(("OutOfMemoryError", "NoFallbackLeftError", "AcceleratorError"))
JOB_ERRORS = frozenset(
    ("PictureError", "AudioError", "FaceError", "JobError", "PresetError", "FileNameError", "OptimizationError")
)
"""Of the portrait, the voice or the settings: the same on every server."""
NO_ROOM_ERRORS = frozenset(("LeaseError", "PartError"))
NO_ROOM = re.compile(r"Will run out|makes it fit", re.IGNORECASE)
"""In the text of the plan by which Sonic Talking Head refuses to begin: it plans for what is free at that moment."""


PATIENCE_S = 3600.0
"""Least seconds without progress after which a server counts as stuck."""
STOP_S = 30.0
"""Seconds that a stuck server gets to stop what it makes."""


class InputGoneError(Exception):
    """A file of the job cannot be read any more."""


@dataclass(frozen=True)
class Call:
    """What a server is to make."""

    task: str
    tries: int
    """Attempts that came to a definite end: each new one has an id of its own."""
    server: str
    image: Path
    audio: Path
    image_digest: str
    audio_digest: str
    loaded: Loaded
    """With the names of the files left empty: they follow from the upload."""
    widgets: Mapping[str, object]
    out: Location
    """The farm's outputs: a folder, which this machine sees as well, or a bucket."""
    suffix: str
    """Of the video's file, with the dot."""
    frames: int
    """Frames that the video has to have."""
    patience_s: float = PATIENCE_S
    """Seconds without progress after which the server counts as stuck."""
    part: AskedPart | None = None
    """The part of the video that is wanted, as a bundle (`long_video.part_bundle`); None: the whole."""

    @property
    def prompt_id(self) -> str:
        """The id under which the server queues it."""
        return str(uuid.uuid5(_NAMESPACE, f"{self.task} {self.tries}"))


def serve(call: Call, pipe: Connection) -> None:
    """The process: sends shares of the work done, and an `Ended` last. Ends at once when its parent is gone."""
    try:
        ended = asyncio.run(_cancellable(call, pipe))
    except ServerDeadError as error:
        ended = Ended(Outcome.SERVER_DIED, f"there is no server ({error})")
    except (ServerGoneError, asyncio.CancelledError) as error:
        ended = Ended(Outcome.LOST, f"the server does not answer ({error})")
    except OutputError as error:
        ended = Ended(Outcome.OUTPUT_FAILED, error.text)
    except (RefusedError, SonicGuardError) as error:
        ended = Ended(Outcome.SERVER_FAILED, str(error))
    except InputGoneError as error:
        ended = Ended(Outcome.JOB_FAILED, str(error))
    except OSError as error:  # the disk of the outputs
        ended = Ended(Outcome.OUTPUT_FAILED, f"{error.strerror or error}")
    with contextlib.suppress(OSError):
        pipe.send(ended)


async def _cancellable(call: Call, pipe: Connection) -> Ended:
    work = asyncio.ensure_future(_make(call, pipe))
    loop = asyncio.get_running_loop()

    on_cancel(pipe, lambda: loop.call_soon_threadsafe(work.cancel))
    try:
        return await work
    except asyncio.CancelledError:
        with contextlib.suppress(ServerGoneError, FarmError):
            async with connected(call.server) as client:
                await client.cancel(call.prompt_id)
        return Ended(Outcome.CANCELLED, "cancelled")


async def _make(call: Call, pipe: Connection) -> Ended:
    objects_folder(call.out)
    if known := await asyncio.to_thread(made_before, call.out, call.task, call.suffix):
        return Ended(Outcome.DONE, "", *known)
    async with connected(call.server) as client:
        finished = await client.finished(call.prompt_id)
        if finished is None and not await client.is_queued(call.prompt_id):
            await client.queue(await _graph(call, client), call.prompt_id, call.part.beside() if call.part else {})
        try:
            finished = finished or await client.wait(call.prompt_id, reporter(pipe), call.patience_s)
        except ServerStuckError as error:
            return await _stopped(call, client, str(error))
        if finished is None:
            return Ended(Outcome.SERVER_DIED, "the server has been restarted")
        if not finished.is_success:
            return _failed(finished)
        return await _fetch(call, client, finished)


async def _stopped(call: Call, client: ComfyUiClient, text: str) -> Ended:
    """The end of an attempt on a stuck server, which is asked to stop it."""
    await client.cancel(call.prompt_id)
    until = asyncio.get_running_loop().time() + min(STOP_S, call.patience_s)
    while await client.is_queued(call.prompt_id):
        if asyncio.get_running_loop().time() > until:
            return Ended(Outcome.SERVER_STUCK, f"{text}, and it does not stop")
        await asyncio.sleep(POLL_S)
    return Ended(Outcome.SERVER_FAILED, f"{text}, so it was interrupted")


async def _graph(call: Call, client: ComfyUiClient) -> dict[str, Any]:
    # A name of its own for each job: who uploads the same again does not write what another job reads.
    files = (call.image, call.image_digest), (call.audio, call.audio_digest)
    try:
        image, audio = [
            await client.upload(
                await asyncio.to_thread(input_file, call.out, path, digest),
                f"{call.task}-{digest[:16]}{path.suffix.lower()}",
                digest,
            )
            for path, digest in files
        ]
    except OSError as error:
        raise InputGoneError(f"{shown(error.filename or '')}: {error.strerror or error}") from error
    return talking_head_prompt(call.loaded._replace(image=image, audio=audio), call.widgets)


async def _fetch(call: Call, client: ComfyUiClient, finished: Finished) -> Ended:
    try:
        (shown,) = finished.outputs[HEAD][PART if call.part else "images"]
    except (KeyError, TypeError, ValueError):
        return Ended(Outcome.SERVER_FAILED, "the server's answer names no video")
    temp = objects_folder(call.out) / f".{call.task}.{os.getpid()}.part"
    try:
        digest, size = await client.fetch(shown, temp)
        if text := await asyncio.to_thread(_fault, temp, call):
            return Ended(Outcome.SERVER_FAILED, text)
        await asyncio.to_thread(keep, call.out, temp, call.task, digest, size, call.suffix)
    finally:
        temp.unlink(missing_ok=True)
    return Ended(Outcome.DONE, "", digest, size, await client.used_bytes())


def _fault(file: Path, call: Call) -> str:
    """What is wrong with a finished file; "" if nothing is."""
    # Not needed until there is a file, and they import PyAV.
    from ..long_video.part_bundle import part_of
    from ..media.video_contents import contents

    try:
        if call.part:
            return "" if part_of(file).index == call.part.part else "the server has made another part"
        frames = contents(file).frames
    except (OutputError, PartError) as error:
        return error.text
    return "" if frames == call.frames else f"the video has {frames} frames, and {call.frames} were expected"


def _failed(finished: Finished) -> Ended:
    """The end of an attempt that the server reports as failed."""
    if finished.is_interrupted:
        return Ended(Outcome.SERVER_FAILED, "it was interrupted on the server")
    kind = finished.error_type.rpartition(".")[2]
    text = " ".join(finished.error_text.split()) or kind
    if kind in JOB_ERRORS:
        return Ended(Outcome.JOB_FAILED, text)
    if kind in NO_ROOM_ERRORS or (kind == "SonicGuardError" and NO_ROOM.search(text)):
        return Ended(Outcome.NO_ROOM, text)
    if kind in OUT_OF_MEMORY_ERRORS or is_out_of_memory(RuntimeError(text)):
        return Ended(Outcome.OUT_OF_MEMORY, text)
    return Ended(Outcome.SERVER_FAILED, text)

"""Reads damaged media files in a process of its own, so that a crash, a hang or a bomb does not end the test run."""

import logging
import multiprocessing
import os
import resource
import signal
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sonic_guard.errors import SonicGuardError
from tests.fuzz.limits import address_space

CASE_S = 20
"""Longest a file may take; the whole ones take milliseconds."""
CASE_BYTES = 1 << 30
"""Address space that reading may take; no file is larger than 100 KB."""


def sound(path: Path) -> str:
    """`probe` and `load` agree on how long a sound is."""
    from sonic_guard.media.audio_file import load, probe

    info = probe(path)
    read_sound = load(path)
    counted, decoded = (each.samples for each in (info, read_sound))
    assert (counted, info.sample_rate, info.channels) == (decoded, read_sound.sample_rate, read_sound.channels), (
        "they differ"
    )
    return "answered"


def picture(path: Path) -> str:
    """`read_size` and `load` agree on how large a picture is."""
    from sonic_guard.media.picture import load, read_size

    size = read_size(path)
    pixels = load(path)
    height, width, channels = pixels.shape
    # As documented, read_size does not see EXIF after the pixels of a PNG.
    assert channels == 3
    assert size == (width, height) or (path.suffix == ".png" and size == (height, width)), f"{size} {pixels.shape}"
    return "answered"


def video(path: Path) -> str:
    """Whatever is counted, every frame that comes is a picture."""
    from sonic_guard.media.video_file import frames, pick, verify

    info = verify(path)
    assert info.frames > 0
    assert info.rate > 0
    shapes = {frame.shape[2] for frame in frames(path)} | {frame.shape[2] for frame in pick(path, 3)}
    assert shapes == {3}
    return "answered"


READERS: dict[str, Callable[[Path], str]] = {"sound": sound, "picture": picture, "video": video}


class Child:
    """The process; begun anew after every one that has not survived."""

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._process: Any = None
        self._pipe: Any = None
        self.folder = Path(tempfile.mkdtemp(prefix="fuzz-media-"))

    def read(self, kind: str, suffix: str, data: bytes) -> str:
        """How a file ends: "answered", "refused", or what went wrong."""
        if self._process is None:
            self._pipe, theirs = self._context.Pipe()
            self._process = self._context.Process(target=_work, args=(theirs,), daemon=True)
            self._process.start()
            theirs.close()
            assert self._pipe.recv() == "ready"
        path = self.folder / f"file{suffix}"
        path.write_bytes(data)
        try:
            self._pipe.send((kind, str(path)))
            if self._pipe.poll(CASE_S):
                return self._pipe.recv()
            self.end()
            return f"HANG: not done after {CASE_S} s"
        except (EOFError, BrokenPipeError, ConnectionResetError):
            self._process.join(5)
            code = self._process.exitcode
            self.end()
            name = signal.Signals(-code).name if code and code < 0 else code
            return f"CRASH: the process ended with {name}"

    def end(self) -> None:
        """Stop the process, however busy it is."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._pipe.close()
            self._process = None


def _work(pipe: Any) -> None:
    logging.disable(logging.CRITICAL)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libav's decoders print warnings there
    import av  # noqa: F401

    import sonic_guard.media.audio_file
    import sonic_guard.media.video_file  # noqa: F401

    if held := address_space():
        resource.setrlimit(resource.RLIMIT_AS, (held + CASE_BYTES, held + CASE_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    pipe.send("ready")
    while True:
        try:
            kind, path = pipe.recv()
        except EOFError:
            return
        try:
            result = READERS[kind](Path(path))
        except SonicGuardError as error:
            result = "refused" if len(str(error)) <= 4_100 else f"LONG: {len(str(error))} characters"
        except BaseException as error:
            where = traceback.extract_tb(error.__traceback__)
            pack = [frame for frame in where if "sonic_guard" in frame.filename]
            location = f"{Path(pack[-1].filename).name}:{pack[-1].name}" if pack else "?"
            result = f"RAISED {type(error).__name__} at {location}: {str(error)[:300]}"
        pipe.send(result)

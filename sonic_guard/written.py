"""Files that the command line writes: the new content as a whole, or what was there before."""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from .errors import SonicGuardError


def write_file(path: Path, content: Iterable[bytes]) -> None:
    """Put the parts of `content` into the file `path`; where that fails, on a full disk for one, it stays as it was.

    A link stays one, and a file its permissions. A device or a pipe takes what it is given.
    Raises `OutputError` if nothing can be written there, `SonicGuardError` without PyAV.
    """
    try:
        from .media import output
    except ImportError as error:
        raise SonicGuardError(f"{path}: writing files needs PyAV, which comes with ComfyUI: {error}.") from error
    with output.errors_about(path):
        if path.exists():
            with path.open("r+b" if path.is_file() else "wb") as file:  # is it write-protected, or a folder?
                if not path.is_file():
                    file.writelines(content)
                    return
    target = Path(os.path.realpath(path))
    temp = output.begin(target, overwrite=True)
    try:
        with output.errors_about(path):
            with temp.open("wb") as file:
                file.writelines(content)
            if target.exists():
                shutil.copymode(target, temp)
        output.commit(target, overwrite=True)
    except BaseException:
        output.discard(temp)
        raise

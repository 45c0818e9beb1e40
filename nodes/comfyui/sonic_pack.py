"""Reports a Sonic pack that is installed, but that ComfyUI could not import, for example because a package is missing.

ComfyUI goes on without such a pack: it marks its nodes red, and a queued graph is answered with the advice that the
pack may not be installed. The reason of the failed import is in ComfyUI's log only.
"""

import os
import re
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from ...sonic_guard.errors import WrapperError
from ...sonic_guard.relatives import ADAPTERS, Relative
from . import host

_MARK = Path("src") / "pipelines" / "pipeline_sonic.py"
_LOGGED = re.compile(r"Cannot import (?P<folder>.+?) module for custom nodes: (?P<reason>.+)")
"""ComfyUI's line of the log about a pack that it could not import."""
_FOLDERS = re.compile(r"(?<!\w)(?:[A-Za-z]:)?[\\/](?:[^\\/'\"()]*[\\/])+")
"""The folders before a file's name. They are private, and any page may receive the message."""
_MAX_REASON = 300
"""Characters."""


def check_import() -> None:
    """Raise `WrapperError` if the Sonic pack is installed, but ComfyUI could not import it."""
    if not host.node_classes().keys().isdisjoint(ADAPTERS[Relative.SONIC].nodes):
        return
    for folder in _folders():
        reason = _reason(folder) or "ComfyUI's log says why, where it starts"
        raise WrapperError(
            f"The node pack {folder.name} is installed, but ComfyUI could not import it: {reason}. With ComfyUI's "
            f"Python, install or update the package that is at fault ({folder.name}/requirements.txt names those it "
            "needs), and restart ComfyUI."
        )


def _folders() -> Iterable[Path]:
    """Folders of Sonic packs whose import ComfyUI has started: it names a pack's module by its path."""
    for name, module in list(sys.modules.items()):
        if os.path.isabs(name) and (file := getattr(module, "__file__", None)):
            folder = Path(file).parent
            if (folder / _MARK).is_file():
                yield folder


@cache
def _reason(folder: Path) -> str:
    """The reason that ComfyUI has logged for `folder`; empty if none. Cached: the log keeps some hundreds of lines."""
    logged = (found for line in host.log_lines() for found in _LOGGED.finditer(line))
    reasons = (found["reason"] for found in logged if Path(found["folder"]) == folder)
    return _FOLDERS.sub("", next(reasons, "")).strip()[:_MAX_REASON]

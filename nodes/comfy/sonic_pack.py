"""Whether the Sonic pack is installed and yet has no nodes, as where a package is missing that it imports.

ComfyUI goes on without such a pack: it marks its nodes red, and says of a queued graph that the pack may not be
installed. What the import failed at is in its log only.
"""

import os
import re
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from ...sonic_guard.errors import WrapperError
from ...sonic_guard.runtime.recorder import STAGE_OF
from . import host

_MARK = Path("src") / "pipelines" / "pipeline_sonic.py"
_SAID = re.compile(r"Cannot import (?P<folder>.+?) module for custom nodes: (?P<reason>.+)")
"""ComfyUI's line about a pack that it could not import."""
_FOLDERS = re.compile(r"(?<!\w)(?:[A-Za-z]:)?[\\/](?:[^\\/'\"()]*[\\/])+")
"""The folders in front of a file's name. They are private, and the message may go to any page."""
_MAX_REASON = 300
"""Characters."""


def check_import() -> None:
    """Raise `WrapperError` if the Sonic pack is installed, but ComfyUI could not import it."""
    if not STAGE_OF.keys().isdisjoint(host.node_classes()):
        return
    for folder in _folders():
        reason = _reason(folder) or "ComfyUI's log says why, where it starts"
        raise WrapperError(
            f"The node pack {folder.name} is installed, but ComfyUI could not import it: {reason}. With ComfyUI's "
            f"Python, install or update the package that is at fault ({folder.name}/requirements.txt names those it "
            "needs), and restart ComfyUI."
        )


def _folders() -> Iterable[Path]:
    """Folders of Sonic packs that ComfyUI has begun to import: it names a pack's module by its path."""
    for name, module in list(sys.modules.items()):
        if os.path.isabs(name) and (file := getattr(module, "__file__", None)):
            folder = Path(file).parent
            if (folder / _MARK).is_file():
                yield folder


@cache
def _reason(folder: Path) -> str:
    """What ComfyUI has logged of `folder`; empty if nothing. Its log keeps some hundreds of lines: it is asked once."""
    said = (found for line in host.log_lines() for found in _SAID.finditer(line))
    return next(
        (_FOLDERS.sub("", found["reason"]).strip()[:_MAX_REASON] for found in said if Path(found["folder"]) == folder),
        "",
    )

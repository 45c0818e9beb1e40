"""A copy of the Sonic wrapper with a UNet of few channels, whose runs of several parts take minutes on a CPU."""

import json
import shutil
from pathlib import Path

from ..errors import OutputError

FEW = {"block_out_channels": [32, 64, 64, 64], "num_attention_heads": [2, 4, 4, 4], "layers_per_block": 1}
"""Every kind of block that the network has, a hundredth of the work of the whole network or less."""


def copy_narrow(wrapper: Path, target: Path) -> None:
    """Copy the pack in the folder `wrapper` to the new folder `target`, with another configuration of the UNet.

    Only the UNet's configuration is changed; the code is the wrapper's own. Raises `OutputError` if `target` exists.
    """
    if target.exists():
        raise OutputError(f"narrow: the folder {target.name} exists already", path=target)
    shutil.copytree(wrapper, target, ignore=shutil.ignore_patterns(".git", "__pycache__", "examples"))
    file = target / "svd_repo" / "unet" / "config.json"
    config = json.loads(file.read_text(encoding="utf-8")) | FEW
    file.write_text(json.dumps(config, indent=2), encoding="utf-8")

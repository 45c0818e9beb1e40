"""Imports the modules of a checkout of the Sonic wrapper.

The wrapper is a ComfyUI pack. Its files import packages (torchvision, librosa …) that are needed only by code that is
not called here. If they are missing, empty modules replace them during the import, so that the network, the pipeline,
RIFE and `Sonic.process` can be used unchanged.
"""

import hashlib
import importlib
import importlib.machinery
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from ..errors import WrapperError

_UNUSED_PACKAGES = ("torchvision", "torchvision.transforms", "librosa", "imageio")
"""Imported by the wrapper's files, but not used by the code called here."""


@dataclass(frozen=True)
class Checkout:
    """The wrapper's own modules."""

    path: Path
    sonic: ModuleType
    """`sonic.py`: `Sonic.process`, `sonic_predata`, `decode_latents_`."""
    pipeline: ModuleType
    unet: ModuleType
    rife: ModuleType
    audio_proj: ModuleType
    audio_to_bucket: ModuleType
    masks: ModuleType

    @property
    def unet_config(self) -> dict[str, Any]:
        """The UNet's configuration, from the checkout's own file."""
        import json

        return json.loads((self.path / "svd_repo" / "unet" / "config.json").read_text(encoding="utf-8"))


def open_checkout(path: str | Path) -> Checkout:
    """Import the wrapper's modules from the folder `path`.

    Raises `WrapperError` if the folder is not a Sonic wrapper, or if one of the packages its
    network needs (torch, diffusers, transformers, einops) is missing.
    """
    path = Path(path).expanduser().resolve()
    if not (path / "src" / "pipelines" / "pipeline_sonic.py").is_file():
        raise WrapperError(
            f"sonic: {path} holds no src/pipelines/pipeline_sonic.py; "
            "give the folder of the ComfyUI_Sonic pack (usually ComfyUI/custom_nodes/ComfyUI_Sonic)."
        )
    package = f"_sonic_checkout_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
    _make_namespace(package, path)
    names = {
        "sonic": "sonic",
        "pipeline": "src.pipelines.pipeline_sonic",
        "unet": "src.models.base.unet_spatio_temporal_condition",
        "rife": "src.utils.RIFE.RIFE_HDv3",
        "audio_proj": "src.models.audio_adapter.audio_proj",
        "audio_to_bucket": "src.models.audio_adapter.audio_to_bucket",
        "masks": "src.utils.mask_processer",
    }
    try:
        # Before the stand-ins are there: transformers looks for torchvision when these are first asked for.
        from diffusers.pipelines.pipeline_utils import DiffusionPipeline  # noqa: F401
        from transformers import CLIPImageProcessor  # noqa: F401

        with _stand_ins():
            modules = {key: importlib.import_module(f"{package}.{name}") for key, name in names.items()}
    except ImportError as error:
        raise WrapperError(
            f"sonic: the wrapper at {path} does not import ({error}). "
            "It needs torch, diffusers, transformers and einops."
        ) from error
    setattr(modules["sonic"], "tqdm", lambda steps, **_: steps)  # noqa: B010  (no progress bars)
    return Checkout(path, **modules)


def _make_namespace(package: str, path: Path) -> None:
    """Register `path` as a package without running its `__init__`, which would import ComfyUI."""
    if package in sys.modules:
        return
    spec = importlib.machinery.ModuleSpec(package, None, is_package=True)
    spec.submodule_search_locations = [str(path)]
    sys.modules[package] = importlib.util.module_from_spec(spec)


@contextmanager
def _stand_ins() -> Iterator[None]:
    missing = [name for name in _UNUSED_PACKAGES if not _importable(name)]
    for name in missing:
        parent, _, child = name.rpartition(".")
        module = sys.modules[name] = ModuleType(name)
        if parent:
            setattr(sys.modules[parent], child, module)
    try:
        yield
    finally:
        for name in missing:
            del sys.modules[name]


def _importable(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        # The parent is missing or is itself a stand-in without a spec.
        return False

"""Imports the modules of a checkout of the Sonic wrapper, or of a relative.

The wrapper is a ComfyUI pack. Its files import packages (torchvision, librosa …) that are needed only by code that is
not called here. If they are missing, empty modules replace them during the import, so that the network, the pipeline,
RIFE and `Sonic.process` can be used unchanged.
"""

import hashlib
import importlib
import importlib.machinery
import importlib.util
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from ..errors import WrapperError
from ..relatives import ADAPTERS, Relative

_UNUSED_PACKAGES = ("torchvision", "torchvision.transforms", "librosa", "imageio", "av", "cv2")
"""Imported by the wrapper's files, but not used by the code called here."""


@dataclass(frozen=True)
class Checkout:
    """The wrapper's own modules."""

    path: Path
    relative: Relative
    modules: Mapping[str, ModuleType]
    """Those that only one of the relatives has, by name."""
    sonic: ModuleType
    """`sonic.py`: `Sonic.process`, `sonic_predata`, `decode_latents_`; or what a relative has of the kind."""
    pipeline: ModuleType
    unet: ModuleType
    rife: ModuleType
    audio_proj: ModuleType

    @property
    def unet_config(self) -> dict[str, Any]:
        """The UNet's configuration, from the checkout's own file."""
        import json

        return json.loads((self.path / "svd_repo" / "unet" / "config.json").read_text(encoding="utf-8"))


_SHARED = {
    "unet": "src.models.base.unet_spatio_temporal_condition",
    "rife": "src.utils.RIFE.RIFE_HDv3",
    "audio_proj": "src.models.audio_adapter.audio_proj",
}
_OWN = {
    Relative.SONIC: {
        "sonic": "sonic",
        "pipeline": "src.pipelines.pipeline_sonic",
        "audio_to_bucket": "src.models.audio_adapter.audio_to_bucket",
        "masks": "src.utils.mask_processer",
    },
    Relative.DICE_TALK: {
        "sonic": "dice_talk",
        "pipeline": "src.pipelines.pipeline_dicetalk",
        "pose": "src.models.audio_adapter.pose_guider",
        "emotion": "src.models.emotion_adapter.emo",
    },
}
"""Modules of a node pack by what they are for."""
PACKS = {Relative.SONIC: "ComfyUI_Sonic", Relative.DICE_TALK: "ComfyUI_DICE_Talk"}
"""The repositories' names."""


def relative_at(path: Path) -> Relative:
    """The relative whose node pack is in the folder `path`. Raises `WrapperError` if it is none's."""
    marks = {relative: names["pipeline"].replace(".", "/") + ".py" for relative, names in _OWN.items()}
    found = next((relative for relative, mark in marks.items() if (path / mark).is_file()), None)
    if found is None:
        raise WrapperError(
            f"sonic: {path} holds no {marks[Relative.SONIC]}; "
            f"give the folder of the {ADAPTERS[Relative.SONIC].title} pack (usually in ComfyUI/custom_nodes), or of a "
            "relative."
        )
    return found


def open_checkout(path: str | Path) -> Checkout:
    """Import the wrapper's modules from the folder `path`, or those of a relative.

    Raises `WrapperError` if the folder is not that of a known node pack, or if one of the packages its
    network needs (torch, diffusers, transformers, einops) is missing.
    """
    path = Path(path).expanduser().resolve()
    relative = relative_at(path)
    package = f"_sonic_checkout_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
    _make_namespace(package, path)
    names = _SHARED | _OWN[relative]
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
    fields = {key: modules.pop(key) for key in ("sonic", "pipeline", *_SHARED)}
    return Checkout(path, relative, modules, **fields)


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

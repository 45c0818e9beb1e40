"""The weight files that Sonic in ComfyUI needs: where each is put, where it comes from, and which are not there.

The places are those that ComfyUI_Sonic reads (``sonic_node.py``, commit 8556234); the addresses are those of the
repositories that its README and Sonic's own name. Nothing here downloads anything.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from .sonic_objects import LOADER, PREDATA

CHECKPOINT_LOADER = "ImageOnlyCheckpointLoader"
_SONIC = "https://huggingface.co/LeonJoe13/Sonic/resolve/main"
_SVD = "https://huggingface.co/stabilityai/stable-video-diffusion-img2vid-xt-1-1"
_WHISPER = "https://huggingface.co/openai/whisper-tiny/resolve/main"

SELECTED_BY: Mapping[str, str] = {CHECKPOINT_LOADER: "ckpt_name", LOADER: "sonic_unet"}
"""The input by which a node selects its file; the names of all other files are fixed in the wrapper."""


class WeightFile(NamedTuple):
    """One file."""

    name: str
    """Its path below the folder."""
    folder: str
    """The folder below ComfyUI's `models`."""
    url: str
    node: str
    """The node that reads it."""
    about_mb: int | None = None
    """Its size in MB (10**6), rounded; None where it is not known."""
    page: str = ""
    """The page on which a licence is to be accepted before the download; empty where there is none."""
    instead: tuple[str, ...] = ()
    """Files of the same folder that serve as well."""
    is_selected: bool = False
    """Whether the user selects it on the node, see `SELECTED_BY`. It may then be in any folder of its kind."""

    @property
    def path(self) -> str:
        """Where it is put, as "models/sonic/unet.pth"."""
        return f"models/{self.folder}/{self.name}"


WEIGHT_FILES = (
    WeightFile(
        "svd_xt_1_1.safetensors", "checkpoints", f"{_SVD}/resolve/main/svd_xt_1_1.safetensors", CHECKPOINT_LOADER,
        page=_SVD, instead=("svd_xt.safetensors",), is_selected=True,
    ),
    WeightFile("unet.pth", "sonic", f"{_SONIC}/Sonic/unet.pth", LOADER, 6303, is_selected=True),
    WeightFile("RIFE/flownet.pkl", "sonic", f"{_SONIC}/RIFE/flownet.pkl", LOADER),
    WeightFile("audio2token.pth", "sonic", f"{_SONIC}/Sonic/audio2token.pth", PREDATA, 205),
    WeightFile("audio2bucket.pth", "sonic", f"{_SONIC}/Sonic/audio2bucket.pth", PREDATA, 72),
    WeightFile("yoloface_v5m.pt", "sonic", f"{_SONIC}/yoloface_v5m.pt", PREDATA, 69),
    WeightFile("whisper-tiny/model.safetensors", "sonic", f"{_WHISPER}/model.safetensors", PREDATA, 151),
    WeightFile("whisper-tiny/config.json", "sonic", f"{_WHISPER}/config.json", PREDATA),
    WeightFile("whisper-tiny/preprocessor_config.json", "sonic", f"{_WHISPER}/preprocessor_config.json", PREDATA),
)  # fmt: skip
"""In the order in which a run reads them."""

_LISTED = (".safetensors", ".pth", ".pt", ".pkl")
"""Suffixes of the files that ComfyUI lists, and so can tell to be missing."""


def missing(has: Callable[[WeightFile, str], bool], selected: Mapping[str, str]) -> tuple[WeightFile, ...]:
    """The files that are not there.

    `has` says whether there is a file of that name in the place of a weight file, and `selected` what a graph's nodes
    select, by their classes. Where a graph selects a file, that is the one it needs.
    """
    return tuple(
        file
        for file in WEIGHT_FILES
        if not any(has(file, name) for name in _names(file, selected.get(file.node) if file.is_selected else None))
    )


def _names(file: WeightFile, selected: str | None) -> tuple[str, ...]:
    return (file.name, *file.instead) if not selected else (selected,)


def as_properties(files: tuple[WeightFile, ...]) -> list[dict[str, str]]:
    """The `files` that ComfyUI lists, as a workflow carries them: its page offers those that are missing."""
    return [
        {"name": file.name, "url": file.url, "directory": file.folder} for file in files if file.name.endswith(_LISTED)
    ]

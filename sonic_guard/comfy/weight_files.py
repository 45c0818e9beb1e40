"""The weight files that Sonic and its relatives need: where each is put, where it comes from, and which are not there.

The places are those that the packs read (``sonic_node.py`` of ComfyUI_Sonic, commit 8556234; ``dice_talk_node.py`` of
ComfyUI_DICE_Talk, commit 77a031d); the addresses are those of the repositories that their README and the authors' own
name. Nothing here downloads anything.
"""

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from ..relatives import ADAPTERS, Relative
from .sonic_objects import LOADER, PREDATA

CHECKPOINT_LOADER = "ImageOnlyCheckpointLoader"
_SONIC = "https://huggingface.co/LeonJoe13/Sonic/resolve/main"
_SVD = "https://huggingface.co/stabilityai/stable-video-diffusion-img2vid-xt-1-1"
_WHISPER = "https://huggingface.co/openai/whisper-tiny/resolve/main"
_DICE_TALK = "https://huggingface.co/EEEELY/DICE-Talk/resolve/main/DICE-Talk"
_DICE_FOLDER = "dice_talk"
_DICE_LOADER, _DICE_PREDATA, _ = ADAPTERS[Relative.DICE_TALK].nodes

SELECTED_BY: Mapping[str, str] = {
    CHECKPOINT_LOADER: "ckpt_name", LOADER: "sonic_unet", _DICE_LOADER: "dice_talk_unet",
}  # fmt: skip
"""The input by which a node selects its file; the names of all other files are fixed in the packs."""
NOTHING = "none"
"""In the menu of a loader: no file is selected."""


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
    otherwise: str = ""
    """The folder below `models` that is read where there is no `folder`; empty where that is the only one."""

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
"""Sonic's, in the order in which a run reads them."""


def _shared(name: str, node: str) -> WeightFile:
    """One of Sonic's that DICE Talk reads there if ComfyUI has a folder for Sonic, and else in its own."""
    file = next(file for file in WEIGHT_FILES if file.name == name)
    return file._replace(node=node, otherwise=_DICE_FOLDER)


DICE_TALK_FILES = (
    WEIGHT_FILES[0],
    WeightFile("unet.pth", _DICE_FOLDER, f"{_DICE_TALK}/unet.pth", _DICE_LOADER, is_selected=True),
    WeightFile("pose_guider.pth", _DICE_FOLDER, f"{_DICE_TALK}/pose_guider.pth", _DICE_LOADER),
    _shared("RIFE/flownet.pkl", _DICE_LOADER),
    WeightFile("audio_linear.pth", _DICE_FOLDER, f"{_DICE_TALK}/audio_linear.pth", _DICE_PREDATA),
    WeightFile("emo_model.pth", _DICE_FOLDER, f"{_DICE_TALK}/emo_model.pth", _DICE_PREDATA),
    _shared("yoloface_v5m.pt", _DICE_PREDATA),
    _shared("whisper-tiny/model.safetensors", _DICE_PREDATA),
    _shared("whisper-tiny/config.json", _DICE_PREDATA),
    _shared("whisper-tiny/preprocessor_config.json", _DICE_PREDATA),
)
"""DICE Talk's, likewise."""
FILES_OF: Mapping[Relative, tuple[WeightFile, ...]] = MappingProxyType(
    {Relative.SONIC: WEIGHT_FILES, Relative.DICE_TALK: DICE_TALK_FILES}
)

_LISTED = (".safetensors", ".pth", ".pt", ".pkl")
"""Suffixes of the files that ComfyUI lists, and so can tell to be missing."""


def files_on(relative: Relative, has_folder: Callable[[str], bool]) -> tuple[WeightFile, ...]:
    """The files that `relative` reads, in the folders where it does; `has_folder` says which `models` has."""
    return tuple(
        file if not file.otherwise or has_folder(file.folder) else file._replace(folder=file.otherwise)
        for file in FILES_OF[relative]
    )


def missing(
    files: Iterable[WeightFile], has: Callable[[WeightFile, str], bool], selected: Mapping[str, str]
) -> tuple[WeightFile, ...]:
    """Those of `files` that are not there.

    `has` says whether there is a file of that name in the place of a weight file, and `selected` what a graph's nodes
    select, by their classes. Where a graph selects a file, that is the one it needs.
    """
    return tuple(
        file
        for file in files
        if not any(has(file, name) for name in _names(file, selected.get(file.node) if file.is_selected else None))
    )


def _names(file: WeightFile, selected: str | None) -> tuple[str, ...]:
    return (file.name, *file.instead) if selected in (None, "", NOTHING) else (selected,)


def as_properties(files: tuple[WeightFile, ...]) -> list[dict[str, str]]:
    """The `files` that ComfyUI lists, as a workflow carries them: its page offers those that are missing."""
    return [
        {"name": file.name, "url": file.url, "directory": file.folder} for file in files if file.name.endswith(_LISTED)
    ]

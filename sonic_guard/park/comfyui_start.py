"""How a farm starts a ComfyUI server: its Python, its options, and what it leaves out because no video needs it.

A farm queues one graph, that of `comfy.talking_head_prompt`: ComfyUI's own nodes, Sonic's and this pack's. A server
that loads nothing else is there sooner, also after it was killed.
"""

import argparse
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..comfy.sonic_objects import LOADER
from ..errors import FarmError
from ..plain_files import shown
from .local_comfyui import is_comfyui

_OPTIONS = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
"""Of ComfyUI's options, those that say where its models and packs are, and which packs it loads."""
for _name in ("--base-directory", "--models-directory"):
    _OPTIONS.add_argument(_name, type=Path)
_OPTIONS.add_argument("--whitelist-custom-nodes", nargs="+", default=[])
_NO_API_NODES = "--disable-api-nodes"
_NO_PACKS, _BUT_PACKS = "--disable-all-custom-nodes", "--whitelist-custom-nodes"


@dataclass(frozen=True)
class ServerStart:
    """How a ComfyUI server is started."""

    comfyui: Path
    python: Path
    arguments: tuple[str, ...] = ()
    """The user's, beside those that the farm gives: folders, port, loopback, and `lean_options`."""
    card: int | None = None
    """CUDA's number of the card; None: no GPU."""
    all_packs: bool = False
    """Whether it loads every pack, and ComfyUI's nodes for services on the web."""

    def prepare(self) -> None:
        """Create the folder that ComfyUI_Sonic creates when it is imported: two servers that do so at once fail."""
        asked = self._asked
        models = asked.models_directory or (asked.base_directory or self.comfyui) / "models"
        if models.is_dir():
            with suppress(PermissionError):  # not to be written: then it is there already, or the server says so
                (models / "sonic").mkdir(exist_ok=True)

    def lean_options(self) -> tuple[str, ...]:
        """Options with which it loads only what a farm's graph needs, and the packs that the user's arguments name.

        Only options that this ComfyUI has: it ends at one that it does not know. Where Sonic or this pack is not in its
        folder of packs, but in one of an ``extra_model_paths.yaml``, it loads all packs.
        """
        if self.all_packs:
            return ()
        known, asked = _known_options(self.comfyui), self._asked
        no_api_nodes = (_NO_API_NODES,) if _NO_API_NODES in known else ()
        needed = _needed_packs((asked.base_directory or self.comfyui) / "custom_nodes")
        if not needed or not known.issuperset((_NO_PACKS, _BUT_PACKS)):
            return no_api_nodes
        return *no_api_nodes, _NO_PACKS, _BUT_PACKS, *dict.fromkeys((*needed, *asked.whitelist_custom_nodes))

    @property
    def _asked(self) -> argparse.Namespace:
        return _OPTIONS.parse_known_args(self.arguments)[0]


def server_start(
    comfyui: Path, python: Path | None, arguments: Sequence[str], card: int | None, *, all_packs: bool = False
) -> ServerStart:
    """How to start the ComfyUI in the folder `comfyui`. Raises `FarmError` where there is none, or no Python for it."""
    if not is_comfyui(comfyui):
        raise FarmError(f"{shown(comfyui)}: there is no ComfyUI in this folder.", path=comfyui)
    candidates = [python] if python else [
        folder / name / program
        for folder in (comfyui, comfyui.parent)
        for name in (".venv", "venv", "python_embeded")
        for program in ("bin/python", "Scripts/python.exe", "python.exe")
    ]  # fmt: skip
    found = next((each for each in candidates if each.is_file()), None)
    if found is None:
        raise FarmError(f"{shown(comfyui)}: no Python for it is found beside it. Name it with --comfyui-python.")
    return ServerStart(comfyui.absolute(), found.absolute(), tuple(arguments), card, all_packs)


def _known_options(comfyui: Path) -> frozenset[str]:
    """Those of `lean_options` that the ComfyUI in the folder has, by the text of the module that declares them."""
    try:
        text = (comfyui / "comfy" / "cli_args.py").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return frozenset()  # another layout: nothing is known of its options
    return frozenset(each for each in (_NO_API_NODES, _NO_PACKS, _BUT_PACKS) if f'"{each}"' in text)


def _needed_packs(folder: Path) -> list[str]:
    """Names of the packs in `folder` that have nodes of the farm's graph; none unless Sonic and this pack are there."""
    try:
        packs = sorted(each for each in folder.iterdir() if each.is_dir() and not each.name.endswith(".disabled"))
        ours = [each.name for each in packs if (each / "sonic_guard" / "__init__.py").is_file()]
        sonic = [each.name for each in packs if any(LOADER in text for text in _module_texts(each))]
    except OSError:
        return []  # not to be read by the farm: the server may
    return [*ours, *sonic] if ours and sonic else []


def _module_texts(pack: Path) -> Iterator[str]:
    """The modules at the top of a pack, where it declares its nodes."""
    for module in sorted(pack.glob("*.py")):
        yield module.read_text(encoding="utf-8", errors="replace")

"""The ComfyUI of this machine, for a farm that is not told which: servers that run, else a folder to start one from."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from ..errors import FarmError
from .comfyui_client import RefusedError, ServerGoneError, connected

PORTS = (*range(8188, 8196), 8000)
"""ComfyUI's own and the next ones, which further servers take; ComfyUI Desktop's."""
ANSWER_S = 3.0
"""Most seconds for the answer of a server on this machine."""


def running_servers(ports: Sequence[int] = PORTS) -> tuple[str, ...]:
    """Addresses of the servers at these ports of this machine that have the nodes of a farm's graph."""
    return asyncio.run(_usable([f"http://127.0.0.1:{port}" for port in ports]))


def comfyui_folder() -> Path | None:
    """The ComfyUI in the current folder, else the one that this pack is installed in; None where neither is there."""
    pack = Path(__file__).absolute().parents[2]
    return next((each for each in (Path.cwd(), pack.parent.parent) if is_comfyui(each)), None)


def is_comfyui(folder: Path) -> bool:
    """Whether a ComfyUI can be started from the folder."""
    return (folder / "main.py").is_file() and (folder / "comfy").is_dir()


async def _usable(urls: Sequence[str]) -> tuple[str, ...]:
    usable = await asyncio.gather(*map(_is_usable, urls))
    return tuple(url for url, is_usable in zip(urls, usable, strict=True) if is_usable)


async def _is_usable(url: str) -> bool:
    try:
        # Anything may listen there: the token is not for it.
        async with asyncio.timeout(ANSWER_S), connected(url, with_token=False) as client:
            await client.facts()
    except (FarmError, RefusedError, ServerGoneError, TimeoutError):
        return False
    return True

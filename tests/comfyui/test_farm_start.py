"""A real ComfyUI as a farm starts it."""

import asyncio
import time

import pytest

pytest.importorskip("aiohttp")
pytest.importorskip("distributed")

import aiohttp

from sonic_guard.park.comfyui_client import ServerGoneError, connected
from sonic_guard.park.comfyui_start import server_start
from sonic_guard.park.local_park import LocalPark
from tests.support import comfyui_server, installed

OTHER = """
class Other:
    INPUT_TYPES, RETURN_TYPES, FUNCTION = classmethod(lambda cls: {}), (), "run"


NODE_CLASS_MAPPINGS = {"OtherPacksNode": Other}
"""


async def facts(address):
    """What the farm asks a server for before it uses it, as soon as it answers."""
    until = time.monotonic() + comfyui_server.START_S
    while True:
        try:
            async with connected(address) as client:
                return await client.facts()
        except ServerGoneError:
            if time.monotonic() > until:
                raise
            await asyncio.sleep(0.2)


async def has_node(address, name):
    async with aiohttp.ClientSession() as session, session.get(f"{address}/object_info/{name}") as answer:
        return name in await answer.json()


@pytest.mark.parametrize("all_packs", [False, True])
def test_a_server_has_what_a_farm_s_graph_needs_and_other_packs_where_they_are_asked_for(tmp_path, all_packs):
    base, other = tmp_path / "base", tmp_path / "other"
    for folder in (base, base / "models", other):
        folder.mkdir(parents=True)
    (other / "__init__.py").write_text(OTHER)
    comfyui_server.install(base, installed.sonic(), "hostpack", other)
    arguments = ("--base-directory", str(base))
    start = server_start(installed.comfyui(), installed.python(), arguments, None, all_packs=all_packs)
    with LocalPark(tmp_path / "park", [start], tmp_path / "user", cpu_workers=0) as park:
        assert asyncio.run(facts(park.addresses[0])).device == "cpu"  # raises if one of the graph's nodes is missing
        assert asyncio.run(has_node(park.addresses[0], "OtherPacksNode")) is all_packs

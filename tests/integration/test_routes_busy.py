"""One user's file does not keep another user waiting: real server, real files that take their time."""

import asyncio

import aiohttp
import pytest

from tests.support.graphs import node, sources, trio, write_files
from tests.support.route_server import Site
from tests.support.sound_files import long_sound

FILES = ("portrait.png", "voice.wav")


@pytest.fixture
def site(pack, tmp_path):
    site = Site(pack, write_files(tmp_path / "input"))
    yield site
    site.close()


def question(sound):
    graph = sources() | trio()
    graph["2"] = node("LoadAudio", audio=sound)
    return {"graph": graph, "node": "7"}


async def leave(site, sound):
    """Ask about a sound, and close the page."""
    with pytest.raises(asyncio.TimeoutError):
        await site.asking("POST", "/sonic_guard/predict", json=question(sound), timeout=aiohttp.ClientTimeout(0.5))


def test_a_disconnected_page_does_not_block_others(site, caplog):
    for name in ("1.wav", "2.wav", "3.wav"):
        long_sound(site.folder / name)
        site.run(leave(site, name))
    answer = site.ask("POST", "/sonic_guard/predict", json=question("voice.wav"))
    assert answer.status == 200
    known = site.services.machine.files._facts
    assert [record for record in caplog.records if record.name == "asyncio"] == []
    assert {size for _, _, _, _, size, _ in known} == {(site.folder / name).stat().st_size for name in FILES}


def test_a_sound_that_takes_too_long_to_count_is_answered_by_its_header(site, monkeypatch):
    seconds = long_sound(site.folder / "long.wav")
    monkeypatch.setattr(site.pack("sonic_guard.preview.input_files"), "LIMIT_S", 0.5)
    reply_data = site.ask("POST", "/sonic_guard/predict", json=question("long.wav")).data
    assert (
        f"the audio is too long to be decoded for a preview: {seconds:.0f} s are assumed, as its header says"
        in reply_data["assumed"]
    )

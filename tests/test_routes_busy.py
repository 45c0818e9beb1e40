"""One user's file does not keep another user waiting: real server, real files that take their time."""

import asyncio

import aiohttp
import pytest

from tests.graphs import node, sources, trio, write_files
from tests.site import Site
from tests.test_hostile_media import riff
from tests.test_preview_files import long_silence

FILES = ("portrait.png", "voice.wav")
LONG_BYTES = 4_000_000_000
"""Of sound, which take seconds to count, and no room on the disk: the file has a hole."""


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


def test_a_page_that_has_gone_keeps_nobody_waiting(site):
    for name in ("1.wav", "2.wav", "3.wav"):
        with (site.folder / name).open("wb") as file:
            file.write(riff(samples=0)[:-4] + b"\xff\xff\xff\xff")  # as long as the file is
            file.truncate(LONG_BYTES)
        site.run(leave(site, name))
    answer = site.ask("POST", "/sonic_guard/predict", json=question("voice.wav"))
    assert answer.status == 200
    known = site.services.machine.files._facts
    assert {size for _, _, _, size, _ in known} == {(site.folder / name).stat().st_size for name in FILES}


def test_a_sound_nobody_can_count_in_time_is_answered_by_its_header(site, monkeypatch):
    long_silence(site.folder / "long.flac", 60)
    monkeypatch.setattr(site.pack("sonic_guard.preview.files"), "PATIENCE_S", 0.05)
    said = site.ask("POST", "/sonic_guard/predict", json=question("long.flac")).data
    assert "the sound takes too long to count: 3600 s, as its header says" in said["assumed"]

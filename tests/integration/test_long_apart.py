"""Parts of a long video that are made alone, as on several machines, and joined: the video of one machine."""

import json
import random
import zipfile
from dataclasses import asdict, replace

import pytest

from sonic_guard.errors import PartError
from sonic_guard.long_video.part_bundle import join_bundles, part_of, unpack
from sonic_guard.long_video.rendering import run, run_part
from sonic_guard.media.video_file import frames
from tests.support.numbered_frames import digest, make_part, order, read
from tests.support.numbered_runs import CancelError

FRAMES = 300
"""Latent frames: three parts."""


def apart(folder, asked, make=make_part):
    """Make each part alone, the last one first. Returns the bundles in order."""
    files = [folder / f"{part.index}.zip" for part in asked.parts]
    for part in reversed(asked.parts):
        run_part(asked, part.index, make, files[part.index], folder / "work")
    return files


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    return apart(tmp_path_factory.mktemp("bundles"), order(FRAMES))


@pytest.mark.parametrize(("kind", "interpolate"), [("h264", True), ("ffv1", False), ("prores", True)])
def test_parts_made_apart_are_the_same_file(tmp_path, kind, interpolate):
    asked = order(FRAMES, interpolate, kind)
    suffix = asked.encoding.kind.suffix

    def make(task, emit, tick):
        make_part(task, emit, tick, interpolate=interpolate)

    whole = run(asked, make, tmp_path / f"whole{suffix}", tmp_path / "whole")
    files, shares = apart(tmp_path, asked, make), []
    target = tmp_path / f"joined{suffix}"
    assert (
        join_bundles(files, asked.sound, asked.encoding, target, tmp_path / "join", notify=shares.append) == whole.info
    )
    assert digest(target) == digest(whole.path)
    if suffix != ".mkv":  # Matroska gives each file a random id
        assert target.read_bytes() == whole.path.read_bytes()
    assert shares == sorted(shares)
    assert shares[-1] == 1


def shown(bundle, folder):
    """What is in a bundle: its part, and the moments that each file shows."""
    part, files = unpack(bundle, folder)
    return part, {role: [read(picture) for picture in frames(path)] for role, path in files.items()}


def test_a_part_needs_no_other_and_is_the_same_each_time(tmp_path, bundles):
    asked = order(FRAMES)
    run_part(asked, 1, make_part, tmp_path / "again.zip", tmp_path / "work")
    assert shown(tmp_path / "again.zip", tmp_path / "one") == shown(bundles[1], tmp_path / "other")
    assert part_of(bundles[1]) == asked.parts[1]
    assert sorted(path.name for path in (tmp_path / "work").iterdir()) == [".lock"], "nothing is left"


def test_a_part_that_was_stopped_is_resumed_in_its_own_folder(tmp_path, bundles):
    """And two parts of one video are made at a time."""
    asked = order(FRAMES)

    def make(task, emit, tick):
        run_part(asked, 2, make_part, tmp_path / "2.zip", tmp_path / "work")
        make_part(task, emit, tick)

    calls = iter(range(12))

    def check():
        if next(calls, None) is None:
            raise CancelError

    with pytest.raises(CancelError):
        run_part(asked, 0, make, tmp_path / "0.zip", tmp_path / "work", check=check)
    run_part(asked, 0, make_part, tmp_path / "0.zip", tmp_path / "work")
    for index in (0, 2):
        again = shown(tmp_path / f"{index}.zip", tmp_path / "one")
        assert again == shown(bundles[index], tmp_path / "other")


@pytest.mark.parametrize("chosen", [(0, 1), (0, 2), (1, 2), (0, 2, 1), (0, 1, 1, 2), ()])
def test_only_parts_that_follow_each_other_are_joined(tmp_path, bundles, chosen):
    asked = order(FRAMES)
    with pytest.raises(PartError, match=r"video\.mkv: its parts were cut differently"):
        join_bundles(
            [bundles[index] for index in chosen], asked.sound, asked.encoding, tmp_path / "video.mkv", tmp_path / "join"
        )
    assert not (tmp_path / "video.mkv").exists()


def rebuilt(source, target, change):
    """A bundle with other entries: `change` gets and returns pairs of name and content."""
    with zipfile.ZipFile(source) as archive:
        entries = [(each.filename, archive.read(each)) for each in archive.infolist()]
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in change(entries):
            archive.writestr(name, content)
    return target


def other_header(**more):
    def change(entries):
        (name, header), *files = entries
        return [(name, json.dumps({**json.loads(header), **more})), *files]

    return change


HOSTILE = {
    "a file more": lambda entries: [*entries, ("more.mkv", b"x")],
    "a file less": lambda entries: entries[:-1],
    "no header": lambda entries: entries[1:],
    "a path": lambda entries: [entries[0], ("head./../../x", entries[1][1]), *entries[2:]],
    "twice": lambda entries: [*entries, entries[-1]],
    "another number of frames": other_header(body=7),
    "no number": other_header(body="7"),
    "an unknown number": other_header(more=7),
    "a huge number": other_header(body=1 << 70),
    "swapped": lambda entries: [entries[0], (entries[1][0], entries[2][1]), (entries[2][0], entries[1][1]), entries[3]],
    "no video": lambda entries: [entries[0], (entries[1][0], b"text"), *entries[2:]],
    "a list": lambda entries: [(entries[0][0], b"[]"), *entries[1:]],
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_bundle_is_refused(tmp_path, bundles, change):
    file = rebuilt(bundles[1], tmp_path / "bundle.zip", change)
    with pytest.raises(PartError):
        unpack(file, tmp_path / "into")
    assert {path.parent for path in tmp_path.rglob("*") if path.is_file()} <= {tmp_path, tmp_path / "into"}


def test_any_damage_is_noticed_or_harmless(tmp_path, bundles):
    content, numbers = bundles[1].read_bytes(), random.Random(5)  # noqa: S311
    file = tmp_path / "bundle.zip"
    for _ in range(60):
        damaged = bytearray(content)
        for _ in range(numbers.randint(1, 4)):
            damaged[numbers.randrange(len(damaged))] ^= 1 << numbers.randrange(8)
        file.write_bytes(damaged[: numbers.choice((len(damaged), numbers.randrange(len(damaged))))])
        try:
            part, files = unpack(file, tmp_path / "into")
        except PartError:
            continue
        assert set(files) == set(part.counts)


def test_a_compressed_bundle_is_refused(tmp_path, bundles):
    """It might grow without limit."""
    file = tmp_path / "bundle.zip"
    with zipfile.ZipFile(bundles[1]) as source, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as target:
        for each in source.infolist():
            target.writestr(each.filename, source.read(each))
    with pytest.raises(PartError, match="not a whole part"):
        part_of(file)


def test_the_counts_are_those_of_the_files(bundles):
    for index, expected in enumerate([("body", "tail"), ("head", "body", "tail"), ("head", "body")]):
        part = part_of(bundles[index])
        assert tuple(part.counts) == expected
        assert replace(part, index=9).counts == part.counts
        assert set(asdict(part)) >= {"start", "stop", "made"}

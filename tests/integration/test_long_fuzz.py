"""Lists of parts and steps with random damage: never anything but made again or right."""

import json
import re
import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sonic_guard.long_video.part_store import PartStore
from sonic_guard.long_video.rendering import run
from tests.support.numbered_frames import digest, make_part, order
from tests.support.numbered_runs import interrupt_in_part, made_parts

torch = pytest.importorskip("torch")

from sonic_guard.long_video.saved_steps import StepsOnDisk  # noqa: E402

NAME = "0123456789abcdef"
LATENTS = [torch.arange(40, dtype=torch.float16).view(1, 2, 4, 5) + window for window in range(3)]
VALUES = (
    *("null", "true", "-1", "0", "1", "1e999", "NaN", str(10**18), "9" * 5000, '""', "[]", "{}", "[[]]", '{"a":{}}'),
    *("[" * 100_000, '{"a":' * 100_000, '"\\ud800"', '"../../x"', '"/dev/zero"', "\x00", "\ufeff"),
)
TOKEN = re.compile(rb'"[^"]*"|-?[0-9]+|[][{}:,]')

damage = st.one_of(
    st.tuples(st.just("bit"), st.integers(0), st.integers(0, 7)),
    st.tuples(st.just("cut"), st.integers(0), st.integers(1, 200)),
    st.tuples(st.just("double"), st.integers(0), st.integers(1, 200)),
    st.tuples(st.just("insert"), st.integers(0), st.binary(max_size=20)),
    st.tuples(st.just("end"), st.integers(0), st.just(0)),
    st.tuples(st.just("value"), st.integers(0), st.sampled_from(VALUES)),
)
"""A kind of damage, where it is done, and how much of it."""


def damaged(data: bytes, done: list[tuple]) -> bytes:
    for kind, position, much in done:
        at = position % (len(data) + 1)
        if kind == "bit" and data:
            at %= len(data)
            data = data[:at] + bytes([data[at] ^ 1 << much]) + data[at + 1 :]
        elif kind == "cut":
            data = data[:at] + data[at + much :]
        elif kind == "double":
            data = data[: at + much] + data[at:]
        elif kind == "insert":
            data = data[:at] + much + data[at:]
        elif kind == "end":
            data = data[:at]
        elif kind == "value" and (tokens := list(TOKEN.finditer(data[:4096]))):
            token = tokens[position % len(tokens)]
            data = data[: token.start()] + much.encode() + data[token.end() :]
    return data


@pytest.fixture(scope="module")
def waiting(tmp_path_factory):
    """Two of three parts are finished."""
    folder = tmp_path_factory.mktemp("waiting")
    interrupt_in_part(2, folder)
    (work,) = folder.glob("work/*/")
    return work


@settings(max_examples=300, deadline=None)
@given(st.lists(damage, min_size=1, max_size=4))
def test_a_damaged_list_has_a_part_only_if_the_part_is_whole(waiting, done):
    """The files are as they were but for the second part's, so that this one must never be found."""
    path, asked = waiting / "manifest.json", order(300)
    body = waiting / f"{asked.part_keys[1][:16]}-body.mkv"
    whole, listed = body.read_bytes(), path.read_bytes()
    body.write_bytes(whole[:-1])
    path.write_bytes(damaged(listed, done))
    try:
        store = PartStore(asked, waiting)
        assert not store.has(asked.parts[1])
        assert not store.has(asked.parts[2])
        assert store.has(asked.parts[0]) in (True, False)
        if store.has(asked.parts[0]):
            store.add(asked.parts[0])
            assert PartStore(asked, waiting).has(asked.parts[0])
    finally:
        body.write_bytes(whole)
        path.write_bytes(listed)


@pytest.fixture(scope="module")
def calm(tmp_path_factory):
    folder = tmp_path_factory.mktemp("calm")
    return digest(run(order(300), make_part, folder / "video.mkv", folder / "work").path)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(done=st.lists(damage, min_size=1, max_size=4), name=st.sampled_from(["manifest.json", "-body.mkv", "-tail.mkv"]))
def test_a_damaged_file_makes_no_other_video(tmp_path_factory, waiting, calm, done, name):
    folder = tmp_path_factory.mktemp("damaged")
    shutil.copytree(waiting, folder / "work" / waiting.name)
    path = next(path for path in sorted((folder / "work" / waiting.name).iterdir()) if path.name.endswith(name))
    before = path.read_bytes()
    path.write_bytes(damaged(before, done))
    assert made_parts(folder) in ([0, 1, 2], [0, 2], [1, 2], [2])
    assert digest(folder / "video.mkv") == calm


@pytest.fixture(scope="module")
def step(tmp_path_factory):
    folder = tmp_path_factory.mktemp("steps")
    with StepsOnDisk(folder, NAME) as steps:
        steps.begin(7, len(LATENTS))
        for latents in LATENTS:
            steps.put(latents)
        steps.end()
    return folder / f"{NAME}-7.latents"


@settings(max_examples=500, deadline=None)
@given(st.lists(damage, min_size=1, max_size=4))
def test_a_damaged_step_is_none_or_whole(step, done):
    whole = step.read_bytes()
    changed = damaged(whole, done)
    step.write_bytes(changed)
    try:
        steps = StepsOnDisk(step.parent, NAME)
        assert steps.done == (7 if changed == whole else 0)
        if steps.done:
            assert all(torch.equal(steps.get(window, LATENTS[0]), it) for window, it in enumerate(LATENTS))
    finally:
        step.write_bytes(whole)


def test_the_damage_is_of_many_kinds():
    """What the tests above are worth: undamaged it is right, and each kind changes it."""
    data = json.dumps({"version": 1, "parts": {"a": {"b.mkv": [1, "c"]}}}).encode()
    assert damaged(data, []) == data
    for kind, much in {"bit": 3, "cut": 5, "double": 5, "insert": b"x", "end": 0, "value": "null"}.items():
        assert damaged(data, [(kind, 9, much)]) != data

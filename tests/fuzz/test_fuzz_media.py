"""Damaged media files: a right answer, or a sentence that says what is wrong with the file.

Each is read in a child process with a limit of time and of memory.
"""

import shutil

import pytest
from hypothesis import strategies as st

from tests.fuzz.media_child import Child
from tests.fuzz.mutate import checked_png, edits, mutate
from tests.fuzz.samples import KINDS, sample
from tests.fuzz.size import cases


@pytest.fixture(scope="module")
def child():
    child = Child()
    yield child
    child.end()
    shutil.rmtree(child.folder)


@pytest.mark.parametrize("suffix", KINDS)
def test_whole_files_are_read(child, suffix):
    assert child.read(KINDS[suffix], suffix, sample(suffix)) == "answered"


@cases(
    100, 150,
    suffix=st.sampled_from(sorted(KINDS)), edits=edits(2) | edits(8), checked=st.booleans(),
    name=st.none() | st.none() | st.sampled_from(sorted(KINDS)),
)  # fmt: skip
def test_damaged_file(child, suffix, edits, checked, name):
    """`checked`: the check sums of a PNG are right again; `name` is another suffix than the right one."""
    data = mutate(sample(suffix), edits)
    result = child.read(KINDS[suffix], name or suffix, checked_png(data) if checked and suffix == ".png" else data)
    assert result in ("answered", "refused"), result
    return result

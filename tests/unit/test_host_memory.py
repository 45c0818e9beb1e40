"""The memory that a container may use, by the files of Linux's control groups."""

from pathlib import Path

import psutil
import pytest

from sonic_guard.devices.host_memory import host_memory

GIB = 1 << 30
V1_NO_LIMIT = 9223372036854771712
"""What version 1 has where a group has none."""


def write(folder: Path, **files: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(f"{content}\n", encoding="utf-8")


def asked(tmp_path, own: str):
    (tmp_path / "own").write_text(own, encoding="utf-8")
    return host_memory(tmp_path / "groups", tmp_path / "own")


def test_without_groups_it_is_the_machine_s(tmp_path):
    found = host_memory(tmp_path / "none", tmp_path / "none")
    assert (found.total_bytes, found.swap_bytes) == (psutil.virtual_memory().total, psutil.swap_memory().total)
    assert 0 < found.available_bytes <= found.total_bytes


def test_a_container_sees_its_own_group_as_the_root(tmp_path):
    write(
        tmp_path / "groups", memory__max=GIB, memory__current=GIB * 3 // 4, memory__swap__max=0,
        memory__stat=f"anon 5\ninactive_file {GIB // 4}",
    )  # fmt: skip
    assert asked(tmp_path, "0::/\n") == (GIB, GIB // 2, 0)


def test_the_narrowest_group_counts(tmp_path):
    write(tmp_path / "groups" / "user.slice", memory__max=GIB // 2, memory__current=0)
    write(tmp_path / "groups" / "user.slice" / "a.scope", memory__max="max", memory__current=5)
    write(tmp_path / "groups", memory__max=GIB, memory__current=GIB // 4)
    found = asked(tmp_path, "0::/user.slice/a.scope\n")
    assert (found.total_bytes, found.available_bytes) == (GIB // 2, GIB // 2)


@pytest.mark.parametrize("path", ["/docker/0123", "/"])
def test_version_1(tmp_path, path):
    """In a container the group's own path is not visible, only its folder as the mount's root."""
    write(
        tmp_path / "groups" / "memory", memory__limit_in_bytes=GIB, memory__usage_in_bytes=GIB // 2,
        memory__memsw__limit_in_bytes=GIB, memory__stat=f"total_inactive_file {GIB // 4}",
    )  # fmt: skip
    assert asked(tmp_path, f"3:cpu:/x\n5:memory,hugetlb:{path}\n") == (GIB, GIB * 3 // 4, 0)


@pytest.mark.parametrize("limit", ["max", V1_NO_LIMIT, "", "junk"])
def test_a_group_without_a_limit_changes_nothing(tmp_path, limit):
    write(tmp_path / "groups", memory__max=limit, memory__current=5)
    write(tmp_path / "groups" / "memory", memory__limit_in_bytes=limit)
    assert asked(tmp_path, "0::/\n5:memory:/\n").total_bytes == psutil.virtual_memory().total


def test_more_used_than_allowed_leaves_nothing(tmp_path):
    write(tmp_path / "groups", memory__max=GIB, memory__current=2 * GIB)
    assert asked(tmp_path, "0::/\n").available_bytes == 0

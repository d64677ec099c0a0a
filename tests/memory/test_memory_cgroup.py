"""The v2 half runs on made-up directories: the kernel behind them is played by the test."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from penstock.memory._container_limit import find_memory_group
from penstock.memory._memory_cgroup import MemoryCgroup

MIB = 1 << 20


def v2(root: Path, group: str, controllers: dict[str, tuple[str, str]]) -> Path:
    """A v2 hierarchy: directory to what its cgroup.controllers and cgroup.subtree_control say."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/mountinfo").write_text("30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n")
    (root / "proc/self/cgroup").write_text(f"0::{group}\n")
    for directory, (offered, handed_on) in controllers.items():
        path = root / "sys/fs/cgroup" / directory
        path.mkdir(parents=True, exist_ok=True)
        (path / "cgroup.controllers").write_text(offered)
        (path / "cgroup.subtree_control").write_text(handed_on)
    return root


def test_v2_uses_the_delegated_group_around_ours(tmp_path: Path) -> None:
    root = v2(tmp_path, "/user/app", {"user": ("cpu memory", "memory"), "user/app": ("cpu memory", "")})
    group = MemoryCgroup.create("job", 640 * MIB, root)
    assert group is not None
    assert group.path == root / "sys/fs/cgroup/user/job"
    assert (group.path / "memory.high").read_text() == str(640 * MIB)
    assert (group.path / "memory.max").read_text() == str(650 * MIB)
    group.add(4711)
    assert Path(group.procs_file).read_text() == "4711"


def test_v2_reads_events_and_peak(tmp_path: Path) -> None:
    group = MemoryCgroup(tmp_path, MIB, 2)
    assert (group.oom_kills(), group.peak_bytes(), group.usage_bytes()) == (0, None, None)
    (tmp_path / "memory.events").write_text("low 0\nhigh 3\nmax 7\noom 2\noom_kill 1\noom_group_kill 1\n")
    (tmp_path / "memory.peak").write_text("123456\n")
    (tmp_path / "memory.current").write_text("12\n")
    assert (group.oom_kills(), group.peak_bytes(), group.usage_bytes()) == (1, 123456, 12)


def test_v2_hands_the_controller_on_in_its_own_group(tmp_path: Path) -> None:
    root = v2(tmp_path, "/", {"": ("cpu memory", "")})
    group = MemoryCgroup.create("job", MIB, root)
    assert group is not None
    assert (root / "sys/fs/cgroup/cgroup.subtree_control").read_text() == "+memory"


def test_v2_without_the_memory_controller_there_is_none(tmp_path: Path) -> None:
    root = v2(tmp_path, "/user/app", {"user": ("cpu", ""), "user/app": ("cpu", "")})
    assert MemoryCgroup.create("job", MIB, root) is None
    assert not (root / "sys/fs/cgroup/user/job").exists()


def test_no_groups_no_cgroup(tmp_path: Path) -> None:
    assert MemoryCgroup.create("job", MIB, tmp_path) is None


def test_a_real_group_limits_and_goes_away() -> None:
    group = MemoryCgroup.create(f"penstock-test-{os.getpid()}", 64 * MIB)
    if group is None:
        pytest.skip("no memory control group can be made here")
    with group:
        assert group.oom_kills() == 0
        assert group.usage_bytes() == 0
        located = find_memory_group()
        assert located is not None
        assert located.path in (group.path.parent, *located.ancestry())
    assert not group.path.exists()
    assert group.close()

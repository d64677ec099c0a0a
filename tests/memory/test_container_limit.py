from __future__ import annotations

from pathlib import Path

import pytest

from penstock.errors import ConfigurationError
from penstock.memory._container_limit import (
    check_container,
    find_container_limit,
    find_memory_group,
    heap_limit_in_container,
)
from penstock.memory._limit_errors import ContainerLimitError

GIB = 1 << 30
UNLIMITED_V1 = "9223372036854771712\n"


def machine(
    root: Path,
    mounts: list[str],
    groups: list[str],
    files: dict[str, str],
    memory_kb: int = 32 * 1024 * 1024,
) -> Path:
    """A made-up /proc and /sys below `root`."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/mountinfo").write_text("\n".join(mounts) + "\n")
    (root / "proc/self/cgroup").write_text("\n".join(groups) + "\n")
    (root / "proc/meminfo").write_text(f"MemTotal:       {memory_kb} kB\nMemFree: 1 kB\n")
    for path, text in files.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


V2_MOUNT = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate"
V1_MOUNT = "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory"


def test_v2_the_lowest_limit_on_the_way_out_holds(tmp_path: Path) -> None:
    root = machine(
        tmp_path,
        [V2_MOUNT],
        ["0::/kubepods/pod1/container"],
        {
            "sys/fs/cgroup/kubepods/pod1/container/memory.max": "max\n",
            "sys/fs/cgroup/kubepods/pod1/memory.max": f"{2 * GIB}\n",
            "sys/fs/cgroup/kubepods/memory.max": f"{20 * GIB}\n",
        },
    )
    limit = find_container_limit(root)
    assert limit is not None
    assert (limit.limit_bytes, limit.version) == (2 * GIB, 2)
    assert limit.source.endswith("kubepods/pod1/memory.max")


def test_v2_in_a_namespace_the_mount_itself_is_the_group(tmp_path: Path) -> None:
    root = machine(tmp_path, [V2_MOUNT], ["0::/"], {"sys/fs/cgroup/memory.max": f"{GIB}\n"})
    limit = find_container_limit(root)
    assert limit is not None
    assert limit.limit_bytes == GIB


def test_v2_without_a_limit(tmp_path: Path) -> None:
    root = machine(tmp_path, [V2_MOUNT], ["0::/a"], {"sys/fs/cgroup/a/memory.max": "max\n"})
    assert find_container_limit(root) is None
    assert find_memory_group(root) is not None


def test_v1_below_a_mounted_part_of_the_host(tmp_path: Path) -> None:
    mount = "35 31 0:32 /docker/abc /sys/fs/cgroup/memory ro,relatime - cgroup cgroup rw,memory"
    root = machine(
        tmp_path,
        [mount],
        ["4:memory:/docker/abc", "0::/"],
        {
            "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{3 * GIB}\n",
            "sys/fs/cgroup/memory/memory.stat": f"cache 0\nhierarchical_memory_limit {3 * GIB}\n",
        },
    )
    limit = find_container_limit(root)
    assert limit is not None
    assert (limit.limit_bytes, limit.version) == (3 * GIB, 1)


def test_v1_limits_outside_what_can_be_seen_count(tmp_path: Path) -> None:
    root = machine(
        tmp_path,
        [V1_MOUNT],
        ["4:memory:/job"],
        {
            "sys/fs/cgroup/memory/job/memory.limit_in_bytes": UNLIMITED_V1,
            "sys/fs/cgroup/memory/memory.limit_in_bytes": UNLIMITED_V1,
            "sys/fs/cgroup/memory/job/memory.stat": f"rss 5\nhierarchical_memory_limit {GIB}\n",
        },
    )
    limit = find_container_limit(root)
    assert limit is not None
    assert limit.limit_bytes == GIB


def test_hybrid_hosts_keep_memory_on_v1(tmp_path: Path) -> None:
    root = machine(
        tmp_path,
        ["31 23 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw", V1_MOUNT],
        ["5:cpu,memory:/x", "0::/x"],
        {"sys/fs/cgroup/memory/x/memory.limit_in_bytes": f"{GIB}\n", "sys/fs/cgroup/unified/x/memory.max": "5\n"},
    )
    group = find_memory_group(root)
    assert group is not None
    assert (group.version, group.path) == (1, root / "sys/fs/cgroup/memory/x")


def test_blanks_in_mount_points_and_groups_that_left(tmp_path: Path) -> None:
    mount = "30 23 0:26 / /sys/my\\040groups rw - cgroup2 cgroup2 rw"
    root = machine(tmp_path, [mount], ["0::/../../elsewhere"], {"sys/my groups/memory.max": f"{GIB}\n"})
    limit = find_container_limit(root)
    assert limit is not None
    assert limit.limit_bytes == GIB


def test_no_groups_at_all(tmp_path: Path) -> None:
    assert find_container_limit(tmp_path) is None
    assert check_container(GIB, root=tmp_path) is None


def contained(root: Path, limit_bytes: int) -> Path:
    return machine(root, [V2_MOUNT], ["0::/"], {"sys/fs/cgroup/memory.max": f"{limit_bytes}\n"})


def test_a_plan_above_the_container_is_an_error_with_a_value_that_fits(tmp_path: Path) -> None:
    root = contained(tmp_path, GIB + 5)
    with pytest.raises(ContainerLimitError, match=r"taskmanager\.memory\.process\.size") as caught:
        check_container(2 * GIB, root=root)
    assert isinstance(caught.value, ConfigurationError)
    assert str(2 * GIB) in str(caught.value)
    assert str(GIB + 5) in str(caught.value)
    assert caught.value.changes == (("taskmanager.memory.process.size", "1024m"),)
    assert check_container(1024 << 20, root=root) is None


def test_a_container_cut_to_whole_mebibytes_still_fits(tmp_path: Path) -> None:
    root = contained(tmp_path, GIB)
    assert check_container(GIB + (1 << 20) - 1, root=root) is None
    with pytest.raises(ContainerLimitError):
        check_container(GIB + (1 << 20), root=root)


def test_a_plan_far_below_the_container_gets_a_hint(tmp_path: Path) -> None:
    root = contained(tmp_path, 4 * GIB)
    hint = check_container(GIB, root=root)
    assert hint is not None
    assert "4096m" in hint
    assert check_container(3 * GIB, root=root) is None


def test_the_heap_that_fits_a_container() -> None:
    mib = 1 << 20
    assert heap_limit_in_container(192 * mib, 2 * GIB, 30 * mib) == 2 * GIB - 222 * mib - 2 * GIB // 10
    assert heap_limit_in_container(192 * mib, 512 * mib, 30 * mib) == (512 - 192 - 30 - 64) * mib
    assert heap_limit_in_container(192 * mib, 340 * mib, 30 * mib) is None


def test_without_a_container_the_machine_is_looked_at(tmp_path: Path) -> None:
    root = machine(tmp_path, [V2_MOUNT], ["0::/"], {}, memory_kb=1024 * 1024)
    hint = check_container(2 * GIB, root=root)
    assert hint is not None
    assert "machine" in hint
    assert check_container(GIB // 2, root=root) is None

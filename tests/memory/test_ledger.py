from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from penstock.errors import ConfigurationError
from penstock.memory._components import (
    register_allocator,
    register_code,
    register_heap,
    register_managed,
    register_network,
    register_off_heap,
)
from penstock.memory._ledger import FigureKind, Ledger, LedgerSnapshot
from penstock.memory._ledger_table import ledger_table, short_size
from penstock.memory._manager import MemoryManager
from penstock.memory._memory_log import MemoryLog
from penstock.memory._network_pool import NetworkBufferPool
from penstock.memory._process_memory import (
    ResidentMemory,
    metaspace_warning,
    peak_resident_bytes,
    proportional_bytes,
    resident_memory,
    thread_stack_bytes,
)

MIB = 1 << 20


def fixed(total: int = 100 * MIB, file: int = 20 * MIB) -> ResidentMemory:
    return ResidentMemory(total, file)


def test_what_no_gauge_accounts_for_is_unattributed() -> None:
    ledger = Ledger(fixed)
    ledger.register("heap", lambda: 40 * MIB, FigureKind.ENFORCED, budget_bytes=64 * MIB, option="some.key")
    ledger.register("state: count", lambda: 30 * MIB, FigureKind.SAMPLED, within="heap")
    ledger.register("network", lambda: 32 * MIB, FigureKind.ENFORCED, resident=lambda: 10 * MIB)
    snapshot = ledger.snapshot()
    assert snapshot.unattributed_bytes == (100 - 40 - 10) * MIB
    assert (snapshot.rss_bytes, snapshot.anonymous_bytes, snapshot.pss_bytes) == (100 * MIB, 80 * MIB, None)
    heap = snapshot.entry("heap")
    assert heap is not None
    assert (heap.used_bytes, heap.budget_bytes, heap.kind) == (40 * MIB, 64 * MIB, FigureKind.ENFORCED)
    assert snapshot.entry("heap", slot=3) is None


def test_peaks_are_the_owners_or_the_highest_that_was_seen() -> None:
    used = 5
    ledger = Ledger(fixed)
    ledger.register("seen", lambda: used, FigureKind.SAMPLED)
    ledger.register("owned", lambda: used, FigureKind.ENFORCED, peak=lambda: 70)
    ledger.snapshot()
    used = 50
    ledger.snapshot()
    used = 7
    seen, owned = ledger.snapshot().entries
    assert (seen.used_bytes, seen.peak_bytes, owned.peak_bytes) == (7, 50, 70)


def test_a_gauge_that_fails_fails_nothing_else() -> None:
    ledger = Ledger(fixed)
    ledger.register("broken", lambda: 1 // 0, FigureKind.SAMPLED)
    with ledger.register("gone", lambda: 1, FigureKind.SAMPLED) as gauge:
        assert len(ledger.snapshot().entries) == 2
    gauge.close()
    (broken,) = ledger.snapshot().entries
    assert broken.used_bytes is None
    assert "?" in ledger_table(ledger.snapshot())


def test_snapshots_survive_json() -> None:
    ledger = Ledger(fixed)
    ledger.register("managed", lambda: 1, FigureKind.RESERVED, budget_bytes=5, slot=1)
    snapshot = ledger.snapshot(pss=True)
    assert LedgerSnapshot.from_dict(json.loads(json.dumps(snapshot.as_dict()))) == snapshot


def test_the_table_shows_budget_against_peak() -> None:
    ledger = Ledger(fixed)
    ledger.register("heap", lambda: 40 * MIB, FigureKind.ENFORCED, budget_bytes=64 * MIB, peak=lambda: 48 * MIB)
    ledger.register("state: count", lambda: 30 * MIB, FigureKind.SAMPLED, within="heap")
    ledger.register("managed", lambda: 0, FigureKind.RESERVED, budget_bytes=128 * MIB, slot=0)
    ledger.register("task off-heap", lambda: 0, FigureKind.SAMPLED)
    lines = ledger_table(ledger.snapshot()).splitlines()
    assert [" ".join(line.split()) for line in lines[1:6]] == [
        "heap 64.0 MiB 40.0 MiB 48.0 MiB 75 % enforced",
        "state: count 30.0 MiB 30.0 MiB sampled",
        "managed (slot 0) 128.0 MiB 0 B 0 B 0 % reserved",
        "task off-heap no limit 0 B 0 B sampled",
        "unattributed 60.0 MiB inferred",
    ]
    assert lines[2].startswith("  state: count")
    assert lines[-1].startswith("process (RSS)")


def test_the_stacks_of_threads_are_named() -> None:
    used = threading.Event()
    ended = threading.Event()

    def deep(number: int) -> int:
        return number and max([number], key=lambda _: deep(number - 1))

    def work() -> None:
        deep(100)
        used.set()
        ended.wait()

    thread = threading.Thread(target=work)
    thread.start()
    used.wait()
    held = thread_stack_bytes()  # perhaps a stack that was kept from an earlier thread
    ended.set()
    thread.join()
    assert held > 64 << 10 or not Path("/proc/self/smaps").exists()
    walked = Ledger(fixed, lambda: 5 * MIB).snapshot(pss=True)
    (stacks,) = walked.entries
    assert (stacks.component, stacks.used_bytes) == ("thread stacks", 5 * MIB)
    assert walked.unattributed_bytes == 95 * MIB
    assert "no limit" not in ledger_table(walked)


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1536 * MIB, "1.5 GiB"), (3 << 40, "3.0 TiB")],
)
def test_sizes_for_tables(size: int, text: str) -> None:
    assert short_size(size) == text


def test_the_kernel_is_asked() -> None:
    memory = resident_memory()
    assert 0 < memory.anonymous_bytes < memory.total_bytes <= peak_resident_bytes() + MIB
    block = bytearray(32 * MIB)
    assert resident_memory().anonymous_bytes - memory.anonymous_bytes > 31 * MIB
    del block
    pss = proportional_bytes()
    assert pss is None or pss > MIB


def test_code_beyond_its_budget_is_said() -> None:
    assert metaspace_warning(10, 10, "key") is None
    warning = metaspace_warning(10, 11, "taskmanager.memory.jvm-metaspace.size")
    assert warning is not None
    assert "taskmanager.memory.jvm-metaspace.size" in warning


@contextmanager
def owners() -> Iterator[tuple[list[MemoryManager], NetworkBufferPool]]:
    managers = [MemoryManager(100 * MIB, slot_index=index, slots=2) for index in range(2)]
    network = NetworkBufferPool(64 * MIB)
    yield managers, network
    network.close()


def test_every_owner_shows_in_the_ledger() -> None:
    ledger = Ledger()
    with owners() as (managers, network):
        for manager in managers:
            register_managed(ledger, manager)
        register_network(ledger, network)
        register_off_heap(ledger, lambda: 5, lambda: 9, 128 * MIB)
        register_code(ledger, 256 * MIB)
        register_allocator(ledger, 192 * MIB)
        held = [managers[1].reserve("Sum (1/1)", 7 * MIB), managers[1].reserve("sort", 20 * MIB, on_heap=True)]
        lease = managers[0].lease_shared("rocks", "Sum (1/1)", 50 * MIB, lambda n: n, usage=lambda _: 3 * MIB)
        pool = network.create_pool("Sum (1/1)", 2)
        buffers = [pool.try_request() for _ in range(3)]
        snapshot = ledger.snapshot()
        by_name = {(entry.component, entry.slot): entry for entry in snapshot.entries}
        assert (by_name["managed", 1].used_bytes, by_name["managed", 1].resident_bytes) == (27 * MIB, 7 * MIB)
        assert (by_name["managed", 0].used_bytes, by_name["managed", 0].resident_bytes) == (50 * MIB, 3 * MIB)
        assert by_name["managed", 0].budget_bytes == 100 * MIB
        assert by_name["network", None].used_bytes == 3 * 32768
        assert by_name["network", None].budget_bytes == 64 * MIB
        assert by_name["off-heap", None].peak_bytes == 9
        metaspace = by_name["metaspace", None].used_bytes
        assert metaspace is not None
        assert metaspace > MIB
        for buffer in buffers:
            assert buffer is not None
            buffer.release()
        pool.close()
        lease.release()
        for reservation in held:
            reservation.release()
    assert all(entry.option for entry in snapshot.entries)


def test_the_heap_shows_with_its_guard() -> None:
    class Guard:
        mode = "polled"

        def used(self) -> int:
            return 5

        def peak(self) -> int:
            return 7

    ledger = Ledger(fixed)
    register_heap(ledger, Guard(), None)  # type: ignore[arg-type]
    (entry,) = ledger.snapshot().entries
    assert (entry.used_bytes, entry.peak_bytes, entry.kind) == (5, 7, FigureKind.SAMPLED)
    assert "no limit" in ledger_table(ledger.snapshot())


def test_the_memory_log_writes_lines_at_an_interval(tmp_path: Path) -> None:
    ledger = Ledger(fixed)
    ledger.register("heap", lambda: 1, FigureKind.ENFORCED, budget_bytes=2)
    ledger.register("managed", lambda: 3, FigureKind.RESERVED, slot=1)
    ledger.register("count", lambda: 1, FigureKind.SAMPLED, within="heap")
    path = tmp_path / "memory.jsonl"
    marked: list[int] = []
    log = MemoryLog(ledger, str(path), 0.001, on_thread_start=lambda: marked.append(1))
    with log:
        while len(path.read_text().splitlines()) < 4:
            pass
    assert marked == [1]
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert all(line["rss"] == 100 * MIB and line["unattributed"] == 96 * MIB + 4 * MIB - 4 for line in lines)
    assert lines[0]["components"]["heap"] == {"budget": 2, "used": 1, "peak": 1, "kind": "enforced"}
    assert set(lines[0]["components"]) == {"heap", "managed/1", "heap: count"}
    assert [line["time_ms"] for line in lines] == sorted(line["time_ms"] for line in lines)


def test_a_log_that_cannot_be_written_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be written"):
        MemoryLog(Ledger(), str(tmp_path / "no" / "such" / "file"))

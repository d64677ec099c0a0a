"""The heap guard in its own process: metering, marks, failures. Beyond the limit: test_heap_guard_hogs."""

from __future__ import annotations

import gc
import os
import pickle
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Callable, Iterator

import pytest

from penstock.errors import ConfigurationError, InvariantError
from penstock.memory._heap_failure import HeapLimitError, HeapOverrun, TaskHeapError, drop_frames
from penstock.memory._heap_guard import HeapGuard, current_heap_guard, install_heap_guard
from penstock.memory._heap_guard_enforced import EnforcedHeapGuard
from penstock.memory._heap_limits import HeapLimits, default_reserve_bytes

MIB = 1 << 20
Installer = Callable[..., HeapGuard]


def can_enforce() -> bool:
    guard = install_heap_guard(None, malloc_arenas=None)
    guard.close()
    return guard.mode == "enforced"


needs_enforcement = pytest.mark.skipif(not can_enforce(), reason="the heap cannot be metered in this interpreter")


@pytest.fixture(params=["enforced", "polled"])
def install(request: pytest.FixtureRequest) -> Iterator[Installer]:
    """Both kinds of guard, closed at the end."""
    installed: list[HeapGuard] = []

    def open_guard(headroom: int | None = None) -> HeapGuard:
        limits = None
        if headroom is not None:
            probe = install_heap_guard(None, polled=True)
            held = probe.used()
            probe.close()
            limits = HeapLimits.of(held + headroom + 32 * MIB, reserve_bytes=32 * MIB)
        guard = install_heap_guard(limits, polled=request.param == "polled", malloc_arenas=None)
        if guard.mode != request.param:
            guard.close()
            pytest.skip(guard.reason)
        installed.append(guard)
        return guard

    yield open_guard
    for guard in installed:
        guard.close()


@pytest.fixture
def enforced() -> Iterator[EnforcedHeapGuard]:
    """A guard that meters only."""
    guard = install_heap_guard(None, malloc_arenas=None)
    assert isinstance(guard, EnforcedHeapGuard)
    yield guard
    guard.close()


# What both kinds promise. ------------------------------------------------------------------------------------------


def test_used_grows_and_falls_with_the_heap(install: Installer) -> None:
    guard = install()
    before = guard.used()
    kept = [bytes(10_000) for _ in range(4000)]
    grown = guard.used() - before
    assert 35 * MIB < grown < 45 * MIB
    del kept
    guard.trim()
    assert guard.used() - before < 5 * MIB


def test_peak_outlives_what_made_it_until_it_is_reset(install: Installer) -> None:
    guard = install(headroom=512 * MIB)
    guard.reset_peak()
    before = guard.used()
    kept = bytearray(b"x") * (64 * MIB)
    if guard.mode == "polled":
        threading.Event().wait(0.2)
    del kept
    assert guard.peak() - before > 60 * MIB
    guard.reset_peak()
    assert guard.peak() - before < 30 * MIB


def test_there_is_one_guard_a_process(install: Installer) -> None:
    guard = install()
    assert current_heap_guard() is guard
    with pytest.raises(InvariantError):
        install_heap_guard(None)
    guard.close()
    guard.close()
    assert current_heap_guard() is None


def test_a_task_that_outgrows_the_heap_fails_with_the_numbers_and_the_next_one_runs(install: Installer) -> None:
    guard = install(headroom=64 * MIB)

    def hoard() -> None:
        kept = []
        while True:
            kept.append([len(kept)])

    slot = guard.open_slot("map (1/1)")
    with pytest.raises(TaskHeapError) as caught:
        guard.call(slot, hoard)
    failure = caught.value.failure
    assert failure.task == "map (1/1)"
    assert "map (1/1)" in failure.message
    assert "taskmanager.memory.task.heap.size" in failure.message
    assert failure.frames[-1].endswith("in hoard")
    assert failure.used_bytes > failure.line_bytes
    assert failure.freed_bytes > 40 * MIB
    assert not guard.over_limit() or guard.mode == "polled"
    assert guard.call(slot, sum, [1, 2, 3]) == 6
    guard.close_slot(slot)


def test_call_gives_back_results_and_passes_other_errors_on(install: Installer) -> None:
    guard = install(headroom=64 * MIB)
    assert guard.call(0, divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        guard.call(0, divmod, 7, 0)
    with pytest.raises(SystemError, match="its own"):
        guard.call(0, _raise, SystemError("its own"))


def test_a_memory_error_of_the_programs_own_is_told_apart(install: Installer) -> None:
    guard = install(headroom=64 * MIB)
    with pytest.raises(TaskHeapError, match="not by the heap's limit"):
        guard.call(0, _raise, MemoryError("mine"))


def test_a_report_is_written_while_the_frames_still_hold_their_objects(install: Installer) -> None:
    guard = install(headroom=64 * MIB)
    seen = []

    def write(error: BaseException, message: str) -> str:
        frame = error.__traceback__
        while frame is not None and frame.tb_next is not None:
            frame = frame.tb_next
        assert frame is not None
        seen.append((len(frame.tb_frame.f_locals.get("kept", ())), message))
        return "/reports/one.json"

    def hoard() -> None:
        kept: list[int] = []
        kept.extend(range(1000))
        raise MemoryError

    guard.report_with(write)
    with pytest.raises(TaskHeapError, match=r"Report: /reports/one\.json"):
        guard.call(0, hoard)
    assert seen[0][0] == 1000


def test_a_report_that_fails_does_not_hide_the_failure(install: Installer, caplog: pytest.LogCaptureFixture) -> None:
    guard = install()
    guard.report_with(lambda error, message: str(1 / 0))
    with pytest.raises(TaskHeapError):
        guard.call(0, _raise, MemoryError())
    assert "ZeroDivisionError" in caplog.text


def test_regions_put_the_marks_back(install: Installer) -> None:
    guard = install()
    with guard.task("one") as slot:
        assert guard.usage(slot).task == "one"
        with guard.exempt():
            pass
    with pytest.raises(ZeroDivisionError), guard.exempt():
        raise ZeroDivisionError
    assert guard.call(0, len, "abc") == 3


def test_alarms_ring_when_the_soft_limit_is_passed_and_an_alarm_that_fails_does_not_stop_the_others(
    install: Installer, caplog: pytest.LogCaptureFixture
) -> None:
    guard = install(headroom=64 * MIB)
    rung = threading.Event()
    guard.on_alarm(lambda guard: 1 / 0)
    guard.on_alarm(lambda guard: rung.set())
    assert guard.limits is not None
    missing = (guard.limits.soft_high_bytes + guard.limits.line_bytes) // 2 - guard.used()
    kept = b"x" * missing if guard.mode == "polled" else bytes(missing)
    assert rung.wait(10)
    assert guard.over_soft()
    assert guard.counters()["soft_crossings"] >= 1
    del kept
    guard.trim()
    if guard.mode == "polled":
        threading.Event().wait(0.2)
    assert not guard.over_soft()
    assert "ZeroDivisionError" in caplog.text


def test_a_forked_child_goes_on_metering(install: Installer) -> None:
    guard = install(headroom=256 * MIB)
    before = guard.used()
    child = os.fork()
    if child == 0:
        kept = b"x" * (32 * MIB)
        grown = guard.used() - before
        os._exit(0 if abs(grown - len(kept)) < 12 * MIB else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


test_a_forked_child_goes_on_metering = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")(
    test_a_forked_child_goes_on_metering
)


# What only the enforced kind can promise. --------------------------------------------------------------------------


ACCURACY = """
import gc, sys
from penstock.memory._heap_guard import install_heap_guard
guard = install_heap_guard(None, polled=sys.argv[1] == "polled")
before = guard.used()
kept = {make}
grown = guard.used() - before
del kept
gc.collect()
guard.trim()
print(grown, guard.used() - before)
"""


@needs_enforcement
@pytest.mark.parametrize(
    "make",
    [
        "[[number] for number in range(400_000)]",
        "{number: (number, str(number)) for number in range(300_000)}",
        "[str(number) * 300 for number in range(30_000)]",
        "[bytes(number % 8000) for number in range(20_000)]",
        "bytearray(b'x') * (40 << 20)",
    ],
)
def test_the_meter_agrees_with_the_kernel(make: str) -> None:
    seen = {
        mode: [
            int(text)
            for text in subprocess.run(
                [sys.executable, "-c", ACCURACY.format(make=make), mode], capture_output=True, text=True, check=True
            ).stdout.split()
        ]
        for mode in ("enforced", "polled")
    }
    (metered, left), (resident, _) = seen["enforced"], seen["polled"]
    assert metered == pytest.approx(resident, rel=0.05, abs=2 * MIB)
    assert left < 2 * MIB


@needs_enforcement
def test_tasks_are_told_apart(enforced: EnforcedHeapGuard) -> None:
    enforced.mark_system(True)
    kept = []
    slots = [enforced.open_slot(f"task {number}") for number in range(3)]
    for slot, count in zip(slots, (2, 8, 1), strict=True):
        enforced.enter(slot)
        kept.append([bytes(100_000) for _ in range(count * 20)])
        enforced.leave()
    enforced.mark_system(False)
    net = [enforced.usage(slot).net_bytes / 2_000_000 for slot in slots]
    assert net == pytest.approx([2, 8, 1], abs=0.6)
    assert enforced.usage(slots[1]).peak_bytes >= enforced.usage(slots[1]).net_bytes
    for slot in slots:
        enforced.close_slot(slot)


@needs_enforcement
def test_more_tasks_than_slots_share_the_unnamed_one(enforced: EnforcedHeapGuard) -> None:
    slots = [enforced.open_slot("many") for _ in range(1100)]
    assert slots.count(0) > 0
    assert enforced.usage(0).task == ""
    for slot in slots:
        enforced.close_slot(slot)
    assert enforced.open_slot("again") > 0


@needs_enforcement
def test_an_exception_on_its_way_is_raised_where_the_task_is_left_not_in_the_runtime() -> None:
    held = _held()
    guard = install_heap_guard(HeapLimits.of(held + 64 * MIB, reserve_bytes=32 * MIB), malloc_arenas=None)
    try:
        with guard.exempt():
            kept = [bytes(1000) for _ in range(33_000)]
            assert guard.over_limit()
            guard.enter(0)
            # One more block in a C call that is followed by nothing but `leave`.
            with pytest.raises(HeapLimitError):
                (kept.append(bytes(100_000)), guard.leave())
            guard.leave()
            del kept
    finally:
        guard.close()


@needs_enforcement
def test_exempt_threads_may_use_the_reserve() -> None:
    guard = install_heap_guard(HeapLimits.of(_held() + 64 * MIB, reserve_bytes=32 * MIB), malloc_arenas=None)
    try:
        with guard.exempt():
            kept = [bytes(1000) for _ in range(40_000)]
            assert guard.over_limit()
            assert guard.counters()["raised"] == 0
            with pytest.raises(MemoryError):
                bytearray(64 * MIB)
            del kept
        assert not guard.over_limit()
    finally:
        guard.close()


@needs_enforcement
def test_a_small_task_is_spared_while_a_large_one_holds_the_heap() -> None:
    guard = install_heap_guard(HeapLimits.of(_held() + 64 * MIB, reserve_bytes=32 * MIB), malloc_arenas=None)
    guard.mark_system(True)
    large, small = guard.open_slot("large"), guard.open_slot("small")
    kept: list[bytes] = []

    def fill() -> None:
        while True:  # until the guard stops it
            kept.append(bytes(1000))

    try:
        with pytest.raises(TaskHeapError):
            guard.call(large, fill)
        with guard.exempt():
            while not guard.over_limit():  # what was collected with the failure may have been somebody else's garbage
                kept.append(bytes(1000))
        guard.call(small, lambda: kept.extend([bytes(1000) for _ in range(500)]))
        with pytest.raises(TaskHeapError):
            guard.call(large, lambda: [bytes(1000) for _ in range(1000)])
        with pytest.raises(TaskHeapError):
            guard.call(small, lambda: kept.extend(bytes(1000) for _ in range(100_000)))
        kept.clear()
    finally:
        guard.mark_system(False)
        guard.close()


@needs_enforcement
def test_the_hooks_come_back_after_tracemalloc_took_them_out() -> None:
    tracemalloc.start()
    try:
        guard = install_heap_guard(None, malloc_arenas=None)
    finally:
        tracemalloc.stop()
    assert isinstance(guard, EnforcedHeapGuard)
    try:
        assert guard.check()
        before = guard.used()
        kept = bytes(MIB)
        assert guard.used() - before >= len(kept)
    finally:
        guard.close()


@needs_enforcement
def test_a_process_that_holds_more_than_the_limit_is_told_so() -> None:
    with pytest.raises(ConfigurationError, match="leaves nothing"):
        install_heap_guard(HeapLimits.of(8 * MIB), malloc_arenas=None)
    assert current_heap_guard() is None


def test_what_keeps_the_heap_from_being_metered_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("penstock.memory._heapguard", raising=False)
    monkeypatch.setitem(sys.modules, "penstock.memory._heapguard", None)
    guard = install_heap_guard(None)
    try:
        assert guard.mode == "polled"
        assert "_heapguard" in guard.reason
    finally:
        guard.close()


# The parts. --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("limit_mib", "reserve_mib"), [(16, 4), (60, 10), (192, 32), (200, 32), (10_000, 32)])
def test_the_reserve_is_a_part_of_the_limit(limit_mib: int, reserve_mib: int) -> None:
    assert default_reserve_bytes(limit_mib * MIB) == reserve_mib * MIB
    limits = HeapLimits.of(limit_mib * MIB)
    assert limits.line_bytes + limits.reserve_bytes == limits.limit_bytes
    assert limits.soft_low_bytes < limits.soft_high_bytes < limits.line_bytes


def test_a_heap_too_small_for_its_reserve_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="too small for its reserve"):
        HeapLimits.of(7 * MIB)


def test_the_message_survives_the_way_to_another_process(install: Installer) -> None:
    guard = install(headroom=64 * MIB)
    error = pickle.loads(pickle.dumps(HeapLimitError()))
    assert str(error) == guard.describe_incident()
    assert isinstance(error, MemoryError)


@needs_enforcement
def test_no_exception_strikes_in_what_is_shielded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The collector calls Python code in the middle of a task, and swallows what is raised there."""
    from penstock.memory import _heapguard

    swallowed: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda caught: swallowed.append(caught.exc_type))
    calls = 0

    def meter(phase: str, info: dict[str, int]) -> None:
        nonlocal calls
        calls += len(str(info))

    def fill() -> None:
        kept: list[object] = []
        while True:  # 255 to a pool: an odd number, and every second one starts a collection
            kept.append((kept, None))

    callback = _heapguard.shielded(meter)
    guard = install_heap_guard(HeapLimits.of(_held() + 64 * MIB, reserve_bytes=32 * MIB), malloc_arenas=None)
    guard.mark_system(True)
    before = gc.get_threshold()
    gc.callbacks.append(callback)
    gc.set_threshold(1, 1_000_000)
    try:
        for _ in range(3):
            with pytest.raises(TaskHeapError):
                guard.call(guard.open_slot("fill"), fill)
    finally:
        gc.set_threshold(*before)
        gc.callbacks.remove(callback)
        guard.mark_system(False)
        guard.close()
    assert calls > 0
    assert swallowed == []


def test_dropping_frames_frees_what_they_held_and_names_the_first_failure() -> None:
    class Held:
        alive = 0

        def __init__(self) -> None:
            Held.alive += 1

        def __del__(self) -> None:
            Held.alive -= 1

    def inner() -> None:
        kept = [Held() for _ in range(10)]
        raise HeapLimitError(len(kept))

    def outer() -> None:
        kept = Held()
        try:
            inner()
        except MemoryError:
            raise HeapOverrun(kept is None) from None

    try:
        outer()
    except HeapOverrun as error:
        frames = drop_frames(error)
        assert Held.alive == 0
        assert frames[-1].endswith("in inner")


def _raise(error: BaseException) -> None:
    raise error


def _held() -> int:
    guard = install_heap_guard(None, malloc_arenas=None)
    held = guard.used()
    guard.close()
    return held

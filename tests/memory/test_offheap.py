"""NumPy's arrays and Arrow's pool under an off-heap budget."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator

import pytest

from penstock.memory._offheap import OffHeapLimitError, OffHeapMeter

np = pytest.importorskip("numpy")
pytest.importorskip("penstock.memory._heapguard")

MIB = 1 << 20


@pytest.fixture
def meter() -> Iterator[OffHeapMeter]:
    found = OffHeapMeter(64 * MIB)
    found.poll()
    yield found
    found.close()


def numpy_bytes(meter: OffHeapMeter) -> int:
    return next(source.used_bytes for source in meter.sources() if source.library == "numpy")


def test_arrays_are_counted_to_the_byte_and_freed(meter: OffHeapMeter) -> None:
    before = numpy_bytes(meter)
    array = np.zeros(MIB, dtype=np.int64)
    assert numpy_bytes(meter) - before == pytest.approx(8 * MIB, rel=0.01)
    array.resize(2 * MIB, refcheck=False)
    assert numpy_bytes(meter) - before == pytest.approx(16 * MIB, rel=0.01)
    del array
    assert numpy_bytes(meter) == before
    assert meter.peak_bytes() >= 16 * MIB


def test_an_array_over_the_budget_is_numpys_own_memory_error(meter: OffHeapMeter) -> None:
    with pytest.raises(MemoryError, match="Unable to allocate 80"):
        np.ones(10 * MIB, dtype=np.int64)
    assert meter.sources()[0].refused == 1
    assert np.ones(MIB, dtype=np.int64).sum() == MIB


def test_threads_of_the_program_are_counted_too(meter: OffHeapMeter) -> None:
    before = numpy_bytes(meter)
    kept = []
    failed = []

    def work() -> None:
        kept.append(np.ones(MIB, dtype=np.int64))
        try:
            np.ones(10 * MIB, dtype=np.int64)
        except MemoryError as error:
            failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert numpy_bytes(meter) - before == pytest.approx(8 * MIB, rel=0.01)
    assert len(failed) == 1


def test_a_handler_of_the_programs_own_is_left_alone(meter: OffHeapMeter) -> None:
    meter.close()
    before = meter.sources()[0].used_bytes
    array = np.ones(MIB, dtype=np.int64)
    assert meter.sources()[0].used_bytes == before
    del array


def test_no_budget_counts_only() -> None:
    meter = OffHeapMeter(None)
    meter.poll()
    array = np.ones(10 * MIB, dtype=np.int64)
    assert meter.used_bytes() >= array.nbytes
    meter.close()


def test_arrow_is_read_and_taken_off_what_numpy_may_use(meter: OffHeapMeter) -> None:
    pa = pytest.importorskip("pyarrow")
    meter.poll()
    kept = pa.allocate_buffer(40 * MIB)
    meter.poll()
    assert {source.library: source.kind for source in meter.sources()} == {"numpy": "handler", "pyarrow": "sampled"}
    with pytest.raises(MemoryError):
        np.ones(4 * MIB, dtype=np.int64)
    more = pa.allocate_buffer(40 * MIB)
    with pytest.raises(OffHeapLimitError, match=r"pyarrow holds 80\.0 MiB"):
        meter.poll()
    del kept, more
    meter.poll()


def test_without_the_extension_numpy_is_unmetered_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("penstock.memory._heapguard", raising=False)
    monkeypatch.setitem(sys.modules, "penstock.memory._heapguard", None)
    meter = OffHeapMeter(64 * MIB)
    meter.poll()
    (source, *_) = meter.sources()
    assert (source.library, source.kind) == ("numpy", "unmetered")
    assert "_heapguard" in source.note
    meter.close()

"""What to change when a configuration contradicts itself: remedies known to work, because each was planned again.

Candidates come from the rule that was broken; one that uncovers a further error is extended by that error's own remedy.
"""

from __future__ import annotations

from penstock.conf import (
    LONG_MAX,
    JobManagerOptions,
    ManagedMemoryOptions,
    MemorySize,
    NetworkOptions,
    RocksDBMemoryOptions,
    TaskManagerOptions,
)
from penstock.memory._model_errors import MemoryPlanError, Suggestion

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from penstock.conf import ConfigOption, Configuration

    Planner = Callable[[Configuration], object]
    Changes = dict[str, str | None]

__all__ = ["find_suggestions"]

_T, _J, _N = TaskManagerOptions, JobManagerOptions, NetworkOptions

_SUGGESTIONS_MAX = 3
_DEPTH_MAX = 8
_MIB = 2**20

_TYPICAL_PROCESS = {"taskmanager": "1728m", "jobmanager": "1600m"}
"""What Flink's own `config.yaml` sets."""

_MODEL_PREFIXES = (
    "taskmanager.memory.",
    "taskmanager.network.",
    "taskmanager.cpu.",
    "taskmanager.numberOf",
    "jobmanager.memory.",
    "jobmanager.process.memory.",
    "jobmanager.heap.memory.",
    "jobmanager.offheap.memory.",
    "jobmanager.network.memory.",
    "state.backend.rocksdb.memory.",
)
"""Keys the model reads."""


def find_suggestions(error: MemoryPlanError, configuration: Configuration, planner: Planner) -> tuple[Suggestion, ...]:
    """Up to three changes, each of which alone makes `planner` succeed, the one to prefer first."""
    found: list[Suggestion] = []
    remedies = _Remedies(error, configuration, planner)
    for candidates in (remedies.specific(), remedies.general()):
        for changes, reason in candidates:
            complete = _completed(changes, configuration, planner, _DEPTH_MAX)
            # A change that does all that an earlier one does, and more, is no alternative to it.
            if complete is not None and not any(set(each.changes) <= complete.items() for each in found):
                found.append(Suggestion(tuple(complete.items()), reason))
            if len(found) == _SUGGESTIONS_MAX:
                break
        if found:
            break
    return tuple(found)


def _failure(configuration: Configuration, changes: Changes, planner: Planner) -> MemoryPlanError | None:
    try:
        planner(_changed(configuration, changes))
    except MemoryPlanError as error:
        return error
    return None


def _changed(configuration: Configuration, changes: Changes) -> Configuration:
    return Suggestion(tuple(changes.items()), "").apply_to(configuration)


def _completed(changes: Changes, configuration: Configuration, planner: Planner, depth: int) -> Changes | None:
    """The changes, extended until the configuration is valid; None if that does not come about."""
    failure = _failure(configuration, changes, planner)
    if failure is None:
        return {key: value for key, value in changes.items() if value is not None or key in configuration}
    if depth == 0:
        return None
    changed = _changed(configuration, changes)
    # Only the preferred remedy of a further error is followed, which bounds the search.
    remedies = _Remedies(failure, changed, planner)
    preferred = next(remedies.specific(), None) or next(remedies.general(), None)
    if preferred is None:
        return None
    return _completed({**changes, **preferred[0]}, configuration, planner, depth - 1)


class _Remedies:
    """Candidates for one error: pairs of changes and a reason."""

    def __init__(self, error: MemoryPlanError, configuration: Configuration, planner: Planner) -> None:
        self._error = error
        self._configuration = configuration
        self._planner = planner
        self._held_by = {each.option: each.key for each in error.inputs}
        self._process = "jobmanager" if any(key.startswith("jobmanager.") for key in self._held_by) else "taskmanager"
        if error.summary.startswith("The JobManager"):
            self._process = "jobmanager"

    def specific(self) -> Iterator[tuple[Changes, str]]:
        """Remedies that the broken rule suggests, the one to prefer first."""
        of_rule = _REMEDIES.get(self._error.error_id)
        if of_rule is not None:
            yield from filter(self._changes_something, of_rule(self))
        if self._error.changes:
            yield dict(self._error.changes), "a value that can be read"

    def general(self) -> Iterator[tuple[Changes, str]]:
        """Remedies for any error; the last ones work where any does."""
        yield from filter(self._changes_something, self._start_over())

    def _changes_something(self, candidate: tuple[Changes, str]) -> bool:
        return any(self._configuration.raw(key) != value for key, value in candidate[0].items())

    def _remove(self, *options: ConfigOption[object]) -> Changes:
        """Removes the options that are set, whichever keys hold them."""
        return {key: None for option in options for key in option.all_keys if key in self._configuration}

    def _is_set(self, option: ConfigOption[object]) -> bool:
        return any(key in self._configuration for key in option.all_keys)

    def _replace(self, option: ConfigOption[object], value: str) -> Changes:
        return {**self._remove(*[option] if option.key not in self._configuration else []), option.key: value}

    def _least(self, option: ConfigOption[object]) -> Iterator[tuple[Changes, str]]:
        """The least whole MiB of a size option with which the configuration is valid, if there is one."""

        def works(size: int) -> bool:
            return _failure(self._configuration, {option.key: f"{size // _MIB}m"}, self._planner) is None

        high = 64 * _MIB
        while not works(high):
            high *= 2
            if high > LONG_MAX // 2:
                return
        low = high // 2
        while high - low > _MIB:
            middle = (low + high) // 2 // _MIB * _MIB
            if works(middle):
                high = middle
            else:
                low = middle
        yield {option.key: f"{high // _MIB}m"}, "the least whole MiB that holds the parts"

    def _start_over(self) -> Iterator[tuple[Changes, str]]:
        """Removes what was read, a value at a time, and at last everything in favour of a process size."""
        for held in self._held_by.values():
            if held not in self._totals():
                yield {held: None}, "without it the rest can be satisfied"
        memory_keys = [key for key in self._configuration if key.startswith(_MODEL_PREFIXES)]
        everything: Changes = dict.fromkeys(memory_keys)
        total = f"{self._process}.memory.process.size"
        yield {**everything, total: _TYPICAL_PROCESS[self._process]}, "a process size alone lets everything follow"
        yield everything, "the defaults"

    def _totals(self) -> tuple[str, str]:
        return f"{self._process}.memory.process.size", f"{self._process}.memory.flink.size"

    # Per rule, below. -----------------------------------------------------------------------------------------------

    def unreadable(self) -> Iterator[tuple[Changes, str]]:
        for key, _ in self._error.changes:
            repaired = _repaired_size(self._configuration.raw(key))
            if repaired is not None:
                yield {key: repaired}, "the size it is likely meant to be"

    def not_configured(self) -> Iterator[tuple[Changes, str]]:
        process = _T.TOTAL_PROCESS_MEMORY if self._process == "taskmanager" else _J.TOTAL_PROCESS_MEMORY
        yield {process.key: _TYPICAL_PROCESS[self._process]}, "what Flink's own config.yaml sets"
        yield from self._least(process)

    def range_inconsistent(self) -> Iterator[tuple[Changes, str]]:
        prefix = (self._error.option or "").removesuffix(".fraction")
        declarations = _J if prefix.startswith("jobmanager") else _T
        options = {option.key: option for option in vars(declarations).values() if hasattr(option, "all_keys")}
        yield self._remove(options[f"{prefix}.fraction"]), "the default fraction is valid"
        least, greatest = options.get(f"{prefix}.min"), options.get(f"{prefix}.max")
        if least is None or greatest is None:
            return
        if self._is_set(least):
            yield self._replace(greatest, self._text_of(least)), "a maximum equal to the minimum fixes the size"
        if self._is_set(greatest):
            yield self._replace(least, self._text_of(greatest)), "a minimum equal to the maximum fixes the size"
        yield self._remove(least, greatest), "the default range is valid"

    def _text_of(self, option: ConfigOption[object]) -> str:
        from penstock.conf import printed

        found = self._configuration.lookup(option)
        return printed(found[1] if found is not None else option.default)

    def parts_exceed(self) -> Iterator[tuple[Changes, str]]:
        """The parts of Flink memory exceed it: a larger total, or fewer given parts."""
        flink_given = self._is_set(_T.TOTAL_FLINK_MEMORY)
        if not flink_given:
            yield from self._least(_T.TOTAL_PROCESS_MEMORY)
        else:
            yield from self._least(_T.TOTAL_FLINK_MEMORY)
            changes = self._remove(_T.TOTAL_FLINK_MEMORY, _T.TOTAL_PROCESS_MEMORY)
            if self._is_set(_T.TASK_HEAP_MEMORY) and self._is_set(_T.MANAGED_MEMORY_SIZE):
                yield changes, "task heap and managed memory are given, the totals follow"
        for option in (_T.TASK_HEAP_MEMORY, _T.MANAGED_MEMORY_SIZE, _T.NETWORK_MEMORY_MIN, _T.MANAGED_MEMORY_FRACTION):
            if self._is_set(option):
                yield self._remove(option), "it follows from the rest then"

    def network_range(self) -> Iterator[tuple[Changes, str]]:
        network, least = self._error.numbers["network"], self._error.numbers["min"]
        if network < least:
            yield self._replace(_T.NETWORK_MEMORY_MIN, _text(network)), "the size that is left is within the range then"
        else:
            yield self._replace(_T.NETWORK_MEMORY_MAX, _text(network)), "the size that is left is within the range then"
        if self._is_set(_T.MANAGED_MEMORY_SIZE):
            yield self._remove(_T.TOTAL_FLINK_MEMORY), "total Flink memory follows from the parts then"
        yield self._remove(_T.TASK_HEAP_MEMORY), "task heap is what the other parts leave then"
        yield from self._least(
            _T.TOTAL_FLINK_MEMORY if self._is_set(_T.TOTAL_FLINK_MEMORY) else _T.TOTAL_PROCESS_MEMORY
        )

    def process_of_parts(self) -> Iterator[tuple[Changes, str]]:
        """Process memory contradicts Flink memory: the process size that follows, or one total instead of two."""
        declarations = _T if self._process == "taskmanager" else _J
        process, flink = declarations.TOTAL_PROCESS_MEMORY, declarations.TOTAL_FLINK_MEMORY
        without = self._remove(process)
        try:
            plan = self._planner(_changed(self._configuration, without))
        except MemoryPlanError:
            plan = None
        total = getattr(plan, "total_process_bytes", None)
        if total is not None:
            yield self._replace(process, _text(total)), "what the parts add up to"
        yield without, "it follows from the parts"
        if self._is_set(flink):
            yield self._remove(flink), "total Flink memory follows from the process size then"
        if "jvm_overhead" in self._error.numbers:
            overhead, least = self._error.numbers["jvm_overhead"], self._error.numbers["min"]
            limit = declarations.JVM_OVERHEAD_MIN if overhead < least else declarations.JVM_OVERHEAD_MAX
            yield self._replace(limit, _text(overhead)), "the overhead that is left is within the range then"

    def metaspace_overhead(self) -> Iterator[tuple[Changes, str]]:
        declarations = _T if self._process == "taskmanager" else _J
        yield from self._least(declarations.TOTAL_PROCESS_MEMORY)
        yield self._remove(declarations.JVM_METASPACE, declarations.JVM_OVERHEAD_MIN), "the defaults may fit"

    def jm_flink(self) -> Iterator[tuple[Changes, str]]:
        if self._is_set(_J.JVM_HEAP_MEMORY):
            numbers = self._error.numbers
            total = numbers.get("jvm_heap", 0) + numbers.get("off_heap", _J.OFF_HEAP_MEMORY.default.bytes)
            yield self._replace(_J.TOTAL_FLINK_MEMORY, _text(total)), "heap and off-heap together"
            yield self._remove(_J.TOTAL_FLINK_MEMORY), "it follows from heap and off-heap"
            yield self._remove(_J.JVM_HEAP_MEMORY), "it follows from total Flink memory"
            return
        total_option = _J.TOTAL_FLINK_MEMORY if self._is_set(_J.TOTAL_FLINK_MEMORY) else _J.TOTAL_PROCESS_MEMORY
        yield from self._least(total_option)
        yield self._remove(_J.OFF_HEAP_MEMORY), "the default may fit"

    def jm_network(self) -> Iterator[tuple[Changes, str]]:
        yield self._replace(_J.OFF_HEAP_MEMORY, _text(self._error.numbers["network"])), "network memory lies inside it"
        yield self._remove(_J.NETWORK_MEMORY_SIZE), "Flink's JobManager has no network memory"

    def cores(self) -> Iterator[tuple[Changes, str]]:
        if self._is_set(_T.CPU_CORES):
            yield self._remove(_T.CPU_CORES), "cores follow from the slots"
        yield {**self._remove(_T.CPU_CORES), _T.NUM_TASK_SLOTS.key: "1"}, "a TaskManager has at least one slot"

    def network_limits(self) -> Iterator[tuple[Changes, str]]:
        least, greatest = self._text_of(_T.NETWORK_MEMORY_MIN), self._text_of(_T.NETWORK_MEMORY_MAX)
        yield self._replace(_T.NETWORK_MEMORY_MAX, least), "equal limits are the size"
        yield self._replace(_T.NETWORK_MEMORY_MIN, greatest), "equal limits are the size"
        yield self._remove(_T.NETWORK_MEMORY_MAX), "one limit stands for both"

    def slots(self) -> Iterator[tuple[Changes, str]]:
        yield {_T.NUM_TASK_SLOTS.key: "1"}, "a TaskManager has at least one slot"

    def page_size(self) -> Iterator[tuple[Changes, str]]:
        yield self._remove(_T.MEMORY_SEGMENT_SIZE), "the default is 32 kb"

    def pages(self) -> Iterator[tuple[Changes, str]]:
        yield {_T.NETWORK_MEMORY_MAX.key: "1g"}, "network buffers are allocated at start"
        yield {_T.MEMORY_SEGMENT_SIZE.key: "1g"}, "fewer, larger buffers"

    def gate_limit(self) -> Iterator[tuple[Changes, str]]:
        yield self._remove(_N.MAX_REQUIRED_BUFFERS_PER_GATE), "there is no limit by default"

    def debloat(self) -> Iterator[tuple[Changes, str]]:
        options = (
            _N.MIN_MEMORY_SEGMENT_SIZE,
            _N.STARTING_MEMORY_SEGMENT_SIZE,
            _N.BUFFER_DEBLOAT_SAMPLES,
            _N.BUFFER_DEBLOAT_TARGET,
        )
        yield self._remove(*options), "the defaults are valid"

    def batch_shuffle(self) -> Iterator[tuple[Changes, str]]:
        yield self._remove(_N.BATCH_SHUFFLE_READ_MEMORY), "the default is 64 mb"

    def weights(self) -> Iterator[tuple[Changes, str]]:
        key = ManagedMemoryOptions.CONSUMER_WEIGHTS.key
        held: Changes = {each: None for each in self._configuration if each == key or each.startswith(key + ".")}
        yield held, "the default weights are valid"

    def ratios(self) -> Iterator[tuple[Changes, str]]:
        options = RocksDBMemoryOptions.WRITE_BUFFER_RATIO, RocksDBMemoryOptions.HIGH_PRIORITY_POOL_RATIO
        for option in options:
            if self._is_set(option):
                yield self._remove(option), "the default may fit"
        yield self._remove(*options), "the defaults fit"


_REMEDIES: dict[str, Callable[[_Remedies], Iterator[tuple[Changes, str]]]] = {
    "size-unreadable": _Remedies.unreadable,
    "value-unparsable": _Remedies.unreadable,
    "not-configured": _Remedies.not_configured,
    "range-inconsistent": _Remedies.range_inconsistent,
    "tm-fixed-parts-exceed-flink": _Remedies.parts_exceed,
    "tm-derived-parts-exceed-flink": _Remedies.parts_exceed,
    "network-out-of-range": _Remedies.network_range,
    "metaspace-overhead-exceed-process": _Remedies.metaspace_overhead,
    "process-below-flink-and-metaspace": _Remedies.process_of_parts,
    "overhead-out-of-range": _Remedies.process_of_parts,
    "jm-heap-offheap-mismatch": _Remedies.jm_flink,
    "jm-heap-exceeds-flink": _Remedies.jm_flink,
    "jm-flink-not-above-offheap": _Remedies.jm_flink,
    "jm-network-exceeds-offheap": _Remedies.jm_network,
    "cpu-not-positive": _Remedies.cores,
    "cpu-not-finite": _Remedies.cores,
    "cpu-negative": _Remedies.cores,
    "local-network-min-max-differ": _Remedies.network_limits,
    "slots-not-positive": _Remedies.slots,
    "page-size-not-int": _Remedies.page_size,
    "page-size-too-small": _Remedies.page_size,
    "page-size-not-power-of-two": _Remedies.page_size,
    "too-many-pages": _Remedies.pages,
    "required-per-gate-not-positive": _Remedies.gate_limit,
    "debloat-invalid": _Remedies.debloat,
    "batch-shuffle-memory-too-small": _Remedies.batch_shuffle,
    "weight-negative": _Remedies.weights,
    "not-an-integer": _Remedies.weights,
    "rocksdb-ratios-invalid": _Remedies.ratios,
}


def _text(size_bytes: int) -> str:
    """A size as short as it is exact: `512m`, `1025b`."""
    text = str(MemorySize(min(size_bytes, LONG_MAX)))
    number, unit = text.split()
    return number + ("b" if unit == "bytes" else unit[0])


def _repaired_size(value: object) -> str | None:
    """The size a text was likely meant to be: `1.5g` is 1536m, `4 GiB` is 4g; None where that is not plain."""
    import re

    text = str(value).strip("'\" ")
    match = re.fullmatch(r"(\d+)(?:[.,](\d+))?\s*([kmgt]?)(?:i?b|i?bytes?)?", text, re.IGNORECASE | re.ASCII)
    if match is None:
        return None
    whole, decimals, unit = match.groups()
    factor = 2 ** (10 * "bkmgt".index(unit.lower() or "b"))
    exact = int(whole) * factor + (int(decimals) * factor // 10 ** len(decimals) if decimals else 0)
    return _text(exact) if exact <= LONG_MAX else None

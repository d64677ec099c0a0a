"""Metaspace and overhead, derived alike for TaskManager and JobManager (Flink's `ProcessMemoryUtils`)."""

from __future__ import annotations

from penstock.conf import Record, human_readable
from penstock.memory._arithmetic import add, fraction_of
from penstock.memory._model_errors import MemoryPlanError, listed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from penstock.conf import ConfigOption
    from penstock.memory._option_reader import OptionReader

__all__ = ["ProcessOptions", "jvm_parts_from_flink", "jvm_parts_from_process"]


class ProcessOptions(Record):
    """The options of one kind of process that this module reads."""

    process: ConfigOption[Any]
    flink: ConfigOption[Any]
    metaspace: ConfigOption[Any]
    overhead_min: ConfigOption[Any]
    overhead_max: ConfigOption[Any]
    overhead_fraction: ConfigOption[float]


def jvm_parts_from_process(reader: OptionReader, options: ProcessOptions) -> tuple[int, int, int]:
    """Route C: (Flink memory, metaspace, overhead) of a given process size; overhead is a fraction of the process."""
    process = reader.size(options.process)
    reader.steps.append(("total_process", process, "given", (options.process,)))
    metaspace = reader.size(options.metaspace)
    reader.steps.append(("jvm_metaspace", metaspace, "given", (options.metaspace,)))
    bounds = reader.range(options.overhead_min, options.overhead_max, options.overhead_fraction)
    overhead = reader.capped(process, bounds, "jvm-overhead")
    parts = {"jvm_metaspace": metaspace, "jvm_overhead": overhead}
    if add(metaspace, overhead) > process:
        raise MemoryPlanError(
            "metaspace-overhead-exceed-process",
            f"Together {listed(parts)} exceed total process memory ({human_readable(process)}).",
            numbers={**parts, "total_process": process},
        )
    flink = process - metaspace - overhead
    reader.steps.append(("total_flink", flink, "remainder", (process, parts)))
    return flink, metaspace, overhead


def jvm_parts_from_flink(reader: OptionReader, options: ProcessOptions, flink: int) -> tuple[int, int]:
    """Routes A and B: (metaspace, overhead) beside known Flink memory.

    Overhead is what a given process size leaves, else a fraction of the process size that results.
    """
    metaspace = reader.size(options.metaspace)
    reader.steps.append(("jvm_metaspace", metaspace, "given", (options.metaspace,)))
    inside = add(flink, metaspace)
    if not reader.is_set(options.process):
        bounds = reader.range(options.overhead_min, options.overhead_max, options.overhead_fraction)
        overhead = reader.capped(inside, bounds, "jvm-overhead", inverse=True)
        add(inside, overhead)
        return metaspace, overhead
    process = reader.size(options.process)
    reader.steps.append(("total_process", process, "given", (options.process,)))
    parts = {"total_flink": flink, "jvm_metaspace": metaspace}
    if process < inside:
        raise MemoryPlanError(
            "process-below-flink-and-metaspace",
            f"Together {listed(parts)} exceed total process memory ({human_readable(process)}).",
            numbers={**parts, "total_process": process},
        )
    overhead = process - inside
    reader.steps.append(("jvm_overhead", overhead, "remainder", (process, parts)))
    least, greatest, fraction = reader.range(options.overhead_min, options.overhead_max, options.overhead_fraction)
    if not least <= overhead <= greatest:
        raise MemoryPlanError(
            "overhead-out-of-range",
            f"Beside {listed(parts)}, total process memory ({human_readable(process)}) leaves "
            f"{human_readable(overhead)} of "
            f"overhead, which is outside its range [{human_readable(least)}, {human_readable(greatest)}].",
            numbers={**parts, "total_process": process, "jvm_overhead": overhead, "min": least, "max": greatest},
        )
    if reader.is_set(options.overhead_fraction) and fraction_of(process, fraction) != overhead:
        reader.remark("INFO overhead-fraction-not-met")
    return metaspace, overhead

"""Metaspace and overhead, derived alike for TaskManager and JobManager (Flink's `ProcessMemoryUtils`)."""

from __future__ import annotations

from penstock.conf import Record, human_readable
from penstock.memory._arithmetic import add, fraction_of
from penstock.memory._model_errors import MemoryPlanError

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
    if add(metaspace, overhead) > process:
        raise MemoryPlanError(
            "metaspace-overhead-exceed-process",
            f"Metaspace ({human_readable(metaspace)}) and overhead ({human_readable(overhead)}) together exceed total "
            f"process "
            f"memory ({human_readable(process)}).",
        )
    flink = process - metaspace - overhead
    reader.steps.append(
        ("total_flink", flink, "remainder", (process, (("jvm_metaspace", metaspace), ("jvm_overhead", overhead))))
    )
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
    if process < inside:
        raise MemoryPlanError(
            "process-below-flink-and-metaspace",
            f"Total process memory ({human_readable(process)}) is less than total Flink memory "
            f"({human_readable(flink)}) and "
            f"metaspace ({human_readable(metaspace)}) together.",
        )
    overhead = process - inside
    parts = (("total_flink", flink), ("jvm_metaspace", metaspace))
    reader.steps.append(("jvm_overhead", overhead, "remainder", (process, parts)))
    least, greatest, fraction = reader.range(options.overhead_min, options.overhead_max, options.overhead_fraction)
    if not least <= overhead <= greatest:
        raise MemoryPlanError(
            "overhead-out-of-range",
            f"Total process memory ({human_readable(process)}) leaves {human_readable(overhead)} of overhead beside "
            f"total "
            f"Flink memory ({human_readable(flink)}) and metaspace ({human_readable(metaspace)}), which is outside "
            f"the range "
            f"[{human_readable(least)}, {human_readable(greatest)}].",
        )
    if reader.is_set(options.overhead_fraction) and fraction_of(process, fraction) != overhead:
        reader.remark("INFO overhead-fraction-not-met")
    return metaspace, overhead

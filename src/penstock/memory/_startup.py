"""What a TaskManager process checks and computes when it starts, in the order in which Flink's does.

After `TaskExecutorResourceUtils`, `ConfigurationParserUtils`, `NettyShuffleEnvironmentConfiguration`,
`BufferDebloatConfiguration`.
"""

from __future__ import annotations

from penstock.conf import INT_MAX, Configuration, NetworkOptions, Record, Source, TaskManagerOptions, human_readable
from penstock.memory._local import read_cores, read_network
from penstock.memory._model_errors import MemoryPlanError
from penstock.memory._option_reader import OptionReader
from penstock.memory._plans import SlotShare
from penstock.memory._taskmanager import plan_task_manager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from penstock.conf import ConfigOption, MemorySize
    from penstock.memory._plans import TaskManagerPlan

__all__ = ["BufferDebloat", "StartUpPlan", "plan_start_up", "read_page_size"]

_T = TaskManagerOptions
_N = NetworkOptions

_MIN_PAGE_BYTES = 4096

_DERIVED = Source("derived")

# No options any more in Flink 2, whose defaults these were.
EXCLUSIVE_BUFFERS_PER_CHANNEL = 2
FLOATING_BUFFERS_PER_GATE = 8
MAX_BUFFERS_PER_SUBPARTITION = 10
MAX_OVERDRAFT_BUFFERS = 20
SORT_SHUFFLE_MIN_PARALLELISM = 1


class BufferDebloat(Record):
    """Settings of buffer debloating.

    Attributes:
        enabled: whether it is on.
        target_ms: how long data in flight should take to be consumed.
        min_size_bytes: least fill of a buffer.
        max_size_bytes: a full buffer.
        starting_size_bytes: of a new subpartition.
        samples: over which the size is smoothed.
        threshold_percent: least change that is announced.
    """

    enabled: bool
    target_ms: int
    min_size_bytes: int
    max_size_bytes: int
    starting_size_bytes: int
    samples: int
    threshold_percent: int


class StartUpPlan(Record):
    """A TaskManager as it starts.

    Attributes:
        slots: >= 1.
        page_size_bytes: of network buffers and of managed memory.
        total: the resources of the process.
        slot: the resources of one slot.
        slot_managed_pages: pages of a slot's memory manager; None where there are more than 2^31 - 1, which fails when
            the slot is first used.
        network_buffers: how many there are.
        starting_buffer_bytes: fill of a new subpartition's buffers; 2^31 - 1 stands for a full buffer.
        max_required_per_gate: most buffers an input gate requires, None for no limit but the default one.
        batch_shuffle_read_bytes: read buffer of blocking shuffles.
        sort_shuffle_min_buffers: a blocking partition requires.
        request_timeout_ms: for exclusive buffers.
        debloat: buffer debloating.
        remarks: of the derivation and the start, each once.
    """

    slots: int
    page_size_bytes: int
    total: SlotShare
    slot: SlotShare
    slot_managed_pages: int | None
    network_buffers: int
    starting_buffer_bytes: int
    max_required_per_gate: int | None
    batch_shuffle_read_bytes: int
    sort_shuffle_min_buffers: int
    request_timeout_ms: int
    debloat: BufferDebloat
    remarks: tuple[str, ...]

    @property
    def exclusive_buffers_per_channel(self) -> int:
        """Of each remote channel; a constant since Flink 2."""
        return EXCLUSIVE_BUFFERS_PER_CHANNEL

    @property
    def floating_buffers_per_gate(self) -> int:
        """Shared by the channels of a gate; a constant since Flink 2."""
        return FLOATING_BUFFERS_PER_GATE

    @property
    def max_buffers_per_subpartition(self) -> int:
        """In use before the partition is back-pressured; a constant since Flink 2."""
        return MAX_BUFFERS_PER_SUBPARTITION

    @property
    def max_overdraft_buffers(self) -> int:
        """Of a partition, to finish a record once begun; a constant since Flink 2."""
        return MAX_OVERDRAFT_BUFFERS

    @property
    def sort_shuffle_min_parallelism(self) -> int:
        """From which blocking partitions sort; a constant since Flink 2."""
        return SORT_SHUFFLE_MIN_PARALLELISM


def plan_start_up(
    configuration: Configuration,
    dynamic: Configuration | None = None,
    plan: TaskManagerPlan | None = None,
    *,
    check_batch_shuffle: bool = True,
) -> StartUpPlan:
    """Starts a TaskManager on paper: derives its memory, then reads what the process reads.

    Args:
        configuration: what the start script sees, the user's `-D` values included.
        dynamic: the user's `-D` values, which the process lays over the derived settings once more. A total among them
            does no harm, but `taskmanager.memory.network.max` alone makes minimum and maximum differ.
        plan: of `configuration` and `dynamic`, if it is already known.
        check_batch_shuffle: whether to refuse a read buffer of blocking shuffles that holds no buffer, which fails
            only when the pool is created, after all else.

    Raises:
        MemoryPlanError: the derivation fails, or the process would refuse to start.
    """

    def again(changed: Configuration) -> StartUpPlan:
        still_dynamic = {key: changed.raw(key) for key in dynamic or () if key in changed}
        return plan_start_up(
            changed, Configuration.from_mapping(still_dynamic), check_batch_shuffle=check_batch_shuffle
        )

    whole = configuration if dynamic is None else configuration.overlay(dynamic)
    if plan is None:
        try:
            plan = plan_task_manager(whole)
        except MemoryPlanError as error:
            error.complete(error.inputs, error.remarks, whole, again)
            raise
    process = whole.copy()
    for key, value in plan.dynamic_options().items():
        process.set(key, value, _DERIVED)
    if dynamic is not None:
        process.update(dynamic)
    reader = OptionReader(process)
    reader.remarks.update(dict.fromkeys(plan.provenance.remarks))
    try:
        start = _start(reader)
        if check_batch_shuffle:
            _check_batch_shuffle(start)
        return start
    except MemoryPlanError as error:
        error.complete(reader.configured_inputs(), tuple(reader.remarks), whole, again)
        raise


def _start(reader: OptionReader) -> StartUpPlan:
    network = read_network(reader)
    cores_e8 = read_cores(reader)
    task_heap = reader.plain_size(_T.TASK_HEAP_MEMORY)
    task_off_heap = reader.plain_size(_T.TASK_OFF_HEAP_MEMORY)
    managed = reader.plain_size(_T.MANAGED_MEMORY_SIZE)
    slots = _read_slots(reader)
    page_size = read_page_size(reader)

    debloat_enabled = reader.value(_N.BUFFER_DEBLOAT_ENABLED)
    starting = INT_MAX
    if debloat_enabled:
        starting = reader.plain_size(_N.STARTING_MEMORY_SEGMENT_SIZE)
    buffers = network // page_size
    if buffers > INT_MAX:
        raise MemoryPlanError(
            "too-many-pages",
            f"Network memory ({human_readable(network)}) has more than {INT_MAX} buffers of {page_size} bytes.",
        )
    max_required = reader.value(_N.MAX_REQUIRED_BUFFERS_PER_GATE)
    batch_shuffle_read = reader.plain_size(_N.BATCH_SHUFFLE_READ_MEMORY)
    sort_shuffle_min_buffers = reader.value(_N.SORT_SHUFFLE_MIN_BUFFERS)
    request_timeout_ms = reader.value(_N.BUFFERS_REQUEST_TIMEOUT)
    check_required_per_gate(max_required)
    debloat = _read_debloat(reader, debloat_enabled, page_size)

    total = SlotShare(cores_e8, task_heap, task_off_heap, network, managed)
    slot = SlotShare(cores_e8 // slots, task_heap // slots, task_off_heap // slots, network // slots, managed // slots)
    pages = slot.managed_bytes // page_size
    return StartUpPlan(
        slots, page_size, total, slot, pages if pages <= INT_MAX else None, buffers, starting, max_required,
        batch_shuffle_read, sort_shuffle_min_buffers, request_timeout_ms, debloat, tuple(reader.remarks),
    )  # fmt: skip


def _read_slots(reader: OptionReader) -> int:
    slots = reader.value(_T.NUM_TASK_SLOTS)
    if slots == -1:
        return 1
    if slots < 1:
        raise MemoryPlanError(
            "slots-not-positive", f"'{_T.NUM_TASK_SLOTS.key}' must be at least 1 (or -1, which means 1), not {slots}."
        )
    return slots


def read_page_size(reader: OptionReader) -> int:
    """The size of network buffers and memory pages, in bytes.

    Raises:
        MemoryPlanError: it is no power of two, less than 4 KiB, beyond 32 bits, or unreadable.
    """
    key = _T.MEMORY_SEGMENT_SIZE.key
    page_size = reader.plain_size(_T.MEMORY_SEGMENT_SIZE)
    if page_size > INT_MAX:
        raise MemoryPlanError("page-size-not-int", f"'{key}' ({human_readable(page_size)}) must be less than 2 GiB.")
    if page_size < _MIN_PAGE_BYTES:
        raise MemoryPlanError("page-size-too-small", f"'{key}' ({human_readable(page_size)}) must be at least 4 KiB.")
    if page_size & (page_size - 1):
        raise MemoryPlanError(
            "page-size-not-power-of-two", f"'{key}' ({human_readable(page_size)}) must be a power of two."
        )
    return page_size


def check_required_per_gate(max_required: int | None) -> None:
    """Refuses a limit below one buffer a gate.

    Raises:
        MemoryPlanError: `required-per-gate-not-positive`.
    """
    if max_required is not None and max_required < 1:
        raise MemoryPlanError(
            "required-per-gate-not-positive",
            f"'{_N.MAX_REQUIRED_BUFFERS_PER_GATE.key}' must be at least 1, not {max_required}: a gate needs a buffer.",
        )


def _check_batch_shuffle(start: StartUpPlan) -> None:
    if start.batch_shuffle_read_bytes < start.page_size_bytes:
        raise MemoryPlanError(
            "batch-shuffle-memory-too-small",
            f"'{_N.BATCH_SHUFFLE_READ_MEMORY.key}' ({human_readable(start.batch_shuffle_read_bytes)}) holds not even "
            f"one "
            f"buffer of {start.page_size_bytes} bytes.",
            _N.BATCH_SHUFFLE_READ_MEMORY.key,
        )


def _read_debloat(reader: OptionReader, enabled: bool, page_size: int) -> BufferDebloat:
    target_ms = reader.value(_N.BUFFER_DEBLOAT_TARGET)
    least = _int_size(reader, _N.MIN_MEMORY_SEGMENT_SIZE)
    starting = _int_size(reader, _N.STARTING_MEMORY_SEGMENT_SIZE)
    threshold = reader.value(_N.BUFFER_DEBLOAT_THRESHOLD_PERCENTAGES)
    samples = reader.value(_N.BUFFER_DEBLOAT_SAMPLES)
    if not 0 < least <= starting <= page_size or samples <= 0 or target_ms <= 0:
        raise MemoryPlanError(
            "debloat-invalid",
            f"Buffer debloating needs 0 < '{_N.MIN_MEMORY_SEGMENT_SIZE.key}' ({least} bytes) <= "
            f"'{_N.STARTING_MEMORY_SEGMENT_SIZE.key}' ({starting} bytes) <= '{_T.MEMORY_SEGMENT_SIZE.key}' "
            f"({page_size} bytes), "
            f"'{_N.BUFFER_DEBLOAT_SAMPLES.key}' ({samples}) > 0 and '{_N.BUFFER_DEBLOAT_TARGET.key}' ({target_ms} ms) "
            f"> 0; "
            "this is checked even where debloating is off.",
        )
    return BufferDebloat(enabled, target_ms, least, page_size, starting, samples, threshold)


def _int_size(reader: OptionReader, option: ConfigOption[MemorySize]) -> int:
    size = reader.plain_size(option)
    if size > INT_MAX:
        raise MemoryPlanError("overflow", f"'{option.key}' ({human_readable(size)}) exceeds 2^31 - 1 bytes.")
    return size

"""Who gets how much of a slot's managed memory (Flink's `ManagedMemoryUtils`, `MemoryManager`)."""

from __future__ import annotations

from penstock.conf import INT_MAX, ManagedMemoryOptions, Record, read_integer
from penstock.memory._arithmetic import wrap_int
from penstock.memory._model_errors import MemoryPlanError
from penstock.memory._option_reader import OptionReader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from penstock.conf import Configuration

__all__ = [
    "MANAGED_PAGE_BYTES",
    "USE_CASES",
    "ManagedShare",
    "OperatorNeed",
    "bytes_for_fraction",
    "managed_fraction",
    "managed_shares_of_group",
    "pages_for_fraction",
    "state_backend_uses_managed_memory",
]

_M = ManagedMemoryOptions

USE_CASES = ("OPERATOR", "STATE_BACKEND", "PYTHON")
"""Kinds of consumers; the first is shared by weight among operators, the others are shared by all of a slot."""

MANAGED_PAGE_BYTES = 32 * 1024
"""The default page size, for figures that know no configured one."""

_BACKENDS = {
    "hashmap": False,
    "rocksdb": True,
    "forst": True,
}
# The factories behind the names; as class names they are case-sensitive.
_BACKEND_FACTORIES = {
    "org.apache.flink.runtime.state.hashmap.HashMapStateBackendFactory": False,
    "org.apache.flink.state.rocksdb.EmbeddedRocksDBStateBackendFactory": True,
    "org.apache.flink.state.forst.ForStStateBackendFactory": True,
}

_FRACTION_SCALE = 10**16


class OperatorNeed(Record):
    """What one operator declares.

    Attributes:
        weights: kind of operator scope -> weight >= 1.
        slot_scope: kinds of slot scope it uses.
    """

    weights: Mapping[str, int] = {}
    slot_scope: frozenset[str] = frozenset()


class ManagedShare(Record):
    """A share of a slot's managed memory.

    Attributes:
        fraction: of the slot.
        remarks: what was remarked on.
    """

    fraction: float
    remarks: tuple[str, ...] = ()

    def bytes_of(self, slot_managed_bytes: int) -> int:
        """See `bytes_for_fraction`."""
        return bytes_for_fraction(self.fraction, slot_managed_bytes)

    def pages_of(self, slot_managed_bytes: int, page_size_bytes: int = MANAGED_PAGE_BYTES) -> int:
        """See `pages_for_fraction`."""
        return pages_for_fraction(self.fraction, slot_managed_bytes, page_size_bytes)


def rounded_down(dividend: int, divisor: int) -> float:
    """A quotient cut off after 16 decimals, as the nearest double; both >= 0, divisor > 0."""
    return (dividend * _FRACTION_SCALE // divisor) / _FRACTION_SCALE


def state_backend_uses_managed_memory(
    configuration: Configuration,
    job_configuration: Configuration | None = None,
    *,
    from_application: bool | None = None,
) -> bool:
    """Whether a job's state backend draws on managed memory.

    Args:
        configuration: the cluster's.
        job_configuration: the job's own, laid over the cluster's.
        from_application: what the backend the program set itself says; None if it set none.
    """
    whole = configuration if job_configuration is None else configuration.overlay(job_configuration)
    return _backend_uses_managed(OptionReader(whole), from_application)


def _backend_uses_managed(reader: OptionReader, from_application: bool | None) -> bool:
    if from_application is not None:
        return from_application
    name = reader.value(_M.STATE_BACKEND)
    known = _BACKENDS.get(name.lower())
    if known is None:
        known = _BACKEND_FACTORIES.get(name)
    if known is None:
        # What cannot be loaded is taken to use managed memory, so that enough is set aside.
        reader.remark("WARN state-backend-unknown")
        return True
    return known


def _weights(reader: OptionReader) -> dict[str, int]:
    configured = reader.value(_M.CONSUMER_WEIGHTS)
    weights: dict[str, int] = {}
    for use_case in USE_CASES:
        if use_case not in configured:
            continue
        try:
            weight = read_integer(_text(configured[use_case]))
        except ValueError as error:
            raise MemoryPlanError(
                "not-an-integer", f"The weight of {use_case} in '{_M.CONSUMER_WEIGHTS.key}' is no integer: {error}."
            ) from None
        if weight < 0:
            raise MemoryPlanError(
                "weight-negative",
                f"The weight of {use_case} in '{_M.CONSUMER_WEIGHTS.key}' must not be negative, but is {weight}.",
            )
        weights[use_case] = weight
    return weights


def managed_fraction(
    configuration: Configuration,
    use_case: str,
    group_use_cases: Iterable[str],
    fraction_of_use_case: float = 1.0,
    *,
    job_configuration: Configuration | None = None,
    backend_from_application: bool | None = None,
) -> ManagedShare:
    """The fraction of a slot's managed memory that an operator's part of a use case comes to.

    Args:
        configuration: the cluster's; weights are read from it alone.
        use_case: of `USE_CASES`.
        group_use_cases: all use cases in the slot sharing group.
        fraction_of_use_case: the operator's part of the use case.
        job_configuration: the job's own, for the state backend.
        backend_from_application: whether the backend the program set uses managed memory; None if it set none.

    Raises:
        MemoryPlanError: the weights are unreadable or negative.
    """
    whole = configuration if job_configuration is None else configuration.overlay(job_configuration)
    backend_reader = OptionReader(whole)
    reader = OptionReader(configuration)

    def plan(reader: OptionReader) -> ManagedShare:
        uses_managed = _backend_uses_managed(backend_reader, backend_from_application)
        reader.remarks.update(backend_reader.remarks)
        if use_case == "STATE_BACKEND" and not uses_managed:
            return ManagedShare(0.0, tuple(reader.remarks))
        weights = _weights(reader)
        taking_part = (each for each in set(group_use_cases) if each != "STATE_BACKEND" or uses_managed)
        total = wrap_int(sum(weights.get(each, 0) for each in taking_part))
        of_slot = rounded_down(weights.get(use_case, 0), total) if total > 0 else 0.0
        return ManagedShare(fraction_of_use_case * of_slot, tuple(reader.remarks))

    def again(changed: Configuration) -> ManagedShare:
        return managed_fraction(
            changed,
            use_case,
            group_use_cases,
            fraction_of_use_case,
            job_configuration=job_configuration,
            backend_from_application=backend_from_application,
        )

    return reader.run(plan, again)


def managed_shares_of_group(
    configuration: Configuration,
    operators: Iterable[OperatorNeed],
    *,
    job_configuration: Configuration | None = None,
    backend_from_application: bool | None = None,
) -> list[dict[str, ManagedShare]]:
    """For each operator of a slot sharing group and each use case, its share of the slot's managed memory.

    Raises:
        MemoryPlanError: the weights are unreadable or negative.
    """
    needs = list(operators)
    group_weights: dict[str, int] = {}
    group_slot_scope: set[str] = set()
    for need in needs:
        for use_case, weight in need.weights.items():
            group_weights[use_case] = wrap_int(group_weights.get(use_case, 0) + weight)
        group_slot_scope |= need.slot_scope
    group = set(group_weights) | group_slot_scope
    shares = []
    for need in needs:
        own: dict[str, ManagedShare] = {}
        for use_case in USE_CASES:
            part = 0.0
            if use_case in group_weights:
                weight = need.weights.get(use_case, 0)
                part = rounded_down(weight, group_weights[use_case]) if weight > 0 else 0.0
            if use_case in need.slot_scope:
                part = 1.0
            own[use_case] = managed_fraction(
                configuration,
                use_case,
                group,
                part,
                job_configuration=job_configuration,
                backend_from_application=backend_from_application,
            )
        shares.append(own)
    return shares


def bytes_for_fraction(fraction: float, slot_managed_bytes: int) -> int:
    """Bytes of a slot's managed memory for a fraction of it, in doubles as Flink's `MemoryManager.computeMemorySize`.

    Raises:
        MemoryPlanError: `fraction-zero` or `fraction-out-of-range`.
    """
    _check_fraction(fraction)
    return int(float(slot_managed_bytes) * fraction)


def pages_for_fraction(fraction: float, slot_managed_bytes: int, page_size_bytes: int = MANAGED_PAGE_BYTES) -> int:
    """Pages of a slot's managed memory for a fraction of it.

    Raises:
        MemoryPlanError: `fraction-zero` or `fraction-out-of-range`.
    """
    _check_fraction(fraction)
    return min(int(float(slot_managed_bytes // page_size_bytes) * fraction), INT_MAX)


def _check_fraction(fraction: float) -> None:
    if fraction == 0:
        raise MemoryPlanError(
            "fraction-zero",
            "The fraction of managed memory is 0: the consumer has no weight in "
            f"'{_M.CONSUMER_WEIGHTS.key}', where giving the option replaces all of its default.",
        )
    if not 0 < fraction <= 1:
        raise MemoryPlanError(
            "fraction-out-of-range", f"The fraction of managed memory must be above 0 and at most 1, not {fraction!r}."
        )


def _text(value: object) -> str:
    return value if isinstance(value, str) else str(value)

"""The memory a job's tasks draw on in this process: managed memory of its slots, and network buffers.

Sizes come from the memory plan: the local plan by default (Flink's local environment), the TaskManager's plan where a
total is configured, which Flink ignores locally and Penstock holds. Nothing of it outlives the job; what a task does
not give back is an error that names it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from penstock.conf import Configuration, ManagedMemoryOptions, StateBackendOptions, TaskManagerOptions
from penstock.graph import JobGraph
from penstock.memory import (
    UNLIMITED_BYTES,
    LocalPlan,
    ManagedShare,
    MemoryManager,
    NetworkBufferPool,
    OperatorNeed,
    SharedResources,
    TaskManagerPlan,
    managed_shares_of_group,
    plan_local,
    plan_task_manager,
    register_managed,
    register_network,
)
from penstock.runtime._tmp_dirs import tmp_dirs
from penstock.runtime.state import BackendContext, KeyedStateBackend, StateBackendFactory

if TYPE_CHECKING:
    from penstock.memory import CreditGate, Gauge, Reservation
    from penstock.runtime._process_memory import ProcessMemory

__all__ = ["JobMemory", "heap_limit_bytes", "memory_plan", "slots_of"]

SORTED_INPUTS = "OPERATOR"
STATE_BACKEND = "STATE_BACKEND"
OVERDRAFT_BUFFERS = 20


def memory_plan(conf: Configuration) -> LocalPlan | TaskManagerPlan:
    """The plan a program runs under in this process.

    Raises:
        MemoryPlanError: the memory options contradict each other.
    """
    options = TaskManagerOptions
    if conf.contains(options.TOTAL_PROCESS_MEMORY) or conf.contains(options.TOTAL_FLINK_MEMORY):
        return plan_task_manager(conf)
    return plan_local(conf)


def heap_limit_bytes(plan: LocalPlan | TaskManagerPlan) -> int | None:
    """Framework heap + task heap, None where the task heap has no limit."""
    if plan.task_heap_bytes >= UNLIMITED_BYTES:
        return None
    return plan.framework_heap_bytes + plan.task_heap_bytes


def slots_of(plan: LocalPlan | TaskManagerPlan, parallelism: int) -> int:
    """Slots that share the plan's memory in a job of this largest parallelism: at least as many as it needs."""
    configured = plan.slots_for(parallelism) if isinstance(plan, LocalPlan) else plan.slots
    return max(configured, parallelism)


class JobMemory:
    """Owned by the process that runs the tasks; opened before they are deployed, closed after they ended.

    Attributes:
        plan: the sizes.
        slots: slots that share them.
        network: the buffers.
    """

    def __init__(
        self,
        conf: Configuration,
        plan: LocalPlan | TaskManagerPlan,
        graph: JobGraph,
        *,
        batch: bool,
        process: ProcessMemory | None = None,
    ) -> None:
        self.plan = plan
        self.slots = slots_of(plan, max(vertex.parallelism for vertex in graph.vertices.values()))
        self._conf = conf
        self._page_bytes = conf.get(TaskManagerOptions.MEMORY_SEGMENT_SIZE).bytes
        self._managers: dict[int, MemoryManager] = {}
        self._gates: list[CreditGate] = []
        self._shares = _shares(conf, graph, batch)
        self.network = NetworkBufferPool(plan.network_bytes, self._page_bytes)
        task_heap = plan.task_heap_bytes if plan.task_heap_bytes < UNLIMITED_BYTES else None
        self._process_resources = SharedResources()
        self._backends = StateBackendFactory(conf, task_heap_bytes=task_heap, process_resources=self._process_resources)
        self._process = process
        self._gauges: list[Gauge] = [] if process is None else [register_network(process.ledger, self.network)]
        self.tmp_dirs: Sequence[str] = tmp_dirs(conf.get(StateBackendOptions.TMP_DIRS))

    def manager(self, slot: int) -> MemoryManager:
        """The managed memory of a slot."""
        manager = self._managers.get(slot)
        if manager is None:
            manager = self._managers[slot] = MemoryManager(
                self.plan.managed_bytes // self.slots,
                page_size_bytes=self._page_bytes,
                slot_index=slot,
                slots=self.slots,
                weights=_weights(self._conf),
                heap_allowance=None if self._process is None else self._process.guard.allow,
            )
            if self._process is not None:
                self._gauges.append(register_managed(self._process.ledger, manager))
        return manager

    @property
    def managers(self) -> Mapping[int, MemoryManager]:
        """The managers in use, by slot."""
        return self._managers

    def fraction(self, node_id: int, consumer: str) -> float:
        """An operator's share of its slot for a kind of consumer; 0 where it has none."""
        share = self._shares.get(node_id, {}).get(consumer)
        return share.fraction if share is not None else 0.0

    def reserve_sort(self, node_id: int, slot: int, owner: str) -> Reservation:
        """Managed memory of a sorting operator: its share, held as Python objects.

        Raises:
            ConfigurationError: OPERATOR has no weight (Flink's rule); the message gives the fix.
            ManagedMemoryExhaustedError: others hold it.
        """
        manager = self.manager(slot)
        size = manager.bytes_for(self.fraction(node_id, SORTED_INPUTS), owner, SORTED_INPUTS)
        return manager.reserve(owner, size, SORTED_INPUTS, on_heap=True)

    def state_backend(self, context: BackendContext, node_id: int) -> KeyedStateBackend:
        """The configured keyed state of a subtask, in its slot's managed memory where it draws on that.

        Raises:
            ConfigurationError: STATE_BACKEND has no weight, or too little memory; the message gives the fix.
        """
        manager = self.manager(context.subtask_index)
        return self._backends.create(
            context, manager, slot_managed_bytes=manager.total_bytes, fraction=self.fraction(node_id, STATE_BACKEND)
        )

    def open_gate(self, owner: str, channels: int) -> CreditGate:
        """The credits of a partition with this many channels (Flink's PIPELINED_BOUNDED: s + 1 to 2 s + 8 buffers).

        Raises:
            InsufficientNetworkBuffersError: network memory is too small for the job.
        """
        gate = self.network.create_gate(owner, channels + 1, 2 * channels + 8, overdraft=OVERDRAFT_BUFFERS)
        self._gates.append(gate)
        return gate

    def warn(self) -> None:
        """After the tasks are deployed: says, in `penstock run`, if they could use more buffers than there are."""
        warning = self.network.usage_warning()
        if warning is not None and self._process is not None:
            self._process.say_once(warning)

    def close(self) -> None:
        """The tasks have ended: proves that everything was given back.

        Raises:
            MemoryLeakError: something was not; the message names its owner.
        """
        for gauge in self._gauges:
            gauge.close()
        for gate in self._gates:
            gate.close()
        for manager in self._managers.values():
            manager.close()
        self.network.close()


def _weights(conf: Configuration) -> Mapping[str, int]:
    return {name: int(weight) for name, weight in conf.get(ManagedMemoryOptions.CONSUMER_WEIGHTS).items()}


def _shares(conf: Configuration, graph: JobGraph, batch: bool) -> dict[int, Mapping[str, ManagedShare]]:
    """Every operator's shares, by slot sharing group.

    User functions run in the slot's own process, so no operator declares PYTHON: there are no worker processes to pay.
    """
    groups: dict[str, dict[int, OperatorNeed]] = {}
    for vertex in graph.vertices.values():
        for operator in vertex.operators:
            if operator.node.is_keyed:
                weights = {SORTED_INPUTS: _sort_weight(conf)} if batch else {}
                need = OperatorNeed(weights, frozenset({STATE_BACKEND}))
                groups.setdefault(vertex.slot_sharing_group, {})[operator.node.id] = need
    shares: dict[int, Mapping[str, ManagedShare]] = {}
    for needs in groups.values():
        found = managed_shares_of_group(conf, list(needs.values()), backend_from_application=False if batch else None)
        shares.update(zip(needs, found, strict=True))
    return shares


def _sort_weight(conf: Configuration) -> int:
    return max(1, conf.get(ManagedMemoryOptions.SORTED_INPUTS_MEMORY).bytes >> 20)

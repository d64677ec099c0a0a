"""The memory model and its owners: how much each process may use of what, and who sees to it that it does not use more.

Covers the model as pure functions from a `Configuration` to frozen plans (`plan_task_manager`, `plan_job_manager`,
`plan_local`, `plan_start_up`, `managed_fraction`, `plan_rocksdb`, `network_need`), and the owners that hold the
numbers. Does not cover what the numbers are used for (`penstock.runtime`) nor how they are shown (`penstock.tools`).

Start reading at `_taskmanager.py`, then `_plans.py`. Names are loaded when they are first used, so that the model
comes without the owners.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from penstock.memory._container_limit import check_container as check_container
    from penstock.memory._credit_gate import CreditGate as CreditGate
    from penstock.memory._explain import Derivation as Derivation
    from penstock.memory._explain import derivations_of as derivations_of
    from penstock.memory._explain import remark_text as remark_text
    from penstock.memory._garbage import GarbagePolicy as GarbagePolicy
    from penstock.memory._heap_failure import TaskHeapError as TaskHeapError
    from penstock.memory._heap_guard import HeapGuard as HeapGuard
    from penstock.memory._heap_guard import install_heap_guard as install_heap_guard
    from penstock.memory._heap_limits import HeapLimits as HeapLimits
    from penstock.memory._jobmanager import plan_job_manager as plan_job_manager
    from penstock.memory._ledger import FigureKind as FigureKind
    from penstock.memory._ledger import Gauge as Gauge
    from penstock.memory._ledger import Ledger as Ledger
    from penstock.memory._ledger import LedgerSnapshot as LedgerSnapshot
    from penstock.memory._ledger_table import ledger_table as ledger_table
    from penstock.memory._local import UNLIMITED_BYTES as UNLIMITED_BYTES
    from penstock.memory._local import plan_local as plan_local
    from penstock.memory._managed_shares import USE_CASES as USE_CASES
    from penstock.memory._managed_shares import ManagedShare as ManagedShare
    from penstock.memory._managed_shares import OperatorNeed as OperatorNeed
    from penstock.memory._managed_shares import bytes_for_fraction as bytes_for_fraction
    from penstock.memory._managed_shares import managed_fraction as managed_fraction
    from penstock.memory._managed_shares import managed_shares_of_group as managed_shares_of_group
    from penstock.memory._managed_shares import pages_for_fraction as pages_for_fraction
    from penstock.memory._managed_shares import state_backend_uses_managed_memory as state_backend_uses_managed_memory
    from penstock.memory._manager import MemoryManager as MemoryManager
    from penstock.memory._manager import Reservation as Reservation
    from penstock.memory._memory_log import MemoryLog as MemoryLog
    from penstock.memory._model_errors import COMPONENT_NAMES as COMPONENT_NAMES
    from penstock.memory._model_errors import Input as Input
    from penstock.memory._model_errors import MemoryPlanError as MemoryPlanError
    from penstock.memory._model_errors import Suggestion as Suggestion
    from penstock.memory._network_need import Gate as Gate
    from penstock.memory._network_need import NetworkNeed as NetworkNeed
    from penstock.memory._network_need import Partition as Partition
    from penstock.memory._network_need import network_need as network_need
    from penstock.memory._network_pool import NetworkBufferPool as NetworkBufferPool
    from penstock.memory._plans import JobManagerPlan as JobManagerPlan
    from penstock.memory._plans import LocalPlan as LocalPlan
    from penstock.memory._plans import SlotShare as SlotShare
    from penstock.memory._plans import TaskManagerPlan as TaskManagerPlan
    from penstock.memory._process_memory import resident_memory as resident_memory
    from penstock.memory._rocksdb_split import RocksDBPlan as RocksDBPlan
    from penstock.memory._rocksdb_split import check_write_buffer as check_write_buffer
    from penstock.memory._rocksdb_split import plan_rocksdb as plan_rocksdb
    from penstock.memory._startup import StartUpPlan as StartUpPlan
    from penstock.memory._startup import plan_start_up as plan_start_up
    from penstock.memory._taskmanager import plan_task_manager as plan_task_manager

_MODULE_OF = {
    "TaskHeapError": "_heap_failure",
    "Gauge": "_ledger",
    "resident_memory": "_process_memory",
    "ledger_table": "_ledger_table",
    "install_heap_guard": "_heap_guard",
    "check_container": "_container_limit",
    "MemoryLog": "_memory_log",
    "LedgerSnapshot": "_ledger",
    "Ledger": "_ledger",
    "HeapLimits": "_heap_limits",
    "HeapGuard": "_heap_guard",
    "GarbagePolicy": "_garbage",
    "FigureKind": "_ledger",
    "UNLIMITED_BYTES": "_local",
    "Reservation": "_manager",
    "NetworkBufferPool": "_network_pool",
    "MemoryManager": "_manager",
    "CreditGate": "_credit_gate",
    "COMPONENT_NAMES": "_model_errors",
    "Derivation": "_explain",
    "Gate": "_network_need",
    "Input": "_model_errors",
    "JobManagerPlan": "_plans",
    "LocalPlan": "_plans",
    "ManagedShare": "_managed_shares",
    "MemoryPlanError": "_model_errors",
    "NetworkNeed": "_network_need",
    "OperatorNeed": "_managed_shares",
    "Partition": "_network_need",
    "RocksDBPlan": "_rocksdb_split",
    "SlotShare": "_plans",
    "StartUpPlan": "_startup",
    "Suggestion": "_model_errors",
    "TaskManagerPlan": "_plans",
    "USE_CASES": "_managed_shares",
    "bytes_for_fraction": "_managed_shares",
    "check_write_buffer": "_rocksdb_split",
    "derivations_of": "_explain",
    "managed_fraction": "_managed_shares",
    "managed_shares_of_group": "_managed_shares",
    "network_need": "_network_need",
    "pages_for_fraction": "_managed_shares",
    "plan_job_manager": "_jobmanager",
    "plan_local": "_local",
    "plan_rocksdb": "_rocksdb_split",
    "plan_start_up": "_startup",
    "plan_task_manager": "_taskmanager",
    "remark_text": "_explain",
    "state_backend_uses_managed_memory": "_managed_shares",
}
"""Public name -> its module. A new public name adds a line here and, for the type checker, an import above."""

__all__ = list(_MODULE_OF)


def __getattr__(name: str) -> object:
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module 'penstock.memory' has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(f"penstock.memory.{module}"), name)
    globals()[name] = value
    return value

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
    from penstock.memory._allocator import allocator_environment as allocator_environment
    from penstock.memory._allocator import limit_arenas as limit_arenas
    from penstock.memory._call_witness import CallWitness as CallWitness
    from penstock.memory._components import register_allocator as register_allocator
    from penstock.memory._components import register_code as register_code
    from penstock.memory._components import register_heap as register_heap
    from penstock.memory._components import register_managed as register_managed
    from penstock.memory._components import register_network as register_network
    from penstock.memory._components import register_off_heap as register_off_heap
    from penstock.memory._container_limit import check_container as check_container
    from penstock.memory._container_limit import find_container_limit as find_container_limit
    from penstock.memory._container_limit import heap_limit_in_container as heap_limit_in_container
    from penstock.memory._container_memory import ContainerMemory as ContainerMemory
    from penstock.memory._container_memory import container_memory as container_memory
    from penstock.memory._credit_gate import CreditGate as CreditGate
    from penstock.memory._explain import Derivation as Derivation
    from penstock.memory._explain import derivations_of as derivations_of
    from penstock.memory._explain import remark_text as remark_text
    from penstock.memory._garbage import GarbagePolicy as GarbagePolicy
    from penstock.memory._garbage import GarbageStatistics as GarbageStatistics
    from penstock.memory._heap_failure import HeapFailure as HeapFailure
    from penstock.memory._heap_failure import HeapLimitError as HeapLimitError
    from penstock.memory._heap_failure import HeapOverrun as HeapOverrun
    from penstock.memory._heap_failure import TaskHeapError as TaskHeapError
    from penstock.memory._heap_guard import HeapGuard as HeapGuard
    from penstock.memory._heap_guard import current_heap_guard as current_heap_guard
    from penstock.memory._heap_guard import install_heap_guard as install_heap_guard
    from penstock.memory._heap_limits import HeapLimits as HeapLimits
    from penstock.memory._jobmanager import plan_job_manager as plan_job_manager
    from penstock.memory._ledger import FigureKind as FigureKind
    from penstock.memory._ledger import Gauge as Gauge
    from penstock.memory._ledger import Ledger as Ledger
    from penstock.memory._ledger import LedgerEntry as LedgerEntry
    from penstock.memory._ledger import LedgerSnapshot as LedgerSnapshot
    from penstock.memory._ledger_table import ledger_table as ledger_table
    from penstock.memory._ledger_table import short_size as short_size
    from penstock.memory._limit_errors import BufferPoolClosedError as BufferPoolClosedError
    from penstock.memory._limit_errors import BufferRequestTimeoutError as BufferRequestTimeoutError
    from penstock.memory._limit_errors import ContainerLimitError as ContainerLimitError
    from penstock.memory._limit_errors import InsufficientNetworkBuffersError as InsufficientNetworkBuffersError
    from penstock.memory._limit_errors import ManagedFractionError as ManagedFractionError
    from penstock.memory._limit_errors import ManagedMemoryExhaustedError as ManagedMemoryExhaustedError
    from penstock.memory._limit_errors import MemoryLeakError as MemoryLeakError
    from penstock.memory._local import UNLIMITED_BYTES as UNLIMITED_BYTES
    from penstock.memory._local import plan_local as plan_local
    from penstock.memory._local_pool import LocalBufferPool as LocalBufferPool
    from penstock.memory._local_pool import NetworkBuffer as NetworkBuffer
    from penstock.memory._managed_shares import USE_CASES as USE_CASES
    from penstock.memory._managed_shares import ManagedShare as ManagedShare
    from penstock.memory._managed_shares import OperatorNeed as OperatorNeed
    from penstock.memory._managed_shares import bytes_for_fraction as bytes_for_fraction
    from penstock.memory._managed_shares import managed_fraction as managed_fraction
    from penstock.memory._managed_shares import managed_shares_of_group as managed_shares_of_group
    from penstock.memory._managed_shares import pages_for_fraction as pages_for_fraction
    from penstock.memory._managed_shares import state_backend_uses_managed_memory as state_backend_uses_managed_memory
    from penstock.memory._manager import ROCKSDB_RESOURCE as ROCKSDB_RESOURCE
    from penstock.memory._manager import ManagedMemoryStatistics as ManagedMemoryStatistics
    from penstock.memory._manager import MemoryManager as MemoryManager
    from penstock.memory._manager import PageLease as PageLease
    from penstock.memory._manager import Reservation as Reservation
    from penstock.memory._memory_failure import MemoryFailure as MemoryFailure
    from penstock.memory._memory_failure import StateFigure as StateFigure
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
    from penstock.memory._network_pool import NetworkStatistics as NetworkStatistics
    from penstock.memory._offheap import OffHeapLimitError as OffHeapLimitError
    from penstock.memory._offheap import OffHeapMeter as OffHeapMeter
    from penstock.memory._oom_report import REPORT_KIND as REPORT_KIND
    from penstock.memory._oom_report import OomReport as OomReport
    from penstock.memory._oom_report import ReportContext as ReportContext
    from penstock.memory._oom_report import witness_of_failure as witness_of_failure
    from penstock.memory._oom_report import write_oom_report as write_oom_report
    from penstock.memory._plans import JobManagerPlan as JobManagerPlan
    from penstock.memory._plans import LocalPlan as LocalPlan
    from penstock.memory._plans import SlotShare as SlotShare
    from penstock.memory._plans import TaskManagerPlan as TaskManagerPlan
    from penstock.memory._process_end import EndCause as EndCause
    from penstock.memory._process_end import ProcessEnd as ProcessEnd
    from penstock.memory._process_end import end_cause as end_cause
    from penstock.memory._process_limit import DataLimit as DataLimit
    from penstock.memory._process_limit import data_limit_bytes as data_limit_bytes
    from penstock.memory._process_limit import describe_backstop as describe_backstop
    from penstock.memory._process_limit import idle_mapped_bytes as idle_mapped_bytes
    from penstock.memory._process_memory import metaspace_warning as metaspace_warning
    from penstock.memory._process_memory import resident_memory as resident_memory
    from penstock.memory._rocksdb_split import RocksDBPlan as RocksDBPlan
    from penstock.memory._rocksdb_split import check_write_buffer as check_write_buffer
    from penstock.memory._rocksdb_split import plan_rocksdb as plan_rocksdb
    from penstock.memory._shared_resources import SharedLease as SharedLease
    from penstock.memory._shared_resources import SharedResources as SharedResources
    from penstock.memory._startup import StartUpPlan as StartUpPlan
    from penstock.memory._startup import plan_start_up as plan_start_up
    from penstock.memory._supervisor import ProcessLimits as ProcessLimits
    from penstock.memory._supervisor import Supervisor as Supervisor
    from penstock.memory._taskmanager import plan_task_manager as plan_task_manager

_MODULE_OF = {
    "OffHeapLimitError": "_offheap",
    "OffHeapMeter": "_offheap",
    "BufferPoolClosedError": "_limit_errors",
    "BufferRequestTimeoutError": "_limit_errors",
    "COMPONENT_NAMES": "_model_errors",
    "ContainerMemory": "_container_memory",
    "CallWitness": "_call_witness",
    "ContainerLimitError": "_limit_errors",
    "CreditGate": "_credit_gate",
    "DataLimit": "_process_limit",
    "Derivation": "_explain",
    "EndCause": "_process_end",
    "FigureKind": "_ledger",
    "GarbagePolicy": "_garbage",
    "GarbageStatistics": "_garbage",
    "Gate": "_network_need",
    "Gauge": "_ledger",
    "HeapFailure": "_heap_failure",
    "HeapGuard": "_heap_guard",
    "HeapLimitError": "_heap_failure",
    "HeapLimits": "_heap_limits",
    "HeapOverrun": "_heap_failure",
    "current_heap_guard": "_heap_guard",
    "Input": "_model_errors",
    "InsufficientNetworkBuffersError": "_limit_errors",
    "JobManagerPlan": "_plans",
    "Ledger": "_ledger",
    "LedgerEntry": "_ledger",
    "LedgerSnapshot": "_ledger",
    "LocalBufferPool": "_local_pool",
    "LocalPlan": "_plans",
    "ManagedFractionError": "_limit_errors",
    "ManagedMemoryExhaustedError": "_limit_errors",
    "ManagedMemoryStatistics": "_manager",
    "ManagedShare": "_managed_shares",
    "MemoryFailure": "_memory_failure",
    "MemoryLeakError": "_limit_errors",
    "MemoryLog": "_memory_log",
    "MemoryManager": "_manager",
    "MemoryPlanError": "_model_errors",
    "NetworkBuffer": "_local_pool",
    "NetworkBufferPool": "_network_pool",
    "NetworkNeed": "_network_need",
    "NetworkStatistics": "_network_pool",
    "OomReport": "_oom_report",
    "OperatorNeed": "_managed_shares",
    "PageLease": "_manager",
    "Partition": "_network_need",
    "ProcessEnd": "_process_end",
    "ProcessLimits": "_supervisor",
    "REPORT_KIND": "_oom_report",
    "ROCKSDB_RESOURCE": "_manager",
    "ReportContext": "_oom_report",
    "Reservation": "_manager",
    "RocksDBPlan": "_rocksdb_split",
    "SharedLease": "_shared_resources",
    "SharedResources": "_shared_resources",
    "SlotShare": "_plans",
    "StartUpPlan": "_startup",
    "StateFigure": "_memory_failure",
    "Suggestion": "_model_errors",
    "Supervisor": "_supervisor",
    "TaskHeapError": "_heap_failure",
    "TaskManagerPlan": "_plans",
    "UNLIMITED_BYTES": "_local",
    "USE_CASES": "_managed_shares",
    "allocator_environment": "_allocator",
    "bytes_for_fraction": "_managed_shares",
    "check_container": "_container_limit",
    "check_write_buffer": "_rocksdb_split",
    "container_memory": "_container_memory",
    "data_limit_bytes": "_process_limit",
    "derivations_of": "_explain",
    "describe_backstop": "_process_limit",
    "end_cause": "_process_end",
    "find_container_limit": "_container_limit",
    "idle_mapped_bytes": "_process_limit",
    "heap_limit_in_container": "_container_limit",
    "install_heap_guard": "_heap_guard",
    "ledger_table": "_ledger_table",
    "limit_arenas": "_allocator",
    "managed_fraction": "_managed_shares",
    "managed_shares_of_group": "_managed_shares",
    "metaspace_warning": "_process_memory",
    "network_need": "_network_need",
    "pages_for_fraction": "_managed_shares",
    "plan_job_manager": "_jobmanager",
    "plan_local": "_local",
    "plan_rocksdb": "_rocksdb_split",
    "plan_start_up": "_startup",
    "plan_task_manager": "_taskmanager",
    "register_allocator": "_components",
    "register_code": "_components",
    "register_heap": "_components",
    "register_managed": "_components",
    "register_network": "_components",
    "register_off_heap": "_components",
    "remark_text": "_explain",
    "resident_memory": "_process_memory",
    "short_size": "_ledger_table",
    "state_backend_uses_managed_memory": "_managed_shares",
    "witness_of_failure": "_oom_report",
    "write_oom_report": "_oom_report",
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

"""What a container asks Kubernetes for (Flink's native Kubernetes mode, `KubernetesUtils.getResourceRequirements`)."""

from __future__ import annotations

from penstock.conf import KubernetesOptions, Record
from penstock.memory._model_errors import MemoryPlanError
from penstock.memory._option_reader import OptionReader
from penstock.memory._plans import JobManagerPlan, TaskManagerPlan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from penstock.conf import Configuration

__all__ = ["ContainerMemory", "container_memory"]

_MIB = 2**20


class ContainerMemory(Record):
    """Memory of a container.

    Attributes:
        request_mib: whole MiB of total process memory, cut off.
        limit_mib: the request times the limit factor, cut off.
        missing_bytes: what the request is less than the plan, up to 1 MiB.
    """

    request_mib: int
    limit_mib: int
    missing_bytes: int


def container_memory(configuration: Configuration, plan: TaskManagerPlan | JobManagerPlan) -> ContainerMemory:
    """Request and limit of the container for a planned process.

    Raises:
        MemoryPlanError: the limit factor cannot be read, or is less than 1.
    """
    option = KubernetesOptions.JOB_MANAGER_MEMORY_LIMIT_FACTOR
    if isinstance(plan, TaskManagerPlan):
        option = KubernetesOptions.TASK_MANAGER_MEMORY_LIMIT_FACTOR

    def size(reader: OptionReader) -> ContainerMemory:
        factor = reader.value(option)
        if not 1 <= factor < float("inf"):
            raise MemoryPlanError(
                "limit-factor-too-small",
                f"'{option.key}' must be at least 1, not {factor!r}: a limit is not below its request.",
                option.key,
                changes=((option.key, None),),
            )
        total = plan.total_process_bytes
        request = total // _MIB
        return ContainerMemory(request, int(request * factor), total - request * _MIB)

    def again(changed: Configuration) -> ContainerMemory:
        return container_memory(changed, plan)

    return OptionReader(configuration).run(size, again)

"""Slot sharing groups with resources (`pyflink.datastream.slot_sharing_group`)."""

from __future__ import annotations

from typing import Any, NoReturn

from penstock.conf import MemorySize as ConfiguredSize
from penstock.errors import ConfigurationError, UnsupportedFeatureError

__all__ = ["MemorySize", "SlotSharingGroup"]


class MemorySize:
    """A number of bytes. Immutable, ordered.

    Args:
        j_memory_size: PyFlink's access to the JVM; None.
        bytes_size: the bytes.
    """

    __slots__ = ("_size",)

    def __init__(self, j_memory_size: Any = None, bytes_size: int | None = None) -> None:
        if j_memory_size is not None or bytes_size is None:
            raise UnsupportedFeatureError(
                "MemorySize(<java object>) wraps a Java object; there is no JVM in this process. "
                "Use MemorySize(bytes_size=…) or MemorySize.of_mebi_bytes(…)."
            )
        self._size = ConfiguredSize(bytes_size)

    @staticmethod
    def of_mebi_bytes(mebi_bytes: int) -> MemorySize:
        """So many MiB."""
        return MemorySize(bytes_size=mebi_bytes << 20)

    def get_bytes(self) -> int:
        """Bytes."""
        return self._size.bytes

    def get_kibi_bytes(self) -> int:
        """Whole KiB."""
        return self._size.bytes >> 10

    def get_mebi_bytes(self) -> int:
        """Whole MiB."""
        return self._size.bytes >> 20

    def get_gibi_bytes(self) -> int:
        """Whole GiB."""
        return self._size.bytes >> 30

    def get_tebi_bytes(self) -> int:
        """Whole TiB."""
        return self._size.bytes >> 40

    def get_java_memory_size(self) -> NoReturn:
        """PyFlink's access to the Java object.

        Raises:
            UnsupportedFeatureError: always; there is no JVM.
        """
        raise UnsupportedFeatureError(
            "MemorySize.get_java_memory_size is PyFlink's internal access to the JVM; Penstock has none. "
            "Use get_bytes()."
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MemorySize) and self._size == other._size

    def __hash__(self) -> int:
        return hash(self._size)

    def __lt__(self, other: MemorySize) -> bool:
        return self.get_bytes() < _bytes_of(other)

    def __le__(self, other: MemorySize) -> bool:
        return self.get_bytes() <= _bytes_of(other)

    def __str__(self) -> str:
        return str(self._size)

    def __repr__(self) -> str:
        return f"MemorySize(bytes_size={self.get_bytes()})"


class SlotSharingGroup:
    """A name that operators share slots by, and perhaps the resources of such a slot. Immutable; made by `builder`.

    Penstock places operators by the name; the resources are read back only.
    """

    def __init__(self, builder: SlotSharingGroup.Builder) -> None:
        if not isinstance(builder, SlotSharingGroup.Builder):
            raise UnsupportedFeatureError(
                "SlotSharingGroup(<java object>) wraps a Java object; there is no JVM in this process. "
                "Use SlotSharingGroup.builder(name)…build()."
            )
        self._name = builder._name
        self._cpu_cores = builder._cpu_cores
        self._sizes = dict(builder._sizes)
        self._external_resources = dict(builder._external_resources)

    @staticmethod
    def builder(name: str) -> Builder:
        """Starts a group of that name."""
        return SlotSharingGroup.Builder(name)

    def get_name(self) -> str:
        """The name."""
        return self._name

    def get_managed_memory(self) -> MemorySize | None:
        """Managed memory, None where no resources were given."""
        return self._sizes.get("managed")

    def get_task_heap_memory(self) -> MemorySize | None:
        """Task heap memory, None where no resources were given."""
        return self._sizes.get("task_heap")

    def get_task_off_heap_memory(self) -> MemorySize | None:
        """Task off-heap memory, None where no resources were given."""
        return self._sizes.get("task_off_heap")

    def get_cpu_cores(self) -> float | None:
        """Cores, None where no resources were given."""
        return self._cpu_cores

    def get_external_resources(self) -> dict[str, float]:
        """Other resources by name."""
        return dict(self._external_resources)

    def get_java_slot_sharing_group(self) -> NoReturn:
        """PyFlink's access to the Java object.

        Raises:
            UnsupportedFeatureError: always; there is no JVM.
        """
        raise UnsupportedFeatureError(
            "SlotSharingGroup.get_java_slot_sharing_group is PyFlink's internal access to the JVM; Penstock has none."
        )

    def _facts(self) -> tuple[Any, ...]:
        return self._name, self._cpu_cores, self._sizes, self._external_resources

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SlotSharingGroup) and self._facts() == other._facts()

    def __hash__(self) -> int:
        return hash(self._name)

    class Builder:
        """Collects the resources; owned by its maker."""

        def __init__(self, name: str) -> None:
            self._name = name
            self._cpu_cores: float | None = None
            self._sizes: dict[str, MemorySize] = {}
            self._external_resources: dict[str, float] = {}

        def set_cpu_cores(self, cpu_cores: float) -> SlotSharingGroup.Builder:
            """Cores, positive."""
            if cpu_cores <= 0:
                raise ConfigurationError(f"The cpu cores should be positive, got {cpu_cores}.")
            self._cpu_cores = float(cpu_cores)
            return self

        def set_task_heap_memory(self, task_heap_memory: MemorySize) -> SlotSharingGroup.Builder:
            """Task heap memory, positive."""
            if task_heap_memory.get_bytes() <= 0:
                raise ConfigurationError("The task heap memory should be positive.")
            return self._size("task_heap", task_heap_memory)

        def set_task_heap_memory_mb(self, task_heap_memory_mb: int) -> SlotSharingGroup.Builder:
            """Task heap memory in MiB, positive."""
            return self.set_task_heap_memory(MemorySize.of_mebi_bytes(task_heap_memory_mb))

        def set_task_off_heap_memory(self, task_off_heap_memory: MemorySize) -> SlotSharingGroup.Builder:
            """Task off-heap memory."""
            return self._size("task_off_heap", task_off_heap_memory)

        def set_task_off_heap_memory_mb(self, task_off_heap_memory_mb: int) -> SlotSharingGroup.Builder:
            """Task off-heap memory in MiB."""
            return self.set_task_off_heap_memory(MemorySize.of_mebi_bytes(task_off_heap_memory_mb))

        def set_managed_memory(self, managed_memory: MemorySize) -> SlotSharingGroup.Builder:
            """Managed memory."""
            return self._size("managed", managed_memory)

        def set_managed_memory_mb(self, managed_memory_mb: int) -> SlotSharingGroup.Builder:
            """Managed memory in MiB."""
            return self.set_managed_memory(MemorySize.of_mebi_bytes(managed_memory_mb))

        def set_external_resource(self, name: str, value: float) -> SlotSharingGroup.Builder:
            """Another resource, such as `gpu`."""
            self._external_resources[name] = float(value)
            return self

        def build(self) -> SlotSharingGroup:
            """The group.

            Raises:
                ConfigurationError: with some resources, but not both cores and task heap memory.
            """
            if self._cpu_cores is not None and "task_heap" in self._sizes:
                for kind in ("task_off_heap", "managed"):
                    self._sizes.setdefault(kind, MemorySize(bytes_size=0))
            elif self._cpu_cores is not None or self._sizes or self._external_resources:
                raise ConfigurationError(
                    "The cpu cores and task heap memory are required when specifying the resource of a slot sharing "
                    f"group; group '{self._name}' has one of them or neither. Call set_cpu_cores() and "
                    "set_task_heap_memory(), or give the group no resources."
                )
            return SlotSharingGroup(self)

        def _size(self, kind: str, size: MemorySize) -> SlotSharingGroup.Builder:
            self._sizes[kind] = size
            return self


def _bytes_of(other: object) -> int:
    if not isinstance(other, MemorySize):
        raise Exception(f"Does not support comparison with non-MemorySize {other}")
    return other.get_bytes()

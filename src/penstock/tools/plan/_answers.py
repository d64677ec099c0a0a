"""Answers to questions about the memory model, as plain values: one function a role.

A request names its `role` and describes a configuration by `yaml`, the text of a `config.yaml`, and `conf`, keys to
values laid over it. The other fields a role takes are those its function reads. All sizes are whole bytes.
"""

from __future__ import annotations

from penstock.conf import Configuration, ConfigurationFileError, MemorySize, MemorySizeError
from penstock.memory import (
    USE_CASES,
    Gate,
    ManagedShare,
    MemoryPlanError,
    OperatorNeed,
    Partition,
    SlotShare,
    check_write_buffer,
    managed_fraction,
    managed_shares_of_group,
    network_need,
    plan_job_manager,
    plan_local,
    plan_rocksdb,
    plan_start_up,
    plan_task_manager,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Request = dict[str, Any]
    Answer = dict[str, Any]

__all__ = ["answer_request"]


def answer_request(request: Request) -> Answer:
    """Answers one request.

    The answer has the request's `id`, and `ok: true` with the values, or `ok: false` with `error_id`, `error` and,
    where they apply, `error_option` and `error_detail`. `notes` are what Flink would log, as `LEVEL id`.

    Raises:
        ValueError: the request has an unknown role.
        KeyError, TypeError, AttributeError: it lacks a field, or is of another shape.
    """
    role = request.get("role", "taskmanager")
    answer_of_role = _ROLES.get(role)
    if answer_of_role is None:
        raise ValueError(f"unknown role {role!r}; there are {', '.join(_ROLES)}")
    answer: Answer = {"id": request.get("id"), "ok": True}
    notes: tuple[str, ...] = ()
    try:
        values = answer_of_role(request)
        notes = values.pop("notes", ())
        answer.update(values)
    except MemoryPlanError as error:
        answer.update(ok=False, error_id=error.error_id, error=error.summary)
        if error.option is not None:
            answer["error_option"] = error.option
        if error.detail is not None:
            answer["error_detail"] = error.detail
        notes = error.remarks
    except (MemorySizeError, ConfigurationFileError) as error:
        answer.update(ok=False, error_id=error.error_id, error=str(error))
    if notes:
        answer["notes"] = sorted(notes)
    return answer


def _configuration(request: Request) -> Configuration:
    values = request.get("conf")
    if "yaml" not in request:
        return Configuration.from_mapping(values or {})
    from penstock.conf import configuration_from_yaml

    configuration = configuration_from_yaml(request["yaml"])
    if values:
        configuration.update(Configuration.from_mapping(values))
    return configuration


def _task_manager(request: Request) -> Answer:
    plan = plan_task_manager(_configuration(request))
    return {
        "components": plan.components(),
        "cpu_cores": plan.cpu_cores,
        "num_slots": plan.slots,
        "jvm_args": plan.jvm_arguments(),
        "dynamic_configs": plan.dynamic_options(),
        "notes": plan.provenance.remarks,
    }


def _job_manager(request: Request) -> Answer:
    plan = plan_job_manager(_configuration(request))
    return {
        "components": plan.components(),
        "jvm_args": plan.jvm_arguments(),
        "dynamic_configs": plan.dynamic_options(),
        "notes": plan.provenance.remarks,
    }


def _local(request: Request) -> Answer:
    plan = plan_local(_configuration(request))
    return {
        "components": plan.components(),
        "cpu_cores": plan.cpu_cores,
        "sort_shuffle_min_buffers": plan.sort_shuffle_min_buffers,
        "notes": plan.provenance.remarks,
    }


def _resources(share: SlotShare) -> Answer:
    return {
        "cpu_cores": share.cpu_cores,
        "task_heap": share.task_heap_bytes,
        "task_off_heap": share.task_off_heap_bytes,
        "network": share.network_bytes,
        "managed": share.managed_bytes,
    }


def _start_up(request: Request) -> Answer:
    # The vectors stop before the read buffer of blocking shuffles is created.
    start = plan_start_up(_configuration(request), check_batch_shuffle=False)
    debloat = start.debloat
    answer = {
        "slots": start.slots,
        "page_size": start.page_size_bytes,
        "total": _resources(start.total),
        "slot": _resources(start.slot),
        "shuffle": {
            "num_buffers": start.network_buffers,
            "buffer_size": start.page_size_bytes,
            "starting_buffer_size": start.starting_buffer_bytes,
            "exclusive_per_channel": start.exclusive_buffers_per_channel,
            "floating_per_gate": start.floating_buffers_per_gate,
            "max_buffers_per_channel": start.max_buffers_per_subpartition,
            "max_overdraft_per_gate": start.max_overdraft_buffers,
            "max_required_per_gate": start.max_required_per_gate,
            "batch_shuffle_read_bytes": start.batch_shuffle_read_bytes,
            "sort_shuffle_min_buffers": start.sort_shuffle_min_buffers,
            "sort_shuffle_min_parallelism": start.sort_shuffle_min_parallelism,
            "request_timeout_ms": start.request_timeout_ms,
            "debloat": {
                "enabled": debloat.enabled,
                "target_ms": debloat.target_ms,
                "min_size": debloat.min_size_bytes,
                "max_size": debloat.max_size_bytes,
                "starting_size": debloat.starting_size_bytes,
                "samples": debloat.samples,
                "threshold_percent": debloat.threshold_percent,
            },
        },
        "notes": start.remarks,
    }
    if start.slot_managed_pages is None:
        answer["slot_managed_pages_error"] = "too-many-pages"
    else:
        answer["slot_managed_pages"] = start.slot_managed_pages
    return answer


def _memory_size(request: Request) -> Answer:
    size = MemorySize.parse(request["text"], request.get("default_unit"))
    return {"bytes": size.bytes, "string": str(size), "human": size.human()}


def _share(share: ManagedShare, request: Request) -> Answer:
    answer: Answer = {"fraction": share.fraction}
    if "slot_managed" in request:
        try:
            answer["bytes"] = share.bytes_of(request["slot_managed"])
            answer["pages"] = share.pages_of(request["slot_managed"])
        except MemoryPlanError as error:
            answer["bytes_error"] = error.error_id
    return answer


def _managed_fraction(request: Request) -> Answer:
    share = managed_fraction(
        _configuration(request),
        request["use_case"],
        request["all_use_cases"],
        request.get("fraction_of_use_case", 1.0),
        job_configuration=Configuration.from_mapping(request.get("job_conf", {})),
        backend_from_application=request.get("state_backend_from_application"),
    )
    return {**_share(share, request), "notes": share.remarks}


def _managed_group(request: Request) -> Answer:
    needs = [
        OperatorNeed(operator.get("weights", {}), frozenset(operator.get("slot_scope", ())))
        for operator in request["operators"]
    ]
    shares = managed_shares_of_group(
        _configuration(request),
        needs,
        job_configuration=Configuration.from_mapping(request.get("job_conf", {})),
        backend_from_application=request.get("state_backend_from_application"),
    )
    remarks = dict.fromkeys(remark for own in shares for share in own.values() for remark in share.remarks)
    operators = [{use_case: _share(own[use_case], request) for use_case in USE_CASES} for own in shares]
    return {"operators": operators, "notes": tuple(remarks)}


def _rocksdb(request: Request) -> Answer:
    plan = plan_rocksdb(_configuration(request), request["slot_managed"], request.get("fraction", 1.0))
    answer: Answer = {
        "source": plan.source,
        "write_buffer_ratio": plan.write_buffer_ratio,
        "high_prio_pool_ratio": plan.high_prio_pool_ratio,
        "partitioned_index_filters": plan.partitioned_index_filters,
        "notes": plan.remarks,
    }
    if plan.write_buffer_manager_bytes is not None:
        answer["total"] = plan.total_bytes
        answer["cache_capacity"] = plan.cache_capacity_bytes
        answer["write_buffer_manager_capacity"] = plan.write_buffer_manager_bytes
        if "write_buffer_size" in request:
            check = check_write_buffer(request["write_buffer_size"], plan.write_buffer_manager_bytes)
            answer["arena_block_size"] = check.arena_block_bytes
            answer["mutable_limit"] = check.mutable_limit_bytes
            answer["arena_fits"] = check.fits
    return answer


def _network(request: Request) -> Answer:
    need = network_need(
        _configuration(request),
        [Partition(each["type"], each["subpartitions"]) for each in request["partitions"]],
        [Gate(each["type"], each["channels"], each["remote"]) for each in request["gates"]],
        request["buffers"],
    )
    answer: Answer = {
        "partitions": [each.as_dict() for each in need.partitions],
        "gates": [each.as_dict() for each in need.gates],
        "required_total": need.required_total,
        "fits": need.fits,
        "notes": need.remarks,
    }
    if not need.fits:
        answer["failed_required"] = need.failed_required
        answer["failed_available"] = need.failed_available
    return answer


_ROLES: dict[str, Callable[[Request], Answer]] = {
    "taskmanager": _task_manager,
    "jobmanager": _job_manager,
    "local": _local,
    "taskmanager-local": _local,
    "taskmanager-runtime": _start_up,
    "memorysize": _memory_size,
    "managed-fraction": _managed_fraction,
    "managed-group": _managed_group,
    "rocksdb": _rocksdb,
    "network": _network,
}

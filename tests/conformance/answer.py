"""Answers questions about the memory model: requests on stdin, answers on stdout, one JSON object a line.

The formats are those of the vectors in `tests/data`; only the package's public functions are used.

    python tests/conformance/answer.py < requests.jsonl > answers.jsonl
"""

from __future__ import annotations

import json
import sys
from typing import Any

from penstock.conf import Configuration, ConfigurationFileError, MemorySize, MemorySizeError, configuration_from_yaml
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

Request = dict[str, Any]
Answer = dict[str, Any]


def configuration_of(request: Request) -> Configuration:
    """The configuration a request describes: YAML first, `conf` over it."""
    configuration = configuration_from_yaml(request["yaml"]) if "yaml" in request else Configuration()
    for key, value in request.get("conf", {}).items():
        configuration.set(key, value, None)
    return configuration


def answer_taskmanager(request: Request) -> Answer:
    plan = plan_task_manager(configuration_of(request))
    return {
        "components": plan.components(),
        "cpu_cores": plan.cpu_cores,
        "num_slots": plan.slots,
        "jvm_args": plan.jvm_arguments(),
        "dynamic_configs": plan.dynamic_options(),
        "notes": plan.provenance.remarks,
    }


def answer_jobmanager(request: Request) -> Answer:
    plan = plan_job_manager(configuration_of(request))
    return {
        "components": plan.components(),
        "jvm_args": plan.jvm_arguments(),
        "dynamic_configs": plan.dynamic_options(),
        "notes": plan.provenance.remarks,
    }


def answer_local(request: Request) -> Answer:
    plan = plan_local(configuration_of(request))
    return {
        "components": plan.components(),
        "cpu_cores": plan.cpu_cores,
        "sort_shuffle_min_buffers": plan.sort_shuffle_min_buffers,
        "notes": plan.provenance.remarks,
    }


def resources(share: SlotShare) -> Answer:
    return {
        "cpu_cores": share.cpu_cores,
        "task_heap": share.task_heap_bytes,
        "task_off_heap": share.task_off_heap_bytes,
        "network": share.network_bytes,
        "managed": share.managed_bytes,
    }


def answer_runtime(request: Request) -> Answer:
    # The vectors stop before the read buffer of blocking shuffles is created.
    start = plan_start_up(configuration_of(request), check_batch_shuffle=False)
    debloat = start.debloat
    answer = {
        "slots": start.slots,
        "page_size": start.page_size_bytes,
        "total": resources(start.total),
        "slot": resources(start.slot),
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


def answer_memory_size(request: Request) -> Answer:
    size = MemorySize.parse(request["text"], request.get("default_unit"))
    return {"bytes": size.bytes, "string": str(size), "human": size.human()}


def share_answer(share: ManagedShare, request: Request) -> Answer:
    answer: Answer = {"fraction": share.fraction}
    if "slot_managed" in request:
        try:
            answer["bytes"] = share.bytes_of(request["slot_managed"])
            answer["pages"] = share.pages_of(request["slot_managed"])
        except MemoryPlanError as error:
            answer["bytes_error"] = error.error_id
    return answer


def answer_managed_fraction(request: Request) -> Answer:
    share = managed_fraction(
        configuration_of(request),
        request["use_case"],
        request["all_use_cases"],
        request.get("fraction_of_use_case", 1.0),
        job_configuration=Configuration.from_mapping(request.get("job_conf", {})),
        backend_from_application=request.get("state_backend_from_application"),
    )
    return {**share_answer(share, request), "notes": share.remarks}


def answer_managed_group(request: Request) -> Answer:
    needs = [
        OperatorNeed(operator.get("weights", {}), frozenset(operator.get("slot_scope", ())))
        for operator in request["operators"]
    ]
    shares = managed_shares_of_group(
        configuration_of(request),
        needs,
        job_configuration=Configuration.from_mapping(request.get("job_conf", {})),
        backend_from_application=request.get("state_backend_from_application"),
    )
    remarks = dict.fromkeys(remark for own in shares for share in own.values() for remark in share.remarks)
    operators = [{use_case: share_answer(own[use_case], request) for use_case in USE_CASES} for own in shares]
    return {"operators": operators, "notes": tuple(remarks)}


def answer_rocksdb(request: Request) -> Answer:
    plan = plan_rocksdb(configuration_of(request), request["slot_managed"], request.get("fraction", 1.0))
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


def answer_network(request: Request) -> Answer:
    need = network_need(
        configuration_of(request),
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


ROLES = {
    "taskmanager": answer_taskmanager,
    "jobmanager": answer_jobmanager,
    "taskmanager-local": answer_local,
    "taskmanager-runtime": answer_runtime,
    "memorysize": answer_memory_size,
    "managed-fraction": answer_managed_fraction,
    "managed-group": answer_managed_group,
    "rocksdb": answer_rocksdb,
    "network": answer_network,
}


def answer(request: Request) -> Answer:
    """The answer to one request, `ok` or not."""
    try:
        result = {"ok": True, **ROLES[request["role"]](request)}
    except MemoryPlanError as error:
        result = {"ok": False, "error_id": error.error_id, "error": error.summary, "notes": error.remarks}
        if error.option is not None:
            result["error_option"] = error.option
        if error.detail is not None:
            result["error_detail"] = error.detail
    except (MemorySizeError, ConfigurationFileError) as error:
        result = {"ok": False, "error_id": error.error_id, "error": str(error)}
    notes = sorted(result.pop("notes", ()))
    if notes:
        result["notes"] = notes
    return result


def main() -> None:
    for line in sys.stdin:
        if line.strip():
            request = json.loads(line)
            print(json.dumps({"id": request.get("id"), **answer(request)}))


if __name__ == "__main__":
    main()

"""A fleet in one process: requests and answers as JSON, one object a line.

A request is `{"id": …, "role": …, "conf": {…}, "yaml": …}`: `role` is `taskmanager` (when absent), `jobmanager` or
`local`, `yaml` the text of a `config.yaml`, and `conf` keys to values laid over it. An answer has the request's `id`,
and either `ok: true` with the plan or `ok: false` with `error_id`, `error` and, where they apply, `error_option` and
`error_detail`; `notes` are what Flink would log.
"""

from __future__ import annotations

from penstock.conf import Configuration, ConfigurationFileError
from penstock.memory import MemoryPlanError, plan_job_manager, plan_local, plan_task_manager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, TextIO

__all__ = ["answer_batch", "answer_request"]


def answer_batch(requests: Iterable[str], answers: TextIO) -> int:
    """Answers each line; returns the exit code: 2 if a line was no request, else 0, whatever the plans said."""
    import json

    exit_code = 0
    decode, encode = json.JSONDecoder().decode, json.JSONEncoder(default=str).encode
    write = answers.write
    for line in requests:
        if line.isspace():
            continue
        try:
            request = decode(line)
            answer = answer_request(request)
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            exit_code = 2
            answer = {"id": None, "ok": False, "error_id": "request-invalid", "error": f"not a request: {error}"}
        write(encode(answer) + "\n")
    return exit_code


def answer_request(request: dict[str, Any]) -> dict[str, Any]:
    """Answers one request.

    Raises:
        ValueError: the request has an unknown role.
        TypeError, AttributeError: it is of another shape.
    """
    planner = _PLANNERS.get(request.get("role", "taskmanager"))
    if planner is None:
        raise ValueError(f"unknown role {request['role']!r}; there are taskmanager, jobmanager and local")
    answer: dict[str, Any] = {"id": request.get("id"), "ok": True}
    try:
        answer.update(planner(_configuration(request)))
    except MemoryPlanError as error:
        answer = {"id": answer["id"], "ok": False, "error_id": error.error_id, "error": error.summary}
        if error.option is not None:
            answer["error_option"] = error.option
        if error.detail is not None:
            answer["error_detail"] = error.detail
        if error.remarks:
            answer["notes"] = error.remarks
    except ConfigurationFileError as error:
        answer = {"id": answer["id"], "ok": False, "error_id": error.error_id, "error": str(error)}
    return answer


def _configuration(request: dict[str, Any]) -> Configuration:
    values = request.get("conf")
    if "yaml" not in request:
        return Configuration.from_mapping(values or {})
    from penstock.conf import configuration_from_yaml

    configuration = configuration_from_yaml(request["yaml"])
    if values:
        configuration.update(Configuration.from_mapping(values))
    return configuration


def _task_manager(configuration: Configuration) -> dict[str, Any]:
    plan = plan_task_manager(configuration)
    return {
        "components": plan.components(),
        "cpu_cores": plan.cpu_cores,
        "num_slots": plan.slots,
        "jvm_args": plan.jvm_arguments(),
        "dynamic_configs": plan.dynamic_options(),
        "notes": plan.provenance.remarks,
    }


def _job_manager(configuration: Configuration) -> dict[str, Any]:
    plan = plan_job_manager(configuration)
    return {
        "components": plan.components(),
        "jvm_args": plan.jvm_arguments(),
        "dynamic_configs": plan.dynamic_options(),
        "notes": plan.provenance.remarks,
    }


def _local(configuration: Configuration) -> dict[str, Any]:
    plan = plan_local(configuration)
    return {
        "components": plan.components(),
        "cpu_cores": plan.cpu_cores,
        "sort_shuffle_min_buffers": plan.sort_shuffle_min_buffers,
        "notes": plan.provenance.remarks,
    }


_PLANNERS = {
    "taskmanager": _task_manager,
    "jobmanager": _job_manager,
    "local": _local,
    "taskmanager-local": _local,
}

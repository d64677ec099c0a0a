"""Options of how a program is executed: target, mode, parallelism, chaining, buffering."""

from __future__ import annotations

from penstock.conf._option import ConfigOption
from penstock.conf._types import BOOLEAN, DURATION, INTEGER, MAP, STRING, OptionType, choice_of

__all__ = ["ExecutionOptions"]


def _to_parallelism(value: object) -> int | None:
    parallelism = INTEGER.convert(value)
    if parallelism == -1:
        return None
    if parallelism < 1:
        raise ValueError(f"a parallelism is at least 1 (or -1 for the default), not {parallelism}")
    return parallelism


_PARALLELISM: OptionType[int | None] = OptionType("integer", _to_parallelism, "4")


class ExecutionOptions:
    """Execution (Flink's `ExecutionOptions`, `PipelineOptions`, `DeploymentOptions`, `CoreOptions`)."""

    DEFAULT_PARALLELISM: ConfigOption[int | None] = ConfigOption(
        "parallelism.default",
        _PARALLELISM,
        None,
        "Parallelism of operators that set none. Not set, a local run uses the number of cores.",
        default_text="number of cores",
    )
    TARGET: ConfigOption[str | None] = ConfigOption(
        "execution.target",
        choice_of("local", "local-processes"),
        None,
        "Where the program runs: `local`, in this process; `local-processes`, in one worker process a slot. Not set, "
        "Penstock uses worker processes where the job can be split and keeps more than one core busy.",
        default_text="chosen by the job",
    )
    RUNTIME_MODE = ConfigOption(
        "execution.runtime-mode",
        choice_of("STREAMING", "BATCH", "AUTOMATIC"),
        "STREAMING",
        "`STREAMING`, `BATCH` (bounded inputs only: keys are processed one after the other, final results only), or "
        "`AUTOMATIC` (BATCH when all sources are bounded).",
    )
    BUFFER_TIMEOUT_ENABLED = ConfigOption(
        "execution.buffer-timeout.enabled",
        BOOLEAN,
        True,
        "Whether records that wait in a batch are sent on after the timeout; otherwise only when the batch is full.",
    )
    BUFFER_TIMEOUT = ConfigOption(
        "execution.buffer-timeout.interval",
        DURATION,
        100,
        "How long a record may wait in a batch that is not full.",
        ("execution.buffer-timeout",),
    )
    PIPELINE_NAME: ConfigOption[str | None] = ConfigOption(
        "pipeline.name", STRING, None, "The job's name where `execute()` is given none."
    )
    MAX_PARALLELISM = ConfigOption(
        "pipeline.max-parallelism",
        INTEGER,
        -1,
        "Number of key groups, the upper limit of a keyed operator's parallelism; -1 derives it from the parallelism.",
    )
    OPERATOR_CHAINING = ConfigOption(
        "pipeline.operator-chaining.enabled",
        BOOLEAN,
        True,
        "Whether operators are chained into one task where possible.",
        ("pipeline.operator-chaining",),
    )
    CHAIN_DIFFERENT_MAX_PARALLELISM = ConfigOption(
        "pipeline.operator-chaining.chain-operators-with-different-max-parallelism",
        BOOLEAN,
        True,
        "Whether operators of different max parallelism may share a chain.",
    )
    AUTO_WATERMARK_INTERVAL = ConfigOption(
        "pipeline.auto-watermark-interval",
        DURATION,
        200,
        "How often watermarks are emitted; 0 switches periodic watermarks off.",
    )
    GLOBAL_JOB_PARAMETERS: ConfigOption[dict[str, str]] = ConfigOption(
        "pipeline.global-job-parameters",
        MAP,
        {},
        "Parameters every function can read with `runtime_context.get_job_parameter`.",
    )
    SCHEDULER_SEED: ConfigOption[int | None] = ConfigOption(
        "penstock.scheduler.seed",
        INTEGER,
        None,
        "Seed of random interleavings of the tasks in a process, for tests: the same seed gives the same run. Not "
        "set, tasks take turns.",
    )
    JOB_STATUS_PROGRESS: ConfigOption[bool | None] = ConfigOption(
        "penstock.progress",
        BOOLEAN,
        None,
        "Whether the progress of bounded jobs is shown on standard error. Not set, only on a terminal.",
        default_text="on a terminal",
    )

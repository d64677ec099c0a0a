"""Options of checkpoints, savepoints and restarts."""

from __future__ import annotations

from penstock.conf._memory_size import MemorySize
from penstock.conf._option import ConfigOption
from penstock.conf._types import BOOLEAN, DOUBLE, DURATION, INTEGER, SIZE, STRING, choice_of

__all__ = ["CheckpointingOptions", "RestartStrategyOptions", "StateRecoveryOptions"]


class CheckpointingOptions:
    """Checkpoints (Flink's `CheckpointingOptions`)."""

    INTERVAL: ConfigOption[int | None] = ConfigOption(
        "execution.checkpointing.interval",
        DURATION,
        None,
        "How often a checkpoint is taken. Not set, never: a failed job then starts from the beginning, if at all.",
    )
    MODE = ConfigOption(
        "execution.checkpointing.mode",
        choice_of("EXACTLY_ONCE", "AT_LEAST_ONCE"),
        "EXACTLY_ONCE",
        "Whether a record's effect on state counts exactly once after a restart, or at least once (barriers are then "
        "not aligned).",
    )
    TIMEOUT = ConfigOption(
        "execution.checkpointing.timeout",
        DURATION,
        600_000,
        "After how long a checkpoint that is not complete is given up.",
    )
    MIN_PAUSE = ConfigOption(
        "execution.checkpointing.min-pause", DURATION, 0, "The least time between the end of a checkpoint and the next."
    )
    MAX_CONCURRENT = ConfigOption(
        "execution.checkpointing.max-concurrent-checkpoints", INTEGER, 1, "Checkpoints that may be in progress at once."
    )
    TOLERABLE_FAILURES = ConfigOption(
        "execution.checkpointing.tolerable-failed-checkpoints",
        INTEGER,
        0,
        "Checkpoints in a row that may fail before the job does.",
    )
    EXTERNALIZED_RETENTION = ConfigOption(
        "execution.checkpointing.externalized-checkpoint-retention",
        choice_of("DELETE_ON_CANCELLATION", "RETAIN_ON_CANCELLATION", "NO_EXTERNALIZED_CHECKPOINTS"),
        "NO_EXTERNALIZED_CHECKPOINTS",
        "What becomes of the checkpoints when the job is cancelled or has failed for good: "
        "`RETAIN_ON_CANCELLATION` keeps them in both cases, `DELETE_ON_CANCELLATION` when it failed, "
        "`NO_EXTERNALIZED_CHECKPOINTS` in neither.",
    )
    NUM_RETAINED = ConfigOption(
        "execution.checkpointing.num-retained",
        INTEGER,
        1,
        "Completed checkpoints that are kept.",
        ("state.checkpoints.num-retained",),
    )
    STORAGE: ConfigOption[str | None] = ConfigOption(
        "execution.checkpointing.storage",
        choice_of("jobmanager", "filesystem"),
        None,
        "Where checkpoints are kept: `filesystem`, in `execution.checkpointing.dir`; `jobmanager`, in a directory that "
        "ends with the job. Not set, the first when the directory is set.",
        ("state.checkpoint-storage",),
        default_text="`filesystem` with a directory, else `jobmanager`",
    )
    DIRECTORY: ConfigOption[str | None] = ConfigOption(
        "execution.checkpointing.dir",
        STRING,
        None,
        "The directory of checkpoints: a path or any fsspec URL (`file://`, `s3://`, `gs://`, `memory://`).",
        ("state.checkpoints.dir", "state.backend.fs.checkpointdir"),
    )
    SAVEPOINT_DIRECTORY: ConfigOption[str | None] = ConfigOption(
        "execution.checkpointing.savepoint-dir",
        STRING,
        None,
        "The directory of savepoints that are given none.",
        ("state.savepoints.dir", "savepoints.state.backend.fs.dir"),
    )
    CREATE_SUBDIRECTORY = ConfigOption(
        "execution.checkpointing.create-subdir",
        BOOLEAN,
        True,
        "Whether checkpoints lie in a subdirectory named by the job's id.",
        ("state.checkpoints.create-subdir",),
    )
    INCREMENTAL = ConfigOption(
        "execution.checkpointing.incremental",
        BOOLEAN,
        False,
        "RocksDB: whether a checkpoint uploads only files that no earlier one holds.",
        ("state.backend.incremental",),
    )
    DATA_INLINE_THRESHOLD = ConfigOption(
        "execution.checkpointing.data-inline-threshold",
        SIZE,
        MemorySize(20 << 10),
        "State smaller than this is written into the checkpoint's `_metadata` instead of a file of its own.",
        ("state.storage.fs.memory-threshold", "state.backend.fs.memory-threshold"),
    )
    WRITE_BUFFER_SIZE = ConfigOption(
        "execution.checkpointing.write-buffer-size",
        INTEGER,
        4096,
        "The least size in bytes of the buffer checkpoint files are written through.",
        ("state.storage.fs.write-buffer-size", "state.backend.fs.write-buffer-size"),
    )
    AFTER_TASKS_FINISH = ConfigOption(
        "execution.checkpointing.checkpoints-after-tasks-finish",
        BOOLEAN,
        True,
        "Whether checkpoints go on when some tasks of a bounded job have finished.",
        ("execution.checkpointing.checkpoints-after-tasks-finish.enabled",),
    )
    UNALIGNED = ConfigOption(
        "execution.checkpointing.unaligned.enabled",
        BOOLEAN,
        False,
        "Unaligned checkpoints. Not supported: `true` is refused.",
        ("execution.checkpointing.unaligned",),
    )
    UNALIGNED_FORCED = ConfigOption(
        "execution.checkpointing.unaligned.forced",
        BOOLEAN,
        False,
        "Unaligned checkpoints even where Flink advises against them. Not supported: `true` is refused.",
    )
    ALIGNED_TIMEOUT = ConfigOption(
        "execution.checkpointing.aligned-checkpoint-timeout",
        DURATION,
        0,
        "When an aligned checkpoint turns into an unaligned one. Has no effect, as unaligned ones are not supported.",
        ("execution.checkpointing.alignment-timeout",),
    )
    LOCAL_BACKUP = ConfigOption(
        "execution.checkpointing.local-backup.enabled",
        BOOLEAN,
        False,
        "Copies of the state on local disk for a faster recovery. Has no effect: processes of one machine read the "
        "checkpoint itself.",
        ("state.backend.local-recovery",),
    )


class StateRecoveryOptions:
    """Start from a savepoint or a retained checkpoint (Flink's `StateRecoveryOptions`)."""

    SAVEPOINT_PATH: ConfigOption[str | None] = ConfigOption(
        "execution.state-recovery.path",
        STRING,
        None,
        "The savepoint or retained checkpoint the job starts from.",
        ("execution.savepoint.path",),
    )
    IGNORE_UNCLAIMED_STATE = ConfigOption(
        "execution.state-recovery.ignore-unclaimed-state",
        BOOLEAN,
        False,
        "Whether state of operators that the program no longer has is left out, instead of being an error.",
        ("execution.savepoint.ignore-unclaimed-state",),
    )
    CLAIM_MODE = ConfigOption(
        "execution.state-recovery.claim-mode",
        choice_of("CLAIM", "NO_CLAIM"),
        "NO_CLAIM",
        "Whether the job owns what it started from, and deletes it when newer checkpoints take its place (`CLAIM`), or "
        "leaves it alone and never refers to its files (`NO_CLAIM`).",
        ("execution.savepoint-restore-mode",),
    )


class RestartStrategyOptions:
    """Restarts after failures (Flink's `RestartStrategyOptions`)."""

    RESTART_STRATEGY: ConfigOption[str | None] = ConfigOption(
        "restart-strategy.type",
        STRING,
        None,
        "What happens when a job fails: `none` (also `off`, `disable`), `fixed-delay`, `failure-rate` or "
        "`exponential-delay`. Not set, `exponential-delay` with checkpoints and `none` without.",
        ("restart-strategy",),
        default_text="`exponential-delay` with checkpoints, else `none`",
    )
    FIXED_DELAY_ATTEMPTS = ConfigOption(
        "restart-strategy.fixed-delay.attempts", INTEGER, 1, "`fixed-delay`: restarts before the job fails for good."
    )
    FIXED_DELAY_DELAY = ConfigOption(
        "restart-strategy.fixed-delay.delay", DURATION, 1_000, "`fixed-delay`: the wait before a restart."
    )
    FAILURE_RATE_MAX_FAILURES = ConfigOption(
        "restart-strategy.failure-rate.max-failures-per-interval",
        INTEGER,
        1,
        "`failure-rate`: failures within the interval that are followed by a restart.",
    )
    FAILURE_RATE_INTERVAL = ConfigOption(
        "restart-strategy.failure-rate.failure-rate-interval", DURATION, 60_000, "`failure-rate`: the interval."
    )
    FAILURE_RATE_DELAY = ConfigOption(
        "restart-strategy.failure-rate.delay", DURATION, 1_000, "`failure-rate`: the wait before a restart."
    )
    EXPONENTIAL_INITIAL_BACKOFF = ConfigOption(
        "restart-strategy.exponential-delay.initial-backoff",
        DURATION,
        1_000,
        "`exponential-delay`: the wait before the first restart.",
    )
    EXPONENTIAL_MAX_BACKOFF = ConfigOption(
        "restart-strategy.exponential-delay.max-backoff", DURATION, 60_000, "`exponential-delay`: the longest wait."
    )
    EXPONENTIAL_BACKOFF_MULTIPLIER = ConfigOption(
        "restart-strategy.exponential-delay.backoff-multiplier",
        DOUBLE,
        1.5,
        "`exponential-delay`: the factor from one wait to the next.",
    )
    EXPONENTIAL_RESET_THRESHOLD = ConfigOption(
        "restart-strategy.exponential-delay.reset-backoff-threshold",
        DURATION,
        3_600_000,
        "`exponential-delay`: after how long without a failure the waits start again from the first.",
    )
    EXPONENTIAL_JITTER_FACTOR = ConfigOption(
        "restart-strategy.exponential-delay.jitter-factor",
        DOUBLE,
        0.1,
        "`exponential-delay`: the part of a wait that is added to it or taken from it at random.",
    )
    EXPONENTIAL_ATTEMPTS: ConfigOption[int | None] = ConfigOption(
        "restart-strategy.exponential-delay.attempts-before-reset-backoff",
        INTEGER,
        None,
        "`exponential-delay`: restarts before the job fails for good, counted anew when the waits are reset. Not set, "
        "without limit.",
        default_text="no limit",
    )

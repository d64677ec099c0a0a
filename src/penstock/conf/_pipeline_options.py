"""Options of a program as a whole that do not change how it is scheduled: files it brings, settings it reads back."""

from __future__ import annotations

from penstock.conf._option import ConfigOption
from penstock.conf._types import BOOLEAN, DURATION, LIST, STRING, choice_of

__all__ = ["PipelineOptions", "PythonOptions"]


class PipelineOptions:
    """A program's settings (Flink's `PipelineOptions`, `MetricOptions`, `TaskManagerOptions`, `StateChangelogOptions`).

    Those about Java's serializers and closures are kept, and have no effect in CPython.
    """

    OBJECT_REUSE = ConfigOption(
        "pipeline.object-reuse",
        BOOLEAN,
        False,
        "Whether chained operators may hand objects on without copying. Penstock never copies in a chain, as PyFlink "
        "does not; kept for programs that read it back.",
    )
    CLOSURE_CLEANER = ConfigOption(
        "pipeline.closure-cleaner-level",
        choice_of("NONE", "TOP_LEVEL", "RECURSIVE"),
        "RECURSIVE",
        "Java's closure cleaner; no effect.",
    )
    GENERIC_TYPES = ConfigOption(
        "pipeline.generic-types", BOOLEAN, True, "Whether Java may fall back to Kryo; no effect."
    )
    FORCE_KRYO = ConfigOption("pipeline.force-kryo", BOOLEAN, False, "Whether Java uses Kryo for POJOs; no effect.")
    FORCE_AVRO = ConfigOption("pipeline.force-avro", BOOLEAN, False, "Whether Java uses Avro for POJOs; no effect.")
    ALLOW_UNALIGNED_SOURCE_SPLITS = ConfigOption(
        "pipeline.watermark-alignment.allow-unaligned-source-splits",
        BOOLEAN,
        False,
        "Whether a source may take part in watermark alignment although single splits of a reader cannot be held "
        "back. Penstock aligns readers, not the splits of one, whatever is set.",
    )
    AUTO_GENERATE_UIDS = ConfigOption(
        "pipeline.auto-generate-uids",
        BOOLEAN,
        True,
        "Whether operators without a uid get one from their place in the program. Off, an operator without a uid is "
        "an error.",
    )
    SNAPSHOT_COMPRESSION = ConfigOption(
        "execution.checkpointing.snapshot-compression",
        BOOLEAN,
        False,
        "Whether checkpoints and savepoints of keyed state are compressed.",
        ("execution.checkpointing.snapshot-compression.enabled",),
    )
    LATENCY_INTERVAL = ConfigOption(
        "metrics.latency.interval",
        DURATION,
        0,
        "How often latency markers are sent from the sources; 0 sends none. Penstock sends none.",
    )
    TASK_CANCELLATION_INTERVAL = ConfigOption(
        "task.cancellation.interval",
        DURATION,
        30_000,
        "Time between two attempts to interrupt a task that does not stop.",
    )
    TASK_CANCELLATION_TIMEOUT = ConfigOption(
        "task.cancellation.timeout",
        DURATION,
        180_000,
        "After so long a task that does not stop is a fatal error; 0 waits for ever.",
    )
    CHANGELOG_ENABLED: ConfigOption[bool | None] = ConfigOption(
        "state.changelog.enabled",
        BOOLEAN,
        None,
        "Flink's changelog state backend. Penstock's incremental RocksDB checkpoints record changes without it; kept for "
        "programs that read it back.",
        ("state.backend.changelog.enabled",),
    )
    CACHED_FILES: ConfigOption[list[str] | None] = ConfigOption(
        "pipeline.cached-files",
        LIST,
        None,
        "Files of Flink's distributed cache, each `name:…,path:…`. PyFlink's functions cannot ask for them; no effect.",
    )
    JARS: ConfigOption[list[str] | None] = ConfigOption(
        "pipeline.jars", LIST, None, "JAR files of the program. Of use on a Flink cluster only."
    )
    CLASSPATHS: ConfigOption[list[str] | None] = ConfigOption(
        "pipeline.classpaths", LIST, None, "Java classpaths of the program. Of use on a Flink cluster only."
    )


class PythonOptions:
    """What a program brings along for its functions (PyFlink's `PythonOptions`)."""

    FILES: ConfigOption[str | None] = ConfigOption(
        "python.files",
        STRING,
        None,
        "Python files, packages, directories and zip files, comma-separated, that functions find on `sys.path`.",
    )
    REQUIREMENTS: ConfigOption[str | None] = ConfigOption(
        "python.requirements",
        STRING,
        None,
        "A `requirements.txt` to be installed for the functions; after `#` a directory with the packages.",
    )
    ARCHIVES: ConfigOption[str | None] = ConfigOption(
        "python.archives",
        STRING,
        None,
        "Archives, comma-separated, unpacked below the functions' working directory; after `#` the directory's name.",
    )
    EXECUTABLE: ConfigOption[str | None] = ConfigOption(
        "python.executable",
        STRING,
        None,
        "The interpreter of the functions. Penstock runs functions in the interpreter of the program; functions see "
        "the value in the environment variable `python`.",
    )

"""Row, RowKind, Configuration, ExecutionConfig, CheckpointConfig and the settings of an environment."""

import copy
import pickle

from pyflink.common import Configuration, ExecutionConfig, Row, RowKind
from pyflink.datastream import CheckpointingMode, ExternalizedCheckpointRetention
from semantics_case import case


def outcome(call):
    try:
        return call()
    except Exception as error:
        return type(error).__name__


@case()
def row_texts(env):
    row = Row(1, "x")
    named = Row(a=1, b="x")
    unnamed = copy.deepcopy(row)
    return [
        repr(row),
        repr(named),
        str(named),
        repr(Row()),
        repr(Row(None)),
        repr(Row(Row(1), a=2)) if 0 else "",
        repr(unnamed),
    ]


@case()
def row_access(env):
    named = Row(a=1, b="x")
    named["a"] = 5
    named[1] = "y"
    return [
        named.a,
        named["b"],
        named[0],
        named[0:2],
        len(named),
        list(named),
        "a" in named,
        5 in named,
        1 in Row(1, 2),
        outcome(lambda: named.missing),
        outcome(lambda: named["missing"]),
        outcome(lambda: named[7]),
        outcome(lambda: setattr(named, "a", 3)),
        outcome(lambda: Row(1, b=2)),
        named.as_dict(),
        outcome(lambda: Row(1).as_dict()),
        Row(a=Row(b=1)).as_dict(True),
        Row(a=Row(b=1)).as_dict() == {"a": Row(b=1)},
        named.get_fields_by_names(["b", "a"]),
        outcome(lambda: named.get_fields_by_names(["b", "c"])),
    ]


@case()
def row_equality_and_hash(env):
    other = Row(1, 2)
    other.set_row_kind(RowKind.DELETE)
    return [
        Row(1, 2) == Row(1, 2),
        Row(1, 2) == Row(2, 1),
        Row(a=1, b=2) == Row(b=2, a=1),
        Row(a=1) == Row(1),
        Row(1, 2) == other,
        Row(1, 2) == (1, 2),
        hash(Row(1, 2)) == hash(Row(1, 2)),
        outcome(lambda: hash(Row([1]))),
        Row(1) != Row(2),
    ]


@case()
def row_kinds(env):
    row = Row.of_kind(RowKind.UPDATE_AFTER, 1, 2)
    restored = pickle.loads(pickle.dumps(row))
    return [
        str(row.get_row_kind()),
        [str(kind) for kind in RowKind],
        restored == row,
        str(restored.get_row_kind()),
        str(Row(1).get_row_kind()),
        repr(Row.of_kind(RowKind.DELETE, a=1)),
    ]


@case()
def rows_make_rows(env):
    named = Row("name", "age")
    made = named("Ada", 36)
    unnamed = Row(1, 2)
    unnamed.set_field_names(["x", "y"])
    return [repr(made), made.name, repr(unnamed), pickle.loads(pickle.dumps(made)) == made]


@case()
def configuration_values(env):
    config = Configuration()
    config.set_string("s", "text").set_integer("i", 5).set_boolean("b", True).set_float("f", 1.5)
    config.set_bytearray("bytes", bytearray(b"xy"))
    config.set_string("number", "12").set_string("flag", "true")
    return [
        config.get_string("s", "d"),
        config.get_integer("i", 0),
        config.get_boolean("b", False),
        config.get_float("f", 0.0),
        bytes(config.get_bytearray("bytes", bytearray())),
        config.get_string("none", "default"),
        config.get_integer("none", 7),
        config.get_boolean("none", True),
        config.get_integer("number", 0),
        config.get_boolean("flag", False),
        config.get_string("i", ""),
        config.get_string("b", ""),
        sorted(config.key_set()),
        config.contains_key("s"),
        config.contains_key("none"),
    ]


@case()
def configuration_as_a_whole(env):
    config = Configuration().set_string("k1", "v1").set_integer("k2", 1)
    other = Configuration(config)
    other.set_string("k3", "v3")
    added = Configuration()
    added.add_all(config, "pre.")
    target = {}
    config.add_all_to_dict(target)
    same = Configuration().set_string("k1", "v1").set_integer("k2", 1)
    copied = copy.deepcopy(config)
    return [
        str(config),
        config.contains_key("k3"),
        added.to_dict(),
        target,
        config.to_dict(),
        Configuration().set_boolean("x", True).to_dict(),
        config == same,
        hash(config) == hash(same),
        copied == config,
        config.remove_config("k1"),
        config.remove_config("k1"),
        config.to_dict(),
    ]


@case()
def configuration_lists(env):
    parse = Configuration.parse_list_value
    return [parse("[a, b]"), parse("a;b;c"), parse(None), parse("- a\n- b"), parse("one")]


@case(error=".")
def configuration_text_that_is_no_number(env):
    Configuration().set_string("s", "text").get_integer("s", 0)


@case()
def environment_settings(env):
    before = [
        env.get_parallelism(),
        env.get_max_parallelism(),
        env.get_buffer_timeout(),
        env.is_chaining_enabled(),
        env.get_checkpoint_interval(),
        str(env.get_checkpointing_mode()),
        env.is_unaligned_checkpoints_enabled(),
        env.is_force_unaligned_checkpoints(),
        env.is_changelog_state_backend_enabled(),
        env.get_default_savepoint_directory(),
    ]
    env.set_parallelism(3).set_max_parallelism(64).set_buffer_timeout(5).disable_operator_chaining()
    env.enable_checkpointing(1234)
    env.enable_changelog_state_backend(True)
    after = [
        env.get_parallelism(),
        env.get_max_parallelism(),
        env.get_buffer_timeout(),
        env.is_chaining_enabled(),
        env.get_checkpoint_interval(),
        str(env.get_checkpointing_mode()),
        env.is_changelog_state_backend_enabled(),
    ]
    return [before, after]


@case()
def configure_merges_keys(env):
    config = Configuration()
    config.set_string("pipeline.operator-chaining", "false")
    config.set_string("execution.buffer-timeout", "1 min")
    config.set_string("execution.checkpointing.timeout", "12000")
    config.set_string("execution.checkpointing.interval", "10 s")
    config.set_string("parallelism.default", "5")
    config.set_string("pipeline.max-parallelism", "20")
    config.set_string("pipeline.auto-watermark-interval", "35 ms")
    env.configure(config)
    checkpoints = env.get_checkpoint_config()
    return [
        env.is_chaining_enabled(),
        env.get_buffer_timeout(),
        checkpoints.get_checkpoint_timeout(),
        checkpoints.get_checkpoint_interval(),
        env.get_parallelism(),
        env.get_max_parallelism(),
        env.get_config().get_auto_watermark_interval(),
    ]


@case()
def execution_config(env):
    config = env.get_config()
    before = [
        config.get_parallelism(),
        config.get_max_parallelism(),
        config.get_auto_watermark_interval(),
        config.get_latency_tracking_interval(),
        config.get_task_cancellation_interval(),
        config.get_task_cancellation_timeout(),
        config.is_object_reuse_enabled(),
        config.is_closure_cleaner_enabled(),
        config.is_use_snapshot_compression(),
        config.has_auto_generated_uids_enabled(),
        config.get_global_job_parameters(),
    ]
    config.enable_object_reuse().set_latency_tracking_interval(5).set_use_snapshot_compression(True)
    config.disable_auto_generated_uids()
    config.set_task_cancellation_interval(7).set_task_cancellation_timeout(8)
    config.set_global_job_parameters({"a": "b"})
    return [
        before,
        config.is_object_reuse_enabled(),
        config.get_latency_tracking_interval(),
        config.is_use_snapshot_compression(),
        config.has_auto_generated_uids_enabled(),
        config.get_task_cancellation_interval(),
        config.get_task_cancellation_timeout(),
        config.get_global_job_parameters(),
        ExecutionConfig.PARALLELISM_DEFAULT,
        ExecutionConfig.PARALLELISM_UNKNOWN,
    ]


@case()
def checkpoint_config(env):
    config = env.get_checkpoint_config()
    before = [
        config.is_checkpointing_enabled(),
        str(config.get_checkpointing_mode()),
        config.get_checkpoint_interval(),
        config.get_checkpoint_timeout(),
        config.get_min_pause_between_checkpoints(),
        config.get_max_concurrent_checkpoints(),
        config.is_fail_on_checkpointing_errors(),
        config.get_tolerable_checkpoint_failure_number(),
        str(config.get_externalized_checkpoint_retention()),
        config.is_externalized_checkpoints_enabled(),
        config.is_unaligned_checkpoints_enabled(),
    ]
    env.enable_checkpointing(1000)
    config.set_checkpointing_mode(CheckpointingMode.AT_LEAST_ONCE).set_checkpoint_interval(500).set_checkpoint_timeout(
        600
    )
    config.set_min_pause_between_checkpoints(4).set_max_concurrent_checkpoints(2)
    config.set_tolerable_checkpoint_failure_number(3)
    config.set_externalized_checkpoint_retention(ExternalizedCheckpointRetention.RETAIN_ON_CANCELLATION)
    return [
        before,
        config.is_checkpointing_enabled(),
        str(config.get_checkpointing_mode()),
        config.get_checkpoint_interval(),
        config.get_checkpoint_timeout(),
        config.get_min_pause_between_checkpoints(),
        config.get_max_concurrent_checkpoints(),
        config.get_tolerable_checkpoint_failure_number(),
        str(config.get_externalized_checkpoint_retention()),
        config.is_externalized_checkpoints_enabled(),
    ]


@case(
    config={
        "restart-strategy.type": "fixed-delay",
        "restart-strategy.fixed-delay.attempts": "2",
        "restart-strategy.fixed-delay.delay": "10 ms",
    },
    order="any",
)
def a_restart_strategy_restarts_the_job(env):
    import os
    import tempfile

    path = tempfile.mktemp()

    def fail_once(value):
        if not os.path.exists(path):
            with open(path, "w"):
                pass
            raise ValueError("first attempt")
        return value

    env.from_collection([1, 2]).map(fail_once)
    env.execute()
    found = os.path.exists(path)
    os.unlink(path)
    return found

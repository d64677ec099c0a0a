"""The Configuration programs write, options of their own, and settings read back from an environment's."""

import copy

import pytest

from penstock.common import ConfigOptions, Configuration, ExecutionConfig, ExecutionMode, RestartStrategies
from penstock.common._removed import RemovedInFlink2Warning
from penstock.common.execution_config import available_cores
from penstock.common.restart_strategy import restart_strategy_of
from penstock.conf import Configuration as Conf
from penstock.conf import ExecutionOptions, RestartStrategyOptions
from penstock.errors import ConfigurationError, UnsupportedFeatureError


def test_values_are_converted_when_read():
    configuration = Configuration()
    assert configuration.set_string("a", "1").set_boolean("b", True) is configuration
    configuration.set_integer("c", 5).set_float("d", 1e10).set_bytearray("e", bytearray(b"xy"))
    assert configuration.get_integer("a", 0) == 1
    assert configuration.get_float("a", 0.0) == 1.0
    assert configuration.get_string("b", "") == "true"
    assert configuration.get_string("d", "") == "1.0E10"
    assert Configuration().set_string("b", "True").get_boolean("b", False) is True
    assert configuration.get_bytearray("e", bytearray()) == bytearray(b"xy")
    assert configuration.get_integer("missing", 7) == 7
    assert configuration.get_float("missing", 7) == 7.0


def test_a_value_that_cannot_be_converted_is_named():
    with pytest.raises(ConfigurationError, match="Could not parse value 'x' for key 'k'"):
        Configuration().set_string("k", "x").get_integer("k", 0)
    with pytest.raises(ConfigurationError, match="is no bytes"):
        Configuration().set_string("k", "x").get_bytearray("k", bytearray())


def test_the_whole():
    configuration = Configuration().set_string("k1", "v1").set_integer("k2", 1)
    assert str(configuration) == "{k1=v1, k2=1}"
    assert configuration.key_set() == {"k1", "k2"}
    assert configuration.to_dict() == {"k1": "v1", "k2": "1"}
    target = {}
    configuration.add_all_to_dict(target)
    assert target == {"k1": "v1", "k2": 1}
    assert configuration.contains_key("k1")
    assert configuration.remove_config("k1")
    assert not configuration.remove_config("k1")


def test_adding_copying_comparing():
    first = Configuration().set_string("a", "1")
    second = Configuration(first)
    assert second == first == copy.deepcopy(first) == copy.copy(first)
    assert hash(second) == hash(first)
    second.add_all(first, "prefix.")
    assert second.get_string("prefix.a", "") == "1"
    assert second != first
    assert Configuration.from_dict({"a": "1"}) == first
    with pytest.raises(UnsupportedFeatureError):
        Configuration(j_configuration=object())
    with pytest.raises(UnsupportedFeatureError, match="to_dict"):
        first._j_configuration  # noqa: B018


@pytest.mark.parametrize(
    ("text", "items"),
    [
        (None, []),
        ("", []),
        ("a;b;c", ["a", "b", "c"]),
        ("[a, b]", ["a", "b"]),
        ("- a\n- b\n", ["a", "b"]),
        ("a", ["a"]),
    ],
)
def test_lists(text, items):
    assert Configuration.parse_list_value(text) == items


def test_options_of_a_programs_own():
    option = ConfigOptions.key("a.b").int_type().default_value(5)
    assert (option.key(), option.default_value()) == ("a.b", 5)
    assert ConfigOptions.key("x").string_type().no_default_value().default_value() is None
    builder = ConfigOptions.key("k")
    for make in (builder.boolean_type, builder.long_type, builder.float_type, builder.double_type):
        assert make().no_default_value().key() == "k"


def test_execution_config_defaults():
    config = ExecutionConfig()
    assert config.get_parallelism() == available_cores() >= 1
    assert config.get_max_parallelism() == -1
    assert config.get_auto_watermark_interval() == 200
    assert config.get_latency_tracking_interval() == 0
    assert config.get_task_cancellation_interval() == 30_000
    assert config.get_task_cancellation_timeout() == 180_000
    assert config.is_closure_cleaner_enabled()
    assert not config.is_object_reuse_enabled()
    assert not config.has_generic_types_disabled()
    assert not config.is_force_kryo_enabled()
    assert not config.is_force_avro_enabled()
    assert config.has_auto_generated_uids_enabled()
    assert not config.is_use_snapshot_compression()
    assert config.get_global_job_parameters() == {}
    assert (ExecutionConfig.PARALLELISM_DEFAULT, ExecutionConfig.PARALLELISM_UNKNOWN) == (-1, -2)


def test_execution_config_is_a_view_of_the_configuration():
    conf = Conf()
    config = ExecutionConfig(conf)
    config.set_parallelism(3).set_max_parallelism(64).set_auto_watermark_interval(0).set_latency_tracking_interval(7)
    config.set_task_cancellation_interval(1).set_task_cancellation_timeout(2).set_use_snapshot_compression(True)
    config.enable_object_reuse().disable_closure_cleaner().disable_generic_types().disable_auto_generated_uids()
    config.enable_force_kryo().enable_force_avro().set_global_job_parameters({"a": 1})
    again = ExecutionConfig(conf)
    assert (again.get_parallelism(), again.get_max_parallelism(), again.get_auto_watermark_interval()) == (3, 64, 0)
    assert (again.get_latency_tracking_interval(), again.get_task_cancellation_interval()) == (7, 1)
    assert again.get_task_cancellation_timeout() == 2
    assert again.is_use_snapshot_compression()
    assert again.is_object_reuse_enabled()
    assert not again.is_closure_cleaner_enabled()
    assert again.has_generic_types_disabled()
    assert not again.has_auto_generated_uids_enabled()
    assert again.is_force_kryo_enabled()
    assert again.is_force_avro_enabled()
    assert again.get_global_job_parameters() == {"a": "1"}
    assert conf.get(ExecutionOptions.DEFAULT_PARALLELISM) == 3
    config.disable_object_reuse().enable_closure_cleaner().enable_generic_types().enable_auto_generated_uids()
    config.disable_force_kryo().disable_force_avro().set_parallelism(-2)
    assert (again.is_closure_cleaner_enabled(), again.get_parallelism()) == (True, 3)
    config.set_parallelism(-1)
    assert again.get_parallelism() == available_cores()
    assert again == config
    assert hash(again) == hash(config)


@pytest.mark.parametrize(
    ("method", "value"),
    [
        ("set_parallelism", 0),
        ("set_max_parallelism", 0),
        ("set_max_parallelism", 32769),
        ("set_auto_watermark_interval", -1),
        ("set_task_cancellation_timeout", -1),
    ],
)
def test_execution_config_refuses(method, value):
    with pytest.raises(ConfigurationError, match=str(value)):
        getattr(ExecutionConfig(), method)(value)


def test_an_older_key_gives_way_to_what_the_program_sets():
    conf = Conf.from_mapping({"restart-strategy": "none", "restart-strategy.fixed-delay.attempts": 9})
    RestartStrategies.fixed_delay_restart(3, 1000).apply_to(conf)
    assert conf.get(RestartStrategyOptions.RESTART_STRATEGY) == "fixed-delay"
    assert conf.get(RestartStrategyOptions.FIXED_DELAY_ATTEMPTS) == 3
    assert "restart-strategy" not in conf


@pytest.mark.parametrize(
    "strategy",
    [
        RestartStrategies.no_restart(),
        RestartStrategies.fall_back_restart(),
        RestartStrategies.fixed_delay_restart(3, 1000),
        RestartStrategies.failure_rate_restart(2, 60_000, 500),
    ],
)
def test_restart_strategies_come_back_from_the_configuration(strategy):
    conf = Conf()
    with pytest.warns(RemovedInFlink2Warning, match=r"a 2\.x cluster refuses"):
        ExecutionConfig(conf).set_restart_strategy(strategy)
    assert restart_strategy_of(conf) == strategy
    with pytest.warns(RemovedInFlink2Warning):
        assert hash(ExecutionConfig(conf).get_restart_strategy()) == hash(strategy)
    assert strategy.get_description()


def test_restart_strategies_hold_their_settings():
    fixed = RestartStrategies.fixed_delay_restart(3, 1500)
    assert (fixed.get_restart_attempts(), fixed.get_delay_between_attempts_interval().total_seconds()) == (3, 1.5)
    rate = RestartStrategies.failure_rate_restart(2, 60_000, 500)
    assert (rate.get_max_failure_rate(), rate.get_failure_interval().total_seconds()) == (2, 60)
    assert rate.get_delay_between_attempts_interval().total_seconds() == 0.5
    with pytest.raises(TypeError, match=r"only supports integer and datetime.timedelta"):
        RestartStrategies.fixed_delay_restart(3, "1 s")


def test_the_execution_mode_of_1_x_has_no_effect():
    conf = Conf()
    with pytest.warns(RemovedInFlink2Warning):
        ExecutionConfig(conf).set_execution_mode(ExecutionMode.PIPELINED)
    assert len(conf) == 0

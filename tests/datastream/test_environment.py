"""The environment: settings, what a job consists of, what is left afterwards, and the names of Flink 1.x."""

import os
import subprocess
import sys
import threading
import zipfile

import pytest

from penstock.common import Configuration, Duration, JobStatus, RestartStrategies, Types
from penstock.common._removed import RemovedInFlink2Warning
from penstock.common.execution_config import available_cores
from penstock.conf import (
    CheckpointingOptions,
    ExecutionOptions,
    ManagedMemoryOptions,
    PipelineOptions,
    PythonOptions,
)
from penstock.datastream import (
    CheckpointConfig,
    CheckpointingMode,
    DataStream,
    EmbeddedRocksDBStateBackend,
    ExternalizedCheckpointCleanup,
    ExternalizedCheckpointRetention,
    FileSystemCheckpointStorage,
    FsStateBackend,
    HashMapStateBackend,
    JobManagerCheckpointStorage,
    MemoryStateBackend,
    PredefinedOptions,
    RocksDBStateBackend,
    RuntimeExecutionMode,
    SlotSharingGroup,
    StreamExecutionEnvironment,
    TimeCharacteristic,
    _executor,
)
from penstock.datastream._python_dependencies import python_dependencies
from penstock.datastream.checkpoint_storage import checkpoint_storage_of
from penstock.datastream.slot_sharing_group import MemorySize
from penstock.datastream.state_backend import state_backend_of
from penstock.errors import ConfigurationError, UnsupportedFeatureError
from tests.datastream.recording import PIPELINES

# -- settings ------------------------------------------------------------------------------------


def test_defaults(env):
    env = StreamExecutionEnvironment.get_execution_environment()
    assert env.get_parallelism() == env.get_default_local_parallelism() == available_cores()
    assert env.get_max_parallelism() == -1
    assert env.get_buffer_timeout() == 100
    assert env.is_chaining_enabled()
    assert env.is_chaining_of_operators_with_different_max_parallelism_enabled()
    assert env.get_checkpoint_interval() == -1
    assert env.get_checkpointing_mode() is CheckpointingMode.AT_LEAST_ONCE
    assert env.get_checkpointing_consistency_mode() is CheckpointingMode.AT_LEAST_ONCE
    assert not env.is_unaligned_checkpoints_enabled()
    assert not env.is_force_unaligned_checkpoints()
    assert env.is_changelog_state_backend_enabled() is None
    assert env.get_default_savepoint_directory() is None


def test_settings_are_kept_under_flinks_keys(env):
    assert env.set_max_parallelism(99).set_buffer_timeout(7).disable_operator_chaining() is env
    assert env.set_runtime_mode(RuntimeExecutionMode.BATCH) is None
    env.set_default_savepoint_directory("/sp").enable_changelog_state_backend(True)
    env.get_config().set_auto_watermark_interval(0)
    conf = env.get_configuration()
    assert conf.get_integer("parallelism.default", 0) == 2
    assert conf.get_integer("pipeline.max-parallelism", 0) == 99
    assert conf.get_string("execution.runtime-mode", "") == "BATCH"
    assert conf.get_string("execution.checkpointing.savepoint-dir", "") == "/sp"
    assert conf.get_string("pipeline.auto-watermark-interval", "") == "0"
    assert (env.get_buffer_timeout(), env.is_chaining_enabled()) == (7, False)
    assert env.is_changelog_state_backend_enabled() is True
    assert env.set_buffer_timeout(-1).get_buffer_timeout() == -1
    with pytest.raises(ConfigurationError):
        env.set_buffer_timeout(-2)


def test_a_programs_configuration_is_merged(env):
    configuration = Configuration().set_string("execution.buffer-timeout", "1 min").set_string("my.key", "x")
    configuration.set_string("execution.checkpointing.interval", "12000").set_integer("parallelism.default", 5)
    env.configure(configuration)
    assert env.get_buffer_timeout() == 60_000
    assert env.get_checkpoint_interval() == 12_000
    assert env.get_checkpointing_mode() is CheckpointingMode.EXACTLY_ONCE
    assert env.get_parallelism() == 5
    assert env.get_configuration().get_string("my.key", "") == "x"
    other = StreamExecutionEnvironment.get_execution_environment(configuration)
    assert other.get_parallelism() == 5


def test_files_and_flags_are_below_the_program(env, monkeypatch):
    from penstock.conf import configuration_from_flags

    _executor.set_base_configuration(configuration_from_flags(["parallelism.default=7", "pipeline.name=n"]))
    flagged = StreamExecutionEnvironment.get_execution_environment()
    assert flagged.get_parallelism() == 7
    assert flagged.set_parallelism(3).get_parallelism() == 3
    assert StreamExecutionEnvironment.get_execution_environment().get_parallelism() == 7


def test_default_local_parallelism_is_the_processes(env, monkeypatch):
    monkeypatch.setattr(StreamExecutionEnvironment, "_default_local_parallelism", None)
    fresh = StreamExecutionEnvironment.get_execution_environment()
    fresh.set_default_local_parallelism(11)
    assert fresh.get_parallelism() == fresh.get_default_local_parallelism() == 11


def test_parallelism_counts_for_operators_created_afterwards(env):
    first = env.from_collection([1]).map(lambda x: x)
    env.set_parallelism(4)
    second = first.map(lambda x: x)
    assert (first._operator.parallelism, second._operator.parallelism) == (2, 4)


# -- jobs ----------------------------------------------------------------------------------------


def test_a_job_is_everything_built_with_what_it_reads(env):
    source = env.from_collection([1])
    source.map(lambda x: x).name("a")
    source.map(lambda x: x).name("b").print()
    result = env.execute("my job")
    (pipeline,) = PIPELINES
    assert [each.name for each in pipeline.transformations] == ["Collection Source", "a", "b", "Print to Std. Out"]
    assert pipeline.job_name == "my job"
    assert pipeline.configuration.get(ExecutionOptions.DEFAULT_PARALLELISM) == 2
    assert result.get_net_runtime() == 5


def test_the_environment_is_empty_afterwards(env):
    stream = env.from_collection([1]).map(lambda x: x).name("a")
    env.execute()
    with pytest.raises(ConfigurationError, match=r"No operators defined in streaming topology\. Cannot execute\."):
        env.execute()
    stream.map(lambda x: x).name("b")
    env.execute()
    assert [each.name for each in PIPELINES[-1].transformations] == ["Collection Source", "a", "b"]


def test_a_source_alone_is_no_job(env):
    env.from_collection([1])
    with pytest.raises(ConfigurationError, match="No operators defined"):
        env.execute()


def test_settings_after_execute_do_not_reach_the_job(env):
    env.from_collection([1]).print()
    env.execute()
    env.set_max_parallelism(5)
    assert PIPELINES[-1].configuration.get(ExecutionOptions.MAX_PARALLELISM) == -1


def test_jobs_in_the_background(env):
    env.from_collection([1]).print()
    client = env.execute_async()
    assert PIPELINES[-1].job_name == "Flink Streaming Job"
    assert client.get_job_status().result() is JobStatus.FINISHED
    assert client.get_job_execution_result().result().get_net_runtime() == 5


def test_the_plan_leaves_the_program_as_it_is(env):
    env.from_collection([1]).print()
    assert env.get_execution_plan() == "Collection Source,Print to Std. Out"
    env.execute()


def test_uids_can_be_demanded(env):
    env.get_config().disable_auto_generated_uids()
    stream = env.from_collection([1]).uid("source").map(lambda x: x)
    with pytest.raises(ConfigurationError, match="no UID or hash has been assigned to operator Map"):
        env.execute()
    stream.uid("map").map(lambda x: x).set_uid_hash("0" * 32)
    env.execute()


def test_an_unknown_target_names_the_known_ones(env, monkeypatch):
    monkeypatch.setattr(_executor, "EXECUTORS", {})
    env.from_collection([1]).print()
    with pytest.raises(ConfigurationError, match=r"execution\.target is 'local'"):
        env.execute()


def test_cached_files_and_groups_are_known(env):
    env.register_cached_file("/some/file", "name")
    env.register_cached_file("/other/file", "other", executable=True)
    env.register_slot_sharing_group(SlotSharingGroup.builder("g").build())
    env.from_collection([1]).print()
    env.execute()
    assert PIPELINES[-1].configuration.get(PipelineOptions.CACHED_FILES) == [
        "name:name,path:'/some/file',executable:false",
        "name:other,path:'/other/file',executable:true",
    ]
    env.from_collection([1]).print()
    env.close()
    with pytest.raises(ConfigurationError):
        env.execute()


@pytest.mark.parametrize(
    "use",
    [
        lambda env: env.add_source(object()),
        lambda env: env.create_input(object()),
        lambda env: env._j_stream_execution_environment.getStreamGraph(True),
        lambda env: env._j_stream_execution_environment.getConfiguration().getOptional(1),
        lambda env: StreamExecutionEnvironment(object()),
        lambda env: CheckpointConfig(object()),
    ],
)
def test_what_needs_the_jvm_says_so(env, use):
    with pytest.raises(UnsupportedFeatureError, match="JVM"):
        use(env)


def test_programs_reach_the_configuration_and_sockets_below_the_api(env):
    j_env = env._j_stream_execution_environment
    j_env.getConfiguration().setString("pipeline.name", "from below")
    assert env.get_configuration().get_string("pipeline.name", "") == "from below"
    configuration = Configuration(j_configuration=j_env.getConfiguration())
    configuration.set_integer("pipeline.max-parallelism", 7)
    assert env.get_max_parallelism() == 7
    assert j_env.getConfiguration().getInteger("pipeline.max-parallelism", -1) == 7
    assert configuration.remove_config("pipeline.max-parallelism")
    assert env.get_max_parallelism() == -1
    lines = DataStream(j_env.socketTextStream("localhost", 9999))
    assert lines.get_type() == Types.STRING()
    assert lines.map(len).get_execution_environment() is env


# -- checkpoints and state -----------------------------------------------------------------------


def test_checkpoint_settings(env):
    assert env.enable_checkpointing(1000) is env
    config = env.get_checkpoint_config()
    assert config.get_checkpointing_mode() is CheckpointingMode.EXACTLY_ONCE
    assert config.is_checkpointing_enabled()
    assert (config.get_checkpoint_timeout(), config.get_min_pause_between_checkpoints()) == (600_000, 0)
    assert (config.get_max_concurrent_checkpoints(), config.get_tolerable_checkpoint_failure_number()) == (1, 0)
    assert config.is_fail_on_checkpointing_errors()
    assert not config.is_externalized_checkpoints_enabled()
    config.set_checkpoint_timeout(5000).set_min_pause_between_checkpoints(10).set_max_concurrent_checkpoints(2)
    config.set_fail_on_checkpointing_errors(False).enable_unaligned_checkpoints().set_force_unaligned_checkpoints()
    config.set_externalized_checkpoint_retention(ExternalizedCheckpointRetention.RETAIN_ON_CANCELLATION)
    config.set_alignment_timeout(Duration.of_seconds(3))
    again = env.get_checkpoint_config()
    assert (again.get_checkpoint_timeout(), again.get_min_pause_between_checkpoints()) == (5000, 10)
    assert again.get_max_concurrent_checkpoints() == 2
    assert not again.is_fail_on_checkpointing_errors()
    assert again.is_unaligned_checkpoints_enabled()
    assert again.is_force_unaligned_checkpoints()
    assert again.get_externalized_checkpoint_retention() is ExternalizedCheckpointRetention.RETAIN_ON_CANCELLATION
    assert again.is_externalized_checkpoints_enabled()
    assert again.get_aligned_checkpoint_timeout() == again.get_alignment_timeout() == Duration.of_seconds(3)
    env.enable_checkpointing(1000, CheckpointingMode.AT_LEAST_ONCE)
    assert not again.is_unaligned_checkpoints_enabled()
    assert not again.disable_unaligned_checkpoints().is_unaligned_checkpoints_enabled()


@pytest.mark.parametrize(
    ("method", "value"),
    [
        ("set_checkpoint_interval", 9),
        ("set_checkpoint_timeout", 9),
        ("set_min_pause_between_checkpoints", -1),
        ("set_max_concurrent_checkpoints", 0),
        ("set_tolerable_checkpoint_failure_number", -1),
    ],
)
def test_checkpoint_settings_that_cannot_be(method, value):
    with pytest.raises(ConfigurationError, match="larger than or equal to"):
        getattr(CheckpointConfig(), method)(value)


def test_state_backends_hold_settings():
    backend = EmbeddedRocksDBStateBackend()
    assert not backend.is_incremental_checkpoints_enabled()
    assert EmbeddedRocksDBStateBackend(True).is_incremental_checkpoints_enabled()
    assert backend.get_db_storage_paths() is None
    backend.set_db_storage_paths("file://var/a/", "/b")
    assert backend.get_db_storage_paths() == ["/a", "/b"]
    with pytest.raises(ValueError, match="non-local scheme"):
        backend.set_db_storage_paths("s3://bucket/a")
    assert backend.get_predefined_options() is PredefinedOptions.DEFAULT
    backend.set_predefined_options(PredefinedOptions.FLASH_SSD_OPTIMIZED)
    assert backend.get_predefined_options() is PredefinedOptions.FLASH_SSD_OPTIMIZED
    assert backend.get_options() is None
    backend.set_options("org.x.Factory")
    assert backend.get_options() == "org.x.Factory"
    assert backend.get_number_of_transfer_threads() == 4
    backend.set_number_of_transfer_threads(8)
    assert backend.get_number_of_transfer_threads() == 8
    with pytest.raises(ValueError, match="greater than zero"):
        backend.set_number_of_transfer_threads(0)
    assert str(HashMapStateBackend()) == "HashMapStateBackend"


def test_checkpoint_storages_hold_settings():
    memory = JobManagerCheckpointStorage()
    assert memory.get_max_state_size() == JobManagerCheckpointStorage.DEFAULT_MAX_STATE_SIZE == 5242880
    assert memory.get_checkpoint_path() is None
    assert JobManagerCheckpointStorage("file://var/c/", 7).get_checkpoint_path() == "file://var/c"
    files = FileSystemCheckpointStorage("file://var/c/")
    assert files.get_checkpoint_path() == "file://var/c"
    assert files.get_min_file_size_threshold() == 20480
    assert files.get_write_buffer_size() == 4096
    assert FileSystemCheckpointStorage("/c", 100, 200).get_write_buffer_size() == 200
    assert FileSystemCheckpointStorage.MAX_FILE_STATE_THRESHOLD == 1048576
    with pytest.raises(ValueError, match="must not be None"):
        FileSystemCheckpointStorage()
    with pytest.raises(ValueError, match="threshold"):
        FileSystemCheckpointStorage("/c", 2**30)


def test_slot_sharing_groups():
    group = SlotSharingGroup.builder("g").set_cpu_cores(1.5).set_task_heap_memory_mb(100).build()
    assert group.get_name() == "g"
    assert group.get_cpu_cores() == 1.5
    assert group.get_task_heap_memory() == MemorySize.of_mebi_bytes(100)
    assert group.get_managed_memory() == group.get_task_off_heap_memory() == MemorySize(bytes_size=0)
    full = SlotSharingGroup.builder("g").set_cpu_cores(1).set_task_heap_memory(MemorySize.of_mebi_bytes(1))
    full.set_task_off_heap_memory_mb(2).set_managed_memory_mb(3).set_external_resource("gpu", 1)
    assert full.build().get_external_resources() == {"gpu": 1.0}
    assert full.build() == full.build() != group
    assert SlotSharingGroup.builder("g").build().get_cpu_cores() is None
    for wrong in (
        lambda: SlotSharingGroup.builder("g").set_cpu_cores(1).build(),
        lambda: SlotSharingGroup.builder("g").set_managed_memory_mb(1).build(),
        lambda: SlotSharingGroup.builder("g").set_cpu_cores(0),
        lambda: SlotSharingGroup.builder("g").set_task_heap_memory_mb(0),
    ):
        with pytest.raises(ConfigurationError):
            wrong()


def test_memory_sizes():
    size = MemorySize.of_mebi_bytes(3 << 20)
    assert size.get_bytes() == 3 << 40
    sizes = (size.get_kibi_bytes(), size.get_mebi_bytes(), size.get_gibi_bytes(), size.get_tebi_bytes())
    assert sizes == (3 << 30, 3 << 20, 3 << 10, 3)
    assert MemorySize(bytes_size=1) < MemorySize(bytes_size=2) <= MemorySize(bytes_size=2)
    assert len({MemorySize(bytes_size=1024), MemorySize(bytes_size=1 << 10)}) == 1
    assert str(MemorySize.of_mebi_bytes(2)) == "2 mb"
    with pytest.raises(Exception, match="non-MemorySize"):
        MemorySize(bytes_size=1) < 5  # noqa: B015


# -- names of Flink 1.x --------------------------------------------------------------------------


def warned(call):
    with pytest.warns(RemovedInFlink2Warning, match=r"Flink 1\.x, which Flink 2\.x removed"):
        return call()


def test_restart_strategy_and_state_backend_of_1_x(env):
    strategy = RestartStrategies.fixed_delay_restart(3, 10)
    assert warned(lambda: env.set_restart_strategy(strategy)) is env
    assert warned(env.get_restart_strategy) == strategy
    backend = EmbeddedRocksDBStateBackend(True)
    backend.set_db_storage_paths("/a", "/b")
    backend.set_number_of_transfer_threads(2)
    assert warned(lambda: env.set_state_backend(backend)) is env
    assert env._configuration.get(ManagedMemoryOptions.STATE_BACKEND) == "rocksdb"
    assert env.get_configuration().get_string("state.backend.rocksdb.localdir", "") == "/a,/b"
    assert isinstance(warned(env.get_state_backend), EmbeddedRocksDBStateBackend)
    warned(lambda: env.set_state_backend(HashMapStateBackend()))
    assert isinstance(state_backend_of(env._configuration), HashMapStateBackend)


def test_backends_of_1_x_bring_their_storage(env):
    for make, kind in (
        (lambda: FsStateBackend("file:///c", "file:///s"), "hashmap"),
        (lambda: RocksDBStateBackend("file:///c", True), "rocksdb"),
        (lambda: RocksDBStateBackend(checkpoint_stream_backend=FsStateBackend("file:///c")), "rocksdb"),
        (lambda: MemoryStateBackend("file:///c"), "hashmap"),
    ):
        backend = warned(make)
        warned(lambda backend=backend: env.set_state_backend(backend))
        assert env._configuration.get(ManagedMemoryOptions.STATE_BACKEND) == kind
        assert env._configuration.get(CheckpointingOptions.DIRECTORY) == "file:///c"
    for wrong in (FsStateBackend, RocksDBStateBackend):
        with pytest.raises(ValueError, match="required"), pytest.warns(RemovedInFlink2Warning):
            wrong()


def test_checkpoint_storage_of_1_x(env):
    config = env.get_checkpoint_config()
    assert checkpoint_storage_of(env._configuration) is None
    warned(lambda: config.set_checkpoint_storage(FileSystemCheckpointStorage("/c", 100, 200)))
    assert warned(config.get_checkpoint_storage).get_checkpoint_path() == "/c"
    warned(lambda: config.set_checkpoint_storage_dir("/d"))
    assert warned(config.get_checkpoint_storage).get_checkpoint_path() == "/d"
    warned(lambda: config.set_checkpoint_storage(JobManagerCheckpointStorage("/e")))
    assert isinstance(warned(config.get_checkpoint_storage), JobManagerCheckpointStorage)
    retain = ExternalizedCheckpointCleanup.RETAIN_ON_CANCELLATION
    warned(lambda: config.enable_externalized_checkpoints(retain))
    assert config.get_externalized_checkpoint_retention().name == retain.name
    warned(lambda: config.set_externalized_checkpoint_cleanup(ExternalizedCheckpointCleanup.DELETE_ON_CANCELLATION))
    assert config.get_externalized_checkpoint_retention().name == "DELETE_ON_CANCELLATION"


def test_time_characteristic_of_1_x(env):
    assert warned(env.get_stream_time_characteristic) is TimeCharacteristic.EventTime
    warned(lambda: env.set_stream_time_characteristic(TimeCharacteristic.EventTime))
    assert env.get_config().get_auto_watermark_interval() == 200
    warned(lambda: env.set_stream_time_characteristic(TimeCharacteristic.ProcessingTime))
    assert env.get_config().get_auto_watermark_interval() == 0


def test_serializers_and_text_files_of_1_x(env, tmp_path):
    warned(lambda: env.register_type("a.B"))
    warned(lambda: env.register_type_with_kryo_serializer("a.B", "a.C"))
    warned(lambda: env.add_default_kryo_serializer("a.B", "a.C"))
    warned(lambda: env.get_config().add_default_kryo_serializer("a.B", "a.C"))
    warned(lambda: env.get_config().register_type_with_kryo_serializer("a.B", "a.C"))
    warned(lambda: env.get_config().register_pojo_type("a.B"))
    warned(lambda: env.get_config().register_kryo_type("a.B"))
    (tmp_path / "in.txt").write_text("a\n")
    stream = warned(lambda: env.read_text_file(str(tmp_path / "in.txt")))
    assert stream.get_type() == Types.STRING()


# -- what a program brings along -----------------------------------------------------------------


def test_dependencies_are_kept_under_flinks_keys(env):
    env.add_python_file("/a.py")
    env.add_python_file("/b")
    env.set_python_requirements("/r.txt", "/cache")
    env.add_python_archive("/x.zip", "data")
    env.add_python_archive("/y.zip")
    env.set_python_executable("/bin/python9")
    conf = env._configuration
    assert conf.get(PythonOptions.FILES) == "/a.py,/b"
    assert conf.get(PythonOptions.REQUIREMENTS) == "/r.txt#/cache"
    assert conf.get(PythonOptions.ARCHIVES) == "/x.zip#data,/y.zip"
    assert conf.get(PythonOptions.EXECUTABLE) == "/bin/python9"
    with pytest.warns(UserWarning, match=r"add_jars\(file:///a\.jar\).*without one"):
        env.add_jars("file:///a.jar")
    with pytest.warns(UserWarning, match="add_classpaths"):
        env.add_classpaths("file:///b")
    assert conf.get(PipelineOptions.JARS) == ["file:///a.jar"]
    assert conf.get(PipelineOptions.CLASSPATHS) == ["file:///b"]


def test_files_archives_and_the_executable_are_there_while_a_job_runs(env, tmp_path, monkeypatch):
    monkeypatch.delenv("python", raising=False)
    (tmp_path / "penstock_test_dependency.py").write_text("def two(): return 2\n")
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
        archive.writestr("data.txt", "content")
    env.add_python_file(str(tmp_path / "penstock_test_dependency.py"))
    env.add_python_archive(str(tmp_path / "archive.zip"), "data")
    env.add_python_archive(str(tmp_path / "archive.zip"))
    env.set_python_executable("/bin/python9")
    before = list(sys.path), os.getcwd()
    with python_dependencies(env._configuration) as directory:
        import penstock_test_dependency

        assert penstock_test_dependency.two() == 2
        assert os.environ["python"] == "/bin/python9"  # noqa: SIM112
        with open("data/data.txt") as first, open("archive.zip/data.txt") as second:
            assert first.read() == second.read() == "content"
        assert os.path.samefile(os.getcwd(), directory)
    assert (list(sys.path), os.getcwd()) == before
    assert "python" not in os.environ
    assert not directory.exists()
    del sys.modules["penstock_test_dependency"]


def test_without_dependencies_nothing_happens(env):
    with python_dependencies(env._configuration) as directory:
        assert directory is None


@pytest.mark.parametrize(
    ("bring", "message"),
    [
        (lambda env, path: env.add_python_file("/nowhere/a.py"), r"python\.files: there is no /nowhere/a\.py"),
        (lambda env, path: env.add_python_archive(path), r"python\.archives: .* cannot be unpacked"),
        (lambda env, path: env.set_python_requirements("/nowhere/r.txt"), r"python\.requirements: there is no"),
        (lambda env, path: env.set_python_requirements(path, str(os.path.dirname(path))), "pip could not install"),
    ],
)
def test_dependencies_that_cannot_be_had(env, tmp_path, bring, message):
    broken = tmp_path / "broken.txt"
    broken.write_text("no-such-package-of-penstock==1.0\n")
    bring(env, str(broken))
    with pytest.raises(ConfigurationError, match=message), python_dependencies(env._configuration):
        pass


def test_importing_the_api_loads_nothing_heavy():
    code = (
        "import sys, penstock.datastream as d, penstock.datastream.data_stream; d.StreamExecutionEnvironment;"
        "print([m for m in ('numpy', 'pyarrow', 'cloudpickle', 'yaml', 'fsspec', 'asyncio', 'tempfile', 'shutil', "
        "'logging', 'penstock.runtime', 'penstock.graph') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_what_cannot_be_pickled_is_a_type_error_as_in_pyflink(env):
    numbers = env.from_collection([1])
    with pytest.raises(TypeError, match="cannot pickle '_thread.lock' object"):
        env.from_collection([threading.Lock()])
    with pytest.raises(TypeError, match="cannot pickle 'StreamExecutionEnvironment' object"):
        numbers.map(lambda x: x + env.get_parallelism())


def test_a_default_may_be_none():
    configuration = Configuration()
    assert configuration.get_integer("x", None) is None
    assert configuration.get_boolean("x", None) is None
    assert configuration.get_float("x", None) is None

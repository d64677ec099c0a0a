"""Job handles and results, schemas, encoders, watermark strategies, and what needs the JVM."""

import pickle

import pytest

from penstock.common import (
    AssignerWithPeriodicWatermarksWrapper,
    ByteArraySchema,
    CompletableFuture,
    DeserializationSchema,
    Duration,
    Encoder,
    JobClient,
    JobExecutionResult,
    JobID,
    JobStatus,
    Row,
    SerializationSchema,
    SimpleStringSchema,
    Types,
    WatermarkStrategy,
)
from penstock.common.io import InputFormat
from penstock.common.serialization import BulkWriterFactory, RowDataBulkWriterFactory
from penstock.common.serializer import VoidNamespaceSerializer
from penstock.common.watermark_strategy import TimestampAssigner, WatermarkKind
from penstock.errors import ConfigurationError, JobError, UnsupportedFeatureError


def test_job_ids_are_32_hex_digits():
    job_id = JobID.generate()
    assert len(str(job_id)) == 32
    assert JobID(str(job_id)) == job_id
    assert len({job_id, JobID(str(job_id))}) == 1
    with pytest.raises(ValueError, match="32"):
        JobID("abc")


def test_job_result():
    result = JobExecutionResult(JobID("0" * 32), 1234, {"n": 5})
    assert result.get_net_runtime() == 1234
    assert result.get_accumulator_result("n") == 5
    assert result.get_accumulator_result("other") is None
    assert result.get_all_accumulator_results() == {"n": 5}
    assert str(result).startswith("Program execution finished\nJob with JobID 00000000000000000000000000000000")


def test_final_states():
    final = {status for status in JobStatus if status.is_globally_terminal_state()}
    assert final == {JobStatus.FAILED, JobStatus.CANCELED, JobStatus.FINISHED}
    assert {status for status in JobStatus if status.is_terminal_state()} == final | {JobStatus.SUSPENDED}


class Handle:
    """A job that runs for ever, fails, or ends."""

    job_id = "a" * 32

    def __init__(self, status=JobStatus.RUNNING, error=None):
        self.status, self.error = status, error

    def cancel(self):
        self.status = JobStatus.CANCELED

    def wait(self):
        if self.error:
            raise self.error
        return self

    runtime_ms = 7
    accumulators = {}

    def trigger_savepoint(self, directory):
        return f"{directory}/sp"

    def stop_with_savepoint(self, advance, directory):
        return f"{directory}/{advance}"


def test_job_client_asks_the_handle():
    handle = Handle()
    client = JobClient(handle)
    assert str(client.get_job_id()) == "a" * 32
    assert client.get_job_status().result() is JobStatus.RUNNING
    assert client.trigger_savepoint("/d").result() == "/d/sp"
    assert client.stop_with_savepoint(True, "/d").result() == "/d/True"
    assert client.get_accumulators().result() == {}
    waiting = client.get_job_execution_result()
    assert not waiting.done()
    client.cancel().result()
    assert client.get_job_status().result() is JobStatus.CANCELED
    assert waiting.done()
    assert waiting.result().get_net_runtime() == 7


def test_the_failure_of_a_job_comes_out_of_the_future():
    future = JobClient(Handle(JobStatus.FAILED, JobError("broken"))).get_job_execution_result()
    assert isinstance(future.exception(), JobError)
    with pytest.raises(JobError, match="broken"):
        future.result()


def test_futures_call_once_and_say_how_it_went():
    calls = []
    future = CompletableFuture(lambda: calls.append(1) or 5)
    assert str(future) == "CompletableFuture[Not completed]"
    assert (future.result(), future.result(), future.exception(), calls) == (5, 5, None, [1])
    assert str(future) == "CompletableFuture[Completed normally]"
    assert not future.cancel()
    stopped = []
    other = CompletableFuture(lambda: 1, lambda: False, lambda: stopped.append(1))
    assert not other.done()
    assert other.cancel()
    assert other.cancelled()
    assert other.done()
    assert stopped == [1]


def test_simple_schemas():
    text = SimpleStringSchema("ISO-8859-1")
    assert text.serialize("ä") == b"\xe4"
    assert text.deserialize(b"\xe4") == "ä"
    assert SimpleStringSchema().deserialize(b"\xff") == "\N{REPLACEMENT CHARACTER}"
    assert text.produced_type == Types.STRING()
    raw = pickle.loads(pickle.dumps(ByteArraySchema()))
    assert raw.serialize(bytearray(b"x")) == raw.deserialize(b"x") == b"x"
    assert raw.produced_type == Types.PRIMITIVE_ARRAY(Types.BYTE())
    with pytest.raises(ConfigurationError, match="no charset 'klingon'"):
        SimpleStringSchema("klingon")


def test_schemas_of_a_programs_own_write_their_methods():
    with pytest.raises(NotImplementedError, match="serialize"):
        SerializationSchema().serialize(1)
    with pytest.raises(NotImplementedError, match="deserialize"):
        DeserializationSchema().deserialize(b"")
    assert DeserializationSchema().produced_type is None


def test_the_string_encoder_writes_javas_text_and_a_line_feed():
    encoder = pickle.loads(pickle.dumps(Encoder.simple_string_encoder("UTF-8")))
    assert encoder.encode_for(Types.ROW([Types.INT(), Types.STRING()]))(Row(1, None)) == b"+I[1, null]\n"
    assert encoder.encode_for(None)(("ä", 1)) == "('ä', 1)\n".encode()


@pytest.mark.parametrize(
    "construct",
    [
        lambda: SerializationSchema(j_serialization_schema=object()),
        lambda: DeserializationSchema(object()),
        lambda: Encoder(object()),
        lambda: BulkWriterFactory(object()),
        lambda: RowDataBulkWriterFactory(object(), None),
        lambda: InputFormat(object()),
        lambda: WatermarkStrategy(object()),
        lambda: AssignerWithPeriodicWatermarksWrapper(object()),
    ],
)
def test_what_wraps_java_objects_says_so(construct):
    with pytest.raises(UnsupportedFeatureError, match=r"wraps a Java (object|class).*no JVM"):
        construct()


class Second(TimestampAssigner):
    def extract_timestamp(self, value, record_timestamp):
        return value[1]


def test_watermark_strategies():
    assigner = Second()
    strategy = WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_seconds(5))
    assert strategy.with_timestamp_assigner(assigner) is strategy
    idle = strategy.with_idleness(Duration.of_millis(10)).with_watermark_alignment("g", Duration.of_seconds(1))
    assert idle is not strategy
    assert (idle.timestamp_assigner, idle.max_out_of_orderness_ms, idle.idle_timeout_ms) == (assigner, 5000, 10)
    assert idle.alignment == ("g", 1000, 1000)
    assert strategy.idle_timeout_ms is None
    assert WatermarkStrategy.for_monotonous_timestamps().max_out_of_orderness_ms == 0
    assert WatermarkStrategy.no_watermarks().kind is WatermarkKind.NO_WATERMARKS
    for wrong in (lambda: strategy.with_idleness(Duration.of_millis(0)), lambda: bounded(-1)):
        with pytest.raises(ConfigurationError):
            wrong()
    with pytest.raises(TypeError):
        TimestampAssigner()


def bounded(seconds):
    return WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_seconds(seconds))


def test_serializers_of_one_class_are_equal():
    assert VoidNamespaceSerializer() == VoidNamespaceSerializer()
    assert hash(VoidNamespaceSerializer()) == hash(VoidNamespaceSerializer())
    assert VoidNamespaceSerializer().deserialize(None) == b""

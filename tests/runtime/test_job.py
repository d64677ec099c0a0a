"""Whole jobs: results, failures, restarts, cancellation, processes, savepoints."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from penstock.common import Configuration, Types, WatermarkStrategy
from penstock.common.job_status import JobStatus
from penstock.datastream import RuntimeExecutionMode, StreamExecutionEnvironment
from penstock.datastream.connectors.number_seq import NumberSequenceSource
from penstock.errors import ConfigurationError, JobError, UnsupportedFeatureError

TARGETS = ["local", "local-processes"]


def environment(parallelism: int = 1, **options: Any) -> StreamExecutionEnvironment:
    conf = Configuration()
    for key, value in options.items():
        conf.set_string(key.replace("__", "."), str(value))
    env = StreamExecutionEnvironment.get_execution_environment(conf)
    env.set_parallelism(parallelism)
    return env


def numbers(env: StreamExecutionEnvironment, count: int) -> Any:
    return env.from_source(
        NumberSequenceSource(0, count - 1), WatermarkStrategy.no_watermarks(), "numbers", Types.LONG()
    )


def collected(stream: Any) -> list[Any]:
    with stream.execute_and_collect() as results:
        return list(results)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("parallelism", [1, 2, 3])
def test_a_keyed_sum_is_the_same_everywhere(target: str, parallelism: int) -> None:
    env = environment(parallelism, **{"execution.target": target})
    env.set_runtime_mode(RuntimeExecutionMode.BATCH)
    sums = (
        numbers(env, 20_000).map(lambda x: (x % 7, x)).key_by(lambda p: p[0]).reduce(lambda a, b: (a[0], a[1] + b[1]))
    )
    expected = {key: sum(range(key, 20_000, 7)) for key in range(7)}
    assert dict(collected(sums.map(lambda p: p))) == expected


@pytest.mark.parametrize("target", TARGETS)
def test_every_partitioning_delivers_every_record(target: str) -> None:
    env = environment(2, **{"execution.target": target})
    source = numbers(env, 1000)
    streams = [
        source.rebalance().map(lambda x: x),
        source.rescale().map(lambda x: x),
        source.shuffle().map(lambda x: x),
        source.broadcast().map(lambda x: x),
        source.partition_custom(lambda key, count: key % count, lambda x: x).map(lambda x: x),
    ]
    counts = Counter(collected(streams[0].union(*streams[1:])))
    assert counts == dict.fromkeys(range(1000), 6)  # once each, twice by broadcast


def test_a_failing_function_is_reported_with_operator_record_and_own_traceback() -> None:
    env = environment()

    def divide(value: int) -> float:
        return 1 / (value - 3)

    env.from_collection([1, 2, 3, 4]).map(divide).name("Divide").print()
    with pytest.raises(JobError) as failure:
        env.execute()
    text = str(failure.value)
    assert "Operator 'Divide'" in text
    assert "record 3" in text
    assert "return 1 / (value - 3)" in text
    assert "ZeroDivisionError: division by zero" in text
    assert "penstock" not in text.replace("penstock: ", "")


@pytest.mark.parametrize("target", TARGETS)
def test_lines_before_a_failure_stay_printed(target: str, capfd: pytest.CaptureFixture[str]) -> None:
    env = environment(1, **{"execution.target": target})
    env.from_collection([3, 2, 1, 0]).map(lambda x: 6 // x).print()
    with pytest.raises(JobError, match="ZeroDivisionError"):
        env.execute()
    assert capfd.readouterr().out.split() == ["2", "3", "6"]


def fails_once(flag: Path, at: int) -> Any:
    """A map function that fails on one record, the first time the job sees it."""

    def call(value: int) -> int:
        if value == at and not flag.exists():
            flag.touch()
            raise ValueError("planned")
        return value

    return call


@pytest.mark.parametrize("target", TARGETS)
def test_a_restarted_job_delivers_each_result_once(target: str, tmp_path: Path) -> None:
    env = environment(
        1,
        **{
            "execution.target": target,
            "execution.checkpointing.interval": "10",
            "execution.checkpointing.dir": str(tmp_path / "checkpoints"),
            "restart-strategy.type": "fixed-delay",
            "restart-strategy.fixed-delay.delay": "1 ms",
        },
    )
    flag = tmp_path / "failed"
    running = (
        numbers(env, 300_000)
        .map(fails_once(flag, 200_000))
        .key_by(lambda x: x % 5)
        .reduce(lambda a, b: a + b)
        .map(lambda x: x)
    )
    results = collected(running)
    assert flag.exists()
    assert len(results) == 300_000
    sums = dict.fromkeys(range(5))
    expected = Counter()
    for value in range(300_000):
        key = value % 5
        sums[key] = value if sums[key] is None else sums[key] + value
        expected[sums[key]] += 1
    assert Counter(results) == expected


def test_no_restart_without_checkpoints(tmp_path: Path) -> None:
    env = environment()
    numbers(env, 100).map(fails_once(tmp_path / "failed", 50)).print()
    with pytest.raises(JobError, match="planned"):
        env.execute()


def endless(env: StreamExecutionEnvironment) -> Any:
    def slowly(value: int) -> int:
        time.sleep(0.0005)
        return value

    return numbers(env, 1 << 40).map(slowly)


@pytest.mark.parametrize("target", TARGETS)
def test_closing_the_results_cancels_the_job(target: str) -> None:
    env = environment(1, **{"execution.target": target})
    results = endless(env).execute_and_collect()
    assert next(results) == 0
    results.close()
    with pytest.raises(StopIteration):
        next(results)


@pytest.mark.parametrize("target", TARGETS)
def test_cancel_from_the_job_client(target: str) -> None:
    env = environment(1, **{"execution.target": target})
    endless(env).print()
    client = env.execute_async()
    while client.get_job_status().result() is not JobStatus.RUNNING:
        pass
    client.cancel().result()
    with pytest.raises(JobError, match="cancelled"):
        client.get_job_execution_result().result()
    assert client.get_job_status().result() is JobStatus.CANCELED


@pytest.mark.parametrize("target", TARGETS)
def test_stop_with_savepoint_and_go_on_at_another_parallelism(target: str, tmp_path: Path) -> None:
    seen = tmp_path / "seen"

    def build(parallelism: int, **options: Any) -> StreamExecutionEnvironment:
        env = environment(parallelism, **{"execution.target": target}, **options)
        env.set_max_parallelism(16)

        def slowly(value: int) -> tuple[int, int]:
            time.sleep(0.0002)
            return value % 10, 1

        def note(pair: tuple[int, int]) -> tuple[int, int]:
            with seen.open("a") as file:
                file.write(f"{pair[0]} {pair[1]}\n")
            return pair

        pairs = numbers(env, 12_000).uid("numbers").map(slowly).uid("slowly")
        counts = pairs.key_by(lambda p: p[0]).reduce(lambda a, b: (a[0], a[1] + b[1])).uid("counts")
        counts.map(note).uid("note").print()
        return env

    client = build(2).execute_async()
    while not seen.exists() or seen.stat().st_size < 2000:
        time.sleep(0.01)
    path = client.stop_with_savepoint(False, str(tmp_path / "savepoints")).result()
    client.get_job_execution_result().result()
    assert Path(path, "_metadata").is_file()
    build(3, **{"execution.state-recovery.path": path}).execute()
    counted = Counter(seen.read_text().splitlines())
    assert counted == {f"{key} {count}": 1 for key in range(10) for count in range(1, 1201)}


def test_state_without_an_operator_is_refused_unless_allowed(tmp_path: Path) -> None:
    def build(uid: str, **options: Any) -> StreamExecutionEnvironment:
        env = environment(1, **options)
        numbers(env, 1 << 40).uid("numbers").key_by(lambda x: x % 3).reduce(lambda a, b: a + b).uid(uid).print()
        return env

    client = build("one").execute_async()
    while client.get_job_status().result() is not JobStatus.RUNNING:
        pass
    time.sleep(0.05)
    path = client.stop_with_savepoint(False, str(tmp_path)).result()
    client.get_job_execution_result().result()
    env = build("other", **{"execution.state-recovery.path": path})
    with pytest.raises(ConfigurationError, match="holds state of 'Reduce'.*allow-non-restored-state"):
        env.execute()


def test_a_seed_repeats_the_interleaving() -> None:
    def order(seed: int) -> list[int]:
        env = environment(4, **{"penstock.scheduler.seed": seed, "execution.target": "local"})
        return collected(numbers(env, 20_000).rebalance().map(lambda x: x))

    first = order(1)
    assert first == order(1)
    assert first != order(2)
    assert sorted(first) == list(range(20_000))


def test_results_come_while_the_job_runs_and_memory_stays_bounded() -> None:
    env = environment()
    results = numbers(env, 10_000_000).map(lambda x: x).execute_and_collect()
    assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
    results.close()


def test_jobs_one_after_the_other_leave_nothing() -> None:
    before = len(os.listdir("/proc/self/fd"))
    env = environment()
    for _ in range(20):
        assert collected(env.from_collection([1, 2]).map(lambda x: x + 1)) == [2, 3]
    assert len(os.listdir("/proc/self/fd")) == before
    assert threading.active_count() == 1


def test_unaligned_checkpoints_are_refused() -> None:
    env = environment(
        1, **{"execution.checkpointing.interval": "1 h", "execution.checkpointing.unaligned.enabled": True}
    )
    with pytest.raises(UnsupportedFeatureError, match="Unaligned checkpoints are not supported"):
        collected(numbers(env, 3))

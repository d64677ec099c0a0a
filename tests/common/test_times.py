"""Time, Duration, Instant."""

import pickle

from hypothesis import given
from hypothesis import strategies as st

from penstock.common import Duration, Instant, Time


def test_time_counts_milliseconds():
    lengths = [Time.milliseconds(5), Time.seconds(5), Time.minutes(5), Time.hours(5), Time.days(5)]
    assert [each.to_milliseconds() for each in lengths] == [5, 5000, 300_000, 18_000_000, 432_000_000]
    assert Time.seconds(1) == Time.milliseconds(1000)
    assert Time.seconds(1) != Duration.of_seconds(1)
    assert str(Time.milliseconds(5)) == "5 ms"
    assert len({Time.seconds(1), Time.milliseconds(1000)}) == 1


def test_duration_counts_nanoseconds():
    assert Duration.of_seconds(1) == Duration.of_millis(1000) == Duration.of_nanos(10**9)
    assert Duration.of_days(1) == Duration.of_hours(24) == Duration.of_minutes(1440)
    assert Duration.of_nanos(1_999_999).to_millis() == 1
    assert Duration.of_nanos(-1).to_millis() == -1
    assert len({Duration.of_seconds(1), Duration.of_millis(1000)}) == 1


@given(st.integers(-(10**15), 10**15))
def test_instants_keep_milliseconds(milliseconds):
    instant = Instant.of_epoch_milli(milliseconds)
    assert instant.to_epoch_milli() == milliseconds
    assert 0 <= instant.nanos < 10**9
    assert pickle.loads(pickle.dumps(instant)) == instant


def test_instant_text():
    assert repr(Instant.of_epoch_milli(-1)) == "Instant<-1, 999000000>"

from __future__ import annotations

import contextlib
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.conf import LONG_MAX, MemorySize, MemorySizeError

KIB, MIB, GIB, TIB = 2**10, 2**20, 2**30, 2**40


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1024", 1024),
        ("4g", 4 * GIB),
        ("512 mb", 512 * MIB),
        ("  1 \t KiBiByTeS \n", KIB),
        ("\x00\x1f7b\x00", 7),
        ("007t", 7 * TIB),
        ("0" * 5000 + "1k", KIB),
        ("1\u212a", KIB),  # the Kelvin sign lower-cases to k
        ("1\u212aB", KIB),
        ("9223372036854775807", LONG_MAX),
        ("0tebibytes", 0),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert MemorySize.parse(text).bytes == size


@pytest.mark.parametrize(
    ("text", "error_id"),
    [
        ("", "size-empty"),
        (" \t\n\x00", "size-empty"),
        ("-1", "size-no-number"),
        ("+1", "size-no-number"),
        (".5g", "size-no-number"),
        ("g", "size-no-number"),
        ("\u00a01", "size-no-number"),  # no blank to Java
        ("\u0661m", "size-no-number"),
        ("9223372036854775808", "size-number-overflow"),
        ("9" * 5000, "size-number-overflow"),
        ("99999999999999999999 wibble", "size-number-overflow"),
        ("1.5g", "size-unknown-unit"),
        ("1byte", "size-unknown-unit"),
        ("1 mib", "size-unknown-unit"),
        ("1_000", "size-unknown-unit"),
        ("1 g\u00a0", "size-unknown-unit"),
        ("8589934592g", "size-bytes-overflow"),
    ],
)
def test_no_sizes(text: str, error_id: str) -> None:
    with pytest.raises(MemorySizeError) as caught:
        MemorySize.parse(text)
    assert caught.value.error_id == error_id
    assert pickle.loads(pickle.dumps(caught.value)).error_id == error_id


def test_default_unit_is_for_texts_without_one() -> None:
    assert MemorySize.parse(" 12 ", "MEGA_BYTES").bytes == 12 * MIB
    assert MemorySize.parse("12k", "MEGA_BYTES").bytes == 12 * KIB
    assert MemorySize.parse("12", "BYTES").bytes == 12
    for text, error_id in (("", "size-empty"), ("x", "size-no-number"), (" ", "size-empty")):
        with pytest.raises(MemorySizeError) as caught:
            MemorySize.parse(text, "GIGA_BYTES")
        assert caught.value.error_id == error_id


@pytest.mark.parametrize(
    ("size", "text", "human"),
    [
        (0, "0 bytes", "0 bytes"),
        (1, "1 bytes", "1 bytes"),
        (1024, "1 kb", "1024 bytes"),
        (1025, "1025 bytes", "1.001kb (1025 bytes)"),
        (GIB, "1 gb", "1024.000mb (1073741824 bytes)"),
        (GIB + GIB // 2, "1536 mb", "1.500gb (1610612736 bytes)"),
        (TIB, "1099511627776 bytes", "1024.000gb (1099511627776 bytes)"),
        (LONG_MAX, "9223372036854775807 bytes", "8388608.000tb (9223372036854775807 bytes)"),
    ],
)
def test_printing(size: int, text: str, human: str) -> None:
    assert str(MemorySize(size)) == text
    assert MemorySize(size).human() == human


@given(st.integers(0, LONG_MAX))
def test_what_is_printed_reads_back(size: int) -> None:
    assert MemorySize.parse(str(MemorySize(size))).bytes == size


@given(st.text())
def test_any_text_is_a_size_or_a_memory_size_error(text: str) -> None:
    with contextlib.suppress(MemorySizeError):
        assert 0 <= MemorySize.parse(text).bytes <= LONG_MAX


def test_arithmetic_and_order() -> None:
    one, two = MemorySize.of_mebi_bytes(1), MemorySize.of("2m")
    assert one + one == two
    assert two - one == one
    assert one * 2 == two
    assert two // 2 == one
    assert one < two
    assert two >= one
    assert {one, MemorySize.of(MIB)} == {one}
    assert int(two) == 2 * MIB
    assert not MemorySize(0)
    with pytest.raises(MemorySizeError):
        one - two
    with pytest.raises(AttributeError):
        one.bytes = 3  # type: ignore[misc]
    assert pickle.loads(pickle.dumps(two)) == two

"""Cursors go round unchanged and trust nobody."""

import base64
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plixa.kernel.cursor import LONGEST, decode, encode
from plixa.kernel.errors import Invalid

NOON = datetime(2026, 6, 10, 12, 0, 0, 123456, UTC)


def pack(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    ("values", "types"),
    [
        ((NOON, 42), (datetime, int)),
        ((None, "Ana é 😀", True), (datetime | None, str, bool)),
        ((NOON.astimezone(timezone(timedelta(hours=-3))), 0), (datetime, int)),
        ((2**63 - 1, 1.5), (int, float)),
    ],
)
def test_sort_keys_come_back_as_they_were(values: tuple[Any, ...], types: tuple[Any, ...]) -> None:
    assert decode(encode(values), types) == values


def test_a_cursor_needs_no_escaping_in_an_address() -> None:
    assert set(encode(("?" * 50 + ">" * 50 + "~" * 50,))) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "%",
        "é",
        "a",
        "AAAA",
        "\0",
        "a" * (LONGEST + 1),
        encode((NOON,)),
        encode((NOON, 42, 1)),
        encode((NOON, "42")),
        pack('["2026-06-10T12:00:00", 42]'),
        pack('["2026-06-10T12:00:00Z", 9223372036854775808]'),
        pack('["2026-06-10T12:00:00Z", 1e400]'),
        pack('["2026-06-10T12:00:00Z", null]'),
        pack('{"a": 1}'),
        pack("[" * 700),
    ],
)
def test_a_cursor_that_is_not_ours_is_answered_422(cursor: str) -> None:
    with pytest.raises(Invalid) as refused:
        decode(cursor, (datetime, int))
    assert set(refused.value.details or {}) == {"cursor"}


def test_text_with_a_nul_character_never_reaches_a_query() -> None:
    with pytest.raises(Invalid):
        decode(pack('["\\u0000"]'), (str,))
    with pytest.raises(Invalid):
        decode(pack('["a\\u0000"]'), (str | None,))


@given(st.text(max_size=2000))
def test_no_text_at_all_breaks_the_reader(cursor: str) -> None:
    try:
        values = decode(cursor, (datetime | None, int))
    except Invalid:
        return
    assert isinstance(values[1], int)

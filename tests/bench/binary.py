"""PostgreSQL's binary COPY format, for rows prepared in other processes than the one that sends them."""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from struct import Struct, pack
from typing import Any

HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"
ABSENT = pack(">i", -1)
ZERO = datetime(2000, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

_length = Struct(">i").pack
_big = Struct(">iq").pack
_small = Struct(">ii").pack
_fields = Struct(">h").pack
_json = Struct(">iB").pack
YES, NO = b"\0\0\0\1\1", b"\0\0\0\1\0"


def octets(value: bytes) -> bytes:
    """A bytea field, or a uuid's 16 bytes."""
    return _length(len(value)) + value


def text(value: str) -> bytes:
    """A text field."""
    raw = value.encode()
    return _length(len(raw)) + raw


def json(value: str) -> bytes:
    """A jsonb field of a JSON text."""
    raw = value.encode()
    return _json(len(raw) + 1, 1) + raw


def big(value: int) -> bytes:
    """A bigint field."""
    return _big(8, value)


def small(value: int) -> bytes:
    """An int field."""
    return _small(4, value)


def instant(value: datetime) -> bytes:
    """A timestamptz field."""
    return _big(8, (value - ZERO) // MICROSECOND)


def boolean(value: bool) -> bytes:
    """A boolean field."""
    return YES if value else NO


ENCODERS: dict[str, Callable[[Any], bytes]] = {
    "bigint": big,
    "int": small,
    "text": text,
    "boolean": boolean,
    "timestamptz": instant,
    "jsonb": json,
    "bytea": octets,
    "uuid": lambda value: octets(value.bytes),
}


class Format:
    """Rows of one table: their column names with the SQL type of each."""

    def __init__(self, columns: dict[str, str]) -> None:
        self.names = list(columns)
        self.head = _fields(len(columns))
        self._encoders = [ENCODERS[sql] for sql in columns.values()]

    def row(self, values: Sequence[Any]) -> bytes:
        """One row, whole."""
        return self.head + self.fields(values)

    def fields(self, values: Sequence[Any]) -> bytes:
        """The fields of ``values``; more may follow."""
        pairs = zip(self._encoders, values, strict=False)
        return b"".join([ABSENT if value is None else encode(value) for encode, value in pairs])


async def whole(parts: Iterable[bytes]) -> Any:
    """The stream asyncpg sends: header, rows, trailer."""
    yield HEADER
    for part in parts:
        yield part
    yield TRAILER

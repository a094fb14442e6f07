"""Keyset cursors: where a list goes on, as text that a client hands back and never reads."""

import base64
import binascii
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any, Final, get_args

import msgspec

from plixa.kernel.errors import Invalid

LONGEST: Final = 1024
"""Characters of a cursor; its sort keys are short (a time, a name, an id)."""

_LARGEST: Final = 2**63 - 1
_STRICT: Final[dict[Any, Any]] = {
    int: Annotated[int, msgspec.Meta(ge=-_LARGEST, le=_LARGEST)],
    str: Annotated[str, msgspec.Meta(pattern=r"^[^\x00]*$")],
    datetime: Annotated[datetime, msgspec.Meta(tz=True)],
}


def encode(values: tuple[Any, ...]) -> str:
    """The last row's sort keys as url-safe text; times must carry an offset."""
    return base64.urlsafe_b64encode(msgspec.json.encode(values)).rstrip(b"=").decode()


def decode(cursor: str, types: tuple[Any, ...]) -> tuple[Any, ...]:
    """The sort keys given to ``encode``, each of its type (``int``, ``str | None`` …); else ``Invalid``."""
    if len(cursor) > LONGEST:
        raise Invalid.field("cursor", _BROKEN)
    try:
        raw = base64.b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        values: tuple[Any, ...] = _decoder(types).decode(raw)
    except (binascii.Error, UnicodeError, msgspec.DecodeError, RecursionError) as error:
        raise Invalid.field("cursor", _BROKEN) from error
    return values


_BROKEN: Final = "This cursor is not valid. Ask for the first page again."


@lru_cache(maxsize=256)
def _decoder(types: tuple[Any, ...]) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(tuple[tuple(_strict(item) for item in types)])  # type: ignore[misc]


def _strict(item: Any) -> Any:
    """The type with what PostgreSQL needs: integers within 64 bits, text without NUL, times with an offset."""
    parts = get_args(item)
    if not parts:
        return _STRICT.get(item, item)
    union = _strict(parts[0])
    for part in parts[1:]:
        union = union | _strict(part)
    return union

"""Total readers of decoded JSON: whatever they are given they answer, with None or empty for what they cannot read."""

import base64
import math
import re
from datetime import UTC, datetime

BODY_LIMIT = 65_536
BASE64_LIMIT = 65_536
_UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")
_MILLISECONDS_FROM = 100_000_000_000
_LATEST_SECOND = 4_102_444_800  # 2100-01-01
_LONGEST_WHOLE = 20
_LARGEST_REAL = 1e300


def record(value: object) -> dict[str, object]:
    """The object, or an empty one."""
    return value if isinstance(value, dict) else {}


def text(value: object, limit: int = BODY_LIMIT) -> str:
    """The string without what PostgreSQL cannot store (NUL, lone surrogates), cut; or an empty one."""
    return _UNSTORABLE.sub("", value[:limit]) if isinstance(value, str) else ""


def word(value: object, limit: int = 255) -> str | None:
    """The trimmed string, cut, or None when nothing is left."""
    return text(value, limit).strip() or None


def identifier(value: object) -> str | None:
    """A gateway's id, whole: one that had to be cut or cleaned would name something else."""
    return value if isinstance(value, str) and value and word(value) == value else None


def flag(value: object) -> bool:
    """True for ``true``, also as a string."""
    return value is True or value == "true"


def whole(value: object) -> int | None:
    """A non-negative integer told as number, decimal string or protobuf long ``{"low", "high", "unsigned"}``."""
    number = _long(value) if isinstance(value, dict) else _plain(value)
    return number if number is not None and number >= 0 else None


def real(value: object) -> float | None:
    """A finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > _LARGEST_REAL:
        return None
    return float(value) if math.isfinite(value) else None


def instant(value: object) -> datetime | None:
    """UTC time told in seconds or (13 digits) milliseconds since 1970, in any encoding of ``whole``."""
    number = whole(value)
    if not number:
        return None
    seconds, milliseconds = divmod(number, 1000) if number >= _MILLISECONDS_FROM else (number, 0)
    if seconds >= _LATEST_SECOND:
        return None
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=milliseconds * 1000)


def octets(value: object) -> bytes | None:
    """Bytes told as base64, list of numbers, ``{"0": 12, "1": 255}`` or ``{"type": "Buffer", "data": […]}``."""
    if isinstance(value, str):
        return _decoded(value)
    if isinstance(value, list):
        return _packed(value)
    if not isinstance(value, dict):
        return None
    if isinstance(value.get("data"), list):
        return _packed(value["data"])
    return _indexed(value)


def _long(value: dict[object, object]) -> int | None:
    low, high = _plain(value.get("low")), _plain(value.get("high", 0))
    if low is None or high is None or max(abs(low), abs(high)) >= 1 << 32:
        return None
    return (high << 32) | (low & 0xFFFFFFFF)


def _plain(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if abs(value) < 1 << 64 else None
    if isinstance(value, float):
        return int(value) if math.isfinite(value) and abs(value) < 1 << 64 else None
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= _LONGEST_WHOLE:
        return int(value)
    return None


def _decoded(value: str) -> bytes | None:
    if not value or len(value) > BASE64_LIMIT:
        return None
    try:
        return base64.b64decode(value, validate=True)
    except ValueError:
        return None


def _indexed(value: dict[object, object]) -> bytes | None:
    keys = {key: _plain(key) for key in value}
    if len(keys) > BASE64_LIMIT or None in keys.values():
        return None
    return _packed([value[key] for key in sorted(value, key=lambda key: keys[key] or 0)])


def _packed(values: list[object]) -> bytes | None:
    if len(values) > BASE64_LIMIT or not all(type(value) is int and 0 <= value < 1 << 8 for value in values):
        return None
    return bytes(value for value in values if isinstance(value, int)) or None

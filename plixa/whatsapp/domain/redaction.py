"""Webhooks without their secrets, for storing."""

import re

import msgspec

_SECRET_NAMES = {"apikey", "token", "hash", "jwt", "authorization", "jwt_key"}
_SUSPICIOUS = re.compile(rb'"(?:apikey|token|hash|jwt|authorization|jwt_key)"|\\u', re.IGNORECASE)
"""A secret's name, or an escape that may hide one."""
_DEEPEST = 100
_SMALL = 65_536
"""Bytes; what is larger is searched sooner when decoded."""
_parts = msgspec.json.Decoder(dict[str, msgspec.Raw])


def without_secrets(body: bytes) -> bytes:
    """The JSON object ``body`` as ``redact`` leaves it; what has nothing to hide keeps its bytes. Raises msgspec.DecodeError."""
    parts = {key: _cleaned(part) for key, part in _parts.decode(body).items() if key != "destination" and _kept(key)}
    return msgspec.json.encode(parts)


def _cleaned(part: msgspec.Raw) -> object:
    return part if len(part) <= _SMALL and not _SUSPICIOUS.search(part) else _without(msgspec.json.decode(part), _DEEPEST)


def redact(payload: dict[str, object]) -> dict[str, object]:
    """A copy without secrets at any depth, and without ``destination``: our own webhook address holds one.

    What lies deeper than 100 levels is left out.
    """
    return {key: _without(value, _DEEPEST) for key, value in payload.items() if key != "destination" and _kept(key)}


def _without(value: object, depth: int) -> object:
    if not isinstance(value, dict | list):
        return value
    if depth == 0:
        return None
    if isinstance(value, list):
        return [_without(item, depth - 1) for item in value]
    return {key: _without(item, depth - 1) for key, item in value.items() if _kept(key)}


def _kept(key: object) -> bool:
    return not isinstance(key, str) or key.lower() not in _SECRET_NAMES

"""Webhooks without their secrets, for storing."""

_SECRET_NAMES = {"apikey", "token", "hash", "jwt", "authorization", "jwt_key"}
_DEEPEST = 100


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

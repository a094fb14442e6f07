"""What a process remembers for half a second, so that what is asked with every request is not looked up with every request."""

import time
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

SECONDS = 0.5
"""What was revoked, removed or disconnected elsewhere goes on here for no longer."""


class Recall(Generic[K, V]):
    """Answers by key, trusted for half a second. No more are kept than were put within a second."""

    def __init__(self) -> None:
        self._known: dict[K, tuple[float, V]] = {}
        self._swept = 0.0

    def get(self, key: K) -> V | None:
        """What is remembered, or None."""
        known = self._known.get(key)
        return known[1] if known is not None and known[0] > time.monotonic() else None

    def put(self, key: K, value: V, seconds: float = SECONDS) -> V:
        """Remember, longer only what is checked before it is trusted, and answer the same."""
        now = time.monotonic()
        if now > self._swept + SECONDS:
            self._known = {one: known for one, known in self._known.items() if known[0] > now}
            self._swept = now
        self._known[key] = (now + seconds, value)
        return value

    def forget(self, key: K | None = None) -> None:
        """Trust nothing remembered of ``key``, or of anything."""
        if key is None:
            self._known.clear()
        else:
            self._known.pop(key, None)

"""Aggregates being edited: their state, their key, and what was decided about them."""

from collections.abc import Iterable
from datetime import datetime
from typing import Generic, TypeVar
from uuid import UUID

from plixa.kernel.crypto import StreamCipher
from plixa.kernel.event_store import Actor, Aggregate, Event, Recorded, stream_id

A = TypeVar("A", bound=Aggregate)


class Circumstances:
    """Whose transaction it is, who acts, for which request, and when."""

    tenant: int
    actor: Actor
    request_id: str
    now: datetime
    recorded: list[Recorded]
    """Every event of the transaction, of whatever stream, in the order in which they were decided."""


class Editor(Generic[A]):
    """One aggregate being edited: decide on ``state``, ``record`` what follows."""

    def __init__(self, circumstances: Circumstances, state: A, version: int, key: bytes) -> None:
        self._circumstances = circumstances
        self.state, self.version, self.key = state, version, key
        self.stream: UUID = stream_id(state.KIND, state.number)
        self.facts: list[Recorded] = []

    def record(self, events: Event | Iterable[Event]) -> None:
        """Append events to the stream and fold them into the state at once."""
        about = self._circumstances
        for event in (events,) if isinstance(events, Event) else events:
            self.version += 1
            self.state = self.state.evolve(event)
            place = (self.stream, self.state.number, self.version, event)
            fact = Recorded(*place, about.now, about.actor, about.request_id, about.tenant)
            self.facts.append(fact)
            about.recorded.append(fact)

    def encrypt(self, content: bytes) -> bytes:
        """Content kept outside the stream under its key, so that it is erased with it."""
        return StreamCipher(key=self.key).encrypt(content)

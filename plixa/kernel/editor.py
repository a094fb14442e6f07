"""Aggregates being edited: their state, their key, and what was decided about them."""

from collections.abc import Iterable
from datetime import datetime
from functools import cached_property
from typing import Generic, Self, TypeVar
from uuid import UUID

import asyncpg

from plixa.kernel.event_store import Actor, Aggregate, Event, EventMapper, Recorded, replay, stream_id

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
        self.before = self.state = state
        self.version, self.key = version, key
        self.stream: UUID = stream_id(state.KIND, state.number)
        self.facts: list[Recorded] = []

    @classmethod
    def loaded(cls, circumstances: Circumstances, blank: A, key: bytes, row: "asyncpg.Record") -> Self:
        """The editor of a stream as ``loading`` brings it, from its newest snapshot on; ``blank`` is the state before all events."""
        mapper = EventMapper(key)
        state = blank if row["snapshot"] is None else mapper.open_state(type(blank), row["snapshot"])
        state = replay(state, map(mapper.open, row["topics"] or (), row["payloads"] or ()))
        editor = cls(circumstances, state, row["version"] or row["snapshot_version"] or 0, key)
        editor.mapper = mapper
        return editor

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

    @cached_property
    def mapper(self) -> EventMapper:
        """Seals and opens what is of this stream."""
        return EventMapper(self.key)

    def encrypt(self, content: bytes) -> bytes:
        """Content kept outside the stream under its key, so that it is erased with it."""
        return self.mapper.cipher.encrypt(content)

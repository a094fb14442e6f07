"""Reading a tenant's log: events in the order they happened, decrypted with the keys of their streams.

A stream whose key was destroyed yields nothing but the events that say so, empty: classes with ``ERASES = True``.
"""

from collections.abc import Collection, Iterator
from contextlib import asynccontextmanager
from datetime import datetime
from itertools import takewhile
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec
from eventsourcing.utils import resolve_topic
from msgspec import Struct

from plixa.kernel.crypto import Vault, place_of_key
from plixa.kernel.event_store import AUDITED, TRAIL, Actor, Event, EventMapper, Recorded
from plixa.kernel.tenancy import scoped

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import asyncpg

    from plixa.kernel.uow import Kernel

BATCH = 4_000
COLUMNS = f"""position, stream_id, number, version, topic, payload, recorded_at, actor::text, request_id, wrapped_key,
    CASE WHEN wrapped_key IS NULL AND topic = '{AUDITED}' THEN
        (SELECT k.wrapped_key FROM stream_key k WHERE k.tenant_id = event.tenant_id AND k.stream_id = '{TRAIL}') END AS trail_key"""  # noqa: S608 - constants
READ = f"""SELECT h.position AS head, e.*
FROM log_head h LEFT JOIN LATERAL (
    SELECT {COLUMNS} FROM event LEFT JOIN stream_key USING (tenant_id, stream_id)
    WHERE tenant_id = h.tenant_id AND position > $2 AND ($5::text[] IS NULL OR topic = ANY($5))
      AND (wrapped_key IS NOT NULL OR topic = ANY($4::text[]))
    ORDER BY position LIMIT $3
) e ON true WHERE h.tenant_id = scope.tenant ORDER BY e.position"""  # noqa: S608
"""The head travels along: both are of one moment, so that nothing up to it is missed."""
STREAM = f"""SELECT {COLUMNS} FROM event LEFT JOIN stream_key USING (tenant_id, stream_id)
WHERE tenant_id = scope.tenant AND stream_id = $2 AND (wrapped_key IS NOT NULL OR topic = ANY($3::text[]))
ORDER BY version"""  # noqa: S608
STREAMS = f"""SELECT {COLUMNS} FROM event LEFT JOIN stream_key USING (tenant_id, stream_id)
WHERE tenant_id = scope.tenant AND stream_id = ANY($2::uuid[]) AND recorded_at <= $4::timestamptz
  AND (wrapped_key IS NOT NULL OR topic = ANY($3::text[]))
ORDER BY position"""  # noqa: S608
TAIL = f"""SELECT {COLUMNS} FROM event JOIN stream_key USING (tenant_id, stream_id)
WHERE tenant_id = scope.tenant AND stream_id = $2 AND version < $3 ORDER BY version DESC LIMIT $4"""  # noqa: S608
HEAD = "SELECT position FROM log_head WHERE tenant_id = scope.tenant"

_actor = msgspec.json.Decoder(Actor)


class Batch(Struct, frozen=True):
    """Events, and the position up to which there are no others; ``full`` when there may be more behind it."""

    facts: list[Recorded]
    through: int
    full: bool


class Log:
    """One tenant's log over a connection of either role, inside or outside a transaction."""

    def __init__(self, connection: "asyncpg.Connection[Any]", vault: Vault, tenant: int) -> None:
        self._connection, self._vault, self._tenant = connection, vault, tenant

    async def head(self) -> int:
        """The newest position."""
        position: int | None = await self._connection.fetchval(scoped(HEAD), self._tenant)
        return position or 0

    async def read(self, after: int, limit: int = BATCH, topics: Collection[str] | None = None) -> Batch:
        """At most ``limit`` events behind the position ``after``, of the given topics or of all."""
        wanted = None if topics is None else list(topics)
        rows = await self._connection.fetch(scoped(READ), self._tenant, after, limit, lasting_topics(), wanted)
        found = [tuple(row)[1:] for row in rows if row["position"] is not None]
        facts = list(self._decode(found))
        full = len(found) == limit
        head = rows[0]["head"] if rows else after
        return Batch(facts, found[-1][0] if full else max(after, head), full)

    async def stream(self, stream: UUID, until: datetime | None = None) -> list[Recorded]:
        """The events of one stream; with ``until`` those before the first that is later."""
        rows = await self._connection.fetch(scoped(STREAM), self._tenant, stream, lasting_topics())
        facts = self._decode(rows)
        return list(facts if until is None else takewhile(lambda fact: fact.at <= until, facts))

    async def streams(self, streams: list[UUID], until: datetime) -> list[Recorded]:
        """The events of many streams up to and including an instant, as they happened."""
        return list(self._decode(await self._connection.fetch(scoped(STREAMS), self._tenant, streams, lasting_topics(), until)))

    async def tail(self, stream: UUID, before: int, limit: int) -> list[Recorded]:
        """At most ``limit`` events of one stream below the version ``before``, newest first."""
        return list(self._decode(await self._connection.fetch(scoped(TAIL), self._tenant, stream, before, limit)))

    def _decode(self, rows: list[Any]) -> Iterator[Recorded]:
        """Every key is opened and every actor read once for the whole batch."""
        mappers: dict[UUID, EventMapper] = {}
        actors: dict[str, Actor] = {}
        for position, stream, number, version, topic, payload, at, who, request_id, own, shared in rows:
            actor = actors.get(who)
            if actor is None:
                actor = actors[who] = _actor.decode(who)
            wrapped, place = (own, stream) if own is not None else (shared, TRAIL)
            if wrapped is not None:
                mapper = mappers.get(place)
                if mapper is None:
                    mapper = mappers[place] = self._mapper(place, wrapped)
                event: Event = mapper.open(topic, payload)
            elif topic == AUDITED:
                continue
            else:
                event = resolve_topic(topic)()
            yield Recorded(stream, number, version, event, at, actor, request_id, self._tenant, position)

    def _mapper(self, stream: UUID, wrapped: bytes) -> EventMapper:
        return EventMapper(self._vault.open(wrapped, place_of_key(self._tenant, stream)))


@asynccontextmanager
async def reading(kernel: "Kernel", tenant: int) -> "AsyncIterator[Log]":
    """The tenant's log, on a connection held for the block only."""
    async with kernel.database.connection() as connection:
        yield Log(connection, kernel.vault, tenant)


async def read_log(kernel: "Kernel", tenant: int, after: int, limit: int = BATCH, topics: Collection[str] | None = None) -> list[Recorded]:
    """``Log.read`` on a connection of its own. Fewer than ``limit`` events mean that there are no more for now."""
    async with reading(kernel, tenant) as log:
        return (await log.read(after, limit, topics)).facts


async def read_stream(kernel: "Kernel", tenant: int, stream: UUID, until: datetime | None = None) -> list[Recorded]:
    """``Log.stream`` on a connection of its own."""
    async with reading(kernel, tenant) as log:
        return await log.stream(stream, until)


def lasting_topics() -> list[str]:
    """The topics of events that are read where their stream has no key of its own."""
    return [AUDITED, *erasing_topics()]


def erasing_topics() -> list[str]:
    """The topics of events that outlive their stream's key."""
    return [kind.TOPIC for kind in kinds(Event) if getattr(kind, "ERASES", False)]


def kinds(kind: type[Event]) -> Iterator[type[Event]]:
    """Every event class there is."""
    for child in kind.__subclasses__():
        yield child
        yield from kinds(child)

"""Reading a whole log fast: every stream's key is asked for once and kept, and events come in large batches."""

import gc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec
from eventsourcing.utils import resolve_topic

from plixa.kernel.crypto import Vault, place_of_key
from plixa.kernel.event_store import AUDITED, TRAIL, Actor, EventMapper, Recorded, decoder
from plixa.kernel.log import erasing_topics

EVENTS: Final = """SELECT position, stream_id, number, version, topic, payload, recorded_at, actor::text, request_id
FROM event WHERE tenant_id = $1 AND position > $2 AND position <= $3 AND topic = ANY($4::text[]) ORDER BY position LIMIT $5"""
KEYS: Final = "SELECT stream_id, wrapped_key FROM stream_key WHERE tenant_id = $1 AND stream_id = ANY($2::uuid[])"
MOST_KEYS: Final = 50_000
_actors = msgspec.json.Decoder(Actor)


class Scan:
    """One tenant's log up to a head that is known, over a connection that sees every tenant."""

    def __init__(self, connection: "asyncpg.Connection[Any]", vault: Vault, tenant: int, topics: Iterable[str]) -> None:
        self._connection, self._vault, self._tenant = connection, vault, tenant
        self._topics, self._erasing = list(topics), frozenset(erasing_topics())
        self._mappers: dict[UUID, EventMapper | None] = {}
        self._actors: dict[str, Actor] = {}
        classes = {topic: resolve_topic(topic) for topic in self._topics}
        self._plain = {topic: decoder(each).decode for topic, each in classes.items() if each.class_version == 1}

    async def read(self, after: int, head: int, limit: int) -> tuple[list[Recorded], int]:
        """Events behind ``after``, and the position up to which there are no others: ``head`` when that was all."""
        rows = await self._connection.fetch(EVENTS, self._tenant, after, head, self._topics, limit)
        await self._learn({row[1] for row in rows} | {TRAIL for row in rows if row[4] == AUDITED})
        return list(self._decode(rows)), rows[-1]["position"] if len(rows) == limit else head

    async def _learn(self, streams: set[UUID]) -> None:
        """The keys of streams not met before; None for those erased, which yield only the events that say so."""
        mappers = self._mappers
        if len(mappers) > MOST_KEYS:
            mappers.clear()
        unknown = [stream for stream in streams if stream not in mappers]
        if not unknown:
            return
        mappers.update(dict.fromkeys(unknown))
        for stream, wrapped in await self._connection.fetch(KEYS, self._tenant, unknown):
            mappers[stream] = EventMapper(self._vault.open(wrapped, place_of_key(self._tenant, stream)))

    def _decode(self, rows: "list[asyncpg.Record]") -> Iterator[Recorded]:
        mappers, actors, plain, tenant = self._mappers, self._actors, self._plain, self._tenant
        for position, stream, number, version, topic, payload, at, who, request_id in rows:
            mapper = mappers[stream] or (mappers[TRAIL] if topic == AUDITED else None)
            if mapper is None:
                if topic not in self._erasing:
                    continue
                event = resolve_topic(topic)()
            elif (decode := plain.get(topic)) is not None:
                event = decode(mapper.cipher.decrypt(payload))
            else:
                event = mapper.open(topic, payload)
            actor = actors.get(who) or self._actor(who)
            yield Recorded(stream, number, version, event, at, actor, request_id, tenant, position)

    def _actor(self, who: str) -> Actor:
        actor = self._actors[who] = _actors.decode(who)
        return actor


@contextmanager
def uncollected() -> Iterator[None]:
    """Without the collector of cycles: what is made here by the million has none, and looking through it takes a quarter of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()

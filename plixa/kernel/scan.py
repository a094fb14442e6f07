"""Reading a whole log fast: every stream's key is asked for once and kept, and events come in large batches."""

import asyncio
import gc
from collections.abc import Awaitable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec
from eventsourcing.utils import resolve_topic

from plixa.kernel.crypto import Vault, place_of_key
from plixa.kernel.event_store import AUDITED, TRAIL, Actor, EventMapper, Recorded, decoder
from plixa.kernel.log import erasing_topics

EVENTS: Final = """SELECT position, uuid_send(stream_id), number, version, topic, payload, recorded_at, actor::text, request_id
FROM event WHERE tenant_id = $1 AND position > $2 AND position <= $3 AND topic = ANY($4::text[]) ORDER BY position LIMIT $5"""
"""Streams come as bytes: a UUID made anew with every event is dear to look up."""
KEYS: Final = "SELECT uuid_send(stream_id), wrapped_key FROM stream_key WHERE tenant_id = $1 AND stream_id = ANY($2::uuid[])"
MOST_KEYS: Final = 50_000
TURN: Final = 500
"""Events opened before others get their turn."""
TRAILS: Final = TRAIL.bytes
_actors = msgspec.json.Decoder(Actor)


class Scan:
    """One tenant's log up to a head that is known, over a connection that sees every tenant."""

    def __init__(self, connection: "asyncpg.Connection[Any]", vault: Vault, tenant: int, topics: Iterable[str]) -> None:
        self._connection, self._vault, self.tenant = connection, vault, tenant
        self._topics, self._erasing = list(topics), frozenset(erasing_topics())
        self._trail = {TRAILS} if AUDITED in self._topics else set()
        self._streams: dict[bytes, tuple[UUID, EventMapper | None]] = {}
        self._actors: dict[str, Actor] = {}
        classes = {topic: resolve_topic(topic) for topic in self._topics}
        self._plain = {topic: decoder(each).decode for topic, each in classes.items() if each.class_version == 1}

    async def read(self, after: int, head: int, limit: int) -> tuple[list[Recorded], int]:
        """Events behind ``after``, and the position up to which there are no others: ``head`` when that was all."""
        rows, through = await self.fetch(after, head, limit)
        return await self.open(rows), through

    async def fetch(self, after: int, head: int, limit: int) -> tuple[list[asyncpg.Record], int]:
        """The same, still sealed, with the keys at hand: to be opened while the connection does something else."""
        rows = await self._connection.fetch(EVENTS, self.tenant, after, head, self._topics, limit)
        await self._learn({row[1] for row in rows} | self._trail)
        return rows, rows[-1][0] if len(rows) == limit else head

    async def open(self, rows: list[asyncpg.Record]) -> list[Recorded]:
        """What was fetched, in its order."""
        facts: list[Recorded] = []
        for start in range(0, len(rows), TURN):
            facts.extend(self._decode(rows[start : start + TURN]))
            await asyncio.sleep(0)
        return facts

    async def _learn(self, streams: set[bytes]) -> None:
        """The keys of streams not met before; None for those erased, which yield only the events that say so."""
        known = self._streams
        if len(known) > MOST_KEYS:
            known.clear()
        unknown = {raw: UUID(bytes=raw) for raw in streams if raw not in known}
        if not unknown:
            return
        known.update((raw, (stream, None)) for raw, stream in unknown.items())
        for raw, wrapped in await self._connection.fetch(KEYS, self.tenant, list(unknown.values())):
            stream = unknown[raw]
            known[raw] = (stream, EventMapper(self._vault.open(wrapped, place_of_key(self.tenant, stream))))

    def _decode(self, rows: list[asyncpg.Record]) -> Iterator[Recorded]:
        streams, actors, plain, tenant = self._streams, self._actors, self._plain, self.tenant
        for position, raw, number, version, topic, payload, at, who, request_id in rows:
            stream, mapper = streams[raw]
            if mapper is None and topic == AUDITED:
                mapper = streams[TRAILS][1]
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


async def together(*doing: Awaitable[Any]) -> list[Any]:
    """What things answer that are done at a time; raises what the first of them raised, once none goes on."""
    answers = await asyncio.gather(*doing, return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
    return answers


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

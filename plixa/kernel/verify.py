"""Proving a tenant's log: every event's hash is computed again, from the first position to the head.

The chain covers the ciphertext, so it holds after keys were destroyed. Whoever may rewrite a log and its head leaves a chain that is
sound but other than the one that was witnessed outside the database (``plixa.kernel.witness``).
"""

from collections.abc import Callable, Sequence
from typing import Any

import asyncpg
import msgspec
from eventsourcing.persistence import StoredEvent
from msgspec import Struct

from plixa.kernel.database import Database
from plixa.kernel.event_store import GENESIS, Written, link

BATCH = 2_000
FIRST = -(2**63)
HEAD = """SELECT h.position, h.hash, (SELECT max(position) FROM event WHERE tenant_id = $1) AS tail
FROM (SELECT $1::bigint AS tenant_id) t LEFT JOIN log_head h USING (tenant_id)"""
EVENTS = """SELECT position, stream_id, number, version, topic, payload, recorded_at, actor::text, request_id, hash FROM event
WHERE tenant_id = $1 AND position BETWEEN $2 AND $3 ORDER BY position LIMIT $4"""

ALTERED = "altered"
MISSING = "missing"
FORGED = "forged"
HEAD_DIFFERS = "head differs"
REWRITTEN = "not what was witnessed"

Witnessed = tuple[int, str]
"""A position, and the hash in hexadecimal that the log had there."""

Progress = Callable[[int, int], None]
"""Told how many positions of how many are proven."""


class Fault(Struct, frozen=True):
    """The first wrong position, and what is wrong: altered, missing, forged (outside of the log) or head differs."""

    position: int
    what: str


class Verdict(Struct, frozen=True):
    """The log's head when the proof began, how many events were proven, and the first fault."""

    tenant: int
    position: int
    hash: bytes
    proven: int
    fault: Fault | None = None


class Chain:
    """The hashes of one tenant's log, followed event by event."""

    def __init__(self, tenant: int, witnessed: Witnessed | None = None) -> None:
        self.tenant, self.position, self.hash = tenant, 0, GENESIS
        self._witnessed = witnessed
        self._actors: dict[str, bytes] = {}

    def follow(self, row: Sequence[Any]) -> Fault | None:
        """Take the next event, or say what is wrong with it."""
        position, stream, number, version, topic, payload, at, who, request_id, found = row
        expected = self.position + 1
        if position != expected:
            return Fault(position, FORGED) if position < expected else Fault(expected, MISSING)
        stored = StoredEvent(stream, version, topic, payload)
        written = Written(self.tenant, number, stored, at, self._actor(who), request_id)
        known = link(self.hash, position, written.digest())
        if known != found:
            return Fault(position, ALTERED)
        self.position, self.hash = position, known
        is_witnessed = self._witnessed is not None and self._witnessed[0] == position
        return Fault(position, REWRITTEN) if is_witnessed and self._witnessed != (position, known.hex()) else None

    def shortage(self) -> Fault | None:
        """Where the log ends before what was witnessed."""
        cut = self._witnessed is not None and self.position < self._witnessed[0]
        return Fault(self.position + 1, REWRITTEN) if cut else None

    def _actor(self, who: str) -> bytes:
        actor = self._actors.get(who)
        if actor is None:
            actor = self._actors[who] = canonical_again(who)
        return actor


def canonical_again(who: str) -> bytes:
    """The stored actor as it was hashed; empty where it is none of ours."""
    try:
        return msgspec.json.encode(msgspec.json.decode(who), order="sorted")
    except msgspec.DecodeError:
        return b""


async def verify_chain(system: Database, tenant: int, progress: Progress | None = None, witnessed: Witnessed | None = None) -> Verdict:
    """Prove the log as far as it reached when this began, and that it is the one that was ``witnessed``; it may grow meanwhile."""
    async with system.connection() as connection:
        head = await connection.fetchrow(HEAD, tenant)
        position, known, tail = head if head is not None else (None, None, None)
        chain = Chain(tenant, witnessed)
        fault = await follow(connection, chain, position or 0, progress)
    fault = fault or ending(chain, known, tail or 0) or chain.shortage()
    return Verdict(tenant, position or 0, known or GENESIS, chain.position, fault)


async def follow(connection: "asyncpg.Connection[Any]", chain: Chain, last: int, progress: Progress | None) -> Fault | None:
    """Follow the chain to the position ``last``; the first fault, or None."""
    start = FIRST
    while rows := await connection.fetch(EVENTS, chain.tenant, start, last, BATCH):
        for row in rows:
            fault = chain.follow(row)
            if fault is not None:
                return fault
        start = chain.position + 1
        if progress is not None:
            progress(chain.position, last)
    return Fault(chain.position + 1, MISSING) if chain.position < last else None


def ending(chain: Chain, head: bytes | None, tail: int) -> Fault | None:
    """What is wrong where a sound chain ends: events behind the head, a head of another chain, or none at all."""
    if tail > chain.position:
        return Fault(chain.position + 1, FORGED if head is not None else HEAD_DIFFERS)
    if chain.hash != head:
        return Fault(chain.position, HEAD_DIFFERS)
    return None

"""Statements that load streams: one, or many at once."""

from functools import lru_cache
from typing import Any

import asyncpg

from plixa.kernel.event_store import Aggregate, stream_id
from plixa.kernel.projection import Projection
from plixa.kernel.tenancy import scoped

LOAD = """
SELECT k.wrapped_key, s.version AS snapshot_version, s.payload AS snapshot, e.version, e.topics, e.payloads{columns}
FROM {wanted}
LEFT JOIN LATERAL (
    SELECT version, payload FROM snapshot WHERE tenant_id = k.tenant_id AND stream_id = k.stream_id AND topic = '{snapshot}'
    ORDER BY version DESC LIMIT 1
) s ON true
CROSS JOIN LATERAL (
    SELECT max(version) AS version, array_agg(topic ORDER BY version) FILTER (WHERE topic = ANY({topics})) AS topics,
           array_agg(payload ORDER BY version) FILTER (WHERE topic = ANY({topics})) AS payloads
    FROM event WHERE tenant_id = k.tenant_id AND stream_id = k.stream_id AND version > CASE WHEN s.version IS NULL THEN 0 ELSE s.version END
) e{join}
{end}
"""
"""One stream in one round trip: its key, its newest snapshot and, the later events that change the state; and a row beside it."""
ONE = {"wanted": "stream_key k", "end": "WHERE k.tenant_id = scope.tenant AND k.stream_id = $2"}
MANY = {
    "wanted": "unnest($2::uuid[], $3::bigint[]) WITH ORDINALITY AS w(stream_id, number, place)"
    " LEFT JOIN stream_key k ON k.tenant_id = scope.tenant AND k.stream_id = w.stream_id",
    "end": "ORDER BY w.place",
}
"""A row each, in the order asked for, without a key where there is no stream."""
BESIDE = 6
"""Columns of ``LOAD`` before those of the row beside the stream."""


@lru_cache(maxsize=64)
def load_statement(kind: type[Aggregate], head: Projection[Any] | None) -> str:
    """Loads one stream, ``$2``, and, where a read model has one, the row ``$3`` beside it."""
    return scoped(LOAD.format(**ONE, **telling(kind), **beside(head, "$3")))


@lru_cache(maxsize=64)
def load_many_statement(kind: type[Aggregate], head: Projection[Any] | None) -> str:
    """Loads the streams ``$2`` of the aggregates ``$3`` and, where a read model has one, the row beside each."""
    return scoped(LOAD.format(**MANY, **telling(kind), **beside(head, "w.number")))


def telling(kind: type[Aggregate]) -> dict[str, str]:
    """The parts of ``LOAD`` that say what tells of the state."""
    topics = ", ".join(f"'{topic}'" for topic in kind.topics())
    return {"topics": f"ARRAY[{topics}]::text[]", "snapshot": kind.snapshot_topic()}


def beside(head: Projection[Any] | None, number: str) -> dict[str, str]:
    """The parts of ``LOAD`` that read the row beside a stream."""
    if head is None:
        return {"columns": "", "join": ""}
    join = f"\nLEFT JOIN {head.table.name} h ON h.tenant_id = k.tenant_id AND h.{head.table.key} = {number}"
    return {"columns": "".join(f", h.{name}" for name in head.table.names), "join": join}


async def load_many(
    connection: "asyncpg.Connection[Any]", tenant: int, kind: type[Aggregate], numbers: list[int], head: Projection[Any] | None
) -> "list[tuple[int, asyncpg.Record]]":
    """Those of the aggregates that are there, as they were loaded."""
    if not numbers:
        return []
    streams = [stream_id(kind.KIND, number) for number in numbers]
    rows = await connection.fetch(load_many_statement(kind, head), tenant, streams, numbers)
    return [(number, row) for number, row in zip(numbers, rows, strict=True) if row["wrapped_key"] is not None]

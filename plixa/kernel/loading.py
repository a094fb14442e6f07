"""Statements that load a stream: whole, or only its end."""

from functools import lru_cache
from typing import Any

from plixa.kernel.projection import Projection

LOAD = """
SELECT k.wrapped_key, s.version AS snapshot_version, s.payload AS snapshot, e.version, e.topics, e.payloads{columns}
FROM stream_key k
LEFT JOIN LATERAL (
    SELECT version, payload FROM snapshot WHERE tenant_id = k.tenant_id AND stream_id = k.stream_id AND topic = $4
    ORDER BY version DESC LIMIT 1
) s ON true
CROSS JOIN LATERAL (
    SELECT max(version) AS version, array_agg(topic ORDER BY version) FILTER (WHERE topic = ANY($3::text[])) AS topics,
           array_agg(payload ORDER BY version) FILTER (WHERE topic = ANY($3::text[])) AS payloads
    FROM event WHERE tenant_id = k.tenant_id AND stream_id = k.stream_id AND version > coalesce(s.version, 0)
) e{join}
WHERE k.tenant_id = $1 AND k.stream_id = $2
"""
"""One stream in one round trip: its key, its newest snapshot and, the later events that change the state; and a row beside it."""
END = """SELECT (SELECT wrapped_key FROM stream_key WHERE tenant_id = $1 AND stream_id = $2) AS wrapped_key,
(SELECT coalesce(max(version), 0) FROM event WHERE tenant_id = $1 AND stream_id = $2) AS version"""
"""Key and last version of one stream."""
BESIDE = 6
"""Columns of ``LOAD`` before those of the row beside the stream."""


@lru_cache(maxsize=16)
def load_statement(head: Projection[Any] | None) -> str:
    """Loads one stream and, where a read model has one, the row beside it."""
    if head is None:
        return LOAD.format(columns="", join="")
    columns = "".join(f", h.{name}" for name in head.table.names)
    join = f"\nLEFT JOIN {head.table.name} h ON h.tenant_id = k.tenant_id AND h.{head.table.key} = $5"
    return LOAD.format(columns=columns, join=join)

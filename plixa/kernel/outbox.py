"""The outbox: everything that must happen outside is a row written with the command and done after its commit.

Rows with the same ``order`` are done one after the other. ``plixa.kernel.delivery`` does them.
"""

from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

INSERT_ONE = """INSERT INTO outbox (tenant_id, kind, key, payload, due_at, order_key)
VALUES ($1::bigint, $2::text, $3::text, $4::text::jsonb, $5::timestamptz, $6::text) ON CONFLICT (tenant_id, kind, key) DO NOTHING"""
INSERT = """INSERT INTO outbox (tenant_id, kind, key, payload, due_at, order_key)
SELECT $1, kind, key, payload::jsonb, due_at, order_key
FROM unnest($2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::text[]) AS b(kind, key, payload, due_at, order_key)
ON CONFLICT (tenant_id, kind, key) DO NOTHING"""


class Effect(Struct, frozen=True):
    """Something to be done outside: ``key`` is unique per tenant and kind, ``order`` serialises, ``due_at`` None means at once."""

    kind: str
    key: str
    payload: dict[str, Any] = {}
    due_at: datetime | None = None
    order: str | None = None


class Outbox:
    """The effects one unit of work asks for."""

    def __init__(self) -> None:
        self._rows: list[tuple[str, str, str, datetime, str | None]] = []

    def add(self, effect: Effect, now: datetime) -> None:
        """Remember one."""
        payload = msgspec.json.encode(effect.payload).decode()
        self._rows.append((effect.kind, effect.key, payload, effect.due_at or now, effect.order))

    def piece(self, tenant: int) -> tuple[str, tuple[Any, ...]] | None:
        """The statement that saves them, if there are any."""
        if not self._rows:
            return None
        if len(self._rows) == 1:
            return INSERT_ONE, (tenant, *self._rows[0])
        return INSERT, (tenant, *(list(values) for values in zip(*self._rows, strict=True)))

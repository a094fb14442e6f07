"""Doing what the outbox asks for: claim a row with a lease, have its effect, record the result.

A row whose lease ran out while it was ``running`` is *in doubt*: its effect may have happened. After five attempts a row is parked,
visible and never deleted by itself.
"""

import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import msgspec
from msgspec import Struct

from plixa.kernel.errors import PlixaError
from plixa.kernel.uow import Kernel, UnitOfWork

log = logging.getLogger(__name__)

LEASE_SECONDS = 60
ATTEMPTS = 5
CLAIM = """WITH mine AS (
    SELECT o.tenant_id, o.id, o.state FROM outbox o
    WHERE o.tenant_id = $1 AND o.id = $2 AND o.state IN ('waiting', 'running') AND o.due_at <= now()
      AND (o.lease_until IS NULL OR o.lease_until < now())
      AND NOT EXISTS (SELECT FROM outbox e WHERE e.tenant_id = o.tenant_id AND e.order_key = o.order_key
                      AND e.state IN ('waiting', 'running') AND e.id < o.id)
    FOR UPDATE SKIP LOCKED)
UPDATE outbox o SET state = 'running', attempts = o.attempts + 1, lease_until = now() + make_interval(secs => $3)
FROM mine WHERE o.tenant_id = mine.tenant_id AND o.id = mine.id
RETURNING o.kind, o.key, o.payload, o.attempts, mine.state = 'running' AS in_doubt"""
DONE = (
    "UPDATE outbox SET state = 'done', done_at = now(), lease_until = NULL, error = NULL WHERE tenant_id = $1 AND id = $2 AND attempts = $3"
)
AGAIN = """UPDATE outbox SET state = CASE WHEN attempts >= $5 THEN 'parked' ELSE 'waiting' END, lease_until = NULL, queued_until = NULL,
due_at = now() + make_interval(secs => $4), error = $6 WHERE tenant_id = $1 AND id = $2 AND attempts = $3"""
DUE = """UPDATE outbox SET queued_until = now() + interval '10 seconds' WHERE (tenant_id, id) IN (
    SELECT o.tenant_id, o.id FROM outbox o
    WHERE o.state IN ('waiting', 'running') AND o.due_at <= now() AND (o.lease_until IS NULL OR o.lease_until < now())
      AND (o.queued_until IS NULL OR o.queued_until < now())
      AND NOT EXISTS (SELECT FROM outbox e WHERE e.tenant_id = o.tenant_id AND e.order_key = o.order_key
                      AND e.state IN ('waiting', 'running') AND e.id < o.id)
    ORDER BY o.due_at LIMIT $1 FOR UPDATE SKIP LOCKED)
RETURNING tenant_id, id, kind"""
"""What is due and not on its way to a worker already (system role)."""


class Retry(Exception):
    """The effect did not happen and is worth another try in ``seconds``."""

    def __init__(self, seconds: float, reason: str) -> None:
        super().__init__(reason)
        self.seconds = seconds


class Delivery(Struct, frozen=True):
    """One claimed outbox row. ``in_doubt``: an earlier attempt died and may have had its effect."""

    kernel: Kernel
    tenant: int
    id: int
    kind: str
    key: str
    payload: dict[str, Any]
    attempt: int
    in_doubt: bool

    @asynccontextmanager
    async def unit(self) -> AsyncIterator[UnitOfWork]:
        """A unit of work of this delivery's tenant."""
        uow = self.kernel.unit(self.tenant, request_id=f"outbox-{self.id}")
        try:
            yield uow
        finally:
            uow.close()

    async def done(self, uow: UnitOfWork) -> None:
        """Mark the row done in the transaction that records the result."""
        await uow.execute(DONE, self.id, self.attempt)


Handler = Callable[[Delivery], Awaitable[None]]


async def deliver(kernel: Kernel, handlers: dict[str, Handler], tenant: int, number: int) -> bool:
    """Claim one row and do its effect; False when it was not to be had."""
    async with kernel.system.connection() as connection:
        row = await connection.fetchrow(CLAIM, tenant, number, LEASE_SECONDS)
    if row is None:
        return False
    payload = msgspec.json.decode(row["payload"])
    delivery = Delivery(kernel, tenant, number, row["kind"], row["key"], payload, row["attempts"], row["in_doubt"])
    try:
        await handlers[delivery.kind](delivery)
    except Retry as error:
        await again(delivery, error.seconds, str(error))
    except (PlixaError, asyncpg.PostgresError, OSError) as error:
        log.warning("Effect %s %s failed: %r", delivery.kind, delivery.key, error)
        await again(delivery, backoff(delivery.attempt), repr(error))
    kernel.waker.wake(tenant)
    return True


def backoff(attempt: int) -> float:
    """Seconds until the next attempt: 2, 8, 32, 128 with a fifth of jitter."""
    return 2.0 * 4.0 ** (attempt - 1) * random.uniform(0.8, 1.2)  # noqa: S311


async def again(delivery: Delivery, seconds: float, reason: str) -> None:
    """Put the row back, or park it after the last attempt."""
    async with delivery.kernel.system.connection() as connection:
        await connection.execute(AGAIN, delivery.tenant, delivery.id, delivery.attempt, seconds, ATTEMPTS, reason[:500])

"""Doing what the outbox asks for: claim a row with a lease, have its effect, record the result.

The lease is short, so that what a dead worker held is taken up soon, and renewed for as long as the effect runs; an effect whose lease
cannot be renewed is ended before anybody else may begin it. A row that is ``running`` when it is claimed is *in doubt*: an earlier attempt
died or failed halfway, and may have had its effect. After five attempts a row is parked, visible and never deleted by itself.
"""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import asyncpg
import msgspec
from msgspec import Struct

from plixa.kernel.errors import Unavailable
from plixa.kernel.uow import Kernel, UnitOfWork

log = logging.getLogger(__name__)

LEASE_SECONDS = 15.0
RENEW_SECONDS = 4.0
ATTEMPTS = 5
CLAIM = """WITH mine AS (
    SELECT o.tenant_id, o.id, o.state FROM outbox o
    WHERE o.tenant_id = $1 AND o.id = $2 AND o.state IN ('waiting', 'running') AND o.due_at <= now()
      AND (o.lease_until IS NULL OR o.lease_until < now())
      AND NOT EXISTS (SELECT FROM outbox e WHERE e.tenant_id = o.tenant_id AND e.order_key = o.order_key
                      AND e.state IN ('waiting', 'running') AND e.id < o.id)
    FOR UPDATE SKIP LOCKED)
UPDATE outbox o SET attempts = least(o.attempts + 1, $4), state = CASE WHEN o.attempts < $4 THEN 'running' ELSE 'parked' END,
    lease_until = CASE WHEN o.attempts < $4 THEN now() + make_interval(secs => $3) END,
    error = CASE WHEN o.attempts < $4 THEN o.error ELSE coalesce(o.error, 'The worker died of it.') END
FROM mine WHERE o.tenant_id = mine.tenant_id AND o.id = mine.id
RETURNING o.kind, o.key, o.payload, o.attempts, o.state, mine.state = 'running' AS in_doubt"""
"""A row that is still running after its last attempt ended every worker that tried: it is parked here."""
RENEW = """UPDATE outbox SET lease_until = now() + make_interval(secs => $4)
WHERE tenant_id = $1 AND id = $2 AND attempts = $3 AND state = 'running' RETURNING true"""
DONE = (
    "UPDATE outbox SET state = 'done', done_at = now(), lease_until = NULL, error = NULL WHERE tenant_id = $1 AND id = $2 AND attempts = $3"
)
RESUMED = """UPDATE outbox SET state = 'waiting', attempts = 0, due_at = $4, lease_until = NULL, queued_until = NULL, error = NULL
WHERE tenant_id = $1 AND id = $2 AND attempts = $3"""
AGAIN = """UPDATE outbox SET state = CASE WHEN attempts >= $5 THEN 'parked' ELSE $7 END, lease_until = NULL, queued_until = NULL,
due_at = now() + make_interval(secs => $4), error = $6 WHERE tenant_id = $1 AND id = $2 AND attempts = $3 AND state = 'running'"""
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

    async def resume(self, uow: UnitOfWork, at: datetime) -> None:
        """Have it done once more at ``at``, as if it were new: what recurs, or waits for others, is no failure of ours."""
        await uow.execute(RESUMED, self.id, self.attempt, at)


Handler = Callable[[Delivery], Awaitable[None]]


async def deliver(kernel: Kernel, handlers: dict[str, Handler], tenant: int, number: int) -> bool:
    """Claim one row and do its effect; False when it was not to be had."""
    asked = asyncio.get_running_loop().time()
    async with kernel.system.connection() as connection:
        row = await connection.fetchrow(CLAIM, tenant, number, LEASE_SECONDS, ATTEMPTS)
    if row is None:
        return False
    if row["state"] == "parked":
        log.error("Effect %s %s was parked: every worker that tried it died", row["kind"], row["key"])
        return False
    payload = msgspec.json.decode(row["payload"])
    delivery = Delivery(kernel, tenant, number, row["kind"], row["key"], payload, row["attempts"], row["in_doubt"])
    try:
        async with held(delivery, asked + LEASE_SECONDS):
            await handlers[delivery.kind](delivery)
    except Retry as error:
        await again(delivery, error.seconds, str(error), "waiting")
    except Exception as error:
        log.exception("Effect %s %s failed", delivery.kind, delivery.key)
        await again(delivery, backoff(delivery.attempt), repr(error), "running")
    kernel.waker.wake(tenant)
    return True


@asynccontextmanager
async def held(delivery: Delivery, until: float) -> AsyncIterator[None]:
    """Renew the lease beside a block. Raises TimeoutError in it at ``until``, by the loop's clock, or a lease after the last renewal."""
    async with asyncio.timeout_at(until) as patience:
        renewing = asyncio.create_task(renew(delivery, patience))
        try:
            yield
        finally:
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)


async def renew(delivery: Delivery, patience: asyncio.Timeout) -> None:
    """Move both ends of the lease, ours and the database's, until it is no longer ours."""
    clock, renewed = asyncio.get_running_loop(), True
    while renewed:
        await asyncio.sleep(RENEW_SECONDS)
        asked = clock.time()
        try:
            async with delivery.kernel.system.connection() as connection:
                renewed = await connection.fetchval(RENEW, delivery.tenant, delivery.id, delivery.attempt, LEASE_SECONDS)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, Unavailable) as error:
            log.warning("A lease was not renewed: %r", error)
        else:
            if renewed:
                patience.reschedule(asked + LEASE_SECONDS)


def backoff(attempt: int) -> float:
    """Seconds until the next attempt: 2, 8, 32, 128 with a fifth of jitter."""
    return 2.0 * 4.0 ** (attempt - 1) * random.uniform(0.8, 1.2)  # noqa: S311


async def again(delivery: Delivery, seconds: float, reason: str, state: str) -> None:
    """Put the row back, ``waiting`` where nothing happened, else ``running`` and so in doubt; or park it after the last attempt."""
    async with delivery.kernel.system.connection() as connection:
        await connection.execute(AGAIN, delivery.tenant, delivery.id, delivery.attempt, seconds, ATTEMPTS, reason[:500], state)

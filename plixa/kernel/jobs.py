"""From the outbox to the workers, and the housekeeping that nobody asks for.

Redis only carries the ids of what is due. The relay, in every worker, finds due rows when it is woken and once a second besides: what
Redis forgot, or a dead worker held, it brings again.
"""

import asyncio
import logging
import time
from typing import Any

import asyncpg
import dramatiq
from redis.exceptions import RedisError

from plixa.kernel.assembly import Machinery
from plixa.kernel.delivery import DUE, Handler, deliver
from plixa.kernel.errors import Unavailable
from plixa.kernel.idempotency import PRUNE
from plixa.kernel.settings import Settings
from plixa.kernel.uow import Kernel
from plixa.kernel.witness import bear_witness

log = logging.getLogger(__name__)

QUEUES = {"inbox.send": "send", "mail.send": "mail", "push.send": "mail", "campaign.mail": "bulk"}
"""Messages to customers wait for nothing else, mails and notifications share a queue; what goes to many keeps nobody waiting in ``bulk``;
every other effect is in ``effects``."""
BATCH = 200
POLL_SECONDS = 1.0
PACE_SECONDS = 30.0
"""A leader looks that often whether its connection, and with it the lease, still holds."""
LEADER = 7_402_912
"""The advisory lock of the one scheduler that leads."""
PRUNING = {
    "DELETE FROM outbox WHERE state = 'done' AND done_at < now() - make_interval(days => $1)": "outbox_days",
    "DELETE FROM webhook_seen WHERE received_at < now() - make_interval(days => $1)": "webhook_days",
    "DELETE FROM mail WHERE created_at < now() - make_interval(days => $1)": "mail_days",
    "DELETE FROM access_token WHERE kind <> 'api' AND expires_at < now() - make_interval(days => $1)": "token_days",
    "DELETE FROM password_reset WHERE expires_at < now() - make_interval(days => $1)": "token_days",
    """UPDATE contact_import SET state = 'failed', file = NULL
    WHERE file IS NOT NULL AND created_at < now() - make_interval(days => $1)""": "token_days",
    "DELETE FROM google_consent WHERE expires_at < now() - make_interval(days => $1)": "token_days",
    "DELETE FROM ticket_viewer WHERE seen_at < now() - make_interval(days => $1)": "token_days",
    "DELETE FROM parked_update WHERE received_at < now() - make_interval(days => $1)": "webhook_days",
}
"""What is no history, and the setting that says how long it is kept. Idempotency keys have a time of their own."""


def declare(broker: dramatiq.Broker, kernel: Kernel, handlers: dict[str, Handler]) -> "dramatiq.Actor[..., None]":
    """The one actor: it claims a row of the outbox and does its effect. Trying again is the outbox's own business."""

    async def deliver_row(tenant: int, number: int) -> None:
        await deliver(kernel, handlers, tenant, number)

    for queue in ("send", "effects", "mail", "bulk"):
        broker.declare_queue(queue)
    make = dramatiq.actor(actor_name="outbox.deliver", broker=broker, queue_name="effects")
    return make(deliver_row)


async def relay(machinery: Machinery, actor: "dramatiq.Actor[..., None]") -> None:
    """Bring what is due to the workers, until cancelled."""
    while True:
        try:
            async with machinery.kernel.system.connection() as connection:
                rows = await connection.fetch(DUE, BATCH)
            if rows:
                await asyncio.to_thread(enqueue, actor, rows)
            if len(rows) == BATCH:
                continue
        except (asyncpg.PostgresError, asyncpg.InterfaceError, RedisError, OSError, Unavailable) as error:
            log.warning("The relay waits for its servers: %r", error)
            await asyncio.sleep(POLL_SECONDS)
        await machinery.listener.wait(0, POLL_SECONDS)


def enqueue(actor: "dramatiq.Actor[..., None]", rows: list[Any]) -> None:
    """Tell the workers of due rows."""
    for row in rows:
        message = actor.message_with_options(args=(row["tenant_id"], row["id"]))
        actor.broker.enqueue(message.copy(queue_name=QUEUES.get(row["kind"], "effects")))


async def keep_house(kernel: Kernel, settings: Settings) -> None:
    """Prune what has been kept long enough and bear witness of the logs, while leading; any number may run, the others wait."""
    while True:
        try:
            async with kernel.system.connection() as connection:
                await lead(connection, kernel, settings)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, Unavailable) as error:
            log.warning("The scheduler lost its database: %r", error)
        await asyncio.sleep(POLL_SECONDS * 5)


async def lead(connection: "asyncpg.Connection[Any]", kernel: Kernel, settings: Settings) -> None:
    """Hold the lease, which is a lock of this connection, and run what is due for as long as it holds."""
    if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", LEADER):
        return
    due = dict.fromkeys(("prune", "witness"), 0.0)
    try:
        while True:
            now = time.monotonic()
            for work in [work for work, at in due.items() if at <= now]:
                due[work] = now + settings.schedules[work]
                if work == "prune":
                    await prune(connection, settings)
                else:
                    await bear_witness(kernel, settings)
            await connection.execute("SELECT 1")
            await asyncio.sleep(min(PACE_SECONDS, max(0.0, min(due.values()) - time.monotonic())))
    finally:
        if not connection.is_closed():
            await connection.execute("SELECT pg_advisory_unlock($1)", LEADER)


async def prune(connection: "asyncpg.Connection[Any]", settings: Settings) -> None:
    """Delete what has been kept long enough."""
    await connection.execute(PRUNE, timeout=600)
    for statement, setting in PRUNING.items():
        await connection.execute(statement, getattr(settings.retention, setting), timeout=600)

"""Reactions: "whenever this happened, that is to be done", behind the log and never in the way of who wrote it.

A reaction reads each tenant's log from its checkpoint and asks for effects, which are saved with the checkpoint: once for every event,
whatever dies. It begins with what happens after it is first there, so that history does nothing.
"""

from collections.abc import Awaitable, Callable, Iterable

from msgspec import Struct

from plixa.kernel.event_store import Event, Recorded
from plixa.kernel.log import Log
from plixa.kernel.projector import ADVANCE, NOTHING, TAKE, Stride, keep_up
from plixa.kernel.uow import Kernel, UnitOfWork
from plixa.kernel.wake import Listener

BATCH = 500
BEGIN = """INSERT INTO checkpoint (tenant_id, projection, position)
SELECT tenant_id, $2, position FROM log_head WHERE tenant_id = $1 ON CONFLICT DO NOTHING"""


class Reaction(Struct, frozen=True):
    """``react`` reads, and enqueues; it is asked about a batch of ``events``, oldest first."""

    name: str
    events: tuple[type[Event], ...]
    react: Callable[[UnitOfWork, list[Recorded]], Awaitable[None]]


async def run_reactions(kernel: Kernel, listener: Listener, reactions: Iterable[Reaction]) -> None:
    """Keep up with the logs of all tenants, until cancelled; any number of processes may."""
    await keep_up(kernel, listener, reactions, step)


async def step(kernel: Kernel, reaction: Reaction, tenant: int, limit: int) -> Stride:
    """Read a batch, react, and save what that asks for with the checkpoint. Nothing where another process is at it."""
    uow = kernel.unit(tenant)
    try:
        connection = await uow.begin()
        position = await connection.fetchval(TAKE, tenant, reaction.name)
        if position is None:
            await connection.execute(BEGIN, tenant, reaction.name)
            await uow.commit()
            return NOTHING
        topics = [event.TOPIC for event in reaction.events]
        batch = await Log(connection, kernel.vault, tenant).read(position, min(limit, BATCH), topics)
        if batch.facts:
            await reaction.react(uow, batch.facts)
        uow.also(ADVANCE, reaction.name, batch.through)
        await uow.commit()
    except Exception:
        await uow.rollback()  # at once: the next try must find the checkpoint free
        raise
    finally:
        uow.close()
    return Stride(len(batch.facts), batch.full)

"""Conversations that lose what they belonged to: the member who had them left, their sector was given up, or a label deleted."""

from collections.abc import AsyncIterator, Callable, Iterable
from functools import partial
from typing import Final

from plixa.inbox.domain.conversation import Conversation
from plixa.kernel.errors import NotFound
from plixa.kernel.event_store import Actor, Event
from plixa.kernel.uow import Kernel, UnitOfWork, perform, working

BATCH: Final = 100
ASSIGNED: Final = """SELECT id FROM inbox_conversation WHERE tenant_id = scope.tenant AND assigned_user_id = $2 AND id > $3
ORDER BY id LIMIT $4::int"""
IN_SECTOR: Final = """SELECT id FROM inbox_conversation WHERE tenant_id = scope.tenant AND sector_id = $2 AND id > $3
ORDER BY id LIMIT $4::int"""
LABELLED: Final = """SELECT id FROM inbox_conversation WHERE tenant_id = scope.tenant AND id IN (SELECT find_labelled($2)) AND id > $3
ORDER BY id LIMIT $4::int"""

Decide = Callable[[Conversation], Iterable[Event]]


async def unassign_member(kernel: Kernel, tenant: int, member: int, by: Actor) -> None:
    """Nobody's again; each in a transaction of its own, so that members go on working meanwhile."""
    async for number in affected(kernel, tenant, ASSIGNED, member):
        await release(kernel, tenant, number, by, lambda state: state.assign(None, None) if state.assigned_user_id == member else ())


async def leave_sector(kernel: Kernel, tenant: int, sector: int, by: Actor) -> None:
    """In no sector any more."""
    async for number in affected(kernel, tenant, IN_SECTOR, sector):
        await release(kernel, tenant, number, by, lambda state: state.move(None) if state.sector_id == sector else ())


async def drop_label(kernel: Kernel, tenant: int, label: int, by: Actor) -> None:
    """Without a label that is no more."""
    async for number in affected(kernel, tenant, LABELLED, label):
        await release(kernel, tenant, number, by, lambda state: state.unlabel(label))


async def affected(kernel: Kernel, tenant: int, query: str, value: int) -> AsyncIterator[int]:
    """Conversations by id, a batch at a time."""
    last = 0
    while True:
        async with working(kernel, tenant) as uow:
            rows = await uow.fetch(query, value, last, BATCH)
        for row in rows:
            yield row["id"]
        if len(rows) < BATCH:
            return
        last = rows[-1]["id"]


async def release(kernel: Kernel, tenant: int, number: int, by: Actor, decide: Decide) -> None:
    """Record what follows for one; one that is gone by now needs nothing."""
    async with working(kernel, tenant, by, "release") as uow:
        await perform(uow, partial(edit, uow, number, decide))


async def edit(uow: UnitOfWork, number: int, decide: Decide) -> None:
    """Decide on the present state."""
    try:
        async with uow.edit(Conversation, number) as editor:
            editor.record(decide(editor.state))
    except NotFound:
        return

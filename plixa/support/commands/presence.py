"""Staff say that they look at a ticket, and whether they are answering it; who else does is told to them at once."""

from typing import Final

from msgspec import Struct

from plixa.kernel.auth import Principal
from plixa.kernel.event_store import stream_id
from plixa.kernel.uow import UnitOfWork
from plixa.support.domain.ticket import Ticket
from plixa.support.queries.presence import LASTS, ViewerView, list_viewers

LOOK: Final = """INSERT INTO ticket_viewer AS v (tenant_id, ticket_id, staff_id, name, replying, since, seen_at)
VALUES ($1, $2, $3, $4, $5, $6, $6) ON CONFLICT (tenant_id, ticket_id, staff_id) DO UPDATE
SET name = excluded.name, replying = excluded.replying, seen_at = excluded.seen_at,
    since = CASE WHEN v.seen_at > $7 THEN v.since ELSE excluded.since END"""
FORGET: Final = "DELETE FROM ticket_viewer WHERE tenant_id = $1 AND ticket_id = $2 AND seen_at <= $3"


class View(Struct, frozen=True):
    """``replying``: an answer is being written."""

    replying: bool = False


async def view_ticket(uow: UnitOfWork, number: int, caller: Principal, replying: bool) -> list[ViewerView]:
    """A sign of life; answers who else is looking. Raises NotFound."""
    await uow.data_key(stream_id(Ticket.KIND, number))
    await uow.begin()
    before = await list_viewers(uow, number)
    await uow.execute(LOOK, number, caller.user_id, caller.name, replying, uow.now, uow.now - LASTS)
    await uow.execute(FORGET, number, uow.now - LASTS)
    after = await list_viewers(uow, number)
    if after != before:
        uow.after_commit(lambda: uow.kernel.waker.wake(uow.tenant))
    return [one for one in after if one.admin_id != caller.user_id]

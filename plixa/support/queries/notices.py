"""Which browsers are told of a ticket, and in which words, as things stand when it is said."""

from datetime import datetime, timedelta
from typing import Any, Final

from plixa.kernel.uow import UnitOfWork
from plixa.notifications.domain.push import Notice
from plixa.notifications.queries.push import Hearer
from plixa.support.queries.presence import list_viewers
from plixa.support.queries.recipients import list_colleagues
from plixa.support.queries.tickets import TicketMessageView, find_messages
from projections.tickets import TicketRow, tickets

ANSWER: Final = "ticket_answer"
NEWS: Final = "ticket_news"
ASSIGNMENT: Final = "ticket_assignment"
LIFE: Final = timedelta(hours=12)


async def write_answer(uow: UnitOfWork, hearer: Hearer, about: dict[str, Any]) -> Notice | None:
    """Staff answered whoever asked; None once that was seen."""
    row, message = await found(uow, about)
    if row is None or message is None or row.opener_id != hearer.id or not row.unread_by_customer:
        return None
    return notice(row, about, kind="ticket_answered", url=f"/support/tickets/{row.id}", body=message.body)


async def write_news(uow: UnitOfWork, hearer: Hearer, about: dict[str, Any]) -> Notice | None:
    """A customer wrote to staff; None where that is answered, is another's by now, or this one has the ticket open."""
    row, message = await found_elsewhere(uow, hearer, about)
    if row is None or message is None or not row.unread_by_staff:
        return None
    if all(one.id != hearer.id for one in await list_colleagues(uow.kernel.system, row.assigned_to)):
        return None
    kind = "ticket_opened" if message.created_at == row.opened_at else "ticket_replied"
    return notice(row, about, kind=kind, url=f"/admin/support/tickets/{row.id}", body=message.body)


async def write_assignment(uow: UnitOfWork, hearer: Hearer, about: dict[str, Any]) -> Notice | None:
    """A ticket was given to one of the staff, and still is theirs."""
    row, _ = await found_elsewhere(uow, hearer, about)
    if row is None or row.assigned_to != hearer.id:
        return None
    return notice(row, about, kind="ticket_assigned", url=f"/admin/support/tickets/{row.id}", body="")


async def found(uow: UnitOfWork, about: dict[str, Any]) -> tuple[TicketRow | None, TicketMessageView | None]:
    """The ticket, and what the customer may see of the message it is about."""
    number = about.get("message_id", 0)
    return await uow.row(tickets, about["ticket_id"]), (await find_messages(uow, [number])).get(number)


async def found_elsewhere(uow: UnitOfWork, hearer: Hearer, about: dict[str, Any]) -> tuple[TicketRow | None, TicketMessageView | None]:
    """The same in a workspace, for one of the staff who does not look at it just now."""
    there = uow.kernel.unit(about["workspace_id"])
    try:
        looking = {one.admin_id for one in await list_viewers(there, about["ticket_id"])}
        return (None, None) if hearer.id in looking else await found(there, about)
    finally:
        there.close()


def notice(row: TicketRow, about: dict[str, Any], *, kind: str, url: str, body: str) -> Notice:
    """A notice that leads to a ticket, and takes the place of an older one of it."""
    at = datetime.fromisoformat(about["at"])
    return Notice(kind=kind, title=row.subject, body=body, url=url, tag=f"ticket/{row.id}", at=at, life=LIFE)


WRITERS: Final = {ANSWER: write_answer, NEWS: write_news, ASSIGNMENT: write_assignment}
"""Who writes a notice, by what it is about."""

"""What is seen of tickets as they change: by the workspace's members and, of one ticket, by staff, who see each other too."""

from typing import Any, Final

import msgspec

from plixa.kernel.auth import Principal
from plixa.kernel.event_store import Recorded, stream_id
from plixa.kernel.realtime import Change
from plixa.kernel.settings import Settings
from plixa.kernel.uow import Kernel
from plixa.support.domain import events as happened
from plixa.support.domain.events import STAFF_ONLY
from plixa.support.domain.ticket import Ticket
from plixa.support.queries.desk import DeskMessageView, DeskTicketView, find_desk_messages, find_desk_ticket
from plixa.support.queries.presence import ViewerView, list_viewers
from plixa.support.queries.tickets import TicketMessageView, TicketView, find_messages, find_tickets

WRITTEN: Final = (happened.Opened, happened.CustomerReplied, happened.StaffReplied, happened.Noted)

Tickets = dict[int, TicketView] | dict[int, DeskTicketView]
Messages = dict[int, TicketMessageView] | dict[int, DeskMessageView]


async def render(kernel: Kernel, principal: Principal, facts: list[Recorded]) -> list[Change]:
    """The changes a batch of events means to a member, none of what is among staff; tickets are shown as they are now."""
    mine = [fact for fact in facts if type(fact.event).__module__ == happened.__name__ and not isinstance(fact.event, STAFF_ONLY)]
    if not mine or principal.kind == "api":
        return []
    uow = kernel.unit(principal.tenant)
    try:
        tickets = await find_tickets(uow, sorted({fact.number for fact in mine}))
        messages = await find_messages(uow, written(mine))
    finally:
        uow.close()
    return [change for fact in mine for change in changes(fact, tickets, messages)]


class Watch:
    """One ticket under the eyes of one of the staff."""

    def __init__(self, kernel: Kernel, settings: Settings, tenant: int, ticket: int) -> None:
        self._kernel, self._settings, self._tenant, self._ticket = kernel, settings, tenant, ticket
        self._stream = stream_id(Ticket.KIND, ticket)
        self._viewers: list[ViewerView] = []

    async def render(self, facts: list[Recorded]) -> list[Change]:
        """The changes a batch of events means, notes among staff too."""
        mine = [fact for fact in facts if fact.stream_id == self._stream]
        if not mine:
            return []
        uow = self._kernel.unit(self._tenant)
        try:
            ticket = await find_desk_ticket(uow, self._settings, self._ticket)
            messages = await find_desk_messages(uow, written(mine))
        finally:
            uow.close()
        tickets = {ticket.id: ticket} if ticket is not None else {}
        return [change for fact in mine for change in changes(fact, tickets, messages)]

    async def beside(self, position: int) -> list[Change]:
        """Who looks at it, where that is different from what was said last."""
        uow = self._kernel.unit(self._tenant)
        try:
            viewers = await list_viewers(uow, self._ticket)
        finally:
            uow.close()
        if viewers == self._viewers:
            return []
        self._viewers = viewers
        return [change(position, "TicketViewersChanged", {"id": self._ticket, "viewers": viewers})]


def written(facts: list[Recorded]) -> list[int]:
    """The messages that were written."""
    return [fact.event.message.id for fact in facts if isinstance(fact.event, WRITTEN)]


def changes(fact: Recorded, tickets: Tickets, messages: Messages) -> list[Change]:
    """One event of a ticket, unless that is gone by now."""
    ticket = tickets.get(fact.number)
    if ticket is None:
        return []
    updated = change(fact.position, "TicketUpdated", ticket)
    message = messages.get(fact.event.message.id) if isinstance(fact.event, WRITTEN) else None
    if message is None:
        return [updated]
    told = {"ticket_id": fact.number, **msgspec.to_builtins(message)}
    return [change(fact.position, "TicketMessageCreated", told), updated]


def change(position: int, name: str, data: Any) -> Change:
    """A change at a place of the log."""
    return Change(position, name, msgspec.json.encode(data))

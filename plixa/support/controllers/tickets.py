"""Tickets of one's own workspace."""

from typing import Any

from litestar import Controller, Request, Response
from litestar.params import FromPath, FromQuery, JSONBody

from plixa.kernel.auth import DELETING, SUSPENDED, Access
from plixa.kernel.bodies import take_json
from plixa.kernel.envelope import Data
from plixa.kernel.http import Uow, get, post
from plixa.kernel.paging import PageWanted
from plixa.support.commands.tickets import (
    OpenTicket,
    RateTicket,
    WriteMessage,
    close_as_customer,
    open_ticket,
    rate_ticket,
    read_ticket,
    reopen_as_customer,
    reply_as_customer,
)
from plixa.support.controllers.forms import LARGEST_FORM, NewMessage, NewTicket, file_answer, uploads_of
from plixa.support.domain.ticket import Status
from plixa.support.queries.files import get_file
from plixa.support.queries.tickets import TicketDetailView, TicketMessageView, TicketView, get_ticket, list_messages, list_tickets

ALWAYS = frozenset({SUSPENDED, DELETING})
"""Whoever is shut out may still ask why."""
WRITING: dict[str, Any] = {"throttle": "support_message", "request_max_body_size": LARGEST_FORM, "before_request": take_json}


class SupportController(Controller):
    path = "/support/tickets"
    tags = ("Support",)

    @get("/", access=Access.MEMBER, even=ALWAYS)
    async def index(self, uow: Uow, paging: PageWanted, status: FromQuery[Status | None] = None) -> Data[list[TicketView]]:
        """List the workspace's tickets, newest message first."""
        return Data(*await list_tickets(uow, status, paging))

    @post("/", access=Access.MEMBER, even=ALWAYS, **WRITING)
    async def open(self, uow: Uow, data: NewTicket) -> Data[TicketDetailView]:
        """Open a ticket; JSON does where there are no files."""
        files = await uploads_of(data.attachments)
        number = await open_ticket(uow, OpenTicket(data.subject, data.body, data.category, files))
        return Data(await get_ticket(uow, number))

    @get("/{ticket_id:int}", access=Access.MEMBER, even=ALWAYS)
    async def show(self, uow: Uow, ticket_id: FromPath[int]) -> Data[TicketDetailView]:
        """Get a ticket with its newest messages."""
        return Data(await get_ticket(uow, ticket_id))

    @get("/{ticket_id:int}/messages", access=Access.MEMBER, even=ALWAYS)
    async def messages(self, uow: Uow, ticket_id: FromPath[int], paging: PageWanted) -> Data[list[TicketMessageView]]:
        """List a ticket's messages, newest first."""
        return Data(*await list_messages(uow, ticket_id, paging))

    @post("/{ticket_id:int}/messages", access=Access.MEMBER, even=ALWAYS, **WRITING)
    async def reply(self, uow: Uow, ticket_id: FromPath[int], data: NewMessage) -> Data[TicketDetailView]:
        """Write in a ticket, which opens it again, for 14 days after it was closed; JSON does where there are no files."""
        await reply_as_customer(uow, ticket_id, WriteMessage(data.body, await uploads_of(data.attachments)))
        return Data(await get_ticket(uow, ticket_id))

    @get("/{ticket_id:int}/attachments/{attachment:int}", access=Access.MEMBER, even=ALWAYS, media_type="application/octet-stream")
    async def attachment(
        self, uow: Uow, request: Request[Any, Any, Any], ticket_id: FromPath[int], attachment: FromPath[int]
    ) -> Response[bytes]:
        """Get a file of a ticket, whole or a range of its bytes."""
        return file_answer(await get_file(uow, ticket_id, attachment), request.headers.get("range"))

    @post("/{ticket_id:int}/close", access=Access.MEMBER, even=ALWAYS, status_code=200)
    async def close(self, uow: Uow, ticket_id: FromPath[int]) -> Data[TicketDetailView]:
        """Close a ticket."""
        await close_as_customer(uow, ticket_id)
        return Data(await get_ticket(uow, ticket_id))

    @post("/{ticket_id:int}/reopen", access=Access.MEMBER, even=ALWAYS, status_code=200)
    async def reopen(self, uow: Uow, ticket_id: FromPath[int]) -> Data[TicketDetailView]:
        """Reopen a ticket that was solved, or closed within the last 14 days."""
        await reopen_as_customer(uow, ticket_id)
        return Data(await get_ticket(uow, ticket_id))

    @post("/{ticket_id:int}/rating", access=Access.MEMBER, own=True, even=ALWAYS, status_code=200)
    async def rate(self, uow: Uow, ticket_id: FromPath[int], data: JSONBody[RateTicket]) -> Data[TicketDetailView]:
        """Rate how a ticket was solved, once it is solved or closed; for 14 days it may be said otherwise."""
        await rate_ticket(uow, ticket_id, data)
        return Data(await get_ticket(uow, ticket_id))

    @post("/{ticket_id:int}/read", access=Access.MEMBER, even=ALWAYS, status_code=200)
    async def read(self, uow: Uow, ticket_id: FromPath[int]) -> Data[TicketDetailView]:
        """Mark a ticket's answers as read."""
        await read_ticket(uow, ticket_id)
        return Data(await get_ticket(uow, ticket_id))

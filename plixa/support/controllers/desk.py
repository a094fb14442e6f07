"""Tickets of all workspaces, for staff: the queue, one ticket and what can be done with it."""

from typing import Annotated, Any

from litestar import Controller, Request, Response
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, FromQuery, HeaderParameter, JSONBody, QueryParameter
from litestar.response import Stream

from plixa.kernel.auth import Access, Principal
from plixa.kernel.bodies import take_json
from plixa.kernel.envelope import Data
from plixa.kernel.errors import Forbidden, Unauthenticated
from plixa.kernel.event_store import stream_id
from plixa.kernel.history import EventView, list_history
from plixa.kernel.http import Caller, Machinery, Uow, get, post, provide_uow, put
from plixa.kernel.paging import PageWanted
from plixa.kernel.realtime import event_stream
from plixa.kernel.settings import Settings
from plixa.kernel.uow import UnitOfWork
from plixa.support.commands.desk import (
    AnswerTicket,
    AssignTicket,
    SetPriority,
    SetStatus,
    SetTags,
    answer_ticket,
    assign_ticket,
    prioritize_ticket,
    reopen_ticket,
    set_status,
    tag_ticket,
)
from plixa.support.commands.presence import View, view_ticket
from plixa.support.controllers.forms import LARGEST_FORM, NewAnswer, file_answer, uploads_of
from plixa.support.domain.ticket import Priority, Status, Ticket
from plixa.support.queries.desk import (
    Belonging,
    DeskFilters,
    DeskMessageView,
    DeskTicketDetailView,
    DeskTicketView,
    StatsView,
    find_tenant,
    get_desk_ticket,
    get_stats,
    list_desk,
    list_desk_messages,
)
from plixa.support.queries.files import get_file
from plixa.support.queries.presence import ViewerView
from plixa.support.queries.realtime import Watch
from plixa.support.queries.recipients import ColleagueView, list_colleagues

Configuration = NamedDependency[Settings]
LastEventId = Annotated[str | None, HeaderParameter(name="Last-Event-ID")]
Whose = Annotated[
    str | None, QueryParameter(pattern=r"^(me|none|[1-9][0-9]{0,17})$(?!\s)", description="me, none, or the id of one of the staff.")
]
Words = Annotated[str | None, QueryParameter(max_length=100, description="Words, or beginnings of words, of anything that was said.")]


def provide_belonging(
    caller: Caller, assigned: Whose = None, tag_id: FromQuery[int | None] = None, tenant_id: FromQuery[int | None] = None
) -> Belonging:
    """Whose tickets."""
    known = {None: None, "me": caller.user_id, "none": 0}
    return Belonging(known[assigned] if assigned in known else int(assigned or 0), tag_id, tenant_id)


def provide_filters(
    belonging: NamedDependency[Belonging],
    status: FromQuery[Status | None] = None,
    priority: FromQuery[Priority | None] = None,
    q: Words = None,
) -> DeskFilters:
    """Which tickets."""
    return DeskFilters(belonging, status, priority, q)


async def provide_ticket_uow(request: Request[Any, Any, Any], ticket: FromPath[int]) -> UnitOfWork:
    """A unit of work of the workspace whose ticket stands in the path, by staff; raises NotFound."""
    uow = provide_uow(request)
    uow.tenant = await find_tenant(request.app.state.kernel.system, ticket)
    return uow


class DeskController(Controller):
    path = "/admin/support"
    tags = ("Admin — Support",)
    dependencies: Any = {  # noqa: RUF012 - as Litestar has it
        "belonging": Provide(provide_belonging, sync_to_thread=False),
        "filters": Provide(provide_filters, sync_to_thread=False),
    }

    @get("/tickets", access=Access.STAFF)
    async def index(
        self, kernel: Machinery, settings: Configuration, filters: NamedDependency[DeskFilters], paging: PageWanted
    ) -> Data[list[DeskTicketView]]:
        """List the tickets of all workspaces, newest message first."""
        return Data(*await list_desk(kernel.system, settings, filters, paging))

    @get("/stats", access=Access.STAFF)
    async def stats(self, kernel: Machinery) -> Data[StatsView]:
        """Count all tickets by status and by whose they are, and tell how soon they were answered and solved."""
        return Data(await get_stats(kernel.system))

    @get("/staff", access=Access.STAFF)
    async def staff(self, kernel: Machinery) -> Data[list[ColleagueView]]:
        """List everybody to whom a ticket may be given."""
        return Data([ColleagueView(one.id, one.name, one.email) for one in await list_colleagues(kernel.system)])


class DeskTicketController(Controller):
    path = "/admin/support/tickets/{ticket:int}"
    tags = ("Admin — Support",)
    dependencies: Any = {"uow": Provide(provide_ticket_uow)}  # noqa: RUF012 - as Litestar has it

    @get("/", access=Access.STAFF)
    async def show(self, uow: Uow, settings: Configuration, ticket: FromPath[int]) -> Data[DeskTicketDetailView]:
        """Get a ticket with its newest messages and notes, its ratings, and who looks at it."""
        return Data(await get_desk_ticket(uow, settings, ticket))

    @get("/messages", access=Access.STAFF)
    async def messages(self, uow: Uow, ticket: FromPath[int], paging: PageWanted) -> Data[list[DeskMessageView]]:
        """List a ticket's messages and notes, newest first."""
        return Data(*await list_desk_messages(uow, ticket, paging))

    @post("/messages", access=Access.STAFF, request_max_body_size=LARGEST_FORM, before_request=take_json, summary="Answer a ticket")
    async def answer(self, uow: Uow, settings: Configuration, ticket: FromPath[int], data: NewAnswer) -> Data[DeskTicketDetailView]:
        """Answer the customer, who is mailed, or note something among staff; JSON does where there are no files."""
        wanted = AnswerTicket(data.body, data.internal, data.status, await uploads_of(data.attachments))
        await answer_ticket(uow, settings, ticket, wanted)
        return Data(await get_desk_ticket(uow, settings, ticket))

    @get("/attachments/{attachment:int}", access=Access.STAFF, media_type="application/octet-stream")
    async def attachment(
        self, uow: Uow, request: Request[Any, Any, Any], ticket: FromPath[int], attachment: FromPath[int]
    ) -> Response[bytes]:
        """Get a file of a ticket, whole or a range of its bytes."""
        return file_answer(await get_file(uow, ticket, attachment, for_staff=True), request.headers.get("range"))

    @get("/events", access=Access.STAFF)
    async def events(self, uow: Uow, ticket: FromPath[int], paging: PageWanted) -> Data[list[EventView]]:
        """List everything that happened to a ticket, newest first: what, who, when."""
        return Data(*await list_history(uow, stream_id(Ticket.KIND, ticket), paging))

    @post("/status", access=Access.STAFF, status_code=200, summary="Move a ticket through its life")
    async def status(
        self, uow: Uow, settings: Configuration, ticket: FromPath[int], data: JSONBody[SetStatus]
    ) -> Data[DeskTicketDetailView]:
        """Open, pending, solved or closed; out of closed leads only reopening."""
        await set_status(uow, ticket, data.status)
        return Data(await get_desk_ticket(uow, settings, ticket))

    @post("/close", access=Access.STAFF, status_code=200)
    async def close(self, uow: Uow, settings: Configuration, ticket: FromPath[int]) -> Data[DeskTicketDetailView]:
        """Close a ticket."""
        await set_status(uow, ticket, Status.CLOSED)
        return Data(await get_desk_ticket(uow, settings, ticket))

    @post("/reopen", access=Access.STAFF, status_code=200)
    async def reopen(self, uow: Uow, settings: Configuration, ticket: FromPath[int]) -> Data[DeskTicketDetailView]:
        """Reopen a ticket that was solved or closed, however long ago."""
        await reopen_ticket(uow, ticket)
        return Data(await get_desk_ticket(uow, settings, ticket))

    @post("/priority", access=Access.STAFF, status_code=200)
    async def prioritize(
        self, uow: Uow, settings: Configuration, ticket: FromPath[int], data: JSONBody[SetPriority]
    ) -> Data[DeskTicketDetailView]:
        """Say how urgent a ticket is to us; the customer never sees it."""
        await prioritize_ticket(uow, ticket, data.priority)
        return Data(await get_desk_ticket(uow, settings, ticket))

    @post("/assign", access=Access.STAFF, status_code=200)
    async def assign(
        self, uow: Uow, settings: Configuration, ticket: FromPath[int], data: JSONBody[AssignTicket | None] = None
    ) -> Data[DeskTicketDetailView]:
        """Give a ticket to one of the staff; null takes it away from whoever had it."""
        await assign_ticket(uow, ticket, data.admin_id if data else None)
        return Data(await get_desk_ticket(uow, settings, ticket))

    @put("/tags", access=Access.STAFF)
    async def tag(self, uow: Uow, settings: Configuration, ticket: FromPath[int], data: JSONBody[SetTags]) -> Data[DeskTicketDetailView]:
        """Replace a ticket's tags."""
        await tag_ticket(uow, ticket, data.tag_ids)
        return Data(await get_desk_ticket(uow, settings, ticket))

    @post("/viewing", access=Access.STAFF, audited=False, status_code=200, summary="Say that one looks at a ticket")
    async def view(self, uow: Uow, caller: Caller, ticket: FromPath[int], data: JSONBody[View | None] = None) -> Data[list[ViewerView]]:
        """A sign of life, good for 30 seconds; answers who else of the staff is looking, and who is answering."""
        return Data(await view_ticket(uow, ticket, caller, replying=data.replying if data else False))

    @get("/realtime", access=Access.STAFF, media_type="text/event-stream")
    async def realtime(self, request: Request[Any, Any, Any], uow: Uow, ticket: FromPath[int], last_event_id: LastEventId = None) -> Stream:
        """Follow a ticket live as server-sent events, and who looks at it; reconnect with ``Last-Event-ID`` and nothing is lost."""
        state, watch = request.app.state, Watch(uow.kernel, request.app.state.settings, uow.tenant, ticket)

        async def alive() -> bool:
            try:
                now: Principal = await state.gatekeeper.principal(request.headers.get("authorization"))
            except (Unauthenticated, Forbidden):
                return False
            return now.kind == "staff"

        return event_stream(state.feed.follow(uow.tenant, last_event_id, watch.render, alive, watch.beside))

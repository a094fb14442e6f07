"""Routes: joining the waitlist, and reading it."""

from datetime import datetime
from typing import Annotated, Any

from litestar import Controller, Request
from litestar.di import NamedDependency, Provide
from litestar.params import JSONBody, QueryParameter
from litestar.response import Stream

from plixa.backoffice.commands.waitlist import JoinedView, JoinWaitlist, join_waitlist
from plixa.backoffice.queries.waitlist import HEADER, WaitlistFilters, WaitlistSignupView, cells, list_waitlist
from plixa.kernel.audit import PLATFORM, note_export
from plixa.kernel.auth import Access
from plixa.kernel.clock import instant
from plixa.kernel.envelope import Data, Page
from plixa.kernel.event_store import SYSTEM
from plixa.kernel.export import PAGE, csv_file
from plixa.kernel.http import Caller, Machinery, Uow, get, post
from plixa.kernel.paging import PageWanted, Paging
from plixa.kernel.requests import current_request_id
from plixa.kernel.uow import Kernel, UnitOfWork

Word = Annotated[str | None, QueryParameter(max_length=100)]
From = Annotated[datetime | None, QueryParameter(name="from", description="Not before; UTC without an offset.")]
To = Annotated[datetime | None, QueryParameter(name="to", description="Before; UTC without an offset.")]


def provide_platform_uow(request: Request[Any, Any, Any]) -> UnitOfWork:
    """A unit of work of the platform itself, by nobody we know."""
    kernel: Kernel = request.app.state.kernel
    return kernel.unit(PLATFORM, SYSTEM, current_request_id())


def provide_filters(q: Word = None, locale: Word = None, since: From = None, until: To = None) -> WaitlistFilters:
    """Which sign-ups."""
    return WaitlistFilters(q, locale, instant(since, "UTC", "from") if since else None, instant(until, "UTC", "to") if until else None)


class WaitlistController(Controller):
    path = "/waitlist"
    tags = ("Waitlist",)
    dependencies: Any = {"uow": Provide(provide_platform_uow, sync_to_thread=False)}  # noqa: RUF012 - as Litestar has it

    @post("/", access=Access.PUBLIC, security=[{}], throttle="waitlist", summary="Join the public waitlist")
    async def join(self, uow: Uow, data: JSONBody[JoinWaitlist]) -> Data[JoinedView]:
        """Keep an e-mail address for early access, and nothing else."""
        return Data(await join_waitlist(uow, data))


class StaffWaitlistController(Controller):
    path = "/admin"
    tags = ("Admin — Waitlist",)
    dependencies: Any = {"filters": Provide(provide_filters, sync_to_thread=False)}  # noqa: RUF012 - as Litestar has it

    @get("/waitlist", access=Access.STAFF, summary="Read the waitlist")
    async def index(self, uow: Uow, filters: NamedDependency[WaitlistFilters], paging: PageWanted) -> Data[list[WaitlistSignupView]]:
        """Who wants to hear of us, newest first."""
        return Data(*await list_waitlist(uow, filters, paging))

    @get("/waitlist.csv", access=Access.STAFF, summary="Take the waitlist as a file", media_type="text/csv")
    async def export(self, caller: Caller, kernel: Machinery, filters: NamedDependency[WaitlistFilters]) -> Stream:
        """The same as a CSV file; that it was taken is an entry of the audit trail."""

        async def page(cursor: str | None) -> tuple[list[WaitlistSignupView], Page]:
            uow = kernel.unit(PLATFORM)
            try:
                return await list_waitlist(uow, filters, Paging(cursor, PAGE))
            finally:
                uow.close()

        file = await csv_file("waitlist", HEADER, page, cells)
        await note_export(kernel, caller, "waitlist", {"locale": filters.locale, "is_searched": filters.q is not None})
        return file

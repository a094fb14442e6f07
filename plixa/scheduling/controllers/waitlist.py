"""The waitlist of the calendar."""

from litestar import Controller
from litestar.params import FromPath, FromQuery, JSONBody

from plixa.kernel.auth import Access
from plixa.kernel.envelope import Data
from plixa.kernel.http import Uow, delete, get, post
from plixa.kernel.paging import PageWanted
from plixa.scheduling.commands.waitlist import JoinWaitlist, join_waitlist, remove_entry
from plixa.scheduling.queries.waitlist import EntryView, Standing, list_entries


class CalendarWaitlistController(Controller):
    path = "/scheduling/waitlist"
    tags = ("Scheduling — waitlist",)

    @get("/", access=Access.MEMBER)
    async def index(
        self, uow: Uow, paging: PageWanted, service_id: FromQuery[int | None] = None, status: FromQuery[Standing | None] = None
    ) -> Data[list[EntryView]]:
        """List who waits for which service, in the order in which they came."""
        return Data(*await list_entries(uow, service_id, status, paging))

    @post("/", access=Access.MEMBER, ability="write")
    async def create(self, uow: Uow, data: JSONBody[JoinWaitlist]) -> Data[EntryView]:
        """Let a contact wait for a service: whoever waits longest is offered what becomes free."""
        return Data(await join_waitlist(uow, data))

    @delete("/{entry_id:int}", access=Access.MEMBER, ability="write", summary="Remove a waitlist entry")
    async def remove(self, uow: Uow, entry_id: FromPath[int]) -> None:
        """Remove a waitlist entry; time that is offered to it is let go."""
        await remove_entry(uow, entry_id)

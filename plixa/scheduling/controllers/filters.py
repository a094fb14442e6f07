"""Saved calendar filters, each member's own."""

from litestar import Controller
from litestar.params import FromPath, JSONBody

from plixa.kernel.auth import Access
from plixa.kernel.envelope import Data
from plixa.kernel.http import Caller, Uow, delete, get, post, put
from plixa.scheduling.commands.filters import CreateFilter, UpdateFilter, create_filter, delete_filter, update_filter
from plixa.scheduling.queries.filters import CalendarFilterView, list_filters


class CalendarFilterController(Controller):
    path = "/scheduling/calendar-filters"
    tags = ("Scheduling — saved filters",)

    @get("/", access=Access.MEMBER)
    async def index(self, uow: Uow, caller: Caller) -> Data[list[CalendarFilterView]]:
        """List one's own filters by name."""
        return Data(await list_filters(uow, caller.user_id))

    @post("/", access=Access.MEMBER)
    async def create(self, uow: Uow, caller: Caller, data: JSONBody[CreateFilter]) -> Data[CalendarFilterView]:
        """Save a new filter; the default one takes the place of the one before."""
        return Data(await create_filter(uow, caller.user_id, data))

    @put("/{calendar_filter:int}", access=Access.MEMBER)
    async def update(
        self, uow: Uow, caller: Caller, calendar_filter: FromPath[int], data: JSONBody[UpdateFilter]
    ) -> Data[CalendarFilterView]:
        """Update one of one's own filters."""
        return Data(await update_filter(uow, caller.user_id, calendar_filter, data))

    @delete("/{calendar_filter:int}", access=Access.MEMBER)
    async def remove(self, uow: Uow, caller: Caller, calendar_filter: FromPath[int]) -> None:
        """Delete one of one's own filters."""
        await delete_filter(uow, caller.user_id, calendar_filter)

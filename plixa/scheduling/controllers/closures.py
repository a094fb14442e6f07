"""Dates on which the workspace is closed."""

import datetime as dt
from typing import Annotated, Any

from litestar import Controller
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, JSONBody, QueryParameter

from plixa.kernel.auth import Access
from plixa.kernel.envelope import Data
from plixa.kernel.http import Uow, delete, get, post
from plixa.kernel.paging import PageWanted
from plixa.scheduling.commands.closures import CloseDay, close_day, reopen_day
from plixa.scheduling.queries.closures import ClosureView, Days, list_closures

From = Annotated[dt.date | None, QueryParameter(name="from", description="Not before this date.")]
To = Annotated[dt.date | None, QueryParameter(name="to", description="Not after this date.")]


def provide_days(first: From = None, last: To = None) -> Days:
    """The dates that are asked for."""
    return Days(first, last)


class ClosureController(Controller):
    path = "/scheduling/closures"
    tags = ("Scheduling — workspace closures",)
    dependencies: Any = {"days": Provide(provide_days, sync_to_thread=False)}  # noqa: RUF012 - as Litestar has it

    @get("/", access=Access.MEMBER)
    async def index(self, uow: Uow, days: NamedDependency[Days], paging: PageWanted) -> Data[list[ClosureView]]:
        """List the dates on which the workspace is closed, earliest first."""
        return Data(*await list_closures(uow, days, paging))

    @post("/", access=Access.OWNER)
    async def create(self, uow: Uow, data: JSONBody[CloseDay]) -> Data[ClosureView]:
        """Close the workspace on a date; one that is closed already stays as it is."""
        return Data(await close_day(uow, data))

    @delete("/{closure:int}", access=Access.OWNER)
    async def remove(self, uow: Uow, closure: FromPath[int]) -> None:
        """Reopen the workspace on a date; a holiday that was reopened is not imported again."""
        await reopen_day(uow, closure)

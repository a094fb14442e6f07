"""Satisfaction surveys: how they are made, what was answered, and what it comes to."""

from datetime import date
from typing import Annotated, Any

from litestar import Controller
from litestar.di import NamedDependency, Provide
from litestar.params import FromQuery, JSONBody, QueryParameter

from plixa.inbox.commands.surveys import UpdateCsat, update_csat_config
from plixa.inbox.queries.surveys import (
    CsatConfigView,
    Range,
    ResponseView,
    SummaryView,
    get_csat_config,
    get_summary,
    list_responses,
)
from plixa.kernel.auth import Access
from plixa.kernel.envelope import Data
from plixa.kernel.http import Uow, get, put
from plixa.kernel.paging import PageWanted

From = Annotated[date | None, QueryParameter(name="from", description="The first day, of the workspace, on which was asked.")]
To = Annotated[date | None, QueryParameter(name="to", description="The last day.")]
Rating = Annotated[int | None, QueryParameter(ge=1, le=5)]


def provide_range(since: From = None, until: To = None) -> Range:
    """Which days."""
    return Range(since, until)


Within = NamedDependency[Range]


class CsatConfigController(Controller):
    path = "/csat-config"
    tags = ("CSAT",)

    @get("/", access=Access.MEMBER)
    async def show(self, uow: Uow) -> Data[CsatConfigView]:
        """How customers are asked."""
        return Data(await get_csat_config(uow))

    @put("/", access=Access.OWNER)
    async def update(self, uow: Uow, data: JSONBody[UpdateCsat]) -> Data[CsatConfigView]:
        """Update the CSAT configuration."""
        await update_csat_config(uow, data)
        return Data(await get_csat_config(uow))


class CsatController(Controller):
    path = "/csat"
    tags = ("CSAT",)
    dependencies: Any = {"within": Provide(provide_range, sync_to_thread=False)}  # noqa: RUF012 - as Litestar has it

    @get("/responses", access=Access.MEMBER)
    async def responses(
        self, uow: Uow, within: Within, paging: PageWanted, agent_id: FromQuery[int | None] = None, rating: Rating = None
    ) -> Data[list[ResponseView]]:
        """List answered surveys, the last asked first; agents see their own, where the owner lets them."""
        return Data(*await list_responses(uow, within, agent_id, rating, paging))

    @get("/summary", access=Access.MEMBER)
    async def summary(self, uow: Uow, within: Within) -> Data[SummaryView]:
        """What surveys came to, whole and by agent."""
        return Data(await get_summary(uow, within))

"""Routes: what staff write to many."""

from typing import Annotated

from litestar import Controller
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from plixa.backoffice.commands.campaigns import (
    CreateCampaign,
    TriedView,
    TryCampaign,
    check_audience,
    create_campaign,
    delete_campaign,
    try_campaign,
)
from plixa.backoffice.domain.campaigns import MOST_ADDRESSES, Audience, CampaignState, RecipientState
from plixa.backoffice.queries.campaigns import (
    AudienceView,
    CampaignDetailView,
    CampaignView,
    RecipientView,
    count_audience,
    get_campaign,
    list_campaigns,
    list_recipients,
)
from plixa.kernel.auth import Access
from plixa.kernel.envelope import Data
from plixa.kernel.http import Uow, delete, get, post
from plixa.kernel.paging import PageWanted
from plixa.kernel.settings import Settings
from plixa.notifications.client import create_mailer

Configuration = NamedDependency[Settings]
Word = Annotated[str | None, QueryParameter(max_length=100, description="Part of a subject.")]
Value = Annotated[list[str] | None, QueryParameter(max_items=MOST_ADDRESSES, description="The plan, or the addresses.")]


class CampaignController(Controller):
    path = "/admin/campaigns"
    tags = ("Admin — Email campaigns",)

    @get("/", access=Access.STAFF, summary="List campaigns")
    async def index(
        self, uow: Uow, paging: PageWanted, status: FromQuery[CampaignState | None] = None, q: Word = None
    ) -> Data[list[CampaignView]]:
        """The newest first, with how many got it."""
        return Data(*await list_campaigns(uow, status, q, paging))

    @get("/audience", access=Access.STAFF, summary="Count who would get a campaign")
    async def audience(
        self, uow: Uow, settings: Configuration, audience: FromQuery[Audience], audience_value: Value = None
    ) -> Data[AudienceView]:
        """Each address once, without those that bounced, complained or unsubscribed."""
        return Data(await count_audience(uow, settings, audience, check_audience(settings, audience, audience_value or [])))

    @post("/", access=Access.STAFF, summary="Send a campaign")
    async def create(self, uow: Uow, settings: Configuration, data: JSONBody[CreateCampaign]) -> Data[CampaignDetailView]:
        """One mail to each of its audience as it is now, sent by the workers."""
        return Data(await create_campaign(uow, settings, data))

    @post("/test", access=Access.STAFF, status_code=200, throttle="campaign_test", summary="Send a campaign to one address as a test")
    async def test(self, uow: Uow, settings: Configuration, data: JSONBody[TryCampaign]) -> Data[TriedView]:
        """At once: the answer says whether the mail was taken. Nothing of it is kept."""
        return Data(await try_campaign(uow, settings, create_mailer(settings), data))

    @get("/{campaign:int}", access=Access.STAFF, summary="Show a campaign")
    async def show(self, uow: Uow, campaign: FromPath[int]) -> Data[CampaignDetailView]:
        """What it says, and how many recipients are in each status."""
        return Data(await get_campaign(uow, campaign))

    @delete("/{campaign:int}", access=Access.STAFF, summary="Delete a campaign")
    async def remove(self, uow: Uow, campaign: FromPath[int]) -> None:
        """With its recipients; mails that have not gone out are not sent."""
        await delete_campaign(uow, campaign)

    @get("/{campaign:int}/recipients", access=Access.STAFF, summary="List who got a campaign")
    async def recipients(
        self, uow: Uow, campaign: FromPath[int], paging: PageWanted, status: FromQuery[RecipientState | None] = None
    ) -> Data[list[RecipientView]]:
        """And how each mail fared."""
        return Data(*await list_recipients(uow, campaign, status, paging))

"""Routes: iCalendar feeds, and the file that any calendar may subscribe to by its secret address."""

from typing import Annotated, Any, Final

from litestar import Controller, Request, Response
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from plixa.kernel.auth import Access
from plixa.kernel.envelope import Data
from plixa.kernel.http import Caller, Machinery, Uow, delete, get, post
from plixa.kernel.settings import Settings
from plixa.scheduling.commands.feeds import CreateFeed, create_feed, revoke_feed
from plixa.scheduling.queries.feeds import FeedView, NewFeedView, get_feed_file, list_feeds

CALENDAR: Final = "text/calendar"
HEADERS: Final = {
    "Cache-Control": "private, max-age=300",
    "Content-Disposition": 'inline; filename="calendar.ics"',
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
}
Provider = Annotated[int | None, QueryParameter(ge=1, description="Whose; one's own unless told otherwise.")]


class FeedController(Controller):
    path = "/scheduling/feeds"
    tags = ("Scheduling — calendar sync",)

    @get("/", access=Access.MEMBER)
    async def index(self, uow: Uow, caller: Caller) -> Data[list[FeedView]]:
        """Whose calendars have a feed: the owner sees all, everybody else their own."""
        return Data(await list_feeds(uow, None if caller.role == "owner" else caller.user_id))

    @post("/", access=Access.MEMBER, own=True)
    async def create(
        self, uow: Uow, caller: Caller, settings: NamedDependency[Settings], data: JSONBody[CreateFeed | None] = None
    ) -> Data[NewFeedView]:
        """Make a secret address of a provider's calendar, in place of the one there was; it is shown this once."""
        return Data(await create_feed(uow, caller, settings.public_url, data.provider_id if data else None))

    @delete("/", access=Access.MEMBER)
    async def revoke(self, uow: Uow, caller: Caller, provider_id: Provider = None) -> None:
        """Revoke a provider's secret address."""
        await revoke_feed(uow, caller, provider_id)

    @get("/{feed_token:str}", access=Access.PUBLIC, throttle="calendar_feed", security=[])
    async def file(
        self, request: Request[Any, Any, Any], kernel: Machinery, settings: NamedDependency[Settings], feed_token: FromPath[str]
    ) -> Response[bytes]:
        """A provider's appointments, a month back and a year ahead, as iCalendar."""
        found = await get_feed_file(kernel, settings.public_url, feed_token)
        headers = {**HEADERS, "ETag": found.etag}
        if found.etag in request.headers.get("if-none-match", ""):
            return Response(b"", status_code=304, headers=headers)
        return Response(found.content, headers=headers, media_type=CALENDAR)

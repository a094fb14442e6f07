"""Routes: a member's own Google Calendar, the way back from Google's consent, and its news of changes."""

from datetime import datetime
from typing import Annotated, Any, Final

from litestar import Controller, Request, Response
from litestar.datastructures import Cookie
from litestar.di import NamedDependency, Provide
from litestar.params import QueryParameter, SkipValidation
from litestar.response import Redirect

from plixa.identity.queries.members import get_instant
from plixa.kernel.auth import Access
from plixa.kernel.envelope import Data
from plixa.kernel.http import Caller, Machinery, Uow, get, post
from plixa.kernel.settings import Settings
from plixa.scheduling.client import Google
from plixa.scheduling.commands.google.consent import LIFE, Returned, ask_consent, browser_of, take_consent
from plixa.scheduling.commands.google.hearing import hear
from plixa.scheduling.commands.google.linking import disconnect
from plixa.scheduling.queries.google import BusyView, ConnectView, GoogleView, get_busy, get_google

TAGS: Final = ("Scheduling — calendar sync",)
PATH: Final = "/scheduling/calendar/google"
COOKIE: Final = "plixa_google"
MaybeWord = Annotated[str | None, QueryParameter(max_length=4096)]
State = Annotated[str, QueryParameter(name="state", max_length=4096)]
From = Annotated[datetime | None, QueryParameter(name="from", description="Not before; now unless told otherwise.")]
To = Annotated[datetime | None, QueryParameter(name="to", description="Before; a week later unless told otherwise.")]


def provide_google(request: Request[Any, Any, Any]) -> Google | None:
    """The deployment's client, where it has keys."""
    google: Google | None = request.app.state.google
    return google


Client = NamedDependency[SkipValidation[Google | None]]


class GoogleCalendarController(Controller):
    path = PATH
    tags = TAGS
    dependencies = {"google": Provide(provide_google, sync_to_thread=False)}  # noqa: RUF012 - as Litestar has it

    @get("/", access=Access.MEMBER)
    async def show(self, uow: Uow, caller: Caller) -> Data[GoogleView]:
        """One's own Google Calendar: whether it is connected, and how it stands."""
        return Data(await get_google(uow, caller.user_id))

    @get("/connect", access=Access.MEMBER, own=True)
    async def connect(
        self, request: Request[Any, Any, Any], kernel: Machinery, caller: Caller, google: Client
    ) -> Response[Data[ConnectView]]:
        """Where to go to connect one's own Google Calendar, within ten minutes and in this browser."""
        browser = browser_of(request.cookies, COOKIE)
        url = ask_consent(google, kernel, caller, browser)
        return Response(Data(ConnectView(url)), cookies=[remembered(request.app.state.settings, browser)])

    @get("/callback", access=Access.PUBLIC, throttle="google_callback", security=[], status_code=303)
    async def callback(
        self, request: Request[Any, Any, Any], kernel: Machinery, google: Client, returned_state: State = "", code: MaybeWord = None
    ) -> Redirect:
        """Google sends the member back here; the panel is told how it ended."""
        returned = Returned(returned_state, code, request.cookies.get(COOKIE, ""))
        outcome = await take_consent(google, kernel, returned)
        return Redirect(f"{request.app.state.settings.public_url.rstrip('/')}/settings/calendar?google={outcome}", status_code=303)

    @post("/disconnect", access=Access.MEMBER, own=True, status_code=200, summary="Disconnect the current user's Google Calendar.")
    async def disconnect(self, uow: Uow, caller: Caller) -> Data[GoogleView]:
        """Disconnect one's own Google Calendar: what was allowed is given back, what was read is forgotten."""
        await disconnect(uow, caller)
        return Data(await get_google(uow, caller.user_id))

    @get("/busy", access=Access.MEMBER)
    async def busy(self, uow: Uow, caller: Caller, since: From = None, until: To = None) -> Data[BusyView]:
        """When one is busy elsewhere, by one's own Google Calendar, and nothing of what that is."""
        start = await get_instant(uow, since, "from") if since else None
        end = await get_instant(uow, until, "to") if until else None
        return Data(await get_busy(uow, caller.user_id, start, end))


class GoogleWebhookController(Controller):
    path = "/webhooks/google-calendar"
    tags = ("Webhooks (inbound)",)

    @post("/", access=Access.GATEWAY, status_code=200, security=[])
    async def receive(self, request: Request[Any, Any, Any], kernel: Machinery) -> Data[None]:
        """Google tells that a calendar changed; the headers name the channel and carry its secret."""
        await hear(kernel, request.headers)
        return Data(None)


def remembered(settings: Settings, browser: str) -> Cookie:
    """By which the browser that began is known when it comes back."""
    about = {"path": f"/v1{PATH}", "max_age": int(LIFE.total_seconds()), "httponly": True, "samesite": "lax"}
    return Cookie(COOKIE, value=browser, secure=settings.public_url.startswith("https:"), **about)  # type: ignore[arg-type]

"""Google's OAuth 2 for web servers and its Calendar v3, over HTTP. Every call ends in time, follows no redirect and asks no proxy."""

import asyncio
import ssl
from datetime import UTC, datetime
from typing import Any, Final, TypeVar
from urllib.parse import quote, urlencode
from weakref import WeakValueDictionary

import httpx
import msgspec
from msgspec import Struct

from plixa.kernel.settings import Settings
from plixa.scheduling.client.answers import (
    AccessLost,
    Changes,
    EventGone,
    EventsPage,
    GoogleAway,
    GoogleRefused,
    Grant,
    SyncExpired,
    Watched,
    Written,
    calendar_failure,
    oauth_failure,
)
from plixa.scheduling.domain.google import GoogleEvent

SECONDS: Final = 15.0
CONSENT: Final = "https://accounts.google.com/o/oauth2/v2/auth"
NEEDED_SCOPE: Final = "https://www.googleapis.com/auth/calendar.events.owned"
SCOPES: Final = (NEEDED_SCOPE, "openid", "email")
"""The least that reads and writes events of calendars somebody owns, and tells whose they are."""
CALLBACK: Final = "/v1/scheduling/calendar/google/callback"
WEBHOOK: Final = "/v1/webhooks/google-calendar"
EVENTS: Final = "/calendar/v3/calendars/primary/events"
LIFE: Final = "604800"
"""Seconds a channel is asked for: a week."""
PAGE: Final = "2500"
MOST_PAGES: Final = 40
FIELDS: Final = (
    "nextPageToken,nextSyncToken,timeZone,"
    "items(id,status,start,end,transparency,eventType,updated,attendees(self,responseStatus),extendedProperties/private)"
)
"""No titles, no places, no names: what is never asked for can be lost by nobody."""

Answer = TypeVar("Answer")


class Channel(Struct, frozen=True):
    """Where Google is to tell us that something changed; it repeats ``secret`` every time."""

    id: str
    secret: str


class Google:
    """One OAuth client of a deployment. Access tokens are handed in with each call."""

    def __init__(self, settings: Settings) -> None:
        self._client = {"client_id": str(settings.google_client_id), "client_secret": str(settings.google_client_secret)}
        self._api, self._oauth = settings.google_api_base.rstrip("/"), settings.google_oauth_base.rstrip("/")
        self._public = settings.public_url.rstrip("/")
        self._tls = ssl.create_default_context()
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def turn(self, name: str) -> asyncio.Lock:
        """Within which one after the other does something."""
        return self._turns.setdefault(name, asyncio.Lock())

    @property
    def can_be_told(self) -> bool:
        """Google tells news to https addresses only."""
        return self._public.startswith("https:")

    def consent_url(self, state: str, challenge: str) -> str:
        """Where a member allows us their calendar; ``challenge`` is of PKCE."""
        asked = {
            "client_id": self._client["client_id"],
            "redirect_uri": self._public + CALLBACK,
            "response_type": "code",
            "scope": " ".join(SCOPES),
            "access_type": "offline",
            "prompt": "consent",
            "include_granted_scopes": "true",
            "state": state,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        return f"{CONSENT}?{urlencode(asked)}"

    async def exchange(self, code: str, verifier: str) -> Grant:
        """What a member allowed, for the code they came back with; raises GoogleError."""
        form = {"code": code, "code_verifier": verifier, "redirect_uri": self._public + CALLBACK, "grant_type": "authorization_code"}
        return await self._token(form)

    async def refresh(self, refresh_token: str) -> Grant:
        """A new access token; raises AccessLost where that is over, GoogleAway, GoogleRefused."""
        return await self._token({"refresh_token": refresh_token, "grant_type": "refresh_token"})

    async def revoke(self, token: str) -> None:
        """Give back what was allowed; what is no longer allowed is given back already."""
        response = await self._ask("POST", f"{self._oauth}/revoke", data={"token": token})
        if not response.is_success and response.status_code != 400:
            raise oauth_failure(response)

    async def check(self) -> None:
        """Raises GoogleError where our keys are not taken: a token that never was is refused as such only by whoever knows us."""
        try:
            await self.refresh("none")
        except AccessLost:
            return

    async def insert(self, access: str, number: str, body: dict[str, Any]) -> datetime:
        """Write a new event under an id of our own; answers Google's time of it. Raises EventExists for an id that was used before."""
        response = await self._call(access, "POST", EVENTS, params={"sendUpdates": "none"}, json={"id": number, **body})
        return decoded(response, Written).updated

    async def patch(self, access: str, number: str, body: dict[str, Any]) -> datetime:
        """Change some fields of an event, also of a deleted one; answers Google's time of it. Raises EventGone."""
        response = await self._call(access, "PATCH", event_path(number), params={"sendUpdates": "none"}, json=body)
        return decoded(response, Written).updated

    async def delete(self, access: str, number: str) -> None:
        """Delete an event; raises EventGone where it is not there."""
        await self._call(access, "DELETE", event_path(number), params={"sendUpdates": "none"})

    async def list_all(self, access: str, since: datetime, until: datetime) -> Changes:
        """Every event between two times."""
        return await self._list(access, {"timeMin": since.isoformat(), "timeMax": until.isoformat()})

    async def list_changed(self, access: str, sync_token: str) -> Changes:
        """Events that changed since, deleted ones too; raises SyncExpired."""
        try:
            return await self._list(access, {"syncToken": sync_token})
        except EventGone as error:
            raise SyncExpired(str(error)) from error

    async def watch(self, access: str, channel: Channel) -> tuple[str, datetime]:
        """Be told of changes; answers Google's name of what is watched, and until when."""
        body = {"id": channel.id, "type": "web_hook", "address": self._public + WEBHOOK, "token": channel.secret, "params": {"ttl": LIFE}}
        watched = decoded(await self._call(access, "POST", f"{EVENTS}/watch", json=body), Watched)
        return watched.resource_id, datetime.fromtimestamp(int(watched.expiration) / 1000, UTC)

    async def stop(self, access: str, channel: str, resource: str) -> None:
        """Be told no longer; raises EventGone for a channel that has ended."""
        await self._call(access, "POST", "/calendar/v3/channels/stop", json={"id": channel, "resourceId": resource})

    async def _list(self, access: str, asked: dict[str, str]) -> Changes:
        """All pages; the last one brings the token for the next time."""
        params = {"singleEvents": "true", "maxResults": PAGE, "maxAttendees": "1", "fields": FIELDS, **asked}
        events: list[GoogleEvent] = []
        for _ in range(MOST_PAGES):
            page = decoded(await self._call(access, "GET", EVENTS, params=params), EventsPage)
            events += page.items
            if page.next_sync_token is not None:
                return Changes(events, page.time_zone, page.next_sync_token)
            if page.next_page_token is None:
                break
            params["pageToken"] = page.next_page_token
        raise GoogleRefused("The calendar does not end.")

    async def _token(self, form: dict[str, str]) -> Grant:
        response = await self._ask("POST", f"{self._oauth}/token", data={**self._client, **form})
        if not response.is_success:
            raise oauth_failure(response)
        return decoded(response, Grant)

    async def _call(self, access: str, method: str, path: str, **sent: Any) -> httpx.Response:
        response = await self._ask(method, self._api + path, headers={"authorization": f"Bearer {access}"}, **sent)
        if not response.is_success:
            raise calendar_failure(response)
        return response

    async def _ask(self, method: str, url: str, **sent: Any) -> httpx.Response:
        try:
            async with asyncio.timeout(SECONDS), httpx.AsyncClient(verify=self._tls, trust_env=False, timeout=SECONDS) as client:
                return await client.request(method, url, **sent)
        except TimeoutError as error:
            raise GoogleAway(f"Google took longer than {SECONDS:g} s.") from error
        except httpx.TransportError as error:
            raise GoogleAway(f"Google cannot be reached: {type(error).__name__}.") from error


def event_path(number: str) -> str:
    return f"{EVENTS}/{quote(number, safe='')}"


def decoded(response: httpx.Response, shape: type[Answer]) -> Answer:
    """What an answer says; raises GoogleAway for what is none of Google's."""
    try:
        return msgspec.json.decode(response.content, type=shape)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise GoogleAway("Google answered something we do not understand.") from error

"""What Google answers, and how it fails: the name of an error says what becomes of what was asked."""

import base64
import binascii
from datetime import datetime
from typing import Final

import httpx
import msgspec
from msgspec import Struct

from plixa.scheduling.domain.google import GoogleEvent

NOT_NOW: Final = frozenset({"rateLimitExceeded", "userRateLimitExceeded", "quotaExceeded", "calendarUsageLimitsExceeded"})
NOT_ALLOWED: Final = frozenset({"insufficientPermissions", "ACCESS_TOKEN_SCOPE_INSUFFICIENT"})
LONGEST_WAIT: Final = 3600.0
"""Seconds of a ``Retry-After`` that we believe."""


class GoogleError(Exception):
    """It was not done; the sentence says why."""


class GoogleAway(GoogleError):
    """Not now, but perhaps in ``seconds``; None where nobody said when."""

    def __init__(self, reason: str, seconds: float | None = None) -> None:
        super().__init__(reason)
        self.seconds = seconds


class AccessRefused(GoogleError):
    """The access token is not taken; a new one may be."""


class AccessLost(GoogleError):
    """The member took back what they had allowed, or it ran out: only they can mend it."""


class EventExists(GoogleError):
    """An event of that id was there before."""


class EventGone(GoogleError):
    """There is no such event, or calendar."""


class SyncExpired(GoogleError):
    """What changed since then is not known any more: everything is to be read again."""


class GoogleRefused(GoogleError):
    """This will never be done."""


class Grant(Struct, frozen=True):
    """What a member allowed. A refreshed one usually brings no new refresh token."""

    access_token: str
    expires_in: int
    scope: str = ""
    refresh_token: str | None = None
    id_token: str | None = None

    @property
    def email(self) -> str | None:
        """Whose account it is. The token came from Google itself, so that nobody else's signature need be looked for."""
        try:
            body = (self.id_token or "").split(".")[1]
            return msgspec.json.decode(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)), type=Claims).email
        except (IndexError, binascii.Error, msgspec.DecodeError):
            return None


class Claims(Struct, frozen=True):
    email: str | None = None


class Written(Struct, frozen=True):
    """An event after it was written."""

    updated: datetime


class EventsPage(Struct, frozen=True, rename="camel"):
    items: list[GoogleEvent] = []
    time_zone: str = "UTC"
    next_page_token: str | None = None
    next_sync_token: str | None = None


class Changes(Struct, frozen=True):
    """Every event of a span of time, or those that changed since a ``sync_token``; ``zone`` is the calendar's."""

    events: list[GoogleEvent]
    zone: str
    sync_token: str


class Watched(Struct, frozen=True, rename="camel"):
    """A channel as it stands; ``expiration`` in milliseconds, as a text."""

    resource_id: str
    expiration: str


class Reason(Struct, frozen=True):
    reason: str = ""


class CalendarFault(Struct, frozen=True):
    errors: list[Reason] = []
    status: str = ""


class Fault(Struct, frozen=True):
    """Of the token endpoint ``error`` is a word, of the calendar an object."""

    error: str | CalendarFault = ""

    @property
    def reason(self) -> str:
        """The word by which a failure is known."""
        if isinstance(self.error, str):
            return self.error
        return next((one.reason for one in self.error.errors), self.error.status)


def fault_of(response: httpx.Response) -> Fault:
    """What it says of itself; something in between may answer in another form."""
    try:
        return msgspec.json.decode(response.content, type=Fault)
    except (msgspec.DecodeError, msgspec.ValidationError):
        return Fault()


def oauth_failure(response: httpx.Response) -> GoogleError:
    """Why no token was given."""
    reason = fault_of(response).reason
    told = f"Google's sign-in answered {response.status_code} {reason}."
    if reason == "invalid_grant":
        return AccessLost(told)
    if response.status_code >= 500 or response.status_code in (401, 408, 429) or reason == "invalid_client":
        return GoogleAway(told, wait_of(response))
    return GoogleRefused(told)


def calendar_failure(response: httpx.Response) -> GoogleError:
    """Why the calendar did not do it."""
    status, reason = response.status_code, fault_of(response).reason
    told = f"Google Calendar answered {status} {reason}."
    known: dict[int, type[GoogleError]] = {401: AccessRefused, 404: EventGone, 409: EventExists, 410: EventGone}
    if status == 403 and reason in NOT_ALLOWED:
        return AccessLost(told)
    if status == 429 or status >= 500 or status == 408 or reason in NOT_NOW:
        return GoogleAway(told, wait_of(response))
    return known.get(status, GoogleRefused)(told)


def wait_of(response: httpx.Response) -> float | None:
    """For how long it asks to be left alone."""
    value = response.headers.get("retry-after", "")
    return min(float(value), LONGEST_WAIT) if value.isdigit() else None

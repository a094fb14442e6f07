"""The way to Google's consent and back: a sealed state that works once, within ten minutes, in the browser that began."""

import base64
import binascii
import re
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import sha256
from hmac import compare_digest
from typing import Final

import msgspec
from msgspec import Struct

from plixa.kernel.auth import Principal
from plixa.kernel.crypto import Unreadable, Vault
from plixa.kernel.errors import Conflict
from plixa.kernel.event_store import Actor
from plixa.kernel.requests import current_request_id
from plixa.kernel.uow import Kernel, UnitOfWork, perform, working
from plixa.scheduling.client import NEEDED_SCOPE, Google, GoogleError, Grant
from plixa.scheduling.commands.google.linking import connect
from plixa.scheduling.queries.google import find_person

LIFE: Final = timedelta(minutes=10)
PLACE: Final = "google_consent"
LONGEST_STATE: Final = 2048
BROWSER: Final = re.compile(r"[A-Za-z0-9_-]{32}")
SPEND: Final = "INSERT INTO google_consent (tenant_id, nonce, expires_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"

Outcome = str
"""How it ended, as the panel is told: connected, denied, expired, incomplete, failed."""


class GoogleNotConfigured(Conflict):
    code = "GOOGLE_NOT_CONFIGURED"
    default = "Google Calendar is not set up on this server. An iCalendar feed works without it."


class State(Struct, frozen=True):
    """Who asked, and what proves that it is they who come back; ``browser`` is the hash of a cookie."""

    tenant: int
    member: int
    nonce: bytes
    verifier: str
    browser: bytes
    expires_at: datetime


class Returned(Struct, frozen=True):
    """What Google's redirect carries, and the cookie of the browser that follows it."""

    state: str
    code: str | None
    browser: str


def ask_consent(google: Google | None, kernel: Kernel, caller: Principal, browser: str) -> str:
    """The address at which a member allows us their calendar; raises GoogleNotConfigured."""
    if google is None:
        raise GoogleNotConfigured
    verifier = secrets.token_urlsafe(48)
    about = (caller.tenant, caller.user_id, secrets.token_bytes(16), verifier, digest(browser), datetime.now(UTC) + LIFE)
    sealed = kernel.vault.seal(msgspec.json.encode(State(*about)), PLACE)
    challenge = base64.urlsafe_b64encode(digest(verifier)).decode().rstrip("=")
    return google.consent_url(base64.urlsafe_b64encode(sealed).decode(), challenge)


async def take_consent(google: Google | None, kernel: Kernel, returned: Returned) -> Outcome:
    """Connect the calendar of whoever comes back with a state of ours. Nothing else of the request is looked at before it."""
    state = open_state(kernel.vault, returned)
    if state is None or not await spend(kernel, state):
        return "expired"
    if returned.code is None:
        return "denied"
    try:
        return await take_code(google, kernel, state, returned.code) if google is not None else "failed"
    except GoogleError:
        return "failed"


def open_state(vault: Vault, returned: Returned) -> State | None:
    """The state, where it is ours, in time, and of this browser."""
    try:
        sealed = base64.urlsafe_b64decode(returned.state[:LONGEST_STATE])
        state = msgspec.json.decode(vault.open(sealed, PLACE), type=State)
    except (binascii.Error, ValueError, Unreadable):
        return None
    is_theirs = compare_digest(digest(returned.browser), state.browser)
    return state if is_theirs and datetime.now(UTC) < state.expires_at else None


async def spend(kernel: Kernel, state: State) -> bool:
    """Take a state out of the world; False where that was done before."""
    async with working(kernel, state.tenant) as uow:
        return await perform(uow, partial(uow.execute, SPEND, state.nonce, state.expires_at)) == "INSERT 0 1"


async def take_code(google: Google, kernel: Kernel, state: State, code: str) -> Outcome:
    """What Google gives for the code: enough of it, or nothing is kept.

    Less than that is not revoked: it would take with it what the same account allowed before.
    """
    grant = await google.exchange(code, state.verifier)
    if NEEDED_SCOPE not in grant.scope.split() or grant.refresh_token is None:
        return "incomplete"
    if await keep(kernel, state, grant):
        return "connected"
    await google.revoke(grant.refresh_token)
    return "expired"


async def keep(kernel: Kernel, state: State, grant: Grant) -> bool:
    """Connect; False for somebody who is no longer a member."""
    async with working(kernel, state.tenant, Actor("member", state.member), current_request_id()) as uow:
        return await perform(uow, partial(connect_member, uow, state.member, grant))


async def connect_member(uow: UnitOfWork, member: int, grant: Grant) -> bool:
    person = await find_person(uow, member)
    if person is None:
        return False
    uow.actor = Actor("member", member, person["name"])
    await connect(uow, member, grant)
    return True


def digest(text: str) -> bytes:
    return sha256(text.encode()).digest()


def browser_of(cookies: Mapping[str, str], name: str) -> str:
    """What a browser is known by while it is at Google's."""
    known = cookies.get(name, "")
    return known if BROWSER.fullmatch(known) else secrets.token_urlsafe(24)

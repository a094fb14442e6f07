"""Links to Google Calendars: made with what a member allowed, kept with their tokens sealed, and given back."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Final, TypeVar

from msgspec import Struct

from plixa.kernel.audit import record
from plixa.kernel.auth import Principal
from plixa.kernel.delivery import Delivery
from plixa.kernel.mail import Mail, send_mail
from plixa.kernel.outbox import Effect
from plixa.kernel.tenancy import lock_of
from plixa.kernel.uow import Kernel, UnitOfWork, perform, working
from plixa.scheduling.client import AccessLost, AccessRefused, Google, Grant
from plixa.scheduling.queries.google import find_link_of, find_person, list_upcoming

READ: Final = "scheduling.read_calendar"
WRITE: Final = "scheduling.write_event"
LEAVE: Final = "scheduling.leave_calendar"
LEAVE_MEMBER: Final = "scheduling.leave_member"
FORGET: Final = "scheduling.forget_busy"
KEPT: Final = timedelta(hours=24)
"""For how long what was known of somebody's time stands without being read again."""
EARLY: Final = timedelta(seconds=60)
"""Before its end a token is renewed."""
NEW: Final = """INSERT INTO google_link
    (tenant_id, id, member_id, state, email, refresh_token, access_token, access_expires_at, connected_at, watch_at)
VALUES ($1, $2, $3, 'connected', $4, $5, $6, $7, $8, $8)"""
LEAVING: Final = "UPDATE google_link SET state = 'leaving' WHERE tenant_id = $1 AND member_id = $2 AND state <> 'leaving' RETURNING id"
LOST: Final = """UPDATE google_link SET state = 'needs_reauth', lost_at = $3, error = 'needs_reauth'
WHERE tenant_id = $1 AND id = $2 AND state = 'connected'"""
TOKENS: Final = "SELECT refresh_token, access_token, access_expires_at FROM google_link WHERE tenant_id = scope.tenant AND id = $2"
RENEWED: Final = """UPDATE google_link SET access_token = $3, access_expires_at = $4, refresh_token = coalesce($5, refresh_token)
WHERE tenant_id = $1 AND id = $2"""
NOT_BUSY: Final = "DELETE FROM external_busy WHERE tenant_id = $1 AND provider_id = $2"
NO_LONGER_BUSY: Final = """DELETE FROM external_busy b USING google_link l WHERE b.tenant_id = $1 AND l.tenant_id = $1 AND l.id = $2
AND l.state = 'needs_reauth' AND b.provider_id = l.member_id"""

DROP: Final = "DELETE FROM google_link WHERE tenant_id = $1 AND id = $2"

T = TypeVar("T")


class Access(Struct, frozen=True):
    """The way to one calendar."""

    google: Google
    kernel: Kernel
    tenant: int
    link: int


async def connect(uow: UnitOfWork, member: int, grant: Grant) -> None:
    """Follow a member's calendar from now on, and write what lies ahead into it. Another one of theirs is left."""
    await uow.begin(lock_of(f"{uow.tenant}/google_link_of/{member}"))
    before = await find_link_of(uow, member)
    if before is not None:
        await leave(uow, member, revoke=before.email is None or before.email != grant.email)
    number = await uow.number("google_link_number")
    tokens = (sealed(uow, number, "refresh", str(grant.refresh_token)), sealed(uow, number, "access", grant.access_token))
    await uow.execute(NEW, number, member, grant.email, *tokens, uow.now + timedelta(seconds=grant.expires_in), uow.now)
    uow.enqueue(Effect(READ, str(number), {"link_id": number}))
    for appointment in await list_upcoming(uow, member):
        uow.enqueue(writing(appointment, f"link/{number}", uow.now))
    await record(uow, "google_calendar.connected", ("google_calendar", number), after={"member_id": member})


async def disconnect(uow: UnitOfWork, caller: Principal) -> None:
    """Forget a member's calendar; where none is connected nothing happens."""
    await uow.begin(lock_of(f"{uow.tenant}/google_link_of/{caller.user_id}"))
    number = await leave(uow, caller.user_id)
    if number is not None:
        await record(uow, "google_calendar.disconnected", ("google_calendar", number), before={"member_id": caller.user_id})


async def leave(uow: UnitOfWork, member: int, *, revoke: bool = True) -> int | None:
    """Use a link no longer, forget what was read, and have Google told. What one account allowed us is revoked as a whole."""
    number: int | None = await uow.insert(LEAVING, member)
    if number is not None:
        await uow.execute(NOT_BUSY, member)
        uow.enqueue(Effect(LEAVE, str(number), {"link_id": number, "revoke": revoke, "at": uow.now.isoformat()}))
    return number


async def leave_member(uow: UnitOfWork, delivery: Delivery) -> None:
    """Somebody was removed: their calendar is theirs alone."""
    await leave(uow, delivery.payload["member_id"])
    await delivery.done(uow)


async def drop_link(uow: UnitOfWork, delivery: Delivery) -> None:
    """Nothing of a link is left, its tokens least of all."""
    await uow.execute(DROP, delivery.payload["link_id"])
    await delivery.done(uow)


async def lose_access(uow: UnitOfWork, link: int, member: int) -> None:
    """The member took back what they had allowed, or it ran out: they are told once, and what is known stands for a day."""
    if await uow.execute(LOST, link, uow.now) != "UPDATE 1":
        return
    uow.enqueue(Effect(FORGET, str(link), {"link_id": link}, due_at=uow.now + KEPT))
    person = await find_person(uow, member)
    if person is not None:
        values = {"name": person["name"], "workspace": person["workspace"]}
        send_mail(uow, f"calendar_lost/{link}", Mail("calendar_lost", person["email"], person["locale"], values))
    await record(uow, "google_calendar.lost", ("google_calendar", link), after={"member_id": member})


async def forget_busy(uow: UnitOfWork, delivery: Delivery) -> None:
    """What was known a day ago and could not be read since is worth nothing, unless there is access again."""
    await uow.execute(NO_LONGER_BUSY, delivery.payload["link_id"])
    await delivery.done(uow)


async def ask(access: Access, call: Callable[[str], Awaitable[T]]) -> T:
    """Ask something with a good token, a new one where Google says otherwise; raises GoogleError, AccessLost after two refusals."""
    token = await token_of(access)
    try:
        return await call(token)
    except AccessRefused:
        try:
            return await call(await token_of(access, refused=token))
        except AccessRefused as error:
            raise AccessLost(str(error)) from error


async def token_of(access: Access, refused: str | None = None) -> str:
    """An access token, other than the one that was refused; of those here who need a new one, one gets it. Raises GoogleError."""
    known = await known_token(access, refused)
    if known is not None:
        return known
    async with access.google.turn(f"{access.tenant}/{access.link}"):
        known = await known_token(access, refused)
        return known if known is not None else await renew(access)


async def renew(access: Access) -> str:
    """A new access token. No connection to the database waits for Google."""
    current = await refresh_token(access)
    if current is None:
        raise AccessLost("The link is gone.")
    grant = await access.google.refresh(current)
    async with working(access.kernel, access.tenant) as uow:
        await perform(uow, partial(keep_grant, uow, access.link, grant))
    return grant.access_token


async def keep_grant(uow: UnitOfWork, link: int, grant: Grant) -> None:
    newer = sealed(uow, link, "refresh", grant.refresh_token) if grant.refresh_token else None
    expires_at = uow.now + timedelta(seconds=grant.expires_in)
    await uow.execute(RENEWED, link, sealed(uow, link, "access", grant.access_token), expires_at, newer)


async def known_token(access: Access, refused: str | None) -> str | None:
    """The access token there is, while it lasts."""
    async with working(access.kernel, access.tenant) as uow:
        row = await uow.fetchrow(TOKENS, access.link)
        if row is None or row["access_expires_at"] - EARLY <= uow.now:
            return None
        token = opened(uow, access.link, "access", row["access_token"])
    return token if token != refused else None


async def refresh_token(access: Access) -> str | None:
    """What is to be revoked."""
    async with working(access.kernel, access.tenant) as uow:
        row = await uow.fetchrow(TOKENS, access.link)
        return opened(uow, access.link, "refresh", row["refresh_token"]) if row else None


def writing(appointment: int, key: str, at: datetime) -> Effect:
    """Have the calendars show an appointment as it is when this is done, one time after the other."""
    payload = {"appointment_id": appointment, "at": at.isoformat()}
    return Effect(WRITE, f"{appointment}/{key}", payload, order=f"google_event/{appointment}")


def sealed(uow: UnitOfWork, link: int, what: str, token: str) -> bytes:
    return uow.kernel.vault.seal(token.encode(), place_of(uow.tenant, link, what))


def opened(uow: UnitOfWork, link: int, what: str, token: bytes) -> str:
    return uow.kernel.vault.open(token, place_of(uow.tenant, link, what)).decode()


def place_of(tenant: int, link: int, what: str) -> str:
    """Where a token belongs, as the vault seals it."""
    return f"google_link/{tenant}/{link}/{what}_token"

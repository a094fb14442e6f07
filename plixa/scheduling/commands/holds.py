"""Holds: time that is kept for somebody for a while, in a chat, at a payment, or for who is next on the waitlist."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

from msgspec import Meta, Struct

from plixa.contacts.queries.identities import hold_contact
from plixa.kernel.audit import record
from plixa.kernel.clock import instant
from plixa.kernel.errors import Conflict, NotFound
from plixa.kernel.outbox import Effect
from plixa.kernel.tenancy import lock_of
from plixa.kernel.uow import UnitOfWork
from plixa.scheduling.commands.claims import Taking, is_crowded, lock_time, offer_time, release, take
from plixa.scheduling.commands.judging import Wanted, Wish, choose, read_start, refuse_crowded, refuse_taken, refuse_unbookable
from plixa.scheduling.commands.offers import lapse
from plixa.scheduling.queries.slots import load_setup
from plixa.workspace.queries.settings import read_workspace

IN_A_CHAT: Final = 10
LONGEST: Final = 30
"""Minutes; so long at a payment, and for who is offered time from the waitlist."""
MOST: Final = 50
"""What a member or a token may keep at once: nobody closes a calendar without booking anything."""
DAY: Final = timedelta(days=1)
GONE: Final = "This hold is over. Choose a time again."
HELD: Final = """SELECT id, service_id, provider_id, contact_id, starts_at, ends_at, expires_at FROM hold
WHERE tenant_id = scope.tenant AND id = $2"""
KEEP: Final = """INSERT INTO hold (tenant_id, id, service_id, provider_id, contact_id, starts_at, ends_at, expires_at, held_by, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"""
HELD_BY: Final = "SELECT count(*) AS number FROM hold WHERE tenant_id = scope.tenant AND held_by = $2 AND expires_at > $3"
DROP: Final = "DELETE FROM hold WHERE tenant_id = $1 AND id = $2"
USE: Final = "DELETE FROM hold WHERE tenant_id = $1 AND id = $2 AND expires_at > $3"


class TooManyHolds(Conflict):
    code = "TOO_MANY_HOLDS"
    default = f"At most {MOST} times can be kept at once. Book or release some first."


class HoldSlot(Struct, frozen=True):
    """``start`` as in booking; for ``minutes`` nobody else can have it."""

    service_id: int
    start: datetime
    provider_id: int | None = None
    contact_id: int | None = None
    minutes: Annotated[int, Meta(ge=1, le=LONGEST)] = IN_A_CHAT


class HoldView(Struct, frozen=True):
    """Time that is kept until ``expires_at``; book it with ``hold_id``."""

    id: int
    service_id: int
    provider_id: int
    contact_id: int | None
    start: datetime
    end: datetime
    expires_at: datetime


async def hold_slot(uow: UnitOfWork, data: HoldSlot) -> HoldView:
    """Keep time for somebody; raises what booking it would raise."""
    if data.contact_id is not None:
        await hold_contact(uow, data.contact_id)
    given = read_start(data.start, uow.now)
    roughly = given if given.tzinfo else given.replace(tzinfo=UTC)
    setup = await load_setup(uow, data.service_id, roughly - DAY, roughly + DAY, data.provider_id)
    refuse_unbookable(setup, data.provider_id)
    zone = setup.providers[data.provider_id].zone if data.provider_id else str((await read_workspace(uow))["timezone"])
    wanted = Wanted(instant(given, zone, "start"))
    wish = Wish([wanted], data.provider_id)
    if is_crowded(uow, setup.providers):
        refuse_taken((await choose(uow, setup, wish)).verdicts)
    await lock_time(uow, setup.providers, [one.id for one in setup.resources])
    choice = await choose(uow, setup, wish)
    refuse_crowded(uow, setup, choice.verdicts)
    until = uow.now + timedelta(minutes=data.minutes)
    end = wanted.start + timedelta(minutes=setup.offer.duration)
    number = await uow.number("appointment_number")
    view = HoldView(number, data.service_id, choice.provider.id, data.contact_id, wanted.start, end, until)
    around = wanted.start - timedelta(seconds=setup.offer.lead), wanted.start + timedelta(seconds=setup.offer.length)
    await take(uow, [Taking(number, choice.provider.id, *around, setup.resources, until)])
    keep(uow, view)
    return view


def keep(uow: UnitOfWork, view: HoldView) -> None:
    """Remember a hold, with the timer that ends it."""
    values = (view.id, view.service_id, view.provider_id, view.contact_id, view.start, view.end, view.expires_at)
    uow.also(KEEP, *values, holder(uow), uow.now)
    uow.enqueue(Effect("scheduling.expire_hold", str(view.id), {"hold_id": view.id}, view.expires_at))


async def create_hold(uow: UnitOfWork, data: HoldSlot) -> HoldView:
    """Somebody of the workspace keeps time for somebody; raises TooManyHolds as well."""
    view = await hold_slot(uow, data)
    await refuse_hoarding(uow)
    after = {"service_id": view.service_id, "provider_id": view.provider_id, "start": view.start, "expires_at": view.expires_at}
    await record(uow, "hold.created", ("hold", view.id), after=after)
    return view


async def refuse_hoarding(uow: UnitOfWork) -> None:
    """Raises TooManyHolds where whoever calls keeps as much as they may already; until this transaction ends they wait for their turn."""
    await uow.begin(lock_of(f"{uow.tenant}/holds/{holder(uow)}"))
    (row,) = await uow.fetch(HELD_BY, holder(uow), uow.now)
    if row["number"] >= MOST:
        raise TooManyHolds


def holder(uow: UnitOfWork) -> str:
    """Who keeps it."""
    return f"{uow.actor.type}/{uow.actor.id or 0}"


async def release_hold(uow: UnitOfWork, number: int) -> None:
    """Let go of kept time; raises NotFound."""
    view = await find_hold(uow, number)
    entry = await end_hold(uow, view)
    before = {"start": view.start, "provider_id": view.provider_id} | ({"waitlist_entry": entry} if entry else {})
    await record(uow, "hold.released", ("hold", number), before)


async def expire_hold(uow: UnitOfWork, number: int) -> None:
    """Its timer: unless it was booked or let go, its time is free."""
    row = await uow.fetchrow(HELD, number)
    entry = await end_hold(uow, HoldView(*row)) if row is not None else None
    if entry is not None:
        await record(uow, "waitlist_entry.offer_expired", ("waitlist_entry", entry))


async def end_hold(uow: UnitOfWork, view: HoldView) -> int | None:
    """Its time is free, the waitlist first; answers the entry of it to which it was offered. Raises NotFound where it was just booked."""
    if await uow.execute(DROP, view.id) != "DELETE 1":
        raise NotFound(GONE)
    release(uow, view.id)
    offer_time(uow, f"hold/{view.id}", view.provider_id, view.start, view.end)
    return await lapse(uow, view.id, view.start)


async def use_hold(uow: UnitOfWork, view: HoldView, provider: int, start: datetime) -> None:
    """What was kept is being booked, or something else instead; raises NotFound once it is over."""
    if await uow.execute(USE, view.id, uow.now) != "DELETE 1":
        raise NotFound(GONE)
    release(uow, view.id)
    if (provider, start) != (view.provider_id, view.start):
        offer_time(uow, f"hold/{view.id}", view.provider_id, view.start, view.end)


async def find_hold(uow: UnitOfWork, number: int) -> HoldView:
    """A hold, over or not; raises NotFound."""
    row = await uow.fetchrow(HELD, number)
    if row is None:
        raise NotFound(GONE)
    return HoldView(*row)

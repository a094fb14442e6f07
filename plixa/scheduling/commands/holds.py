"""Holds: time that is kept for somebody for a while, in a chat, at a payment, or for who is next on the waitlist."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

from msgspec import Meta, Struct

from plixa.contacts.queries.identities import hold_contact
from plixa.kernel.audit import record
from plixa.kernel.clock import instant
from plixa.kernel.errors import NotFound
from plixa.kernel.outbox import Effect
from plixa.kernel.uow import UnitOfWork
from plixa.scheduling.commands.claims import Taking, is_crowded, lock_time, offer_time, release, take
from plixa.scheduling.commands.judging import Wanted, Wish, choose, refuse_crowded, refuse_taken, refuse_unbookable
from plixa.scheduling.commands.offers import lapse
from plixa.scheduling.queries.slots import load_setup
from plixa.workspace.queries.settings import read_workspace

IN_A_CHAT: Final = 10
LONGEST: Final = 30
"""Minutes; so long at a payment, and for who is offered time from the waitlist."""
DAY: Final = timedelta(days=1)
GONE: Final = "This hold is over. Choose a time again."
HELD: Final = """SELECT id, service_id, provider_id, contact_id, starts_at, ends_at, expires_at FROM hold
WHERE tenant_id = scope.tenant AND id = $2"""
KEEP: Final = """INSERT INTO hold (tenant_id, id, service_id, provider_id, contact_id, starts_at, ends_at, expires_at, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"""
DROP: Final = "DELETE FROM hold WHERE tenant_id = $1 AND id = $2"
USE: Final = "DELETE FROM hold WHERE tenant_id = $1 AND id = $2 AND expires_at > $3"


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
    roughly = data.start if data.start.tzinfo else data.start.replace(tzinfo=UTC)
    setup = await load_setup(uow, data.service_id, roughly - DAY, roughly + DAY, data.provider_id)
    refuse_unbookable(setup, data.provider_id)
    zone = setup.providers[data.provider_id].zone if data.provider_id else str((await read_workspace(uow))["timezone"])
    wanted = Wanted(instant(data.start, zone, "start"))
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
    uow.also(KEEP, *values, uow.now)
    uow.enqueue(Effect("scheduling.expire_hold", str(view.id), {"hold_id": view.id}, view.expires_at))


async def create_hold(uow: UnitOfWork, data: HoldSlot) -> HoldView:
    """Somebody of the workspace keeps time for somebody."""
    view = await hold_slot(uow, data)
    after = {"service_id": view.service_id, "provider_id": view.provider_id, "start": view.start, "expires_at": view.expires_at}
    await record(uow, "hold.created", ("hold", view.id), after=after)
    return view


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


async def use_hold(uow: UnitOfWork, number: int) -> None:
    """What was kept is being booked; raises NotFound once it is over."""
    if await uow.execute(USE, number, uow.now) != "DELETE 1":
        raise NotFound(GONE)
    release(uow, number)


async def find_hold(uow: UnitOfWork, number: int) -> HoldView:
    """A hold, over or not; raises NotFound."""
    row = await uow.fetchrow(HELD, number)
    if row is None:
        raise NotFound(GONE)
    return HoldView(*row)

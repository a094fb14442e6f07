"""The waitlist: who waits for time that is not free yet, and time offered to whose turn it is."""

from datetime import date, timedelta
from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from plixa.contacts.queries.identities import hold_contact
from plixa.kernel.audit import record
from plixa.kernel.errors import Conflict, Invalid, NotFound
from plixa.kernel.tenancy import lock_of
from plixa.kernel.uow import UnitOfWork
from plixa.scheduling.commands.holds import LONGEST, HoldSlot, HoldView, end_hold, find_hold, hold_slot
from plixa.scheduling.commands.keeping import enrol
from plixa.scheduling.commands.offers import turn
from plixa.scheduling.queries.services import get_service
from plixa.scheduling.queries.waitlist import EntryView, Turn, count_waiting, get_entry

MOST: Final = 5_000
"""Entries that may wait in a workspace at once."""
MINUTE: Final = timedelta(minutes=1)
INSERT: Final = """INSERT INTO waitlist_entry
(tenant_id, id, contact_id, service_id, provider_id, preferred_from, preferred_to, notes, status, place, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'waiting', $9, $10)"""
OFFER: Final = """UPDATE waitlist_entry SET status = 'offered', hold_id = $3, notified_at = $4, offers = offers + 1
WHERE tenant_id = $1 AND id = $2 AND status = 'waiting'"""
REMOVE: Final = "UPDATE waitlist_entry SET status = 'removed', hold_id = NULL WHERE tenant_id = $1 AND id = $2"
THEIRS: Final = """SELECT id, service_id, provider_id, contact_id, starts_at, ends_at, expires_at FROM hold
WHERE tenant_id = scope.tenant AND contact_id = ANY($2::bigint[])"""
FORGET: Final = "DELETE FROM waitlist_entry WHERE tenant_id = $1 AND contact_id = ANY($2::bigint[])"


class AlreadyWaiting(Conflict):
    code = "ALREADY_WAITING"
    default = "This contact waits for this service already."


class NotTheirTurn(Conflict):
    code = "NOT_THEIR_TURN"
    default = "This entry does not wait any more."


class JoinWaitlist(Struct, frozen=True):
    """Dates are days of the provider's calendar, both included; null is any. No provider: whoever gives the service."""

    contact_id: int
    service_id: int
    provider_id: int | None = None
    preferred_from: date | None = None
    preferred_to: date | None = None
    notes: Annotated[str, Meta(max_length=2000)] | None = None

    def __post_init__(self) -> None:
        if self.preferred_from is not None and self.preferred_to is not None and self.preferred_from > self.preferred_to:
            raise Invalid.field("preferred_to", "Must not be before preferred_from.")


async def join_waitlist(uow: UnitOfWork, data: JoinWaitlist) -> EntryView:
    """Wait, behind all who wait already. Raises NotFound, also for a provider who does not give the service, AlreadyWaiting, Conflict."""
    if data.preferred_to is not None and data.preferred_to < (uow.now - timedelta(days=1)).date():
        raise Invalid.field("preferred_to", "Choose a day that is not over.")
    await hold_contact(uow, data.contact_id)
    service = await get_service(uow, data.service_id)
    if data.provider_id is not None and data.provider_id not in service.provider_ids:
        raise NotFound("This member does not give the service.")
    await uow.begin(lock_of(f"{uow.tenant}/waitlist"))
    number = await uow.number("waitlist_entry_number")
    waiting, same = await count_waiting(uow, data.contact_id, data.service_id, data.provider_id)
    if same:
        raise AlreadyWaiting
    if waiting >= MOST:
        raise Conflict(f"At most {MOST} can wait at once. Remove entries that are out of date.")
    wanted = (data.contact_id, data.service_id, data.provider_id, data.preferred_from, data.preferred_to)
    await uow.execute(INSERT, number, *wanted, data.notes or None, turn(uow.now), uow.now)
    enrol(uow, uow.now.date())
    after: dict[str, Any] = dict(zip(("contact_id", "service_id", "provider_id", "preferred_from", "preferred_to"), wanted, strict=True))
    await record(uow, "waitlist_entry.created", ("waitlist_entry", number), after=after)
    return await get_entry(uow, number)


async def remove_entry(uow: UnitOfWork, number: int) -> None:
    """Let them wait no longer; time that is offered to them is let go. Raises NotFound."""
    entry = await get_entry(uow, number)
    if entry.status == "removed":
        return
    if entry.hold_id is not None:
        await end_hold(uow, await find_hold(uow, entry.hold_id))
    await uow.execute(REMOVE, number)
    await record(uow, "waitlist_entry.removed", ("waitlist_entry", number), {"status": entry.status}, {"status": "removed"})


async def offer(uow: UnitOfWork, turn: Turn, provider: int, contact: int) -> HoldView:
    """Keep the time for whose turn it is, half an hour or until it begins; raises what ``hold_slot`` raises, and NotTheirTurn."""
    minutes = max(1, min(LONGEST, (turn.start - uow.now) // MINUTE))
    hold = await hold_slot(uow, HoldSlot(turn.waiter.service_id, turn.start, provider, contact, minutes))
    if await uow.execute(OFFER, turn.waiter.id, hold.id, uow.now) != "UPDATE 1":
        raise NotTheirTurn
    after = {"hold_id": hold.id, "start": hold.start, "provider_id": provider, "expires_at": hold.expires_at}
    await record(uow, "waitlist_entry.offered", ("waitlist_entry", turn.waiter.id), after=after)
    return hold


async def pass_over(uow: UnitOfWork, turn: Turn, reason: str) -> None:
    """Nobody can tell them; the trail says why."""
    after = {"reason": reason, "start": turn.start}
    await record(uow, "waitlist_entry.passed_over", ("waitlist_entry", turn.waiter.id), after=after)


async def end_offer(uow: UnitOfWork, number: int, hold: HoldView, reason: str) -> None:
    """They let the time pass, or it cannot be booked any more: the next one's turn."""
    await end_hold(uow, hold)
    await record(uow, "waitlist_entry.offer_ended", ("waitlist_entry", number), after={"reason": reason, "start": hold.start})


async def forget_waiting(uow: UnitOfWork, contacts: list[int]) -> None:
    """Their customer was erased: nobody waits, and nothing is kept for them."""
    for row in await uow.fetch(THEIRS, contacts):
        await end_hold(uow, HoldView(*row))
    await uow.execute(FORGET, contacts)

"""The one way by which time is taken: lock the providers and resources, look again, take it. An exclusion constraint stands behind it,
so that who wants no more than one time of one provider may look before, and wait for the lock in the statement that takes it.

Bookings, moves, approvals, holds and offers of the waitlist all come through here.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from msgspec import Struct

from plixa.kernel.editor import Editor
from plixa.kernel.event_store import stream_id
from plixa.kernel.outbox import Effect
from plixa.kernel.tenancy import lock_of
from plixa.kernel.uow import UnitOfWork
from plixa.scheduling.domain.appointment import Appointment
from plixa.scheduling.domain.units import Use, placed
from plixa.scheduling.queries.slots import Resource

TAKE_ONE: Final = """INSERT INTO provider_time (tenant_id, holder, provider_id, starts_at, ends_at, expires_at)
VALUES ($1::bigint, $2::bigint, $3::bigint, $4::timestamptz, $5::timestamptz, $6::timestamptz)
ON CONFLICT (tenant_id, holder) DO UPDATE SET starts_at = excluded.starts_at, ends_at = excluded.ends_at,
    provider_id = excluded.provider_id, expires_at = excluded.expires_at"""
TAKE: Final = """INSERT INTO provider_time (tenant_id, holder, provider_id, starts_at, ends_at, expires_at)
SELECT $1, * FROM unnest($2::bigint[], $3::bigint[], $4::timestamptz[], $5::timestamptz[], $6::timestamptz[])"""
"""Of a series, which is new."""
TAKE_UNITS: Final = """INSERT INTO resource_time (tenant_id, holder, resource_id, unit, starts_at, ends_at, expires_at)
SELECT $1, * FROM unnest($2::bigint[], $3::bigint[], $4::int[], $5::timestamptz[], $6::timestamptz[], $7::timestamptz[])
ON CONFLICT (tenant_id, holder, resource_id) DO UPDATE SET unit = excluded.unit, starts_at = excluded.starts_at,
    ends_at = excluded.ends_at, expires_at = excluded.expires_at"""
MOVE_UNITS: Final = """UPDATE resource_time r SET unit = m.unit
FROM unnest($2::bigint[], $3::bigint[], $4::int[]) AS m (holder, resource_id, unit)
WHERE r.tenant_id = $1 AND r.holder = m.holder AND r.resource_id = m.resource_id"""
"""Of those who still have one: they may have cancelled meanwhile, for which nobody waits in line."""
LEAVE: Final = "DELETE FROM provider_time WHERE tenant_id = $1 AND holder = $2"
LEAVE_UNITS: Final = "DELETE FROM resource_time WHERE tenant_id = $1 AND holder = $2"
LEAVE_OTHER_UNITS: Final = "DELETE FROM resource_time WHERE tenant_id = $1 AND holder = $2 AND resource_id <> ALL($3::bigint[])"
EXPIRE: Final = "DELETE FROM provider_time WHERE tenant_id = $1 AND provider_id = ANY($2::bigint[]) AND expires_at <= $3 AND holder <> $4"
EXPIRE_UNITS: Final = (
    "DELETE FROM resource_time WHERE tenant_id = $1 AND resource_id = ANY($2::bigint[]) AND expires_at <= $3 AND holder <> $4"
)
USES: Final = """SELECT resource_id, holder, unit, starts_at, ends_at, expires_at FROM resource_time
WHERE tenant_id = scope.tenant AND resource_id = ANY($2::bigint[]) AND (expires_at IS NULL OR expires_at > $3)
AND ends_at > $4 ORDER BY resource_id, starts_at"""

LINKED: Final = timedelta(days=3)
"""How far back bookings are looked at that may have to move to another unit, if they began since."""


class Taking(Struct, frozen=True):
    """A provider's time, buffers included, and a unit of each resource; only until ``expires_at`` where it is a hold."""

    holder: int
    provider_id: int
    start: datetime
    end: datetime
    resources: Sequence[Resource] = ()
    expires_at: datetime | None = None


def expect_a_crowd(uow: UnitOfWork, providers: Iterable[int]) -> None:
    """Somebody waited in line in vain: whoever comes in the next half second looks first whether there is any chance."""
    for provider in providers:
        uow.kernel.crowded.put(line_of(provider), True)


def is_crowded(uow: UnitOfWork, providers: Iterable[int]) -> bool:
    """Has somebody just waited in vain for one of these?"""
    return any(uow.kernel.crowded.get(line_of(provider)) for provider in providers)


def line_of(provider: int) -> UUID:
    """Names the line before a provider."""
    return stream_id("provider", provider)


async def lock_time(uow: UnitOfWork, providers: Collection[int], resources: Collection[int]) -> None:
    """Nobody else takes time of these before this transaction ends; all wait for their turn in one order."""
    names = [*(f"provider/{number}" for number in providers), *(f"resource/{number}" for number in resources)]
    await uow.begin(*(lock_of(f"{uow.tenant}/{name}") for name in names))


def lock_later(uow: UnitOfWork, provider: int) -> None:
    """As ``lock_time``, for a single time of one provider, and with what is saved: that it is still free the exclusion constraint says."""
    uow.save_in_turn(lock_of(f"{uow.tenant}/provider/{provider}"))


async def take(uow: UnitOfWork, takings: Sequence[Taking]) -> None:
    """Take time that was found free under its locks; what a holder had before it has no more.

    Holds that are over have timers that end them; one that stands in the way before that goes when the command runs again.
    """
    providers = sorted({taking.provider_id for taking in takings})
    await take_units(uow, takings)
    if uow.attempt:
        uow.also(EXPIRE, providers, uow.now, takings[0].holder)
    rows = [(one.holder, one.provider_id, one.start, one.end, one.expires_at) for one in takings]
    uow.also(TAKE_ONE, *rows[0]) if len(rows) == 1 else uow.also(TAKE, *columns(rows))


async def take_units(uow: UnitOfWork, takings: Sequence[Taking]) -> None:
    """A unit of each resource; where the free ones are scattered, others that are linked with it move to other units."""
    capacities = {one.id: one.capacity for taking in takings for one in taking.resources}
    if not capacities:
        return
    own, since = {taking.holder for taking in takings}, min(taking.start for taking in takings) - LINKED
    rows = await uow.fetch(USES, sorted(capacities), uow.now, since)
    changed: dict[tuple[int, int], Use] = {}
    for resource, capacity in capacities.items():
        uses = {row["holder"]: used(row) for row in rows if row["resource_id"] == resource and row["holder"] not in own}
        for taking in takings:
            for use in placed(uses.values(), Use(taking.holder, taking.start, taking.end, taking.expires_at), capacity, since):
                uses[use.holder] = changed[use.holder, resource] = use
    if uow.attempt:
        uow.also(EXPIRE_UNITS, sorted(capacities), uow.now, takings[0].holder)
    moved = [(holder, resource, use.unit) for (holder, resource), use in changed.items() if holder not in own]
    if moved:
        uow.also(MOVE_UNITS, *columns(moved))
    fresh = [
        (holder, resource, use.unit, use.start, use.end, use.expires_at) for (holder, resource), use in changed.items() if holder in own
    ]
    uow.also(TAKE_UNITS, *columns(fresh))


def used(row: Any) -> Use:
    """A row of ``USES``."""
    return Use(row["holder"], row["starts_at"], row["ends_at"], row["expires_at"], row["unit"])


def release(uow: UnitOfWork, holder: int) -> None:
    """What a holder has is free."""
    uow.also(LEAVE, holder)
    uow.also(LEAVE_UNITS, holder)


def leave_units(uow: UnitOfWork, holder: int, kept: Sequence[int]) -> None:
    """A holder needs no resources any more but these."""
    uow.also(LEAVE_OTHER_UNITS, holder, list(kept))


def offer_again(uow: UnitOfWork, editor: Editor[Appointment]) -> None:
    """Time that an appointment had, and that lies ahead, is offered to whoever waits for such."""
    start, end = editor.before.taken
    offer_time(uow, f"{editor.state.number}/{editor.version}", editor.state.provider_id, start, end)


def offer_time(uow: UnitOfWork, key: str, provider: int, start: datetime, end: datetime) -> None:
    """Offer a provider's time to the waitlist, if it is not over."""
    if end > uow.now:
        uow.enqueue(Effect("automation.offer_time", key, {"provider_id": provider, "start": start, "end": end}))


def columns(rows: Sequence[tuple[Any, ...]]) -> list[list[Any]]:
    """One list a column."""
    return [list(values) for values in zip(*rows, strict=True)]

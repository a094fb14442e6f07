"""Who waits for which service, and whose turn it is when time becomes free."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

import asyncpg
import msgspec
from msgspec import Struct

from plixa.kernel.cursor import decode, encode
from plixa.kernel.envelope import Page
from plixa.kernel.errors import NotFound
from plixa.kernel.paging import Paging
from plixa.kernel.tenancy import bind
from plixa.kernel.uow import UnitOfWork
from plixa.scheduling.queries.appointments import CustomerView, NamedView
from plixa.scheduling.queries.slots import Period, Setup, load_period

Standing = Literal["waiting", "offered", "booked", "expired", "removed"]
SELECT: Final = """SELECT w.id, w.service_id, w.provider_id, w.preferred_from, w.preferred_to, w.notes, w.status,
    w.created_at, w.notified_at, w.hold_id, w.appointment_id,
    (SELECT s.name FROM service s WHERE s.tenant_id = w.tenant_id AND s.id = w.service_id) AS service,
    (SELECT m.name FROM member m WHERE m.tenant_id = w.tenant_id AND m.id = w.provider_id) AS provider,
    (WITH RECURSIVE one AS (
        SELECT id, name, phone, merged_into FROM contact WHERE tenant_id = scope.tenant AND id = w.contact_id
        UNION ALL
        SELECT c.id, c.name, c.phone, c.merged_into FROM contact c JOIN one ON c.id = one.merged_into WHERE c.tenant_id = scope.tenant
    ) SELECT json_build_object('id', id, 'name', name, 'phone', phone)::text FROM one WHERE merged_into IS NULL) AS contact
FROM waitlist_entry w WHERE w.tenant_id = scope.tenant"""
ONE: Final = f"{SELECT} AND w.id = $2"
CROWD: Final = """SELECT count(*) AS count, count(*) FILTER (
    WHERE contact_id = $2 AND service_id = $3::bigint AND provider_id IS NOT DISTINCT FROM $4::bigint) AS same
FROM waitlist_entry WHERE tenant_id = scope.tenant AND status IN ('waiting', 'offered')"""
TURN: Final = """SELECT w.id, w.contact_id, w.service_id, w.preferred_from, w.preferred_to, w.passed FROM waitlist_entry w
JOIN service_provider p ON p.tenant_id = w.tenant_id AND p.service_id = w.service_id AND p.provider_id = $2
WHERE w.tenant_id = scope.tenant AND w.status = 'waiting' AND w.id <> ALL($3::bigint[])
    AND (w.provider_id IS NULL OR w.provider_id = $2)
    AND (w.preferred_from IS NULL OR w.preferred_from <= $5::date) AND (w.preferred_to IS NULL OR w.preferred_to >= $4::date)
ORDER BY w.place, w.id LIMIT 500"""
DAY: Final = timedelta(days=1)


class EntryView(Struct, frozen=True, kw_only=True):
    """Somebody who waits for a service, with one provider or whoever gives it, on days of the provider's calendar.

    ``hold_id`` is the time that is offered to them; ``notified_at`` when they were last offered any.
    """

    id: int
    contact: CustomerView | None
    service: NamedView
    provider: NamedView | None
    preferred_from: date | None
    preferred_to: date | None
    notes: str | None
    status: Standing
    hold_id: int | None
    appointment_id: int | None
    created_at: datetime
    notified_at: datetime | None


class Waiter(Struct, frozen=True):
    """An entry that waits; ``passed`` are starts that were offered to it already."""

    id: int
    contact_id: int
    service_id: int
    preferred_from: date | None
    preferred_to: date | None
    passed: list[datetime]

    def wants(self, start: datetime, zone: str) -> bool:
        """Would it be offered this start, by the clocks of its provider?"""
        day = start.astimezone(ZoneInfo(zone)).date()
        suits = (self.preferred_from or day) <= day <= (self.preferred_to or day)
        return suits and start not in self.passed


class Turn(Struct, frozen=True):
    """Whose turn it is, and for which start of which service."""

    waiter: Waiter
    start: datetime
    setup: Setup


class Freed(Struct, frozen=True):
    """Time of a provider that became free."""

    provider_id: int
    start: datetime
    end: datetime


async def list_entries(uow: UnitOfWork, service: int | None, status: Standing | None, paging: Paging) -> tuple[list[EntryView], Page]:
    """One page, in the order in which they were made."""
    arguments: list[Any] = [paging.limit + 1]
    query = SELECT
    for column, value in (("service_id", service), ("status", status)):
        if value is not None:
            query += f" AND w.{column} = {bind(arguments, value)}::{'text' if column == 'status' else 'bigint'}"
    if paging.cursor is not None:
        query += f" AND w.id > {bind(arguments, *decode(paging.cursor, (int,)))}::bigint"
    rows = await uow.fetch(f"{query} ORDER BY w.id LIMIT $2::int", *arguments)
    shown = [entry_view(row) for row in rows[: paging.limit]]
    return shown, Page(encode((shown[-1].id,)) if len(rows) > paging.limit else None, paging.limit)


async def get_entry(uow: UnitOfWork, number: int) -> EntryView:
    """One; raises NotFound."""
    row = await uow.fetchrow(ONE, number)
    if row is None:
        raise NotFound("There is no such entry of the waitlist.")
    return entry_view(row)


def entry_view(row: "asyncpg.Record") -> EntryView:
    """A row of ``SELECT``."""
    return EntryView(
        id=row["id"],
        contact=msgspec.json.decode(row["contact"], type=CustomerView) if row["contact"] else None,
        service=NamedView(row["service_id"], row["service"]),
        provider=NamedView(row["provider_id"], row["provider"]) if row["provider_id"] is not None else None,
        preferred_from=row["preferred_from"],
        preferred_to=row["preferred_to"],
        notes=row["notes"],
        status=row["status"],
        hold_id=row["hold_id"],
        appointment_id=row["appointment_id"],
        created_at=row["created_at"],
        notified_at=row["notified_at"],
    )


async def count_waiting(uow: UnitOfWork, contact: int, service: int, provider: int | None) -> tuple[int, int]:
    """How many wait, and how many of them are this contact waiting for just this."""
    (row,) = await uow.fetch(CROWD, contact, service, provider)
    return row["count"], row["same"]


async def find_turn(uow: UnitOfWork, freed: Freed, over: Iterable[int]) -> Turn | None:
    """The first who waits for what can begin in freed time, but those it was offered to already; and the earliest such start."""
    first, last = (freed.start - DAY).date(), (freed.end + DAY).date()
    rows = await uow.fetch(TURN, freed.provider_id, list(over), first, last)
    offered: dict[int, tuple[Setup, list[datetime]]] = {}
    for waiter in (Waiter(*row) for row in rows):
        if waiter.service_id not in offered:
            offered[waiter.service_id] = await list_starts(uow, waiter.service_id, freed)
        setup, starts = offered[waiter.service_id]
        for start in starts:
            if waiter.wants(start, setup.providers[freed.provider_id].zone):
                return Turn(waiter, start, setup)
    return None


async def list_starts(uow: UnitOfWork, service: int, freed: Freed) -> tuple[Setup, list[datetime]]:
    """When a service can begin in freed time; never, where it is not offered any more."""
    period = Period(freed.start, freed.end)
    setup, times = await load_period(uow, service, freed.provider_id, period)
    found = [start for table in setup.timetables(times, uow.now).values() for start in table.starts(*period.within(table.zone))]
    return setup, [datetime.fromtimestamp(start, UTC) for start in found]

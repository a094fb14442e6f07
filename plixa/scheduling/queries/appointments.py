"""The calendar as members see it: appointments, present and as they were, and what closes it."""

from datetime import date, datetime, timedelta
from typing import Annotated, Any, Final, Literal, cast

import asyncpg
import msgspec
from msgspec import Meta, Struct

from plixa.contacts.queries.identities import refuse_gone
from plixa.kernel.cursor import decode, encode
from plixa.kernel.envelope import Page
from plixa.kernel.errors import Invalid, NotFound
from plixa.kernel.paging import Paging
from plixa.kernel.tenancy import bind
from plixa.kernel.uow import UnitOfWork
from projections.calendar import AppointmentRow, calendar

State = Literal["pending", "confirmed", "arrived", "completed", "no_show", "cancelled"]
Answer = Literal["confirmed", "move"]
Difference = Literal["moved", "deleted"]
LONGEST: Final = timedelta(days=1)
"""No appointment takes longer."""
WIDEST: Final = timedelta(days=62)
"""A calendar shows at most two months at once."""

COLUMNS: Final = ", ".join(f"a.{name}" for name in calendar.table.names)
NAMES: Final = """(SELECT json_build_object('name', s.name, 'color', s.color)::text
        FROM service s WHERE s.tenant_id = scope.tenant AND s.id = a.service_id) AS service,
    (SELECT m.name FROM member m WHERE m.tenant_id = scope.tenant AND m.id = a.provider_id) AS provider,
    (WITH RECURSIVE one AS (
        SELECT id, name, phone, merged_into FROM contact WHERE tenant_id = scope.tenant AND id = a.contact_id
        UNION ALL
        SELECT c.id, c.name, c.phone, c.merged_into FROM contact c JOIN one ON c.id = one.merged_into WHERE c.tenant_id = scope.tenant
    ) SELECT json_build_object('id', id, 'name', name, 'phone', phone)::text FROM one WHERE merged_into IS NULL) AS contact,
    (SELECT json_agg(json_build_object('id', r.id, 'name', r.name) ORDER BY r.id)::text FROM resource r
        WHERE r.tenant_id = scope.tenant AND r.id = ANY(ARRAY(SELECT jsonb_array_elements(a.resource_ids)::bigint))) AS resources"""
"""What everybody and everything is called today."""
OF_ROWS: Final = f"""SELECT {NAMES} FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::text[]) WITH ORDINALITY
    AS b(service_id, provider_id, contact_id, listed, place)
CROSS JOIN LATERAL (SELECT b.service_id, b.provider_id, b.contact_id, b.listed::jsonb AS resource_ids) AS a
WHERE scope.tenant IS NOT NULL ORDER BY b.place"""  # noqa: S608
ONE: Final = f"SELECT {COLUMNS}, {NAMES} FROM appointment a WHERE a.tenant_id = scope.tenant AND a.id = $2"  # noqa: S608
SOME: Final = f"SELECT {COLUMNS}, {NAMES} FROM appointment a WHERE a.tenant_id = scope.tenant AND a.id = ANY($2::bigint[])"  # noqa: S608
MERGED: Final = """WITH RECURSIVE one AS (
    SELECT id FROM contact WHERE tenant_id = scope.tenant AND id = $2
    UNION ALL
    SELECT c.id FROM contact c JOIN one ON c.merged_into = one.id WHERE c.tenant_id = scope.tenant
) SELECT id FROM one"""
HOLD: Final = """SELECT id, name, phone, erased_at, merged_into FROM contact
WHERE tenant_id = scope.tenant AND id = $2 FOR NO KEY UPDATE"""
CLOSED: Final = """SELECT date, reason, source FROM closure
WHERE tenant_id = scope.tenant AND date BETWEEN $2 AND $3 AND source IN ('manual', 'holiday') ORDER BY date LIMIT 366"""
BUSY: Final = """SELECT provider_id, starts_at, ends_at FROM external_busy
WHERE tenant_id = scope.tenant AND ends_at > $2 AND starts_at < $3 AND ($4::bigint[] IS NULL OR provider_id = ANY($4))
ORDER BY starts_at LIMIT 2000"""


class NamedView(Struct, frozen=True):
    """Somebody or something by id and present name."""

    id: int
    name: str


class BookedServiceView(Struct, frozen=True):
    """``duration`` in minutes, as it was booked."""

    id: int
    name: str
    color: str | None
    duration: int


class CustomerView(Struct, frozen=True):
    """Whose it is."""

    id: int
    name: str | None
    phone: str | None


class PaymentView(Struct, frozen=True):
    """``amount`` in minor units; ``status``: none, due, link_sent, paid or refunded."""

    required: bool
    amount: int
    currency: str
    status: str


class ServiceName(Struct, frozen=True):
    """What a service is called, and in which colour it is shown."""

    name: str
    color: str | None


class Names(Struct, frozen=True):
    """What everybody and everything of an appointment is called today; None what is no more."""

    service: ServiceName | None
    provider: str | None
    contact: CustomerView | None
    resources: list[NamedView]


class AppointmentView(Struct, frozen=True):
    """One appointment. ``timezone`` is the provider's; ``conflict`` tells that it was moved or deleted in the provider's own calendar."""

    id: int
    service: BookedServiceView
    provider: NamedView
    contact: CustomerView | None
    resources: list[NamedView]
    start: datetime
    end: datetime
    timezone: str
    status: State
    notes: str | None
    source: str
    series_id: int | None
    occurrence: int | None
    payment: PaymentView
    arrived_at: datetime | None
    cancelled_reason: str | None
    answer: Answer | None
    """What the customer said to a reminder."""
    conflict: Difference | None
    created_at: datetime
    updated_at: datetime


class ClosedDayView(Struct, frozen=True):
    """A day on which nobody works; ``source``: manual or holiday."""

    date: date
    reason: str | None
    source: str


class BusyView(Struct, frozen=True):
    """When a provider's own calendar says they are busy, and nothing else of it."""

    provider_id: int
    start: datetime
    end: datetime


class CalendarPage(Page, frozen=True):
    """Beside the appointments of the time asked for: days that are closed, and when providers are busy elsewhere."""

    closures: list[ClosedDayView]
    busy: list[BusyView]


class CalendarFilters(Struct, frozen=True):
    """Which appointments. Without ``to`` all from ``from`` on, without ``from`` all there ever were."""

    since: datetime | None = None
    until: datetime | None = None
    provider_ids: list[int] | None = None
    service_ids: list[int] | None = None
    statuses: list[State] | None = None
    contact_id: int | None = None

    def __post_init__(self) -> None:
        if self.since is not None and self.until is not None and self.since >= self.until:
            raise Invalid.field("to", "Must be later than from.")


Statuses = Annotated[list[State], Meta(max_length=6)]


async def list_appointments(uow: UnitOfWork, filters: CalendarFilters, paging: Paging) -> tuple[list[AppointmentView], CalendarPage]:
    """One page, by start."""
    arguments: list[Any] = [paging.limit + 1]
    conditions = ["a.tenant_id = scope.tenant", *await in_words(uow, filters, arguments)]
    if paging.cursor is not None:
        start, number = decode(paging.cursor, (datetime, int))
        conditions.append(f"(a.start_at, a.id) > ({bind(arguments, start)}::timestamptz, {bind(arguments, number)}::bigint)")
    where = " AND ".join(conditions)
    rows = await uow.fetch(
        f"SELECT {COLUMNS}, {NAMES} FROM appointment a WHERE {where} ORDER BY a.start_at, a.id LIMIT $2::int",  # noqa: S608
        *arguments,
    )
    shown = [view_of(record) for record in rows[: paging.limit]]
    cursor = encode((shown[-1].start, shown[-1].id)) if len(rows) > paging.limit else None
    return shown, CalendarPage(cursor, paging.limit, *await list_closed(uow, filters))


async def in_words(uow: UnitOfWork, filters: CalendarFilters, arguments: list[Any]) -> list[str]:
    """The conditions of a list; who was merged into a contact counts as them."""
    conditions = []
    if filters.since is not None:
        earliest = bind(arguments, filters.since - LONGEST)
        conditions += [f"a.start_at > {earliest}::timestamptz", f"a.end_at > {bind(arguments, filters.since)}::timestamptz"]
    if filters.until is not None:
        conditions.append(f"a.start_at < {bind(arguments, filters.until)}::timestamptz")
    for column, wanted in (("provider_id", filters.provider_ids), ("service_id", filters.service_ids)):
        if wanted is not None:
            conditions.append(f"a.{column} = ANY({bind(arguments, wanted)}::bigint[])")
    if filters.statuses is not None:
        conditions.append(f"a.status = ANY({bind(arguments, filters.statuses)}::text[])")
    if filters.contact_id is not None:
        them = await list_merged(uow, filters.contact_id)
        conditions.append(f"a.contact_id = ANY({bind(arguments, them)}::bigint[])")
    return conditions


async def list_merged(uow: UnitOfWork, contact: int) -> list[int]:
    """A contact, and everybody who turned out to be them."""
    return [row["id"] for row in await uow.fetch(MERGED, contact)]


async def list_closed(uow: UnitOfWork, filters: CalendarFilters) -> tuple[list[ClosedDayView], list[BusyView]]:
    """What closes the time asked for, if it is not more than two months."""
    since, until = filters.since, filters.until
    if since is None or until is None or until - since > WIDEST:
        return [], []
    closed = [ClosedDayView(*row) for row in await uow.fetch(CLOSED, since.date() - LONGEST, until.date())]
    busy = [BusyView(*row) for row in await uow.fetch(BUSY, since, until, filters.provider_ids)]
    return closed, busy


async def get_appointment(uow: UnitOfWork, number: int) -> AppointmentView:
    """One appointment; raises NotFound."""
    found = await uow.fetchrow(ONE, number)
    if found is None:
        raise NotFound("There is no such appointment.")
    return view_of(found)


async def find_appointments(uow: UnitOfWork, numbers: list[int]) -> list[AppointmentView]:
    """Those of the appointments that there are."""
    return [view_of(record) for record in await uow.fetch(SOME, numbers)]


async def find_row(uow: UnitOfWork, number: int) -> AppointmentRow:
    """One appointment's row; raises NotFound."""
    row = await uow.row(calendar, number)
    if row is None:
        raise NotFound("There is no such appointment.")
    return row


async def present_appointment(uow: UnitOfWork, number: int) -> AppointmentView:
    """An appointment as this unit of work has just left it."""
    (view,) = await show_rows(uow, [await find_row(uow, number)])
    return view


async def present_as(uow: UnitOfWork, number: int, names: Names) -> AppointmentView:
    """The same, where it is known what everything is called."""
    return appointment_view(await find_row(uow, number), names)


async def hold_customer(uow: UnitOfWork, contact: int) -> CustomerView:
    """Nobody changes, merges or erases a contact before this transaction ends; raises NotFound, ContactErased."""
    found = refuse_gone(await uow.fetchrow(HOLD, contact))
    return CustomerView(found["id"], found["name"], found["phone"])


async def show_rows(uow: UnitOfWork, rows: list[AppointmentRow]) -> list[AppointmentView]:
    """Rows at hand as members see them, by the names there are today."""
    if not rows:
        return []
    columns = list(zip(*((row.service_id, row.provider_id, row.contact_id, str(row.resource_ids)) for row in rows), strict=True))
    found = await uow.fetch(OF_ROWS, *(list(column) for column in columns))
    return [appointment_view(row, names_of(*tuple(named))) for row, named in zip(rows, found, strict=True)]


def view_of(record: "asyncpg.Record") -> AppointmentView:
    """A record of ``COLUMNS`` and ``NAMES``."""
    values = tuple(record)
    return appointment_view(calendar.table.restore(values[:-4]), names_of(*values[-4:]))


def names_of(service: str | None, provider: str | None, contact: str | None, resources: str | None) -> Names:
    """The columns of ``NAMES``."""
    return Names(
        msgspec.json.decode(service, type=ServiceName) if service else None,
        provider,
        msgspec.json.decode(contact, type=CustomerView) if contact else None,
        msgspec.json.decode(resources, type=list[NamedView]) if resources else [],
    )


def appointment_view(row: AppointmentRow, names: Names) -> AppointmentView:
    """A row as the API shows it; what is no more is called what it was."""
    service = names.service or ServiceName(row.service_name, None)
    minutes = round((row.end_at - row.start_at).total_seconds() / 60)
    return AppointmentView(
        id=row.id,
        service=BookedServiceView(row.service_id, service.name, service.color, minutes),
        provider=NamedView(row.provider_id, names.provider or row.provider_name),
        contact=names.contact,
        resources=names.resources,
        start=row.start_at,
        end=row.end_at,
        timezone=row.timezone,
        status=cast("State", row.status),
        notes=row.notes,
        source=row.source,
        series_id=row.series_id,
        occurrence=row.occurrence,
        payment=PaymentView(row.owed > 0, row.owed, row.currency, row.payment_status),
        arrived_at=row.arrived_at,
        cancelled_reason=row.cancelled_reason,
        answer=cast("Answer | None", row.answer),
        conflict=cast("Difference | None", row.conflict),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )

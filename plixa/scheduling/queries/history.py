"""What happened to an appointment, and how it and the calendar were at an instant."""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from msgspec import Struct, structs

from plixa.kernel.cursor import decode, encode
from plixa.kernel.envelope import Page
from plixa.kernel.errors import Invalid, NotFound
from plixa.kernel.event_store import Actor, Recorded, stream_id
from plixa.kernel.history import EventView, list_history, open_log
from plixa.kernel.paging import Paging
from plixa.kernel.projection import Rows
from plixa.kernel.uow import UnitOfWork
from plixa.scheduling.domain.appointment import Appointment
from plixa.scheduling.domain.events import Reminded, ReminderSkipped
from plixa.scheduling.queries.appointments import (
    LONGEST,
    AppointmentView,
    CalendarFilters,
    CalendarPage,
    get_appointment,
    list_merged,
    show_rows,
)
from plixa.scheduling.queries.reminders import list_due
from projections.calendar import AppointmentRow, calendar

MOST: Final = 5_000
"""A past calendar is read from the streams of at most so many appointments."""
EVER: Final = """SELECT id FROM appointment WHERE tenant_id = scope.tenant
AND int8range(tenant_id, tenant_id, '[]') && int8range($5::bigint, $5::bigint, '[]')
AND tstzrange(first_start, last_start, '[]') && tstzrange($2::timestamptz, $3::timestamptz) LIMIT $4::int"""
"""Whatever was ever to begin within this time."""


class StepView(Struct, frozen=True):
    """What happened to it, when, and by whom."""

    at: datetime
    by: Actor
    what: str


class ReminderView(Struct, frozen=True):
    """A reminder: when it is due, and when it was sent, or why not."""

    at: datetime
    sent_at: datetime | None
    skipped: str | None


class AppointmentDetailView(AppointmentView, frozen=True):
    """One appointment with its story."""

    history: list[StepView]
    reminders: list[ReminderView]
    payment_link: str | None


async def get_detail(uow: UnitOfWork, number: int, moment: datetime | None = None) -> AppointmentDetailView:
    """One appointment with what happened to it, oldest first, up to an instant; raises NotFound, also before it was booked."""
    view = await get_appointment(uow, number)
    facts = await (await open_log(uow)).stream(stream_of(number), moment)
    if moment is not None:
        view = await view_as_of(uow, facts)
    history = [StepView(fact.at, fact.actor, fact.event.TOPIC) for fact in facts]
    due = await list_due(uow, view.service.id) if view.status == "confirmed" else []
    reminders = tell_reminders(view.start, facts, due)
    return AppointmentDetailView(**structs.asdict(view), history=history, reminders=reminders, payment_link=None)


async def view_as_of(uow: UnitOfWork, facts: list[Recorded]) -> AppointmentView:
    """One appointment as its events had left it; raises NotFound where there were none yet."""
    rows = await show_rows(uow, fold(facts))
    if not rows:
        raise NotFound("It was not booked yet.")
    return rows[0]


def tell_reminders(start: datetime, facts: list[Recorded], due: list[int]) -> list[ReminderView]:
    """What was sent or skipped for its present start, and what is still to come."""
    told = {
        fact.event.offset: ReminderView(
            start - minutes(fact.event.offset),
            fact.at if isinstance(fact.event, Reminded) else None,
            fact.event.reason if isinstance(fact.event, ReminderSkipped) else None,
        )
        for fact in facts
        if isinstance(fact.event, Reminded | ReminderSkipped) and fact.event.start == start
    }
    coming = [ReminderView(start - minutes(offset), None, None) for offset in due if offset not in told]
    return sorted([*told.values(), *coming], key=lambda one: one.at)


async def list_events(uow: UnitOfWork, number: int, paging: Paging) -> tuple[list[EventView], Page]:
    """An appointment's stream, newest first; raises NotFound."""
    await get_appointment(uow, number)
    return await list_history(uow, stream_of(number), paging)


async def list_appointments_as_of(
    uow: UnitOfWork, filters: CalendarFilters, moment: datetime, paging: Paging
) -> tuple[list[AppointmentView], CalendarPage]:
    """The calendar of a time as it was at an instant, by start."""
    if filters.since is None or filters.until is None:
        raise Invalid.field("as_of", "Say from and to as well.")
    found = await uow.fetch(EVER, filters.since - LONGEST, filters.until, MOST + 1, uow.tenant)
    if len(found) > MOST:
        raise Invalid.field("to", "Too much happened in this time. Ask for less of it.")
    facts = await (await open_log(uow)).streams([stream_of(record["id"]) for record in found], moment)
    them = await list_merged(uow, filters.contact_id) if filters.contact_id is not None else None
    rows = [row for row in fold(facts) if suits(row, filters) and (them is None or row.contact_id in them)]
    rows.sort(key=lambda row: (row.start_at, row.id))
    if paging.cursor is not None:
        edge = decode(paging.cursor, (datetime, int))
        rows = [row for row in rows if (row.start_at, row.id) > edge]
    shown = rows[: paging.limit]
    cursor = encode((shown[-1].start_at, shown[-1].id)) if len(rows) > paging.limit else None
    return await show_rows(uow, shown), CalendarPage(cursor, paging.limit, [], [])


def fold(facts: list[Recorded]) -> list[AppointmentRow]:
    """The rows that events leave."""
    rows = Rows(calendar)
    for fact in facts:
        rows.fold(fact)
    return [row for row in rows.now.values() if row is not None]


def suits(row: AppointmentRow, filters: CalendarFilters) -> bool:
    """Is it one of those asked for, whosever it is?"""
    return (
        (filters.since is None or row.end_at > filters.since)
        and (filters.until is None or row.start_at < filters.until)
        and (filters.provider_ids is None or row.provider_id in filters.provider_ids)
        and (filters.service_ids is None or row.service_id in filters.service_ids)
        and (filters.statuses is None or row.status in filters.statuses)
    )


def stream_of(number: int) -> UUID:
    """An appointment's stream."""
    return stream_id(Appointment.KIND, number)


def minutes(offset: int) -> timedelta:
    """So many minutes."""
    return timedelta(minutes=offset)

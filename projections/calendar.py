"""The calendar: one row an appointment, as lists show it. Table ``appointment`` and its counters."""

from collections.abc import Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

from msgspec import Struct
from msgspec.structs import replace

from plixa.kernel.event_store import Recorded
from plixa.kernel.projection import Projection
from plixa.kernel.table import Table
from plixa.scheduling.domain.appointment import OCCUPYING
from plixa.scheduling.domain.events import (
    Answered,
    Approved,
    Arrived,
    Booked,
    Cancelled,
    Completed,
    ConflictSettled,
    ContactChosen,
    Corrected,
    Declined,
    Erased,
    ExternallyChanged,
    Missed,
    NotesChanged,
    Reminded,
    Rescheduled,
    Shifted,
)

DECLINED = "declined"


class AppointmentRow(Struct, frozen=True, gc=False):
    """One appointment. ``day`` (YYYY-MM-DD) is the provider's; ``owed`` is in minor units.

    ``reminded_at``: when the customer was last reminded of its present start. Whenever it was to begin lies within ``first_start`` and
    ``last_start``, by which calendars of the past find it.
    """

    id: int
    service_id: int
    service_name: str
    provider_id: int
    provider_name: str
    contact_id: int | None
    start_at: datetime
    end_at: datetime
    timezone: str
    day: str
    zone_version: str
    status: str
    notes: str | None
    source: str
    series_id: int | None
    occurrence: int | None
    resource_ids: list[int]
    owed: int
    currency: str
    payment_status: str
    arrived_at: datetime | None
    ended_at: datetime | None
    cancelled_reason: str | None
    answer: str | None
    conflict: str | None
    reminded_at: datetime | None
    first_start: datetime
    last_start: datetime
    created_at: datetime
    updated_at: datetime


def tally(row: AppointmentRow) -> Iterator[str]:
    """``pending`` counts requests, ``provider:7:2026-11-22`` what a provider has to do on a day."""
    if row.status == "pending":
        yield "pending"
    if row.status in OCCUPYING:
        yield f"provider:{row.provider_id}:{row.day}"


calendar = Projection(Table("appointment", AppointmentRow), head_of="appointment", counts=tally)


def day_of(start: datetime, zone: str) -> str:
    """The date on which it begins by a zone's clocks."""
    return start.astimezone(ZoneInfo(zone)).date().isoformat()


@calendar.creates(Booked)
def booked(_row: None, event: Booked, fact: Recorded) -> AppointmentRow:
    return AppointmentRow(
        id=fact.number,
        service_id=event.service_id,
        service_name=event.service_name,
        provider_id=event.provider_id,
        provider_name=event.provider_name,
        contact_id=event.contact_id,
        start_at=event.start,
        end_at=event.end,
        timezone=event.timezone,
        day=day_of(event.start, event.timezone),
        zone_version=event.zone_version,
        status="pending" if event.pending else "confirmed",
        notes=event.notes,
        source=event.source,
        series_id=event.series_id,
        occurrence=event.occurrence,
        resource_ids=list(event.resource_ids),
        owed=event.owed,
        currency=event.currency,
        payment_status="due" if event.owed else "none",
        arrived_at=None,
        ended_at=None,
        cancelled_reason=None,
        answer=None,
        conflict=None,
        reminded_at=None,
        first_start=event.start,
        last_start=event.start,
        created_at=fact.at,
        updated_at=fact.at,
    )


@calendar.on(Approved)
def approved(row: AppointmentRow, _event: Approved, fact: Recorded) -> AppointmentRow:
    return replace(row, status="confirmed", updated_at=fact.at)


@calendar.on(Declined)
def declined(row: AppointmentRow, _event: Declined, fact: Recorded) -> AppointmentRow:
    return replace(row, status="cancelled", cancelled_reason=DECLINED, updated_at=fact.at)


@calendar.on(Cancelled)
def cancelled(row: AppointmentRow, event: Cancelled, fact: Recorded) -> AppointmentRow:
    return replace(row, status="cancelled", cancelled_reason=event.reason, updated_at=fact.at)


@calendar.on(Rescheduled, Shifted)
def moved(row: AppointmentRow, event: Rescheduled | Shifted, fact: Recorded) -> AppointmentRow:
    after = replace(
        row,
        start_at=event.start,
        end_at=event.end,
        day=day_of(event.start, row.timezone),
        zone_version=event.zone_version,
        first_start=min(row.first_start, event.start),
        last_start=max(row.last_start, event.start),
        reminded_at=None,
        updated_at=fact.at,
    )
    return after if isinstance(event, Shifted) else replace(after, resource_ids=list(event.resource_ids), answer=None, conflict=None)


@calendar.on(Arrived)
def arrived(row: AppointmentRow, _event: Arrived, fact: Recorded) -> AppointmentRow:
    return replace(row, status="arrived", arrived_at=fact.at, updated_at=fact.at)


@calendar.on(Completed, Missed)
def ended(row: AppointmentRow, event: Completed | Missed, fact: Recorded) -> AppointmentRow:
    status = "completed" if isinstance(event, Completed) else "no_show"
    return replace(row, status=status, ended_at=event.at, updated_at=fact.at)


@calendar.on(Corrected)
def corrected(row: AppointmentRow, event: Corrected, fact: Recorded) -> AppointmentRow:
    return replace(row, status=event.status, ended_at=None, updated_at=fact.at)


@calendar.on(ContactChosen)
def contact_chosen(row: AppointmentRow, event: ContactChosen, fact: Recorded) -> AppointmentRow:
    return replace(row, contact_id=event.contact_id, updated_at=fact.at)


@calendar.on(NotesChanged)
def notes_changed(row: AppointmentRow, event: NotesChanged, fact: Recorded) -> AppointmentRow:
    return replace(row, notes=event.notes, updated_at=fact.at)


@calendar.on(Reminded)
def reminded(row: AppointmentRow, event: Reminded, fact: Recorded) -> AppointmentRow:
    return replace(row, reminded_at=fact.at) if event.start == row.start_at else row


@calendar.on(Answered)
def answered(row: AppointmentRow, event: Answered, fact: Recorded) -> AppointmentRow:
    return replace(row, answer=event.answer, updated_at=fact.at)


@calendar.on(ExternallyChanged)
def externally_changed(row: AppointmentRow, event: ExternallyChanged, fact: Recorded) -> AppointmentRow:
    return replace(row, conflict=event.change, updated_at=fact.at)


@calendar.on(ConflictSettled)
def conflict_settled(row: AppointmentRow, _event: ConflictSettled, fact: Recorded) -> AppointmentRow:
    return replace(row, conflict=None, updated_at=fact.at)


@calendar.on(Erased)
def erased(_row: AppointmentRow, _event: Erased, _fact: Recorded) -> None:
    return None

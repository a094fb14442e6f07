"""Events of a Google Calendar: what of somebody's time they take, what we write of an appointment, and what became of it there."""

from datetime import UTC, date, datetime, time
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import Struct, field

from plixa.kernel.clock import first_instant
from plixa.scheduling.domain.appointment import OCCUPYING, AppointmentStatus

NEVER_BUSY: Final = frozenset({"workingLocation", "birthday"})
LONGEST_SUMMARY: Final = 200
TENANT, APPOINTMENT = "plixa_tenant", "plixa_appointment"
"""What we write into an event, unseen by people, so that it is known for ours."""

Span = tuple[datetime, datetime]


class Moment(Struct, frozen=True, rename="camel"):
    """A time as Google tells it: an instant, or a date for what takes whole days."""

    date_time: datetime | None = None
    day: date | None = field(default=None, name="date")
    time_zone: str | None = None

    def instant(self, zone: str) -> datetime | None:
        """In UTC. Dates begin in the calendar's own ``zone``."""
        if self.date_time is None:
            return None if self.day is None else first_instant(datetime.combine(self.day, time()), zone)
        if self.date_time.tzinfo is not None:
            return self.date_time.astimezone(UTC)
        return first_instant(self.date_time, known_zone(self.time_zone) or zone)


class Properties(Struct, frozen=True):
    private: dict[str, str] = {}


class GoogleEvent(Struct, frozen=True, rename="camel"):
    """One event, or one occurrence of a repeated one. Of a deleted one often nothing but its id is told. Titles are never asked for."""

    id: str
    status: str = "confirmed"
    start: Moment | None = None
    end: Moment | None = None
    transparency: str = "opaque"
    event_type: str = "default"
    updated: datetime | None = None
    attendees: list[dict[str, Any]] = []
    extended_properties: Properties = Properties()

    @property
    def is_deleted(self) -> bool:
        return self.status == "cancelled"

    @property
    def is_declined(self) -> bool:
        """Did whose calendar it is refuse to come?"""
        return any(one.get("self") and one.get("responseStatus") == "declined" for one in self.attendees)

    def span(self, zone: str) -> Span | None:
        """From when until when, where that is told and lasts."""
        start, end = (moment.instant(zone) if moment is not None else None for moment in (self.start, self.end))
        return (start, end) if start is not None and end is not None and start < end else None

    def busy(self, zone: str) -> Span | None:
        """The time it takes; None where it takes none."""
        free = self.is_deleted or self.is_declined or self.transparency == "transparent" or self.event_type in NEVER_BUSY
        return None if free else self.span(zone)


class Shown(Struct, frozen=True):
    """What of an appointment its provider's calendar shows; ``who`` is a customer's whole name."""

    id: int
    service: str
    start: datetime
    end: datetime
    timezone: str
    status: str
    who: str | None


class Ours(Struct, frozen=True):
    """An event of ours as it was last known to be there, and the appointment as it is: ``start`` None where that is gone.

    ``written`` is empty where the event was deleted by somebody else, ``updated_at`` Google's own time of that state.
    """

    appointment_id: int
    event_id: str
    written: dict[str, Any]
    updated_at: datetime | None
    written_at: datetime
    start: datetime | None
    end: datetime | None
    conflict: str | None


class Difference(Struct, frozen=True):
    """What has become of an event of ours: ``agrees`` with the appointment again, or was ``moved`` or ``deleted`` by its owner."""

    change: Literal["agrees", "moved", "deleted"]
    start: datetime | None = None
    end: datetime | None = None


def known_zone(name: str | None) -> str | None:
    """A zone we know by that name."""
    try:
        return ZoneInfo(name).key if name else None
    except (ZoneInfoNotFoundError, ValueError):
        return None


def body_of(shown: Shown, tenant: int, url: str) -> dict[str, Any] | None:
    """The event of an appointment; None where it takes no time. A request is tentative."""
    if shown.status not in OCCUPYING:
        return None
    zone, who = ZoneInfo(shown.timezone), (shown.who or "").split()
    return {
        "summary": " – ".join([shown.service, *who[:1]])[:LONGEST_SUMMARY],
        "start": {"dateTime": shown.start.astimezone(zone).isoformat(), "timeZone": shown.timezone},
        "end": {"dateTime": shown.end.astimezone(zone).isoformat(), "timeZone": shown.timezone},
        "status": "tentative" if shown.status == AppointmentStatus.PENDING else "confirmed",
        "transparency": "opaque",
        "visibility": "private",
        "extendedProperties": {"private": {TENANT: str(tenant), APPOINTMENT: str(shown.id)}},
        "source": {"title": "Plixa", "url": url},
    }


def changed_fields(written: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
    """What of an event is to be written: nothing that its owner may have changed themself, unless we do."""
    stays = written_span(written) == written_span(body)
    return {name: value for name, value in body.items() if written.get(name) != value and not (stays and name in ("start", "end"))}


def written_span(written: dict[str, Any]) -> Span | None:
    """When an event is, as it was written."""
    if "start" not in written:
        return None
    start, end = (datetime.fromisoformat(written[edge]["dateTime"]).astimezone(UTC) for edge in ("start", "end"))
    return start, end


def compare(ours: Ours, event: GoogleEvent, zone: str) -> Difference | None:
    """What an event of ours, as Google tells it now, says about its appointment; None where that is nothing new."""
    if ours.start is None or (event.updated and ours.updated_at and event.updated <= ours.updated_at):
        return None
    if event.is_deleted:
        return Difference("deleted") if ours.written else None
    span = event.span(zone)
    if span == (ours.start, ours.end):
        return Difference("agrees", *span)
    return None if span is None or span == written_span(ours.written) else Difference("moved", *span)

"""A provider's calendar as iCalendar (RFC 5545), for whatever program subscribes to it."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

from icalendar import Calendar, Event
from msgspec import Struct

from plixa.scheduling.domain.appointment import OCCUPYING, AppointmentStatus

REFRESH: Final = timedelta(minutes=15)


class Entry(Struct, frozen=True):
    """What is told of an appointment to whoever knows the address: of the customer no more than a first name."""

    id: int
    service: str
    start: datetime
    end: datetime
    status: str
    who: str | None
    created_at: datetime
    updated_at: datetime


def draw_feed(name: str, place: str, entries: Iterable[Entry]) -> bytes:
    """The file; the same appointments make the same bytes. ``place`` makes ids unique in the world."""
    calendar = Calendar()
    calendar.add("prodid", "-//Plixa//Appointments//EN")
    calendar.add("version", "2.0")
    calendar.add("method", "PUBLISH")
    calendar.add("x-wr-calname", name)
    calendar.add("refresh-interval", REFRESH, parameters={"value": "DURATION"})
    calendar.add("x-published-ttl", "PT15M")
    for entry in entries:
        calendar.add_component(draw(entry, place))
    return bytes(calendar.to_ical())


def draw(entry: Entry, place: str) -> Event:
    """One appointment. Its sequence grows with every change: the seconds from its booking to the last one."""
    taken = entry.status in OCCUPYING
    status = ("TENTATIVE" if entry.status == AppointmentStatus.PENDING else "CONFIRMED") if taken else "CANCELLED"
    event = Event()
    event.add("uid", f"appointment-{entry.id}@{place}")
    event.add("dtstamp", entry.updated_at.astimezone(UTC))
    event.add("last-modified", entry.updated_at.astimezone(UTC))
    event.add("created", entry.created_at.astimezone(UTC))
    event.add("dtstart", entry.start.astimezone(UTC))
    event.add("dtend", entry.end.astimezone(UTC))
    event.add("sequence", -int((entry.created_at - entry.updated_at).total_seconds() // 1))
    event.add("summary", " – ".join([entry.service, *(entry.who or "").split()[:1]]))
    event.add("status", status)
    event.add("transp", "OPAQUE" if taken else "TRANSPARENT")
    return event

"""The appointment: a service for somebody, with a provider, at a time. It takes the provider's time until it is cancelled or missed."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import ClassVar, Final

from msgspec.structs import replace

from plixa.kernel.errors import Conflict
from plixa.kernel.event_store import Aggregate, Event
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
    ReminderSkipped,
    Rescheduled,
    Shifted,
)

NEVER: Final = datetime.min.replace(tzinfo=UTC)
EARLIEST_ARRIVAL: Final = timedelta(hours=2)
"""How long before its start a customer may arrive."""
CORRECTABLE: Final = timedelta(hours=24)
"""For how long after it ended its end may be taken back."""


class AppointmentStatus(StrEnum):
    PENDING = "pending"
    CONFIRMED = "confirmed"
    ARRIVED = "arrived"
    COMPLETED = "completed"
    NO_SHOW = "no_show"
    CANCELLED = "cancelled"


PENDING, CONFIRMED, ARRIVED, COMPLETED, NO_SHOW, CANCELLED = AppointmentStatus

LIVE: Final = frozenset({PENDING, CONFIRMED, ARRIVED})
"""What still lies ahead, or is under way."""
OCCUPYING: Final = LIVE | {COMPLETED}
"""What takes the provider's time."""


class InvalidTransition(Conflict):
    code = "INVALID_TRANSITION"
    default = "The appointment is not in a state that allows this."


class SlotUnavailable(Conflict):
    code = "SLOT_UNAVAILABLE"
    default = "This time is not free any more. Choose another."


class Appointment(Aggregate, frozen=True):
    """What is decided by: its state, its time, and whose it is."""

    KIND: ClassVar[str] = "appointment"
    SHOWN: ClassVar[tuple[str, ...]] = ("status", "start", "end", "provider_id", "service_id")
    service_id: int = 0
    service_name: str = ""
    provider_id: int = 0
    contact_id: int | None = None
    start: datetime = NEVER
    end: datetime = NEVER
    timezone: str = "UTC"
    wall: str = ""
    zone_version: str = ""
    buffer_before: int = 0
    buffer_after: int = 0
    resource_ids: tuple[int, ...] = ()
    status: AppointmentStatus = PENDING
    before: AppointmentStatus | None = None
    """What it was before it ended."""
    ended_at: datetime | None = None
    notes: str | None = None
    series_id: int | None = None
    occurrence: int | None = None
    owed: int = 0
    declined: bool = False
    answer: str | None = None
    reminded: tuple[int, ...] = ()
    """The offsets, in minutes, of which the customer was reminded, or not any more, for its present start."""
    conflict: str | None = None

    @property
    def taken(self) -> tuple[datetime, datetime]:
        """The provider's time that it takes, with its buffers."""
        return self.start - timedelta(minutes=self.buffer_before), self.end + timedelta(minutes=self.buffer_after)

    def approve(self) -> Iterator[Event]:
        """Accept a request; the time is to be claimed again before."""
        if self.status is CONFIRMED:
            return
        self.require("approved", PENDING)
        yield Approved()

    def decline(self) -> Iterator[Event]:
        """Refuse a request."""
        if self.declined:
            return
        self.require("declined", PENDING)
        yield Declined()

    def refuse_moving(self) -> None:
        """Raises InvalidTransition unless it may be moved."""
        self.require("rescheduled", PENDING, CONFIRMED)

    def cancel(self, reason: str | None, scope: str = "this") -> Iterator[Event]:
        """Give its time back."""
        if self.status is CANCELLED:
            return
        self.require("cancelled", PENDING, CONFIRMED, ARRIVED)
        yield Cancelled(reason or None, scope)

    def arrive(self, now: datetime) -> Iterator[Event]:
        """The customer is there, at the earliest two hours before."""
        if self.status is ARRIVED:
            return
        self.require("marked as arrived", CONFIRMED)
        if now < self.start - EARLIEST_ARRIVAL:
            raise InvalidTransition(
                "A customer arrives at the earliest two hours before the appointment. Reschedule it, if they came for it now."
            )
        yield Arrived()

    def complete(self, now: datetime) -> Iterator[Event]:
        """The customer was served, once it has begun."""
        if self.status is COMPLETED:
            return
        self.require("completed", CONFIRMED, ARRIVED)
        self.require_begun(now)
        yield Completed(now)

    def miss(self, now: datetime) -> Iterator[Event]:
        """The customer did not come; who arrived cannot be missing."""
        if self.status is NO_SHOW:
            return
        self.require("marked as a no-show", CONFIRMED)
        self.require_begun(now)
        yield Missed(now)

    def correct(self, now: datetime) -> Iterator[Event]:
        """Take back that it was completed or missed, within a day; it is then what it was before."""
        self.require("corrected", COMPLETED, NO_SHOW)
        if self.before is None or self.ended_at is None or now > self.ended_at + CORRECTABLE:
            raise InvalidTransition("This can be corrected within 24 hours only.")
        yield Corrected(self.before, self.status)

    def choose_contact(self, contact_id: int | None) -> Iterator[Event]:
        """It is for somebody else."""
        if contact_id != self.contact_id:
            yield ContactChosen(contact_id)

    def note(self, notes: str | None) -> Iterator[Event]:
        """Other notes; empty clears them."""
        if (notes or None) != self.notes:
            yield NotesChanged(notes or None)

    def is_to_be_reminded(self, start: datetime, offset: int) -> bool:
        """Is a reminder, ``offset`` minutes before ``start``, still to be sent?"""
        return self.status is CONFIRMED and start == self.start and offset not in self.reminded

    def shift(self, start: datetime, zone_version: str) -> Iterator[Event]:
        """Its wall time is another instant by newer rules of its zone."""
        if self.status in LIVE and start != self.start:
            yield Shifted(start, start + (self.end - self.start), zone_version, self.start)

    def take_answer(self, answer: str, message_id: int | None) -> Iterator[Event]:
        """What the customer said to a reminder, while it lies ahead."""
        if self.status is CONFIRMED and answer != self.answer:
            yield Answered(answer, message_id)

    def differ(self, change: str, start: datetime | None = None, end: datetime | None = None) -> Iterator[Event]:
        """The provider's own calendar says otherwise."""
        told = f"{change} {start.isoformat()}" if start else change
        if self.status in LIVE and told != self.conflict:
            yield ExternallyChanged(change, start, end)

    def settle(self) -> Iterator[Event]:
        """The provider's own calendar says the same again."""
        if self.conflict is not None:
            yield ConflictSettled()

    def require(self, what: str, *allowed: AppointmentStatus) -> None:
        """Raises InvalidTransition, saying what it is, unless it is one of ``allowed``."""
        if self.status not in allowed:
            raise InvalidTransition(f"An appointment that is {self.status.replace('_', '-')} cannot be {what}.", {"status": self.status})

    def require_begun(self, now: datetime) -> None:
        """Raises InvalidTransition before its start."""
        if now < self.start:
            raise InvalidTransition("The appointment has not begun yet.", {"status": self.status})


@Appointment.when(Booked)
def booked(state: Appointment, event: Booked) -> Appointment:
    return replace(
        state,
        service_id=event.service_id,
        service_name=event.service_name,
        provider_id=event.provider_id,
        contact_id=event.contact_id,
        start=event.start,
        end=event.end,
        timezone=event.timezone,
        wall=event.wall,
        zone_version=event.zone_version,
        buffer_before=event.buffer_before,
        buffer_after=event.buffer_after,
        resource_ids=event.resource_ids,
        status=PENDING if event.pending else CONFIRMED,
        notes=event.notes,
        series_id=event.series_id,
        occurrence=event.occurrence,
        owed=event.owed,
    )


@Appointment.when(Approved)
def approved(state: Appointment, _event: Approved) -> Appointment:
    return replace(state, status=CONFIRMED)


@Appointment.when(Declined)
def declined(state: Appointment, _event: Declined) -> Appointment:
    return replace(state, status=CANCELLED, declined=True)


@Appointment.when(Cancelled, Erased)
def cancelled(state: Appointment, _event: Cancelled | Erased) -> Appointment:
    return replace(state, status=CANCELLED)


@Appointment.when(Rescheduled)
def rescheduled(state: Appointment, event: Rescheduled) -> Appointment:
    moved = replace(state, start=event.start, end=event.end, wall=event.wall, zone_version=event.zone_version)
    return replace(moved, resource_ids=event.resource_ids, reminded=(), answer=None, conflict=None)


@Appointment.when(Shifted)
def shifted(state: Appointment, event: Shifted) -> Appointment:
    return replace(state, start=event.start, end=event.end, zone_version=event.zone_version, reminded=())


@Appointment.when(Arrived)
def arrived(state: Appointment, _event: Arrived) -> Appointment:
    return replace(state, status=ARRIVED)


@Appointment.when(Completed, Missed)
def ended(state: Appointment, event: Completed | Missed) -> Appointment:
    status = COMPLETED if isinstance(event, Completed) else NO_SHOW
    return replace(state, status=status, before=state.status, ended_at=event.at)


@Appointment.when(Corrected)
def corrected(state: Appointment, event: Corrected) -> Appointment:
    return replace(state, status=AppointmentStatus(event.status), before=None, ended_at=None)


@Appointment.when(ContactChosen)
def contact_chosen(state: Appointment, event: ContactChosen) -> Appointment:
    return replace(state, contact_id=event.contact_id)


@Appointment.when(NotesChanged)
def notes_changed(state: Appointment, event: NotesChanged) -> Appointment:
    return replace(state, notes=event.notes)


@Appointment.when(Reminded, ReminderSkipped)
def reminded(state: Appointment, event: Reminded | ReminderSkipped) -> Appointment:
    return replace(state, reminded=(*state.reminded, event.offset)) if event.start == state.start else state


@Appointment.when(Answered)
def answered(state: Appointment, event: Answered) -> Appointment:
    return replace(state, answer=event.answer)


@Appointment.when(ExternallyChanged)
def externally_changed(state: Appointment, event: ExternallyChanged) -> Appointment:
    return replace(state, conflict=f"{event.change} {event.start.isoformat()}" if event.start else event.change)


@Appointment.when(ConflictSettled)
def conflict_settled(state: Appointment, _event: ConflictSettled) -> Appointment:
    return replace(state, conflict=None)

"""Everything that ever happens to an appointment. A landed event is never edited; instants are UTC, money is in minor units."""

from datetime import datetime
from typing import ClassVar

from plixa.kernel.event_store import Event


class Booked(Event, frozen=True):
    """Time was taken: ``start`` until ``end``, and the buffers around it.

    ``wall`` is the start as the provider's clock shows it, by version ``zone_version`` of the zone database. ``chosen`` tells why this
    provider where none was asked for; ``forced`` names the rules that staff passed over. ``owed`` is to be paid before it begins.
    """

    TOPIC: ClassVar[str] = "appointment.booked"
    service_id: int
    service_name: str
    provider_id: int
    provider_name: str
    start: datetime
    end: datetime
    timezone: str
    wall: str
    zone_version: str
    buffer_before: int = 0
    buffer_after: int = 0
    resource_ids: tuple[int, ...] = ()
    pending: bool = False
    contact_id: int | None = None
    notes: str | None = None
    source: str = "staff"
    series_id: int | None = None
    occurrence: int | None = None
    owed: int = 0
    currency: str = ""
    chosen: str | None = None
    forced: tuple[str, ...] = ()
    hold_id: int | None = None


class Approved(Event, frozen=True):
    """A request was accepted."""

    TOPIC: ClassVar[str] = "appointment.approved"


class Declined(Event, frozen=True):
    """A request was refused."""

    TOPIC: ClassVar[str] = "appointment.declined"


class Rescheduled(Event, frozen=True):
    """It was moved, away from ``was``."""

    TOPIC: ClassVar[str] = "appointment.rescheduled"
    start: datetime
    end: datetime
    wall: str
    zone_version: str
    was: datetime
    resource_ids: tuple[int, ...] = ()
    forced: tuple[str, ...] = ()


class Cancelled(Event, frozen=True):
    """It will not take place; ``scope``: this, following or series."""

    TOPIC: ClassVar[str] = "appointment.cancelled"
    reason: str | None = None
    scope: str = "this"


class Arrived(Event, frozen=True):
    """The customer is there and waits."""

    TOPIC: ClassVar[str] = "appointment.arrived"


class Completed(Event, frozen=True):
    """The customer was served."""

    TOPIC: ClassVar[str] = "appointment.completed"
    at: datetime


class Missed(Event, frozen=True):
    """The customer did not come."""

    TOPIC: ClassVar[str] = "appointment.missed"
    at: datetime


class Corrected(Event, frozen=True):
    """Its end was a mistake: it is ``status`` again."""

    TOPIC: ClassVar[str] = "appointment.corrected"
    status: str
    was: str


class ContactChosen(Event, frozen=True):
    """It is for this customer; null is nobody yet."""

    TOPIC: ClassVar[str] = "appointment.contact_chosen"
    contact_id: int | None = None


class NotesChanged(Event, frozen=True):
    """The notes beside it."""

    TOPIC: ClassVar[str] = "appointment.notes_changed"
    notes: str | None = None


class Reminded(Event, frozen=True):
    """The customer was reminded, ``offset`` minutes before ``start``."""

    TOPIC: ClassVar[str] = "appointment.reminded"
    start: datetime
    offset: int
    message_id: int | None = None


class ReminderSkipped(Event, frozen=True):
    """No reminder was sent, and why."""

    TOPIC: ClassVar[str] = "appointment.reminder_skipped"
    start: datetime
    offset: int
    reason: str


class Answered(Event, frozen=True):
    """The customer answered a reminder: ``confirmed``, or ``move`` where they ask for another time."""

    TOPIC: ClassVar[str] = "appointment.answered"
    answer: str
    message_id: int | None = None


class Shifted(Event, frozen=True):
    """A zone's rules changed: the same wall time is another instant now."""

    TOPIC: ClassVar[str] = "appointment.shifted"
    start: datetime
    end: datetime
    zone_version: str
    was: datetime


class ExternallyChanged(Event, frozen=True):
    """In the provider's own calendar it was ``moved`` or ``deleted``; here nothing was."""

    TOPIC: ClassVar[str] = "appointment.externally_changed"
    change: str
    start: datetime | None = None
    end: datetime | None = None


class ConflictSettled(Event, frozen=True):
    """The provider's own calendar agrees with ours again."""

    TOPIC: ClassVar[str] = "appointment.conflict_settled"


class Erased(Event, frozen=True):
    """The customer was erased: what was known of it is unreadable."""

    TOPIC: ClassVar[str] = "appointment.erased"
    ERASES: ClassVar[bool] = True

"""Everything that ever happens to a ticket. A landed event is never edited; times are UTC, content lives only here."""

from datetime import datetime
from typing import ClassVar

from msgspec import Struct

from plixa.kernel.event_store import Event, Person


class Attachment(Struct, frozen=True, omit_defaults=True, gc=False):
    """A file: ``size`` in bytes; ``blob`` names it in our own store."""

    id: int
    filename: str
    mime: str
    size: int
    blob: str


class Message(Struct, frozen=True, omit_defaults=True, gc=False):
    """What somebody wrote, and when."""

    id: int
    body: str
    author: Person
    at: datetime
    attachments: list[Attachment] = []


class Opened(Event, frozen=True):
    """A member of a workspace asks for help."""

    TOPIC: ClassVar[str] = "ticket.opened"
    subject: str
    category: str | None
    message: Message


class CustomerReplied(Event, frozen=True):
    TOPIC: ClassVar[str] = "ticket.customer_replied"
    message: Message


class StaffReplied(Event, frozen=True):
    TOPIC: ClassVar[str] = "ticket.staff_replied"
    message: Message


class StatusChanged(Event, frozen=True):
    """``reason``: staff, customer, reply (somebody wrote) or quiet (nobody did for a week)."""

    TOPIC: ClassVar[str] = "ticket.status_changed"
    status: str
    previous: str
    reason: str
    at: datetime


class Rated(Event, frozen=True):
    """How content the customer is, from 1 to 5; takes the place of what they said of this solution before."""

    TOPIC: ClassVar[str] = "ticket.rated"
    rating: int
    comment: str | None
    at: datetime


class Read(Event, frozen=True):
    """The customer has seen what staff wrote."""

    TOPIC: ClassVar[str] = "ticket.read"


class Noted(Event, frozen=True):
    """Staff wrote something that the customer never sees."""

    TOPIC: ClassVar[str] = "ticket.noted"
    message: Message


class Prioritized(Event, frozen=True):
    TOPIC: ClassVar[str] = "ticket.prioritized"
    priority: str
    previous: str


class Assigned(Event, frozen=True):
    """``staff_id`` null: nobody's."""

    TOPIC: ClassVar[str] = "ticket.assigned"
    staff_id: int | None
    staff_name: str | None
    previous_id: int | None


class Tagged(Event, frozen=True):
    """All tags there are now, by id, and all there were."""

    TOPIC: ClassVar[str] = "ticket.tagged"
    tags: list[int]
    previous: list[int]


STAFF_ONLY: tuple[type[Event], ...] = (Noted, Prioritized, Assigned, Tagged)
"""What customers never hear of: not in the ticket, nor live, nor by mail, nor in their audit trail."""

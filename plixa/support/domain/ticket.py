"""The ticket: somebody's question to Plixa and what becomes of it. Both sides edit the one aggregate; its state holds no message."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from enum import StrEnum
from typing import ClassVar, Final

from msgspec.structs import replace

from plixa.kernel.errors import Conflict
from plixa.kernel.event_store import Aggregate, Event, Person
from plixa.support.domain.events import (
    Assigned,
    CustomerReplied,
    Message,
    Noted,
    Opened,
    Prioritized,
    Rated,
    Read,
    StaffReplied,
    StatusChanged,
    Tagged,
)

QUIET: Final = timedelta(days=7)
"""After so long without a word a solved ticket is closed."""
REOPENABLE: Final = timedelta(days=14)
"""For so long after it was closed the customer may go on with it."""
REVISABLE: Final = timedelta(days=14)
"""For so long a rating may be changed."""


class Status(StrEnum):
    OPEN = "open"
    PENDING = "pending"
    SOLVED = "solved"
    CLOSED = "closed"


class Priority(StrEnum):
    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"
    URGENT = "urgent"


DONE: Final = frozenset({Status.SOLVED, Status.CLOSED})
ALLOWED: Final[dict[Status, frozenset[Status]]] = {
    Status.OPEN: frozenset({Status.PENDING, Status.SOLVED, Status.CLOSED}),
    Status.PENDING: frozenset({Status.OPEN, Status.SOLVED, Status.CLOSED}),
    Status.SOLVED: frozenset({Status.OPEN, Status.PENDING, Status.CLOSED}),
    Status.CLOSED: frozenset(),
}
"""Where each status leads by being set; out of ``closed`` leads only reopening."""
ON_CUSTOMER_REPLY: Final = {Status.PENDING: Status.OPEN, Status.SOLVED: Status.OPEN, Status.CLOSED: Status.OPEN}
ON_STAFF_REPLY: Final = {Status.OPEN: Status.PENDING}
"""Where each status leads by itself when somebody writes."""


class TicketClosed(Conflict):
    code = "TICKET_CLOSED"
    default = "This ticket is closed. Reopen it first."


class TicketClosedForGood(Conflict):
    code = "TICKET_CLOSED_FOR_GOOD"
    default = "This ticket was closed more than 14 days ago. Please open a new ticket."


class TicketNotRatable(Conflict):
    code = "TICKET_NOT_RATABLE"
    default = "A ticket can be rated once it is solved or closed."


class RatingFinal(Conflict):
    code = "RATING_FINAL"
    default = "A rating can be changed for 14 days."


class Ticket(Aggregate, frozen=True):
    """Where it stands, whose it is among staff, and how it was rated. ``quiet_since``: the last word, or when it was solved."""

    KIND: ClassVar[str] = "ticket"
    SHOWN: ClassVar[tuple[str, ...]] = ("status", "rating", "priority", "assigned_to", "tags")
    status: Status = Status.OPEN
    quiet_since: datetime | None = None
    closed_at: datetime | None = None
    unread: bool = False
    rating: int | None = None
    comment: str | None = None
    rated_at: datetime | None = None
    priority: Priority = Priority.NORMAL
    assigned_to: int | None = None
    tags: frozenset[int] = frozenset()

    def reply_as_customer(self, message: Message) -> Iterator[Event]:
        """The ticket is open again, whatever it was; raises TicketClosedForGood once it was closed too long ago."""
        self.refuse_lapsed(message.at)
        yield CustomerReplied(message)
        yield from self.become(ON_CUSTOMER_REPLY.get(self.status, self.status), "reply", message.at)

    def reply_as_staff(self, message: Message, status: Status | None = None) -> Iterator[Event]:
        """The customer's turn, unless ``status`` says otherwise; raises TicketClosed."""
        if self.status is Status.CLOSED:
            raise TicketClosed
        yield StaffReplied(message)
        if status is not None:
            yield from self.set_status(status, "staff", message.at)
        else:
            yield from self.become(ON_STAFF_REPLY.get(self.status, self.status), "reply", message.at)

    def note(self, message: Message, status: Status | None = None) -> Iterator[Event]:
        """Something among staff: it changes nothing, unless ``status`` says so."""
        yield Noted(message)
        if status is not None:
            yield from self.set_status(status, "staff", message.at)

    def set_status(self, status: Status, reason: str, now: datetime) -> Iterator[Event]:
        """Another status, where there is a way; raises TicketClosed, out of which only reopening leads."""
        if status is not self.status and status not in ALLOWED[self.status]:
            raise TicketClosed
        yield from self.become(status, reason, now)

    def reopen_as_customer(self, now: datetime) -> Iterator[Event]:
        """As ``reopen``; raises TicketClosedForGood once it was closed too long ago."""
        self.refuse_lapsed(now)
        yield from self.reopen("customer", now)

    def reopen(self, reason: str, now: datetime) -> Iterator[Event]:
        """What was solved or closed is open; anything else stays as it is."""
        if self.status in DONE:
            yield from self.become(Status.OPEN, reason, now)

    def close_quiet(self, now: datetime) -> Iterator[Event]:
        """Close what was solved when nobody has said a word for a week."""
        if self.status is Status.SOLVED and self.quiet_since is not None and now - self.quiet_since >= QUIET:
            yield from self.become(Status.CLOSED, "quiet", now)

    def rate(self, rating: int, comment: str | None, now: datetime) -> Iterator[Event]:
        """Say how it was, or say it otherwise; raises TicketNotRatable, and RatingFinal two weeks after it was first said."""
        if self.status not in DONE:
            raise TicketNotRatable
        if (rating, comment) == (self.rating, self.comment):
            return
        if not is_revisable(self.rated_at, now):
            raise RatingFinal
        yield Rated(rating, comment, now)

    def read(self) -> Iterator[Event]:
        """The customer has seen everything."""
        if self.unread:
            yield Read()

    def prioritize(self, priority: Priority) -> Iterator[Event]:
        """How urgent it is."""
        if priority is not self.priority:
            yield Prioritized(priority, self.priority)

    def assign(self, person: Person | None) -> Iterator[Event]:
        """Give it to somebody of the staff, or to nobody."""
        number, name = (person.id, person.name) if person is not None else (None, None)
        if number != self.assigned_to:
            yield Assigned(number, name, self.assigned_to)

    def tag(self, tags: frozenset[int]) -> Iterator[Event]:
        """These tags and no others."""
        if tags != self.tags:
            yield Tagged(sorted(tags), sorted(self.tags))

    def become(self, status: Status, reason: str, now: datetime) -> Iterator[Event]:
        """Another status; the one it has is no change."""
        if status is not self.status:
            yield StatusChanged(status, self.status, reason, now)

    def refuse_lapsed(self, now: datetime) -> None:
        """Raises TicketClosedForGood."""
        if self.closed_at is not None and now - self.closed_at > REOPENABLE:
            raise TicketClosedForGood


def is_revisable(rated_at: datetime | None, now: datetime) -> bool:
    """May what was first said then still be said otherwise?"""
    return rated_at is None or now - rated_at <= REVISABLE


when = Ticket.when


@when(Opened)
def _(self: Ticket, event: Opened) -> Ticket:
    return replace(self, quiet_since=event.message.at)


@when(CustomerReplied)
def _(self: Ticket, event: CustomerReplied) -> Ticket:
    return replace(self, quiet_since=event.message.at, unread=False)


@when(StaffReplied)
def _(self: Ticket, event: StaffReplied) -> Ticket:
    return replace(self, quiet_since=event.message.at, unread=True)


@when(StatusChanged)
def _(self: Ticket, event: StatusChanged) -> Ticket:
    status = Status(event.status)
    moved = replace(self, status=status, closed_at=event.at if status is Status.CLOSED else None)
    if status is Status.SOLVED:
        return replace(moved, quiet_since=event.at)
    return moved if status in DONE else replace(moved, rating=None, comment=None, rated_at=None)


@when(Rated)
def _(self: Ticket, event: Rated) -> Ticket:
    return replace(self, rating=event.rating, comment=event.comment, rated_at=self.rated_at or event.at)


@when(Read)
def _(self: Ticket, _event: Read) -> Ticket:
    return replace(self, unread=False)


@when(Prioritized)
def _(self: Ticket, event: Prioritized) -> Ticket:
    return replace(self, priority=Priority(event.priority))


@when(Assigned)
def _(self: Ticket, event: Assigned) -> Ticket:
    return replace(self, assigned_to=event.staff_id)


@when(Tagged)
def _(self: Ticket, event: Tagged) -> Ticket:
    return replace(self, tags=frozenset(event.tags))

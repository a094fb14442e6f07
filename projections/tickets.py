"""Support tickets: a row a ticket with its counters, a row a message, and the words that find a ticket.

Tables ``ticket``, ``ticket_message`` and ``ticket_text``.
"""

from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from plixa.kernel.audit import PLATFORM
from plixa.kernel.event_store import Recorded
from plixa.kernel.projection import Projection
from plixa.kernel.search import lexemes
from plixa.kernel.table import Table
from plixa.support.domain.events import (
    Assigned,
    Attachment,
    CustomerReplied,
    Noted,
    Opened,
    Prioritized,
    Rated,
    Read,
    StaffReplied,
    StatusChanged,
    Tagged,
)
from plixa.support.domain.ticket import Ticket

MOST_WORDS = 5_000
"""Of one ticket; with the longest there can be they still are less than the megabyte an index takes of one row."""
MOST_RATINGS = 50
"""The newest; all there ever were stand in the log."""


class KeptRating(Struct, frozen=True):
    """What the customer said once, whatever they said later."""

    rating: int
    comment: str | None
    at: datetime


class TicketRow(Struct, frozen=True, gc=False):
    """One ticket. ``unread_by_…``: messages of the other side since; ``ratings``: the newest there ever were.

    Customers see nothing from ``priority`` on.
    """

    id: int
    subject: str
    category: str | None
    opener_id: int | None
    opener_name: str | None
    opened_at: datetime
    last_message_id: int
    last_message_at: datetime
    last_message_by: str = "user"
    status: str = "open"
    unread_by_customer: int = 0
    unread_by_staff: int = 1
    first_responded_at: datetime | None = None
    resolved_at: datetime | None = None
    closed_at: datetime | None = None
    rating: int | None = None
    rating_comment: str | None = None
    rated_at: datetime | None = None
    ratings: list[KeptRating] = []
    priority: str = "normal"
    assigned_to: int | None = None
    assigned_name: str | None = None
    tags: list[int] = []


class TicketMessageRow(Struct, frozen=True, gc=False):
    """One message; ``author_type`` user or admin, ``internal`` ones are for staff alone."""

    id: int
    ticket_id: int
    author_type: str
    author_id: int
    author_name: str
    body: str
    created_at: datetime
    internal: bool = False
    attachments: list[Attachment] = []


class TicketTextRow(Struct, frozen=True, gc=False):
    """The words of a ticket, for the staff of the platform, who look through all workspaces."""

    id: int
    words: str


def tally(row: TicketRow) -> dict[str, int]:
    """By how much a ticket adds to each kept counter; times in seconds."""
    kept = {row.status: 1} | {f"tag:{tag}": 1 for tag in row.tags}
    if row.status in ("open", "pending"):
        kept[f"assigned:{row.assigned_to or 0}"] = 1
    if row.first_responded_at is not None:
        kept |= {"responded": 1, "response_seconds": seconds(row.opened_at, row.first_responded_at)}
    if row.resolved_at is not None:
        kept |= {"resolved": 1, "resolution_seconds": seconds(row.opened_at, row.resolved_at)}
    if row.rating is not None:
        kept |= {"rated": 1, "rating_sum": row.rating}
    return kept


def seconds(since: datetime, until: datetime) -> int:
    """Whole seconds from one time to another."""
    return max(0, int((until - since).total_seconds()))


tickets = Projection(Table("ticket", TicketRow), counts=tally, head_of=Ticket.KIND)
ticket_messages = Projection(
    Table("ticket_message", TicketMessageRow, group="ticket_id"),
    key=lambda fact: fact.event.message.id,  # type: ignore[attr-defined]
    counts=lambda row: {"bytes": sum(file.size for file in row.attachments)},
)
ticket_texts = Projection(Table("ticket_text", TicketTextRow))


@tickets.creates(Opened)
def opened(_row: None, event: Opened, fact: Recorded) -> TicketRow:
    message = event.message
    who = (message.author.id, message.author.name)
    return TicketRow(fact.number, event.subject, event.category, *who, message.at, message.id, message.at)


@tickets.on(CustomerReplied)
def customer_replied(row: TicketRow, event: CustomerReplied, _fact: Recorded) -> TicketRow:
    row = replace(row, last_message_id=event.message.id, last_message_at=event.message.at, last_message_by="user")
    return replace(row, unread_by_customer=0, unread_by_staff=row.unread_by_staff + 1)


@tickets.on(StaffReplied)
def staff_replied(row: TicketRow, event: StaffReplied, _fact: Recorded) -> TicketRow:
    row = replace(row, last_message_id=event.message.id, last_message_at=event.message.at, last_message_by="admin")
    row = replace(row, first_responded_at=row.first_responded_at or event.message.at)
    return replace(row, unread_by_customer=row.unread_by_customer + 1, unread_by_staff=0)


@tickets.on(StatusChanged)
def status_changed(row: TicketRow, event: StatusChanged, _fact: Recorded) -> TicketRow:
    moved = replace(row, status=event.status, closed_at=event.at if event.status == "closed" else None)
    if event.status in ("solved", "closed"):
        return replace(moved, resolved_at=row.resolved_at or event.at)
    return replace(moved, resolved_at=None, rating=None, rating_comment=None, rated_at=None)


@tickets.on(Rated)
def rated(row: TicketRow, event: Rated, _fact: Recorded) -> TicketRow:
    ratings = [*row.ratings, KeptRating(event.rating, event.comment, event.at)][-MOST_RATINGS:]
    return replace(row, rating=event.rating, rating_comment=event.comment, rated_at=row.rated_at or event.at, ratings=ratings)


@tickets.on(Read)
def read(row: TicketRow, _event: Read, _fact: Recorded) -> TicketRow:
    return replace(row, unread_by_customer=0)


@tickets.on(Prioritized)
def prioritized(row: TicketRow, event: Prioritized, _fact: Recorded) -> TicketRow:
    return replace(row, priority=event.priority)


@tickets.on(Assigned)
def assigned(row: TicketRow, event: Assigned, _fact: Recorded) -> TicketRow:
    return replace(row, assigned_to=event.staff_id, assigned_name=event.staff_name)


@tickets.on(Tagged)
def tagged(row: TicketRow, event: Tagged, _fact: Recorded) -> TicketRow:
    return replace(row, tags=event.tags)


@ticket_messages.creates(Opened, CustomerReplied, StaffReplied, Noted)
def written(_row: None, event: Opened | CustomerReplied | StaffReplied | Noted, fact: Recorded) -> TicketMessageRow:
    message, by_customer = event.message, isinstance(event, Opened | CustomerReplied)
    who = ("user" if by_customer else "admin", message.author.id, message.author.name)
    return TicketMessageRow(message.id, fact.number, *who, message.body, message.at, isinstance(event, Noted), message.attachments)


@ticket_texts.creates(Opened)
def first_words(_row: None, event: Opened, fact: Recorded) -> TicketTextRow:
    return TicketTextRow(fact.number, lexemes(PLATFORM, event.subject, event.message.body, event.message.author.name, most=MOST_WORDS))


@ticket_texts.on(CustomerReplied, StaffReplied, Noted)
def more_words(row: TicketTextRow, event: CustomerReplied | StaffReplied | Noted, _fact: Recorded) -> TicketTextRow:
    words = dict.fromkeys([*row.words.split(), *lexemes(PLATFORM, event.message.body, most=MOST_WORDS).split()])
    return replace(row, words=" ".join(list(words)[:MOST_WORDS]))

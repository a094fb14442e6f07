"""The inbox: one row a conversation, as lists and the conversation's head show it. Table ``inbox_conversation`` and its counters."""

from collections.abc import Iterator
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from plixa.inbox.domain.care import FIRST_RESPONSE, SurveyRated, Target, TargetMissed, TargetsSet
from plixa.inbox.domain.conversation import Conversation
from plixa.inbox.domain.events import (
    Absorbed,
    Assigned,
    Blocked,
    Closed,
    ContactChanged,
    ContactRemoved,
    Content,
    Deleted,
    Echoed,
    Edited,
    Erased,
    Labelled,
    MarkedRead,
    MarkedUnread,
    Merged,
    Moved,
    NoteAdded,
    NotesChanged,
    Opened,
    Queued,
    Received,
    Renamed,
    Reopened,
    Revoked,
    Snoozed,
    Unblocked,
    Unlabelled,
    Woken,
)
from plixa.kernel.event_store import Event, Recorded
from plixa.kernel.projection import Projection
from plixa.kernel.search import lexemes
from plixa.kernel.table import Table

PREVIEW = 160
"""Characters of the last message that a list shows."""


class InboxRow(Struct, frozen=True, gc=False):
    """One conversation; what no list reads comes last. ``words`` are those of its names, for lists that are searched newest first.

    ``last_message_type`` is ``revoked`` once that was deleted for everyone; ``reply_to`` is the address the customer last wrote from.
    """

    id: int
    contact_id: int | None
    phone_instance_id: int
    phone: str | None
    contact_name: str | None
    last_message_at: datetime
    opened_at: datetime
    updated_at: datetime
    custom_name: str | None = None
    status: str = "open"
    handler: str = "none"
    episode: int = 1
    assigned_user_id: int | None = None
    assigned_user_name: str | None = None
    sector_id: int | None = None
    notes: str | None = None
    unread_count: int = 0
    snoozed_until: datetime | None = None
    last_message_id: int | None = None
    last_message_direction: str | None = None
    last_message_type: str | None = None
    last_message_body: str | None = None
    closed_at: datetime | None = None
    first_responded_at: datetime | None = None
    blocked: bool = False
    first_response_due_at: datetime | None = None
    resolution_due_at: datetime | None = None
    is_first_response_missed: bool = False
    is_resolution_missed: bool = False
    csat_rating: int | None = None
    csat_agent_id: int | None = None
    labels: list[int] = []
    words: str = ""
    reply_to: str | None = None
    replied_at: datetime | None = None
    last_message_edited_at: datetime | None = None
    has_targets: bool = False


def tally(row: InboxRow) -> Iterator[str]:
    """The kept counters a conversation adds one to; a snoozed one counts among the snoozed and nowhere else, but for its labels."""
    yield from (f"labelled:{label}" for label in row.labels)
    if row.status != "open":
        yield "closed"
        return
    state = "snoozed" if row.snoozed_until is not None else "open"
    yield state
    yield f"{state}:{row.assigned_user_id or 0}"
    if state == "snoozed":
        return
    if row.unread_count:
        yield f"unread:{row.assigned_user_id or 0}"
    yield from (f"label:{label}" for label in row.labels)
    if row.sector_id is not None:
        yield f"sector:{row.sector_id}"


inbox = Projection(Table("inbox_conversation", InboxRow), counts=tally, head_of=Conversation.KIND)


def preview(row: InboxRow, message_id: int, direction: str, content: Content, at: datetime) -> InboxRow:
    """The row with a new last message, if it is the newest; ``direction`` in, out or note."""
    if row.last_message_id is not None and (row.last_message_at, row.last_message_id) > (at, message_id):
        return row
    return replace(
        row,
        last_message_id=message_id,
        last_message_direction=direction,
        last_message_type=content.type,
        last_message_body=content.body[:PREVIEW] if content.body else None,
        last_message_edited_at=None,
        last_message_at=at,
    )


@inbox.creates(Opened)
def opened(_row: None, event: Opened, fact: Recorded) -> InboxRow:
    return InboxRow(
        id=fact.number,
        contact_id=event.contact_id,
        phone_instance_id=event.instance_id,
        phone=event.phone,
        contact_name=event.name,
        reply_to=event.reply_to,
        last_message_at=fact.at,
        opened_at=fact.at,
        updated_at=fact.at,
        words=lexemes(fact.tenant, event.name),
    )


@inbox.on(Reopened)
def reopened(row: InboxRow, _event: Reopened, fact: Recorded) -> InboxRow:
    return replace(
        row,
        status="open",
        handler="none",
        episode=row.episode + 1,
        closed_at=None,
        first_responded_at=None,
        has_targets=False,
        first_response_due_at=None,
        resolution_due_at=None,
        is_first_response_missed=False,
        is_resolution_missed=False,
        updated_at=fact.at,
    )


@inbox.on(Closed)
def closed(row: InboxRow, _event: Closed, fact: Recorded) -> InboxRow:
    return replace(row, status="closed", closed_at=fact.at, updated_at=fact.at)


@inbox.on(Snoozed)
def snoozed(row: InboxRow, event: Snoozed, fact: Recorded) -> InboxRow:
    return replace(row, snoozed_until=event.until, updated_at=fact.at)


@inbox.on(Woken)
def woken(row: InboxRow, _event: Woken, fact: Recorded) -> InboxRow:
    return replace(row, snoozed_until=None, updated_at=fact.at)


@inbox.on(Moved)
def moved(row: InboxRow, event: Moved, fact: Recorded) -> InboxRow:
    return replace(row, sector_id=event.sector_id, updated_at=fact.at)


@inbox.on(Assigned)
def assigned(row: InboxRow, event: Assigned, fact: Recorded) -> InboxRow:
    return replace(row, assigned_user_id=event.user_id, assigned_user_name=event.user_name, updated_at=fact.at)


@inbox.on(MarkedRead)
def marked_read(row: InboxRow, _event: MarkedRead, fact: Recorded) -> InboxRow:
    return replace(row, unread_count=0, updated_at=fact.at)


@inbox.on(MarkedUnread)
def marked_unread(row: InboxRow, _event: MarkedUnread, fact: Recorded) -> InboxRow:
    return replace(row, unread_count=1, updated_at=fact.at)


@inbox.on(Renamed)
def renamed(row: InboxRow, event: Renamed, fact: Recorded) -> InboxRow:
    return replace(row, custom_name=event.name, updated_at=fact.at, words=lexemes(fact.tenant, event.name, row.contact_name))


@inbox.on(NotesChanged)
def notes_changed(row: InboxRow, event: NotesChanged, fact: Recorded) -> InboxRow:
    return replace(row, notes=event.notes, updated_at=fact.at)


@inbox.on(Labelled)
def labelled(row: InboxRow, event: Labelled, fact: Recorded) -> InboxRow:
    return replace(row, labels=sorted({*row.labels, event.label_id}), updated_at=fact.at)


@inbox.on(Unlabelled)
def unlabelled(row: InboxRow, event: Unlabelled, fact: Recorded) -> InboxRow:
    return replace(row, labels=[label for label in row.labels if label != event.label_id], updated_at=fact.at)


@inbox.on(ContactChanged)
def contact_changed(row: InboxRow, event: ContactChanged, fact: Recorded) -> InboxRow:
    row = replace(row, contact_id=event.contact_id, phone=event.phone, contact_name=event.name, updated_at=fact.at)
    return replace(row, words=lexemes(fact.tenant, row.custom_name, row.contact_name))


@inbox.on(ContactRemoved)
def contact_removed(row: InboxRow, _event: ContactRemoved, fact: Recorded) -> InboxRow:
    return replace(row, contact_id=None, updated_at=fact.at)


@inbox.on(Blocked, Unblocked)
def blocked(row: InboxRow, event: Blocked | Unblocked, fact: Recorded) -> InboxRow:
    return replace(row, blocked=isinstance(event, Blocked), updated_at=fact.at)


@inbox.on(Absorbed)
def absorbed(row: InboxRow, event: Absorbed, fact: Recorded) -> InboxRow:
    grown = replace(row, unread_count=row.unread_count + event.unread, updated_at=fact.at)
    last = event.last_message
    if last is None:
        return grown
    return preview(grown, last.id, last.direction, Content(last.type, last.body), last.at)


@inbox.on(Merged, Deleted, Erased)
def gone(_row: InboxRow, _event: Event, _fact: Recorded) -> None:
    return None


@inbox.on(Received)
def received(row: InboxRow, event: Received, fact: Recorded) -> InboxRow:
    counted = replace(row, unread_count=row.unread_count + (not row.blocked), updated_at=fact.at)
    if event.reply_to and (row.replied_at is None or event.sent_at >= row.replied_at):
        counted = replace(counted, reply_to=event.reply_to, replied_at=event.sent_at)
    return preview(counted, event.message_id, "in", event.content, event.sent_at)


@inbox.on(Echoed)
def echoed(row: InboxRow, event: Echoed, fact: Recorded) -> InboxRow:
    handled = replace(row, handler="human", updated_at=fact.at)
    if row.status == "open" and row.first_responded_at is None:
        handled = replace(handled, first_responded_at=fact.at)
    return preview(handled, event.message_id, "out", event.content, event.sent_at)


@inbox.on(Queued)
def queued(row: InboxRow, event: Queued, fact: Recorded) -> InboxRow:
    if event.author.type == "user":
        row = replace(row, handler="human", first_responded_at=row.first_responded_at or fact.at)
    return preview(replace(row, updated_at=fact.at), event.message_id, "out", event.content, fact.at)


@inbox.on(NoteAdded)
def note_added(row: InboxRow, event: NoteAdded, fact: Recorded) -> InboxRow:
    return preview(replace(row, updated_at=fact.at), event.message_id, "note", event.content, fact.at)


@inbox.on(Edited)
def edited(row: InboxRow, event: Edited, fact: Recorded) -> InboxRow:
    if row.last_message_id != event.message_id or row.last_message_type == "revoked":
        return row
    if row.last_message_edited_at is not None and row.last_message_edited_at > event.edited_at:
        return row
    return replace(row, last_message_body=event.body[:PREVIEW], last_message_edited_at=event.edited_at, updated_at=fact.at)


@inbox.on(Revoked)
def revoked(row: InboxRow, event: Revoked, fact: Recorded) -> InboxRow:
    if row.last_message_id != event.message_id:
        return row
    return replace(row, last_message_type="revoked", last_message_body=None, last_message_edited_at=None, updated_at=fact.at)


@inbox.on(TargetsSet)
def targets_set(row: InboxRow, event: TargetsSet, fact: Recorded) -> InboxRow:
    first, resolution = due(event.first_response), due(event.resolution)
    return replace(row, has_targets=True, first_response_due_at=first, resolution_due_at=resolution, updated_at=fact.at)


def due(target: Target | None) -> datetime | None:
    """By when, where there is a target."""
    return None if target is None else target.due_at


@inbox.on(TargetMissed)
def target_missed(row: InboxRow, event: TargetMissed, fact: Recorded) -> InboxRow:
    if event.target == FIRST_RESPONSE:
        return replace(row, is_first_response_missed=True, updated_at=fact.at)
    return replace(row, is_resolution_missed=True, updated_at=fact.at)


@inbox.on(SurveyRated)
def survey_rated(row: InboxRow, event: SurveyRated, fact: Recorded) -> InboxRow:
    return replace(row, csat_rating=event.rating, csat_agent_id=event.agent_id, updated_at=fact.at)

"""Messages: one row a message, as a conversation shows it. Table ``inbox_message``."""

from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from plixa.inbox.domain.events import (
    Accepted,
    Acknowledged,
    Author,
    Card,
    Content,
    Deleted,
    Echoed,
    Edited,
    Erased,
    Failed,
    InDoubt,
    Location,
    Media,
    MediaMissing,
    MediaStored,
    Merged,
    NoteAdded,
    Queued,
    Reacted,
    Received,
    Revoked,
    Stalled,
)
from plixa.kernel.event_store import Recorded
from plixa.kernel.projection import Projection
from plixa.kernel.table import Table

RANKS = {"queued": 0.0, "pending": 1.0, "sent": 2.0, "failed": 2.5, "delivered": 3.0, "read": 4.0, "played": 5.0}
"""How far a message got; a later word of a lower rank changes nothing, and ``failed`` yields to ``delivered``."""


class Reaction(Struct, frozen=True):
    """``by``: customer or device."""

    by: str
    emoji: str | None
    at: datetime


class MessageRow(Struct, frozen=True, gc=False):
    """One message; ``direction`` in, out or note; ``stream_number`` is the conversation whose key seals its file."""

    id: int
    conversation_id: int
    stream_number: int
    phone_instance_id: int
    direction: str
    type: str
    body: str | None
    author_type: str
    status: str
    sent_at: datetime
    recorded_at: datetime
    author_id: int | None = None
    author_name: str | None = None
    quoted_id: int | None = None
    quoted_gateway_id: str | None = None
    gateway_id: str | None = None
    client_id: str | None = None
    error: str | None = None
    media: Media | None = None
    location: Location | None = None
    contacts: list[Card] | None = None
    reactions: list[Reaction] = []
    unsupported_kind: str | None = None
    forwarded: bool = False
    in_doubt: bool = False
    stalled: bool = False
    accepted_at: datetime | None = None
    delivered_at: datetime | None = None
    read_at: datetime | None = None
    edited_at: datetime | None = None
    revoked_at: datetime | None = None


messages = Projection(
    Table("inbox_message", MessageRow, group="conversation_id"),
    key=lambda fact: fact.event.message_id,  # type: ignore[attr-defined]
)
messages.regroups(Deleted, to=lambda _event: None)
messages.regroups(Erased, to=lambda _event: None)
messages.regroups(Merged, to=lambda event: event.into)


def written(fact: Recorded, content: Content, author: Author) -> MessageRow:
    """A new row, sent now by us."""
    return MessageRow(
        id=fact.event.message_id,  # type: ignore[attr-defined]
        conversation_id=fact.number,
        stream_number=fact.number,
        phone_instance_id=0,
        direction="out",
        type=content.type,
        body=content.body,
        author_type=author.type,
        author_id=author.id,
        author_name=author.name,
        quoted_id=content.quoted_id,
        quoted_gateway_id=content.quoted_gateway_id,
        status="queued",
        media=content.media,
        location=content.location,
        contacts=content.contacts,
        unsupported_kind=content.unsupported_kind,
        forwarded=content.forwarded,
        sent_at=fact.at,
        recorded_at=fact.at,
    )


@messages.creates(Received)
def received(_row: None, event: Received, fact: Recorded) -> MessageRow:
    row = written(fact, event.content, Author("customer"))
    return replace(
        row,
        direction="in",
        status="received",
        phone_instance_id=event.instance_id,
        gateway_id=event.gateway_id,
        sent_at=event.sent_at,
    )


@messages.creates(Echoed)
def echoed(_row: None, event: Echoed, fact: Recorded) -> MessageRow:
    row = written(fact, event.content, Author("device"))
    return replace(
        row,
        status="sent",
        phone_instance_id=event.instance_id,
        gateway_id=event.gateway_id,
        sent_at=event.sent_at,
        accepted_at=event.sent_at,
    )


@messages.creates(Queued)
def queued(_row: None, event: Queued, fact: Recorded) -> MessageRow:
    return replace(written(fact, event.content, event.author), phone_instance_id=event.instance_id, client_id=event.client_id)


@messages.creates(NoteAdded)
def note_added(_row: None, event: NoteAdded, fact: Recorded) -> MessageRow:
    return replace(written(fact, event.content, event.author), direction="note", status="noted")


@messages.on(Accepted)
def accepted(row: MessageRow, event: Accepted, fact: Recorded) -> MessageRow:
    return replace(advanced(row, "pending", fact.at), gateway_id=event.gateway_id, in_doubt=False)


@messages.on(Acknowledged)
def acknowledged(row: MessageRow, event: Acknowledged, fact: Recorded) -> MessageRow:
    moved = advanced(row, event.status, fact.at)
    return replace(moved, error=event.error) if event.status == "failed" and moved.status == "failed" else moved


@messages.on(Failed)
def failed(row: MessageRow, event: Failed, fact: Recorded) -> MessageRow:
    return replace(advanced(row, "failed", fact.at), error=event.reason, in_doubt=False)


@messages.on(InDoubt)
def in_doubt(row: MessageRow, _event: InDoubt, _fact: Recorded) -> MessageRow:
    return replace(row, in_doubt=row.gateway_id is None)


@messages.on(Stalled)
def stalled(row: MessageRow, _event: Stalled, _fact: Recorded) -> MessageRow:
    return row if RANKS.get(row.status, 0.0) >= RANKS["sent"] else replace(row, stalled=True)


def advanced(row: MessageRow, status: str, at: datetime) -> MessageRow:
    """The row at the farthest status it ever reached; the first time of each is kept."""
    rank = RANKS[status]
    if status in ("sent", "delivered", "read", "played"):
        row = replace(
            row,
            stalled=False,
            accepted_at=row.accepted_at or at,
            delivered_at=row.delivered_at or (at if rank >= RANKS["delivered"] else None),
            read_at=row.read_at or (at if rank >= RANKS["read"] else None),
        )
    if rank <= RANKS.get(row.status, 0.0):
        return row
    return replace(row, status=status, error=None)


@messages.on(Edited)
def edited(row: MessageRow, event: Edited, fact: Recorded) -> MessageRow:
    if row.revoked_at is not None or (row.edited_at is not None and row.edited_at > event.edited_at):
        return row
    return replace(row, body=event.body, edited_at=event.edited_at)


@messages.on(Revoked)
def revoked(row: MessageRow, _event: Revoked, fact: Recorded) -> MessageRow:
    return replace(
        row,
        body=None,
        media=None,
        location=None,
        contacts=None,
        edited_at=None,
        revoked_at=row.revoked_at or fact.at,
    )


@messages.on(Reacted)
def reacted(row: MessageRow, event: Reacted, _fact: Recorded) -> MessageRow:
    others = [reaction for reaction in row.reactions if reaction.by != event.by]
    same = next((reaction for reaction in row.reactions if reaction.by == event.by), None)
    if same is not None and same.at > event.reacted_at:
        return row
    reactions = [*others, Reaction(event.by, event.emoji, event.reacted_at)]
    return replace(row, reactions=sorted(reactions, key=lambda reaction: reaction.by))


@messages.on(MediaStored)
def media_stored(row: MessageRow, event: MediaStored, _fact: Recorded) -> MessageRow:
    if row.media is None:
        return row
    return replace(row, media=replace(row.media, state="stored", blob=event.blob, mime=event.mime, size=event.size))


@messages.on(MediaMissing)
def media_missing(row: MessageRow, _event: MediaMissing, _fact: Recorded) -> MessageRow:
    return row if row.media is None else replace(row, media=replace(row.media, state="missing"))

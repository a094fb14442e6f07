"""What a workspace uses of us: ``stored_file`` has a row a file of a conversation in the media store, counted in bytes, ``last_activity`` a
row a workspace.

Files of tickets are counted by ``ticket_messages``, messages by ``activity``, members and numbers beside their own tables, by the trigger
``count_rows``.
"""

from datetime import datetime
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from plixa.inbox.domain.events import Deleted, Echoed, Erased, MediaStored, Merged, Queued, Received, Revoked
from plixa.kernel.audit import AuditEntry
from plixa.kernel.event_store import Event, Recorded
from plixa.kernel.projection import Projection
from plixa.kernel.table import Table

BYTES: Final = "bytes"
"""The counter of files."""
PEOPLE: Final = ("member", "token")
"""Whose deeds are a workspace's own; not staff's, the system's or a stranger's."""


class FileRow(Struct, frozen=True, gc=False):
    """The file of a message."""

    id: int
    conversation_id: int
    bytes: int


files = Projection(
    Table("stored_file", FileRow, group="conversation_id"),
    key=lambda fact: fact.event.message_id,  # type: ignore[attr-defined]
    counts=lambda row: {BYTES: row.bytes},
)
files.regroups(Deleted, to=lambda _event: None)
files.regroups(Erased, to=lambda _event: None)
files.regroups(Merged, to=lambda event: event.into)


@files.creates(Queued)
def queued(_row: None, event: Queued, fact: Recorded) -> FileRow | None:
    media = event.content.media
    return None if media is None or media.blob is None else FileRow(event.message_id, fact.number, media.size or 0)


@files.renews(MediaStored)
def stored(_row: FileRow | None, event: MediaStored, fact: Recorded) -> FileRow:
    return FileRow(event.message_id, fact.number, event.size)


@files.on(Revoked)
def revoked(_row: FileRow, _event: Revoked, _fact: Recorded) -> None:
    return None


class LastRow(Struct, frozen=True, gc=False):
    """When a workspace, or a customer of it, last did something; ``id`` is its own."""

    id: int
    at: datetime


last = Projection(Table("last_activity", LastRow), key=lambda fact: fact.tenant)


@last.renews(Received, Echoed, Queued)
def talked(row: LastRow | None, _event: Event, fact: Recorded) -> LastRow:
    return later(row, fact)


@last.renews(AuditEntry)
def did(row: LastRow | None, _entry: AuditEntry, fact: Recorded) -> LastRow | None:
    return later(row, fact) if fact.actor.type in PEOPLE and fact.actor.impersonated_by is None else row


@last.on(Deleted, Erased)
def ended(row: LastRow, _event: Event, fact: Recorded) -> LastRow:
    """Whoever did it: what was said before can no longer be read, and what is kept must not depend on it."""
    return later(row, fact)


def later(row: LastRow | None, fact: Recorded) -> LastRow:
    """Instants of requests that ran at the same time may come in any order."""
    if row is None:
        return LastRow(fact.tenant, fact.at)
    return replace(row, at=fact.at) if fact.at > row.at else row

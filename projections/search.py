"""What search finds: the words of names, notes and phones, and of messages. Tables ``inbox_name`` and ``inbox_text``.

They stand beside the rows that lists show because their indexes are dear to write: a row here changes when a word does, not with
every message and acknowledgement.
"""

from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from plixa.inbox.domain.events import (
    ContactChanged,
    Deleted,
    Echoed,
    Edited,
    Erased,
    Labelled,
    Merged,
    NoteAdded,
    NotesChanged,
    Opened,
    Queued,
    Received,
    Renamed,
    Revoked,
    Unlabelled,
)
from plixa.kernel.event_store import Event, Recorded
from plixa.kernel.projection import Projection
from plixa.kernel.search import lexemes
from plixa.kernel.table import Table
from plixa.whatsapp.domain import phone_variants


class NameRow(Struct, frozen=True, gc=False):
    """What one conversation is found by."""

    id: int
    phone: str | None
    contact_name: str | None
    custom_name: str | None = None
    labels: list[int] = []
    words: str = ""
    notes: str | None = None


class TextRow(Struct, frozen=True, gc=False):
    """The words of one message, none once it is ``revoked``."""

    id: int
    conversation_id: int
    words: str
    edited_at: datetime | None = None
    revoked: bool = False


names = Projection(Table("inbox_name", NameRow))
texts = Projection(
    Table("inbox_text", TextRow, group="conversation_id"),
    key=lambda fact: fact.event.message_id,  # type: ignore[attr-defined]
)
texts.regroups(Deleted, to=lambda _event: None)
texts.regroups(Erased, to=lambda _event: None)
texts.regroups(Merged, to=lambda event: event.into)


def spelled(row: NameRow, tenant: int) -> NameRow:
    """The row with the words that find it; a phone is found with and without its ninth digit."""
    phones = phone_variants(row.phone) if row.phone else ()
    return replace(row, words=lexemes(tenant, row.custom_name, row.contact_name, row.notes, phones=phones))


@names.creates(Opened)
def opened(_row: None, event: Opened, fact: Recorded) -> NameRow:
    return spelled(NameRow(fact.number, event.phone, event.name), fact.tenant)


@names.on(Renamed)
def renamed(row: NameRow, event: Renamed, fact: Recorded) -> NameRow:
    return spelled(replace(row, custom_name=event.name), fact.tenant)


@names.on(NotesChanged)
def notes_changed(row: NameRow, event: NotesChanged, fact: Recorded) -> NameRow:
    return spelled(replace(row, notes=event.notes), fact.tenant)


@names.on(ContactChanged)
def contact_changed(row: NameRow, event: ContactChanged, fact: Recorded) -> NameRow:
    return spelled(replace(row, phone=event.phone, contact_name=event.name), fact.tenant)


@names.on(Labelled)
def labelled(row: NameRow, event: Labelled, _fact: Recorded) -> NameRow:
    return replace(row, labels=sorted({*row.labels, event.label_id}))


@names.on(Unlabelled)
def unlabelled(row: NameRow, event: Unlabelled, _fact: Recorded) -> NameRow:
    return replace(row, labels=[label for label in row.labels if label != event.label_id])


@names.on(Merged, Deleted, Erased)
def gone(_row: NameRow, _event: Event, _fact: Recorded) -> None:
    return None


@texts.creates(Received, Echoed, Queued, NoteAdded)
def written(_row: None, event: Received | Echoed | Queued | NoteAdded, fact: Recorded) -> TextRow:
    return TextRow(event.message_id, fact.number, lexemes(fact.tenant, event.content.body))


@texts.on(Edited)
def edited(row: TextRow, event: Edited, fact: Recorded) -> TextRow:
    if row.revoked or (row.edited_at is not None and row.edited_at > event.edited_at):
        return row
    return replace(row, words=lexemes(fact.tenant, event.body), edited_at=event.edited_at)


@texts.on(Revoked)
def revoked(row: TextRow, _event: Revoked, _fact: Recorded) -> TextRow:
    return replace(row, words="", revoked=True)

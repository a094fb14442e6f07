"""Everything that ever happens in a conversation. A landed event is never edited; times are UTC, content lives only here."""

from datetime import datetime
from typing import ClassVar

from msgspec import Struct

from plixa.kernel.event_store import Event


class Media(Struct, frozen=True, omit_defaults=True, gc=False):
    """A file: ``size`` in bytes, ``seconds`` long, ``waveform`` 0–255, ``thumbnail`` base64 JPEG; ``blob`` names it in our own store."""

    mime: str
    filename: str | None = None
    size: int | None = None
    seconds: int | None = None
    waveform: list[int] | None = None
    thumbnail: str | None = None
    pages: int | None = None
    animated: bool = False
    state: str = "pending"
    blob: str | None = None


class Location(Struct, frozen=True, omit_defaults=True, gc=False):
    """A place, in degrees."""

    latitude: float
    longitude: float
    name: str | None = None
    address: str | None = None


class Card(Struct, frozen=True, omit_defaults=True, gc=False):
    """A shared contact card."""

    name: str
    phone: str | None = None


class Content(Struct, frozen=True, omit_defaults=True, gc=False):
    """What a message says. ``type``: text, image, video, audio, voice, document, sticker, location, contact, unsupported or note."""

    type: str
    body: str | None = None
    media: Media | None = None
    location: Location | None = None
    contacts: list[Card] | None = None
    quoted_id: int | None = None
    quoted_gateway_id: str | None = None
    forwarded: bool = False
    unsupported_kind: str | None = None


class Author(Struct, frozen=True, omit_defaults=True, gc=False):
    """Who wrote: user, customer, device (the owner's own phone), bot, ai, flow, api, broadcast or system."""

    type: str
    id: int | None = None
    name: str | None = None


class Opened(Event, frozen=True):
    """The first sight of this contact on this number."""

    TOPIC: ClassVar[str] = "conversation.opened"
    contact_id: int
    instance_id: int
    phone: str | None = None
    name: str | None = None
    reply_to: str | None = None


class Reopened(Event, frozen=True):
    """A new episode; ``reason``: message, member or api."""

    TOPIC: ClassVar[str] = "conversation.reopened"
    reason: str


class Closed(Event, frozen=True):
    """The episode ended; ``assigned_user_id`` had it at that moment."""

    TOPIC: ClassVar[str] = "conversation.closed"
    assigned_user_id: int | None = None


class Snoozed(Event, frozen=True):
    TOPIC: ClassVar[str] = "conversation.snoozed"
    until: datetime


class Woken(Event, frozen=True):
    """``reason``: time, inbound, manual or closed."""

    TOPIC: ClassVar[str] = "conversation.woken"
    reason: str
    previous_until: datetime


class Assigned(Event, frozen=True):
    """To a member, or to nobody; ``previous_user_id`` had it before. ``rule_id`` is the rule by which it was decided, if one was."""

    TOPIC: ClassVar[str] = "conversation.assigned"
    user_id: int | None = None
    user_name: str | None = None
    previous_user_id: int | None = None
    rule_id: int | None = None


class Moved(Event, frozen=True):
    """To a sector, or out of any; it was in ``previous_sector_id`` before."""

    TOPIC: ClassVar[str] = "conversation.moved"
    sector_id: int | None = None
    previous_sector_id: int | None = None


class MarkedRead(Event, frozen=True):
    TOPIC: ClassVar[str] = "conversation.read"


class MarkedUnread(Event, frozen=True):
    TOPIC: ClassVar[str] = "conversation.unread"


class Renamed(Event, frozen=True):
    """The name the workspace shows instead of the contact's own; null shows the contact's again."""

    TOPIC: ClassVar[str] = "conversation.renamed"
    name: str | None = None


class NotesChanged(Event, frozen=True):
    TOPIC: ClassVar[str] = "conversation.notes_changed"
    notes: str | None = None


class Labelled(Event, frozen=True):
    TOPIC: ClassVar[str] = "conversation.labelled"
    label_id: int


class Unlabelled(Event, frozen=True):
    TOPIC: ClassVar[str] = "conversation.unlabelled"
    label_id: int


class ContactChanged(Event, frozen=True):
    """The contact behind the conversation became known better, or is another one after a merge."""

    TOPIC: ClassVar[str] = "conversation.contact_changed"
    contact_id: int
    phone: str | None = None
    name: str | None = None


class ContactRemoved(Event, frozen=True):
    """The contact behind the conversation was deleted; it goes on by its phone."""

    TOPIC: ClassVar[str] = "conversation.contact_removed"


class Blocked(Event, frozen=True):
    """What the contact writes is kept from now on, and opens, counts and wakes nothing."""

    TOPIC: ClassVar[str] = "conversation.blocked"


class Unblocked(Event, frozen=True):
    TOPIC: ClassVar[str] = "conversation.unblocked"


class Merged(Event, frozen=True):
    """Its contact turned out to be another conversation's; everything goes on in ``into``."""

    TOPIC: ClassVar[str] = "conversation.merged"
    into: int


class LastSeen(Struct, frozen=True):
    """The newest message of a conversation that is taken in."""

    id: int
    direction: str
    type: str
    body: str | None
    at: datetime


class Absorbed(Event, frozen=True):
    """Took in another conversation with its messages, and those of ``earlier`` which that one had taken in before."""

    TOPIC: ClassVar[str] = "conversation.absorbed"
    conversation_id: int
    unread: int = 0
    last_message: LastSeen | None = None
    earlier: tuple[int, ...] = ()


class Deleted(Event, frozen=True):
    """Gone for good with every message; the stream's key is destroyed in the same transaction."""

    TOPIC: ClassVar[str] = "conversation.deleted"
    ERASES: ClassVar[bool] = True


class Erased(Event, frozen=True):
    """Gone for good with every message because its contact asked to be forgotten; the stream's key is destroyed as well."""

    TOPIC: ClassVar[str] = "conversation.erased"
    ERASES: ClassVar[bool] = True


class Received(Event, frozen=True):
    """A customer's message. ``sent_at`` is the sender's clock, bounded by ours.

    ``handling``: each step of the pipeline, in order, and why it acted on the message or not. Where an event holds such a list, that is
    filled until the event is saved.
    """

    TOPIC: ClassVar[str] = "message.received"
    message_id: int
    instance_id: int
    gateway_id: str
    content: Content
    sent_at: datetime
    reply_to: str | None = None
    handling: list[tuple[str, str]] | None = None


class Echoed(Event, frozen=True):
    """A message typed on the owner's own phone, or sent by another program through the gateway."""

    TOPIC: ClassVar[str] = "message.echoed"
    message_id: int
    instance_id: int
    gateway_id: str
    content: Content
    sent_at: datetime


class Queued(Event, frozen=True):
    """An outgoing message was accepted by us and waits in the outbox."""

    TOPIC: ClassVar[str] = "message.queued"
    message_id: int
    instance_id: int
    content: Content
    author: Author
    client_id: str


class NoteAdded(Event, frozen=True):
    """An internal note; it never reaches WhatsApp."""

    TOPIC: ClassVar[str] = "note.added"
    message_id: int
    content: Content
    author: Author


class Accepted(Event, frozen=True):
    """The gateway took the message and named it."""

    TOPIC: ClassVar[str] = "message.accepted"
    message_id: int
    gateway_id: str
    jid: str
    reconciled: bool = False


class Acknowledged(Event, frozen=True):
    """WhatsApp said how far the message got: pending, sent, delivered, read, played or failed. Kept even when it changes nothing."""

    TOPIC: ClassVar[str] = "message.acknowledged"
    message_id: int
    status: str
    error: str | None = None


class Failed(Event, frozen=True):
    """The message was refused for good; ``code`` says by what."""

    TOPIC: ClassVar[str] = "message.failed"
    message_id: int
    code: str
    reason: str


class InDoubt(Event, frozen=True):
    """Nobody knows whether the gateway took the message; it is looked up there before anything is sent again."""

    TOPIC: ClassVar[str] = "message.in_doubt"
    message_id: int


class Stalled(Event, frozen=True):
    """The gateway took the message five minutes ago and WhatsApp has not; shown until it does."""

    TOPIC: ClassVar[str] = "message.stalled"
    message_id: int


class Edited(Event, frozen=True):
    TOPIC: ClassVar[str] = "message.edited"
    message_id: int
    body: str
    edited_at: datetime


class Revoked(Event, frozen=True):
    """Deleted for everyone by its author."""

    TOPIC: ClassVar[str] = "message.revoked"
    message_id: int


class Reacted(Event, frozen=True):
    """``emoji`` null takes the reaction back; ``by``: customer or device."""

    TOPIC: ClassVar[str] = "message.reacted"
    message_id: int
    by: str
    reacted_at: datetime
    emoji: str | None = None


class MediaStored(Event, frozen=True):
    """The file is in our own store under ``blob``; ``size`` in bytes, ``sha256`` of the plain content in hex."""

    TOPIC: ClassVar[str] = "message.media_stored"
    message_id: int
    blob: str
    mime: str
    size: int
    sha256: str


class MediaMissing(Event, frozen=True):
    """The gateway no longer has the file."""

    TOPIC: ClassVar[str] = "message.media_missing"
    message_id: int
    reason: str

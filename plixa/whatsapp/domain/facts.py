"""What a WhatsApp gateway can tell, in Plixa's own words: frozen, free of gateway shapes, safe to store."""

from datetime import datetime
from typing import Literal

from msgspec import Struct

MessageKind = Literal["text", "image", "video", "audio", "voice", "document", "sticker", "location", "contact", "unsupported"]
AckStatus = Literal["pending", "sent", "delivered", "read", "played", "failed"]
ConnectionState = Literal["open", "connecting", "close", "refused"]


class Peer(Struct, frozen=True, kw_only=True):
    """The other side of a one-to-one chat: always a phone or a LID, often both."""

    jid: str
    """Where to reply to, as the message came (a LID stays a LID), without device suffix."""
    phone: str | None = None
    """Digits as received, country code first, no plus."""
    lid: str | None = None
    """The whole ``…@lid`` address."""
    name: str | None = None
    """What the person calls themselves; never ours, never just a number."""


class Media(Struct, frozen=True, kw_only=True):
    """What is known of a file before it is fetched."""

    mime: str
    size: int | None = None
    """Bytes."""
    filename: str | None = None
    """Without folders."""
    seconds: int | None = None
    waveform: list[int] | None = None
    """Loudness of a voice note, 0 to 100, usually 64 values."""
    thumbnail: str | None = None
    """Base64 of a small JPEG or PNG, at most 64 KiB of text."""
    pages: int | None = None
    animated: bool = False


class Location(Struct, frozen=True, kw_only=True):
    """A point in degrees."""

    latitude: float
    longitude: float
    name: str | None = None
    address: str | None = None


class ContactCard(Struct, frozen=True, kw_only=True):
    """A person passed on in a message."""

    name: str | None = None
    phone: str | None = None
    """Digits; with country code when the card or our own number told it."""


class Told(Struct, frozen=True, kw_only=True, tag_field="fact"):
    """Something the gateway told."""


class MessageArrived(Told, frozen=True, kw_only=True, tag="message_arrived"):
    """A message stands in a one-to-one chat: from the customer, or from us (``from_me``)."""

    gateway_id: str
    peer: Peer
    from_me: bool
    echo: bool = False
    """Sent through the gateway's API (SEND_MESSAGE), so most likely by ourselves; False: typed on a phone."""
    kind: MessageKind
    unsupported_kind: str | None = None
    """The gateway's name for what we cannot show."""
    body: str = ""
    """Text, caption or a readable rendering, at most 65,536 characters."""
    sent_at: datetime | None = None
    """UTC, seconds; None when the gateway gave no usable time: take the time of receipt."""
    quoted_gateway_id: str | None = None
    media: Media | None = None
    location: Location | None = None
    contacts: tuple[ContactCard, ...] = ()
    forwarded: bool = False


class Reacted(Told, frozen=True, kw_only=True, tag="reacted"):
    """A reaction was put on, changed, or (``emoji`` None) taken off a message."""

    target_gateway_id: str
    gateway_id: str
    peer: Peer
    from_me: bool
    emoji: str | None
    at: datetime | None = None
    """UTC, milliseconds when the phone told them."""


class Edited(Told, frozen=True, kw_only=True, tag="edited"):
    """A message got another text."""

    target_gateway_id: str
    body: str
    at: datetime | None = None
    """UTC, milliseconds."""


class Revoked(Told, frozen=True, kw_only=True, tag="revoked"):
    """A message was deleted for everyone."""

    target_gateway_id: str


class Acknowledged(Told, frozen=True, kw_only=True, tag="acknowledged"):
    """A message got as far as ``status``; may come late, twice and in any order."""

    gateway_id: str
    status: AckStatus
    from_me: bool | None = None
    """False: the customer's message, read or received by another device of ours. None: not told."""
    error: str | None = None
    raw: str
    """The status in the gateway's words."""


class ConnectionChanged(Told, frozen=True, kw_only=True, tag="connection_changed"):
    """The link between the gateway and WhatsApp."""

    state: ConnectionState
    reason: int | None = None
    """WhatsApp's status code: 200 fine, 401 logged out, 403 restricted, 428 QR limit."""
    number: str | None = None
    """Our own number, digits; told when open."""
    name: str | None = None
    """Our own profile name."""


class QrChanged(Told, frozen=True, kw_only=True, tag="qr_changed"):
    """There is a new QR to scan, or (``exhausted``) there will be no more."""

    qr_base64: str | None = None
    """A complete ``data:image/png;base64,…`` URL."""
    pairing_code: str | None = None
    exhausted: bool = False


class PeerNamed(Told, frozen=True, kw_only=True, tag="peer_named"):
    """The gateway's address book knows a name, or both addresses, of somebody."""

    peer: Peer


class Ignored(Told, frozen=True, kw_only=True, tag="ignored"):
    """Nothing for us, and why."""

    reason: str


Fact = MessageArrived | Reacted | Edited | Revoked | Acknowledged | ConnectionChanged | QrChanged | PeerNamed | Ignored

"""The WhatsApp gateway as Plixa sees it: what can be asked of it, what it answers, and how it fails."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

from msgspec import Struct

from plixa.kernel.errors import UpstreamUnavailable

MediaKind = Literal["image", "video", "document", "audio"]
State = Literal["open", "connecting", "close"]


class MessageKey(Struct, frozen=True):
    """A message as WhatsApp names it inside one number."""

    id: str
    remote_jid: str
    from_me: bool = False


class Quoted(Struct, frozen=True):
    """The message a reply points at; ``text`` is shown in the reply's grey box."""

    key: MessageKey
    text: str


class Outgoing(Struct, frozen=True, kw_only=True):
    """What every send has.

    ``to`` is digits or a JID. ``message_id`` is ours (`message_id()`); 2.4+ keeps it, older gateways choose their own.
    ``other_to`` is the contact's other address (LID for a phone, phone for a LID), tried once when ``to`` is refused.
    """

    to: str
    message_id: str
    other_to: str | None = None
    quoted: Quoted | None = None


class SendText(Outgoing, frozen=True, kw_only=True):
    text: str


class SendMedia(Outgoing, frozen=True, kw_only=True):
    """``filename`` is needed for documents; its extension overrides ``mime``."""

    kind: MediaKind
    content: bytes
    mime: str
    filename: str | None = None
    caption: str | None = None


class SendVoice(Outgoing, frozen=True, kw_only=True):
    """A voice note; the gateway converts any audio to OGG/Opus."""

    content: bytes


class Qr(Struct, frozen=True):
    """``base64`` is a PNG data URL that lives about 45 s; absent while open, or when there is none yet."""

    state: State
    base64: str | None = None
    pairing_code: str | None = None


class Created(Struct, frozen=True):
    """``token`` is the instance's own key: a secret."""

    token: str
    qr: Qr


class Sent(Struct, frozen=True):
    """``jid`` is where it really went: it may differ from the address asked for. ``timestamp`` in seconds, UTC."""

    gateway_id: str
    jid: str
    status: str
    timestamp: int


class FetchedMedia(Struct, frozen=True):
    content: bytes
    mime: str
    filename: str | None


class FoundMessage(Struct, frozen=True):
    """A message the gateway holds, with its acknowledgements so far; ``raw`` is its row as in MESSAGES_UPSERT."""

    key: MessageKey
    timestamp: int
    statuses: tuple[str, ...]
    raw: dict[str, Any]


class NumberOnWhatsApp(Struct, frozen=True):
    number: str
    jid: str
    exists: bool


class GatewayError(UpstreamUnavailable):
    """``retry`` says whether asking again later cannot make a second message."""

    default = "The WhatsApp gateway did not answer. Try again in a moment."
    retry: ClassVar[bool] = False


class NotOnWhatsApp(GatewayError):
    """The address has no WhatsApp account: permanent."""

    default = "This number is not on WhatsApp."


class Rejected(GatewayError):
    """The gateway understood and refuses: permanent; the message is the gateway's own."""

    default = "The WhatsApp gateway refused this."


class NameTaken(Rejected):
    """An instance of this name exists: an earlier create whose answer was lost."""

    default = "The WhatsApp gateway already has a number of this name."


class Unreachable(GatewayError):
    """Nothing was done: no connection, or the gateway's address or key is wrong."""

    default = "The WhatsApp gateway cannot be reached."
    retry = True


class InstanceMissing(Unreachable):
    """The gateway has no instance of this name: it must be created and paired again."""

    default = "The WhatsApp gateway no longer knows this number. Connect it again."


class Transient(GatewayError):
    """Nothing was done, the number is reconnecting or the gateway is busy: ask again later."""

    default = "The WhatsApp number is reconnecting. Try again in a moment."
    retry = True


class OutcomeUnknown(GatewayError):
    """The send may or may not have happened: look with ``find_messages`` before sending again."""

    default = "The WhatsApp gateway did not say whether the message was sent."


class LicenceRequired(GatewayError):
    """The gateway (2.4+) waits for its licence: only its operator can mend this."""

    default = "The WhatsApp gateway is not activated: its licence is missing."


@runtime_checkable
class Gateway(Protocol):
    """Every method raises a subclass of `GatewayError`; only sends raise `OutcomeUnknown`."""

    async def create_instance(self, name: str, webhook_url: str, webhook_token: str, number: str | None = None) -> Created:
        """Make an instance and start its pairing; events reach ``webhook_url`` with ``X-Plixa-Token``.

        With ``number`` (digits) a pairing code is offered beside the QR. `NameTaken` after a lost answer means that it
        was made all the same: go on with ``set_webhook`` and ``connect``.
        """

    async def connect(self, name: str, number: str | None = None) -> Qr: ...

    async def connection_state(self, name: str) -> State: ...

    async def restart(self, name: str) -> Qr: ...

    async def logout(self, name: str) -> None:
        """Unlink the number; one that is already closed is fine."""

    async def delete(self, name: str) -> None:
        """Remove the instance; one that is already gone is fine."""

    async def set_webhook(self, name: str, url: str, token: str) -> None: ...

    async def send_text(self, name: str, message: SendText) -> Sent: ...

    async def send_media(self, name: str, message: SendMedia) -> Sent: ...

    async def send_voice(self, name: str, message: SendVoice) -> Sent: ...

    async def mark_read(self, name: str, keys: Sequence[MessageKey]) -> None: ...

    async def fetch_media(self, name: str, key: MessageKey, message: dict[str, Any] | None = None) -> FetchedMedia | None:
        """The bytes behind a message, None when WhatsApp or the gateway no longer has them.

        ``message`` is the whole ``data.message`` of the webhook, for gateways that keep no messages.
        """

    async def find_messages(self, name: str, jid: str, since: datetime) -> list[FoundMessage]:
        """Messages with one address since then, newest first, at most 1,000."""

    async def whatsapp_numbers(self, name: str, numbers: Sequence[str]) -> list[NumberOnWhatsApp]:
        """Which numbers have WhatsApp, in the gateway's order."""

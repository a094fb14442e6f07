"""What an answer of Evolution API v2 means: the failures told apart, the JSON turned into our structs."""

import base64
import binascii
from typing import Any, Final

import httpx
import msgspec
from msgspec import Struct

from plixa.whatsapp.client.gateway import (
    FetchedMedia,
    FoundMessage,
    GatewayError,
    InstanceMissing,
    LicenceRequired,
    MessageKey,
    NameTaken,
    NotOnWhatsApp,
    NumberOnWhatsApp,
    OutcomeUnknown,
    Qr,
    Rejected,
    Sent,
    State,
    Transient,
    Unreachable,
)

BEFORE_THE_SEND: Final = ("Connection Closed", "Connection Terminated", "Timed Out", "ECONN", "onWhatsApp")
"""Texts of failures that happen before WhatsApp gets the message; the last is a client that was never connected."""

AFTER_THE_SEND: Final = ("Prisma",)
"""The gateway sends, then writes its database: a failure there answers 400 although the message is on its way."""

MEDIA_GONE: Final = (
    "Message not found",
    "not of the media type",
    "Failed to fetch",
    "status code 4",
    "messageContextInfo",
)


def failure(response: httpx.Response, *, is_send: bool) -> GatewayError | None:
    """The error an answer stands for, None when it is a success."""
    status, text = response.status_code, response.text
    if "LICENSE_REQUIRED" in text and status == httpx.codes.SERVICE_UNAVAILABLE:
        return LicenceRequired()
    if response.is_success:
        return None
    message = _message(response)
    if status == httpx.codes.BAD_REQUEST:
        return _bad_request(message, is_send=is_send)
    if response.is_client_error:
        return _client_error(status, _sentence(message))
    if not is_send or (_mentions(message, BEFORE_THE_SEND) and not _mentions(message, AFTER_THE_SEND)):
        return Transient(_sentence(message) or None)
    return OutcomeUnknown(f"The WhatsApp gateway answered {status}.")


def _bad_request(message: Any, *, is_send: bool) -> GatewayError:
    if isinstance(message, list) and any(isinstance(part, dict) and part.get("exists") is False for part in message):
        return NotOnWhatsApp()
    if is_send and _mentions(message, AFTER_THE_SEND):
        return OutcomeUnknown(_sentence(message))
    if _mentions(message, BEFORE_THE_SEND):
        return Transient(_sentence(message))
    return Rejected(_sentence(message) or None)


def _client_error(status: int, sentence: str) -> GatewayError:
    if status == httpx.codes.UNAUTHORIZED:
        return Unreachable("The WhatsApp gateway refuses our key.")
    if status == httpx.codes.NOT_FOUND:
        return InstanceMissing() if "does not exist" in sentence else Unreachable("The WhatsApp gateway's address is wrong.")
    if status == httpx.codes.FORBIDDEN:
        return NameTaken() if "already in use" in sentence else Unreachable("The WhatsApp gateway refuses our access.")
    if status == httpx.codes.TOO_MANY_REQUESTS:
        return Transient("The WhatsApp gateway is busy.")
    return Rejected(sentence or None)


def _message(response: httpx.Response) -> Any:
    """``response.message`` of the error envelope: a string, a list of strings, of objects; None for a foreign body."""
    try:
        body = msgspec.json.decode(response.content)
    except msgspec.DecodeError:
        return None
    inner = body.get("response") if isinstance(body, dict) else None
    return inner.get("message") if isinstance(inner, dict) else None


def _sentence(message: Any) -> str:
    """One line of a string, or of lists in lists (the gateway's schema errors)."""
    if isinstance(message, list):
        return "; ".join(_sentence(part) for part in message)
    return "" if message is None else str(message)


def _mentions(message: Any, texts: tuple[str, ...]) -> bool:
    return any(text in _sentence(message) for text in texts)


def is_media_gone(error: Rejected) -> bool:
    """Whether a refused media fetch means that nobody has the bytes any more."""
    return any(text in error.message for text in MEDIA_GONE)


class _InstanceState(Struct):
    state: State = "close"


class QrAnswer(Struct, rename="camel"):
    """Every shape of a pairing answer: nested when open, flat with a QR, 200 with ``error`` for a swallowed failure."""

    instance: _InstanceState | None = None
    base64: str | None = None
    pairing_code: str | None = None
    error: bool = False
    message: Any = None

    def qr(self) -> Qr:
        """The pairing, or the failure hidden in the 200."""
        if self.error:
            raise Transient(_sentence(self.message).replace("[object Object]", "") or None)
        if self.instance is not None:
            return Qr(self.instance.state)
        return Qr("connecting", self.base64, self.pairing_code)


class CreatedAnswer(Struct):
    hash: str
    instance: _InstanceState | None = None
    qrcode: QrAnswer | None = None


class _Key(Struct, rename="camel"):
    id: str
    remote_jid: str = ""
    from_me: bool = False

    def key(self) -> MessageKey:
        return MessageKey(self.id, self.remote_jid, self.from_me)


class SentAnswer(Struct, rename="camel"):
    key: _Key
    status: str | None = None
    message_timestamp: int | str = 0

    def sent(self) -> Sent:
        return Sent(self.key.id, self.key.remote_jid, self.status or "PENDING", int(self.message_timestamp))


class MediaAnswer(Struct, rename="camel"):
    base64: str | None = None
    mimetype: str | None = None
    file_name: str | None = None

    def media(self) -> FetchedMedia | None:
        """The bytes; None when the gateway sent none."""
        if not self.base64:
            return None
        try:
            content = base64.b64decode(self.base64, validate=True)
        except binascii.Error as error:
            raise Transient("The WhatsApp gateway sent broken media.") from error
        return FetchedMedia(content, self.mimetype or "application/octet-stream", self.file_name)


class _Update(Struct):
    status: str = ""


class _Row(Struct, rename="camel"):
    key: _Key
    message_timestamp: int | str = 0
    updates: list[_Update] = msgspec.field(default_factory=list, name="MessageUpdate")


class _Page(Struct, rename="camel"):
    pages: int = 0
    records: list[dict[str, Any]] = []

    def found(self) -> list[FoundMessage]:
        return [self._one(raw) for raw in self.records]

    @staticmethod
    def _one(raw: dict[str, Any]) -> FoundMessage:
        row = msgspec.convert(raw, _Row)
        return FoundMessage(row.key.key(), int(row.message_timestamp), tuple(u.status for u in row.updates), raw)


class FoundAnswer(Struct):
    messages: _Page


class StateAnswer(Struct):
    instance: _InstanceState


class NumberAnswer(Struct):
    jid: str
    exists: bool
    number: str

    def on_whatsapp(self) -> NumberOnWhatsApp:
        return NumberOnWhatsApp(self.number, self.jid, self.exists)

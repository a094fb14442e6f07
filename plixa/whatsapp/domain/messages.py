"""What a message says: its kind, text and attachments, read from WhatsApp's message object in any encoding."""

from collections.abc import Callable
from functools import partial

from msgspec import Struct

from plixa.whatsapp.domain.facts import ContactCard, Location, Media, MessageKind
from plixa.whatsapp.domain.media import media_of
from plixa.whatsapp.domain.replies import reply_text
from plixa.whatsapp.domain.values import BODY_LIMIT, flag, identifier, real, record, text, whole, word
from plixa.whatsapp.domain.vcards import card_text, contact_cards

_WRAPPERS_DEEP = 5
_BESIDE_THE_MESSAGE = {
    "messageContextInfo",
    "senderKeyDistributionMessage",
    "fastRatchetKeySenderKeyDistributionMessage",
    "base64",
    "mediaUrl",
    "speechToText",
}
_READABLE_FIELDS = (
    "caption", "text", "contentText", "name", "title", "orderTitle", "groupName", "description", "message"
)  # fmt: skip


class Content(Struct, frozen=True, kw_only=True):
    """A message without its envelope."""

    kind: MessageKind
    body: str = ""
    unsupported_kind: str | None = None
    media: Media | None = None
    location: Location | None = None
    contacts: tuple[ContactCard, ...] = ()


Part = dict[str, object]


def unwrapped(message: Part) -> Part:
    """The message inside up to five envelopes (ephemeral, view once, edited, document with caption and newer ones)."""
    for _ in range(_WRAPPERS_DEEP):
        if part_name(message) is not None:
            return message
        inside = [record(value).get("message") for key, value in message.items() if key not in _BESIDE_THE_MESSAGE]
        found = next((value for value in inside if isinstance(value, dict)), None)
        if found is None:
            return message
        message = found
    return message


def part_name(message: Part) -> str | None:
    """The key under which the message has something we can read."""
    return next((name for name in _READERS if message.get(name) not in (None, "")), None)


def content_of(message: Part, message_type: object, our_phone: str | None) -> Content:
    """What an unwrapped message says; never fails, the unreadable is ``unsupported`` under the gateway's name."""
    name = part_name(message)
    if name == "conversation" and isinstance(message[name], str):
        return Content(kind="text", body=text(message[name]))
    part = message.get(name or "")
    content = _READERS[name](record(part), our_phone) if name and isinstance(part, dict) else None
    return content or _unsupported(message, message_type)


def context_of(message: Part, beside: object) -> Part:
    """Where the message quotes from: the envelope's ``contextInfo`` (≤ 2.3.7) or the one inside the message."""
    inside = record(record(message.get(part_name(message) or "")).get("contextInfo"))
    return inside | {key: value for key, value in record(beside).items() if value is not None}


def quoted_id(context: Part) -> str | None:
    """The gateway id of the quoted message."""
    return identifier(context.get("stanzaId"))


def is_forwarded(context: Part) -> bool:
    """Whether the phone marked the message as forwarded."""
    return flag(context.get("isForwarded")) or bool(whole(context.get("forwardingScore")))


def _unsupported(message: Part, message_type: object) -> Content:
    names = [name for name in message if name not in _BESIDE_THE_MESSAGE]
    kind = (word(names[0], 64) if names else None) or word(message_type, 64) or "empty"
    part = record(message.get(names[0])) if names else {}
    lines = [text(part.get(field)) for field in _READABLE_FIELDS] + [text(record(part.get("body")).get("text"))]
    body = next((line for line in lines if line), "")
    return Content(kind="unsupported", unsupported_kind=kind, body="\n".join([body, *_options(part)])[:BODY_LIMIT])


def _options(part: Part) -> list[str]:
    """The choices of a poll."""
    options = part.get("options")
    names = [word(record(option).get("optionName")) for option in options] if isinstance(options, list) else []
    return [f"- {name}" for name in names if name]


def _text(part: Part, _our_phone: str | None) -> Content | None:
    body = text(part.get("text"))
    return Content(kind="text", body=body) if body else None


def _file(kind: MessageKind, part: Part, _our_phone: str | None) -> Content:
    if kind == "audio" and flag(part.get("ptt")):
        kind = "voice"
    return Content(kind=kind, body=text(part.get("caption")), media=media_of(kind, part))


def _location(part: Part, _our_phone: str | None) -> Content | None:
    latitude, longitude = real(part.get("degreesLatitude")), real(part.get("degreesLongitude"))
    if latitude is None or longitude is None or abs(latitude) > 90 or abs(longitude) > 180:
        return None
    name, address = word(part.get("name")), word(part.get("address"), 1000)
    told = [line for line in (name, address, word(part.get("caption"), 1000)) if line]
    location = Location(latitude=latitude, longitude=longitude, name=name, address=address)
    return Content(kind="location", body="\n".join(told) or f"{latitude:.6f}, {longitude:.6f}", location=location)


def _contacts(part: Part, our_phone: str | None) -> Content:
    cards = contact_cards(part, our_phone)
    return Content(kind="contact", body="\n".join(map(card_text, cards))[:BODY_LIMIT], contacts=cards)


def _reply(part: Part, _our_phone: str | None) -> Content | None:
    body = reply_text(part)
    return Content(kind="text", body=body) if body else None


_READERS: dict[str, Callable[[Part, str | None], Content | None]] = {
    "conversation": _text,
    "extendedTextMessage": _text,
    "imageMessage": partial(_file, "image"),
    "videoMessage": partial(_file, "video"),
    "ptvMessage": partial(_file, "video"),
    "audioMessage": partial(_file, "audio"),
    "documentMessage": partial(_file, "document"),
    "stickerMessage": partial(_file, "sticker"),
    "locationMessage": _location,
    "liveLocationMessage": _location,
    "contactMessage": _contacts,
    "contactsArrayMessage": _contacts,
    "buttonsResponseMessage": _reply,
    "listResponseMessage": _reply,
    "templateButtonReplyMessage": _reply,
    "interactiveResponseMessage": _reply,
}

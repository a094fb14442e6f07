"""Webhooks as Evolution API 2.2, 2.3.4, 2.3.6, 2.3.7 and 2.4 send them, for tests, the chaos test and the bench.

Shapes: ``whatsapp.baileys.service.ts`` (``prepareMessage``, ``messages.update``, ``connectionUpdate``) at those tags.
"""

import base64
import random
from collections.abc import Iterator
from itertools import count, islice
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

Webhook = dict[str, Any]
Version = Literal["2.2", "2.3.4", "2.3.6", "2.3.7", "2.4"]
VERSIONS: tuple[Version, ...] = ("2.2", "2.3.4", "2.3.6", "2.3.7", "2.4")

JPEG = bytes.fromhex("ffd8ffe000104a46494600010100000100010000ffdb")
WAVEFORM = bytes((position * 7) % 101 for position in range(64))
TEN_O_CLOCK = 1_767_600_000  # 2026-01-05 08:00:00 UTC


class Chat(Struct, frozen=True, kw_only=True):
    """One customer on one phone instance, behind one gateway version."""

    phone: str | None = "5511987654321"
    lid: str | None = None
    name: str = "Ana Souza"
    version: Version = "2.3.7"
    instance: str = "plx_demo"
    own: str = "5511930000000"

    @property
    def jid(self) -> str:
        """The phone address, or the LID of somebody who hides the phone."""
        return f"{self.phone}@s.whatsapp.net" if self.phone else f"{self.lid}@lid"


class Stamp(Struct, frozen=True, kw_only=True):
    """Identity of one message: its gateway id, its second, and whether we sent it."""

    id: str = "3A0B1C2D3E4F5A6B7C8D"
    at: int = TEN_O_CLOCK
    from_me: bool = False


ANA = Chat()
FIRST = Stamp()


def envelope(chat: Chat, event: str, data: object) -> Webhook:
    """The outer object of every webhook."""
    return {
        "event": event,
        "instance": chat.instance,
        "data": data,
        "destination": "https://app.example.test/v1/webhooks/evolution/a-secret",
        "date_time": "2026-01-05T05:00:00.000Z",
        "sender": f"{chat.own}@s.whatsapp.net",
        "server_url": "https://gateway.example.test",
        "apikey": "instance-token",
    }


def key(chat: Chat, stamp: Stamp) -> dict[str, Any]:
    """The message key as the chat's gateway version writes it; for our own messages the alternative is ours."""
    told: dict[str, Any] = {"remoteJid": chat.jid, "fromMe": stamp.from_me, "id": stamp.id}
    if chat.lid is None or chat.phone is None:
        return told
    lid = f"{chat.lid}@lid"
    sender = f"{chat.own}@s.whatsapp.net" if stamp.from_me else chat.jid
    match chat.version:
        case "2.2":
            return told | {"remoteJid": lid}
        case "2.3.4":
            return told | {"remoteJid": sender, "senderPn": sender, "previousRemoteJid": lid}
        case "2.3.6":
            return told | {"remoteJid": lid, "remoteJidAlt": sender, "addressingMode": "lid"}
        case "2.3.7":
            return told | {"remoteJidAlt": chat.jid, "addressingMode": "lid"}
        case "2.4":
            return told | {"remoteJidAlt": lid, "addressingMode": "pn"}


def octets(chat: Chat, value: bytes) -> object:
    """Bytes inside ``data.message``: base64 up to 2.3.5, an index object since."""
    if chat.version in ("2.2", "2.3.4"):
        return base64.b64encode(value).decode()
    return {str(index): byte for index, byte in enumerate(value)}


def long(chat: Chat, value: int) -> object:
    """A 64-bit number inside ``data.message``: a decimal string up to 2.3.5, an object since."""
    if chat.version in ("2.2", "2.3.4"):
        return str(value)
    return {"low": value & 0xFFFFFFFF, "high": value >> 32, "unsigned": True}


def message(chat: Chat, stamp: Stamp, content: dict[str, Any], context: object = None) -> Webhook:
    """MESSAGES_UPSERT of any content; the first key names the type."""
    return envelope(
        chat,
        "messages.upsert",
        {
            "key": key(chat, stamp),
            "pushName": "Você" if stamp.from_me else chat.name,
            "status": "SERVER_ACK" if stamp.from_me else "DELIVERY_ACK",
            "message": content,
            "contextInfo": context,
            "messageType": next(iter(content), "unknown"),
            "messageTimestamp": stamp.at,
            "instanceId": "6d1f0f52-7d0c-4a35-9c55-0b6d1f3f6d10",
            "source": "android" if stamp.from_me else "ios",
        },
    )


def text(chat: Chat = ANA, stamp: Stamp = FIRST, body: str = "Oi, vocês entregam?") -> Webhook:
    """A text; long and quoting ones too arrive as ``conversation``."""
    return message(chat, stamp, {"conversation": body})


def quoted_reply(chat: Chat, stamp: Stamp, body: str, target: str) -> Webhook:
    """A text quoting another message; 2.4 loses the quote of flattened texts."""
    context = {"stanzaId": target, "participant": chat.jid, "quotedMessage": {"conversation": "…"}}
    secret = {"messageSecret": octets(chat, b"secret")}
    return message(chat, stamp, {"conversation": body}, secret if chat.version == "2.4" else context)


def image(chat: Chat = ANA, stamp: Stamp = FIRST, caption: str = "Olha só") -> Webhook:
    """A photo."""
    part = {"caption": caption, "height": 1280, "width": 960, "jpegThumbnail": octets(chat, JPEG)}
    return message(chat, stamp, {"imageMessage": _file(chat, "image/jpeg", 183_402) | part})


def video(chat: Chat = ANA, stamp: Stamp = FIRST, caption: str = "") -> Webhook:
    """A clip."""
    part = {"caption": caption, "seconds": 12, "gifPlayback": False, "jpegThumbnail": octets(chat, JPEG)}
    return message(chat, stamp, {"videoMessage": _file(chat, "video/mp4", 2_400_000) | part})


def voice(chat: Chat = ANA, stamp: Stamp = FIRST) -> Webhook:
    """A voice note."""
    part = {"ptt": True, "seconds": 7, "waveform": octets(chat, WAVEFORM)}
    return message(chat, stamp, {"audioMessage": _file(chat, "audio/ogg; codecs=opus", 15_214) | part})


def audio(chat: Chat = ANA, stamp: Stamp = FIRST) -> Webhook:
    """A song."""
    return message(chat, stamp, {"audioMessage": _file(chat, "audio/mpeg", 3_100_000) | {"ptt": False, "seconds": 190}})


def document(chat: Chat = ANA, stamp: Stamp = FIRST, name: str = "orçamento.pdf") -> Webhook:
    """A PDF."""
    part = {"fileName": name, "title": name, "pageCount": 3}
    return message(chat, stamp, {"documentMessage": _file(chat, "application/pdf", 90_112) | part})


def sticker(chat: Chat = ANA, stamp: Stamp = FIRST) -> Webhook:
    """An animated sticker."""
    return message(chat, stamp, {"stickerMessage": _file(chat, "image/webp", 22_000) | {"isAnimated": True}})


def location(chat: Chat = ANA, stamp: Stamp = FIRST) -> Webhook:
    """A place."""
    place = {
        "degreesLatitude": -23.56141,
        "degreesLongitude": -46.65588,
        "name": "MASP",
        "address": "Av. Paulista, 1578",
    }
    return message(chat, stamp, {"locationMessage": place})


def contact_card(chat: Chat = ANA, stamp: Stamp = FIRST, name: str = "Bruno Lima") -> Webhook:
    """A person with a WhatsApp number."""
    vcard = (
        f"BEGIN:VCARD\nVERSION:3.0\nN:;{name};;;\nFN:{name}\n"
        "item1.TEL;waid=5521998877665:+55 21 99887-7665\nitem1.X-ABLabel:Celular\nEND:VCARD"
    )
    return message(chat, stamp, {"contactMessage": {"displayName": name, "vcard": vcard}})


def reaction(chat: Chat, stamp: Stamp, target: str, emoji: str = "👍") -> Webhook:
    """A reaction; an empty emoji takes it off."""
    target_key = {"remoteJid": chat.jid, "fromMe": not stamp.from_me, "id": target}
    part = {"key": target_key, "text": emoji, "senderTimestampMs": long(chat, stamp.at * 1000 + 250)}
    return message(chat, stamp, {"reactionMessage": part})


def unknown_kind(chat: Chat = ANA, stamp: Stamp = FIRST, name: str = "hologramMessage") -> Webhook:
    """A kind nobody has heard of yet."""
    return message(chat, stamp, {name: {"depth": 3}, "messageContextInfo": {"deviceListMetadataVersion": 2}})


def edit(chat: Chat, target: str, body: str, at_ms: int) -> Webhook:
    """MESSAGES_EDITED: the bare protocol message."""
    return envelope(
        chat,
        "messages.edited",
        {
            "key": {"remoteJid": chat.jid, "fromMe": True, "id": target},
            "type": "MESSAGE_EDIT",
            "editedMessage": {"conversation": body},
            "timestampMs": str(at_ms),
        },
    )


def revoke(chat: Chat, stamp: Stamp) -> Webhook:
    """MESSAGES_DELETE: the key of the deleted message; 2.3.7 adds the status."""
    status = {"status": "DELETED"} if chat.version in ("2.3.7", "2.4") else {}
    return envelope(chat, "messages.delete", key(chat, stamp) | status)


def ack(chat: Chat, stamp: Stamp, status: str) -> Webhook:
    """MESSAGES_UPDATE: how far a message got."""
    told = key(chat, stamp)
    data = {"keyId": stamp.id, "remoteJid": told["remoteJid"], "fromMe": stamp.from_me, "status": status}
    return envelope(chat, "messages.update", data | {"instanceId": "6d1f0f52", "messageId": "cm5j1"})


def echo(chat: Chat, stamp: Stamp, body: str) -> Webhook:
    """MESSAGES_UPSERT of what the owner typed on the phone."""
    return text(chat, replace(stamp, from_me=True), body)


def sent(chat: Chat, stamp: Stamp, body: str) -> Webhook:
    """SEND_MESSAGE: what was sent through the gateway's API."""
    webhook = echo(chat, stamp, body)
    told = {"remoteJid": chat.jid, "fromMe": True, "id": stamp.id}
    return webhook | {"event": "send.message", "data": webhook["data"] | {"key": told, "status": "PENDING"}}


def lid_only(stamp: Stamp = FIRST, body: str = "Oi", lid: str = "84000000000001") -> Webhook:
    """A text of somebody whose phone the gateway does not know."""
    return text(Chat(phone=None, lid=lid, name="Caio"), stamp, body)


def group_message(chat: Chat = ANA, stamp: Stamp = FIRST) -> Webhook:
    """A text in a group."""
    webhook = text(chat, stamp, "Bom dia, grupo")
    webhook["data"]["key"] |= {"remoteJid": "120363021234567890@g.us", "participant": chat.jid}
    return webhook


def connection(chat: Chat = ANA, state: str = "open", reason: int = 200) -> Webhook:
    """CONNECTION_UPDATE."""
    who = {"wuid": f"{chat.own}@s.whatsapp.net", "profileName": "Lúcia Studios", "profilePictureUrl": None}
    told = {"instance": chat.instance, "state": state, "statusReason": reason}
    return envelope(chat, "connection.update", told | (who if state == "open" else {}))


def qr(chat: Chat = ANA, pairing_code: str | None = None) -> Webhook:
    """QRCODE_UPDATED with a picture."""
    picture = "data:image/png;base64," + base64.b64encode(b"\x89PNG").decode()
    told = {"instance": chat.instance, "pairingCode": pairing_code, "code": "2@abc", "base64": picture}
    return envelope(chat, "qrcode.updated", {"qrcode": told})


def conversation_history(seed: int, customers: int, messages: int) -> list[Webhook]:
    """``messages`` webhooks of ``customers`` chats in causal order, the same for the same seed.

    Every id is unique; edits, deletes, reactions and acks follow what they are about; a prefix is causal too.
    """
    return list(islice(_history(random.Random(seed), [_customer(seed, n) for n in range(customers)]), messages))


def _file(chat: Chat, mime: str, size: int) -> dict[str, Any]:
    return {
        "url": "https://mmg.whatsapp.net/v/t62.7118-24/1.enc",
        "mimetype": mime,
        "fileSha256": octets(chat, bytes(range(32))),
        "fileLength": long(chat, size),
        "mediaKey": octets(chat, bytes(range(32))),
        "directPath": "/v/t62.7118-24/1.enc",
    }


_NAMES = ("Ana", "Bruno", "Caio", "Débora", "Élton", "Fátima", "Gil", "Heloísa", "Ítalo", "Joana")
_SAID = ("Oi, tudo bem?", "Vocês entregam?", "Quanto custa?", "Obrigada! 🙏", "Pode ser às 15h?", "Segue o comprovante")


def _customer(seed: int, number: int) -> Chat:
    """Every fourth has a LID, every third comes without the ninth digit, versions take turns."""
    area = (11, 21, 31, 48, 85)[number % 5]
    rest = f"{80_000_000 + seed % 1000 * 10_000 + number}"
    phone = f"55{area}{'' if number % 3 == 0 else '9'}{rest}"
    lid = f"84{seed % 1000:03}{number:09}" if number % 4 == 0 else None
    name = f"{_NAMES[number % len(_NAMES)]} {number}"
    return Chat(phone=phone, lid=lid, name=name, version=VERSIONS[number % len(VERSIONS)])


def _history(dice: random.Random, chats: list[Chat]) -> Iterator[Webhook]:
    bound: set[int] = set()
    for number in count():
        place = dice.randrange(len(chats))
        chat = _seen(chats[place], bound=place in bound or dice.random() < 0.3)
        bound |= {place} if chat.phone else set()
        stamp = Stamp(id=f"3A{dice.getrandbits(72):018X}", at=TEN_O_CLOCK + number * 3, from_me=dice.random() < 0.25)
        yield _said(dice, chat, stamp)
        yield from _aftermath(dice, chat, stamp)


def _seen(chat: Chat, *, bound: bool) -> Chat:
    """Somebody with a LID is known by it alone until the gateway learns the phone; 2.2 never does."""
    if chat.lid is None or chat.version == "2.2":
        return replace(chat, lid=None)
    return replace(chat, version="2.3.6") if bound else replace(chat, phone=None)


def _said(dice: random.Random, chat: Chat, stamp: Stamp) -> Webhook:
    if dice.random() < 0.6:
        return text(chat, stamp, f"{dice.choice(_SAID)} #{stamp.at - TEN_O_CLOCK}")
    kinds = (image, video, voice, audio, document, sticker, location, contact_card, unknown_kind)
    return dice.choice(kinds)(chat, stamp)


def _aftermath(dice: random.Random, chat: Chat, stamp: Stamp) -> Iterator[Webhook]:
    """What follows a message: the acks of ours; now and then an answer, a reaction, an edit or a delete."""
    if stamp.from_me:
        for status in ("SERVER_ACK", "DELIVERY_ACK", "READ")[: dice.randrange(4)]:
            yield ack(chat, stamp, status)
    reply = Stamp(id=f"3A{dice.getrandbits(72):018X}", at=stamp.at + 1)
    chance = dice.random()
    if chance < 0.08:
        yield quoted_reply(chat, reply, "Sobre isso", stamp.id)
    elif chance < 0.16:
        yield reaction(chat, reply, stamp.id, dice.choice(("👍", "❤️", "😂")))
    if chance > 0.9:
        yield edit(chat, stamp.id, f"corrigido #{stamp.at - TEN_O_CLOCK}", stamp.at * 1000 + 1500)
    if chance > 0.95:
        yield revoke(chat, stamp)

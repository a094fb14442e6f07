"""The JSON shapes of Evolution API 2.3.7 and its neighbours: addresses, keys, rows, media, acknowledgements."""

import hashlib
import re
import time
from typing import Any, Final

from plixa.whatsapp.sandbox.store import Instance, Json, Media, Message

BRAZILIAN: Final = re.compile(r"55(\d{2})\d([789]\d{7})")
FIRST_AREA_WITHOUT_NINE: Final = 31
RANKS: Final = ("ERROR", "PENDING", "SERVER_ACK", "DELIVERY_ACK", "READ", "PLAYED")


def jid_of(number: str) -> str:
    """The address the gateway makes of a number: Brazil from area 31 on loses the 9, MX and AR their extra digit."""
    if "@" in number:
        return re.sub(r":\d+", "", number)
    digits = re.sub(r"\D", "", number)
    if digits.startswith(("52", "54")) and len(digits) == 13:
        digits = digits[:2] + digits[3:]
    match = BRAZILIAN.fullmatch(digits)
    if match and int(match[1]) >= FIRST_AREA_WITHOUT_NINE:
        digits = f"55{match[1]}{match[2]}"
    return f"{digits}@s.whatsapp.net"


def indexed(content: bytes) -> dict[str, int]:
    """Bytes as 2.3.6+ writes them inside ``data.message``."""
    return {str(place): byte for place, byte in enumerate(content)}


def long(value: int) -> Json:
    """A 64-bit integer as 2.3.6+ writes it inside ``data.message``."""
    return {"low": value & 0xFFFFFFFF, "high": value >> 32, "unsigned": True}


def customer_key(phone: str | None, lid: str | None, shape: str) -> Json:
    """How the gateway names a customer, by version: see the four shapes below."""
    phone_jid = jid_of(phone) if phone else None
    lid_jid = (lid if "@" in lid else f"{lid}@lid") if lid else None
    if phone_jid is None or lid_jid is None:
        mode = {"addressingMode": "lid"} if phone_jid is None else {}
        return {"remoteJid": phone_jid or lid_jid, **mode}
    shapes: dict[str, Json] = {
        "2.3.4": {"remoteJid": phone_jid, "senderPn": phone_jid, "previousRemoteJid": lid_jid},
        "2.3.6": {"remoteJid": lid_jid, "remoteJidAlt": phone_jid, "addressingMode": "lid"},
        "2.3.7": {"remoteJid": phone_jid, "remoteJidAlt": phone_jid, "addressingMode": "lid"},
        "2.4.0": {"remoteJid": phone_jid, "remoteJidAlt": lid_jid, "addressingMode": "pn"},
    }
    return shapes[shape]


def row(instance: Instance, key: Json, message: Json, **more: Any) -> Json:
    """A whole message: the data of MESSAGES_UPSERT and SEND_MESSAGE and the answer of a send."""
    return {
        "key": key,
        "pushName": "Você",
        "status": "PENDING" if key["fromMe"] else "DELIVERY_ACK",
        "message": message,
        "contextInfo": None,
        "messageType": kind_of(message),
        "messageTimestamp": int(time.time()),
        "instanceId": instance.id,
        "source": "web" if key["fromMe"] else "ios",
        **more,
    }


def kind_of(message: Json) -> str:
    """The first key that is content, as Baileys' getContentType."""
    kinds = (key for key in message if key == "conversation" or "Message" in key)
    return next((kind for kind in kinds if kind != "senderKeyDistributionMessage"), "unknown")


def media_message(kind: str, media: Media, **more: Any) -> Json:
    """The part of imageMessage, audioMessage, … that every kind has."""
    digest = hashlib.sha256(media.content).digest()
    path = f"/v/t62.7118-24/{digest.hex()[:16]}.enc"
    content = {
        "url": f"https://mmg.whatsapp.net{path}",
        "mimetype": media.mime,
        "fileSha256": indexed(digest),
        "fileLength": long(len(media.content)),
        "mediaKey": indexed(hashlib.sha256(digest).digest()),
        "fileEncSha256": indexed(hashlib.sha256(digest[::-1]).digest()),
        "directPath": path,
        "mediaKeyTimestamp": long(int(time.time())),
        **more,
    }
    return {kind: {key: value for key, value in content.items() if value is not None}}


def context_of(quoted: Message | None, owner: str | None) -> Json | None:
    """The ``contextInfo`` of a reply to a message the gateway holds."""
    if quoted is None:
        return None
    key = quoted.row["key"]
    participant = owner if key["fromMe"] else key.get("participant", key["remoteJid"])
    return {"stanzaId": key["id"], "participant": participant, "quotedMessage": quoted.row["message"]}


def acknowledgement(message: Message, status: str) -> Json:
    """The data of MESSAGES_UPDATE."""
    return {
        "keyId": message.id,
        "remoteJid": message.jid,
        "fromMe": message.row["key"]["fromMe"],
        "status": status,
        "instanceId": message.row["instanceId"],
        "messageId": f"cm{message.seq:023d}",
    }


def found(message: Message) -> Json:
    """A record of findMessages."""
    wanted = ("key", "pushName", "messageType", "message", "messageTimestamp", "instanceId", "source", "contextInfo")
    updates = [{"status": status} for status in message.statuses]
    return {"id": f"cm{message.seq:023d}", **{name: message.row[name] for name in wanted}, "MessageUpdate": updates}

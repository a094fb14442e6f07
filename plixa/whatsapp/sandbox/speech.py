"""What a simulated customer can do, turned into the events the gateway would report."""

import base64
import binascii
import time
from typing import Any, Final, Literal

from msgspec import Struct

from plixa.whatsapp.sandbox import samples
from plixa.whatsapp.sandbox.gate import bad_request
from plixa.whatsapp.sandbox.store import Instance, Json, Media, Message
from plixa.whatsapp.sandbox.wire import context_of, customer_key, indexed, kind_of, long, media_message, row
from plixa.whatsapp.sandbox.world import World

Shape = Literal["2.3.4", "2.3.6", "2.3.7", "2.4.0"]

PLACE: Final = {"latitude": -23.5614, "longitude": -46.6559, "name": "MASP", "address": "Av. Paulista, 1578"}
PERSON: Final = {"name": "Bia Rocha", "phone": "5511977776666"}


class Said(Struct, kw_only=True, forbid_unknown_fields=True):
    """One deed of a customer.

    ``phone`` and/or ``lid`` say who; with both, ``shape`` picks the gateway version that names them (2.3.6: the LID,
    with the phone beside it). Media are true (a small built-in file) or bare base64; ``text`` is their caption.
    ``quote``, ``edit``, ``delete`` and ``react`` with ``quote`` point at a gateway id or "last". ``message`` is a raw
    Baileys message of any kind. ``exact`` keeps the digits of ``phone`` as they are. ``timestamp`` in seconds.
    """

    phone: str | None = None
    lid: str | None = None
    name: str | None = None
    instance: str | None = None
    text: str | None = None
    image: bool | str = False
    audio: bool | str = False
    video: bool | str = False
    document: bool | str = False
    sticker: bool | str = False
    location: bool | Json = False
    contact: bool | Json = False
    message: Json | None = None
    mime: str | None = None
    filename: str | None = None
    quote: str | None = None
    react: str | None = None
    edit: str | None = None
    delete: str | None = None
    own_phone: bool = False
    shape: Shape = "2.3.6"
    exact: bool = False
    id: str | None = None
    timestamp: int | None = None


def hear(world: World, instance: Instance, said: Said) -> Json:
    """Carry it out; the answer's ``id`` is the new message's, or that of the one edited or deleted."""
    if not said.phone and not said.lid:
        raise bad_request("Say who speaks: phone or lid")
    key = _key(world, said)
    if said.edit is not None:
        return _edit(world, instance, said, key)
    if said.delete is not None:
        return _revoke(world, instance, said, key)
    message, media = _content(world, instance, said, key)
    quoted = None if said.quote is None or said.react is not None else _target(world, instance, said.quote, key)
    heard = world.receive(instance, _row(instance, said, key, _with_context(message, quoted, instance)), media)
    return {"id": heard.id, "jid": heard.jid}


def _key(world: World, said: Said) -> Json:
    phone = f"{said.phone}@s.whatsapp.net".lstrip("+") if said.exact and said.phone else said.phone
    who = customer_key(phone, said.lid, said.shape)
    return who | {"fromMe": said.own_phone, "id": said.id or world.identifier("3EB0" if said.own_phone else "3A")}


def _row(instance: Instance, said: Said, key: Json, content: tuple[Json, Json | None]) -> Json:
    message, context = content
    name = "Você" if said.own_phone else said.name or (said.phone or said.lid or "").lstrip("+")
    status = "SERVER_ACK" if said.own_phone else "DELIVERY_ACK"
    source = "android" if said.own_phone else "ios"
    times = {"messageTimestamp": said.timestamp} if said.timestamp else {}
    return row(instance, key, message, pushName=name, status=status, source=source, contextInfo=context, **times)


def _with_context(message: Json, quoted: Message | None, instance: Instance) -> tuple[Json, Json | None]:
    """The reply's context beside the message and, but for flattened text, inside it; the usual sibling key."""
    context = context_of(quoted, instance.owner)
    part = message.get(kind_of(message))
    if context and isinstance(part, dict):
        part["contextInfo"] = context
    secret = samples.picture(1, 1)[:32]
    return message | {"messageContextInfo": {"messageSecret": indexed(secret)}}, context


def _content(world: World, instance: Instance, said: Said, key: Json) -> tuple[Json, Media | None]:
    if said.message is not None:
        return dict(said.message), None
    if said.react is not None:
        return {"reactionMessage": _reaction(world, instance, said, key)}, None
    if said.location:
        return {"locationMessage": _place(PLACE if said.location is True else said.location)}, None
    if said.contact:
        return {"contactMessage": _person(PERSON if said.contact is True else said.contact)}, None
    if media := _media(said):
        return media
    if not said.text:
        raise bad_request("Say something: text, image, audio, document, sticker, location, contact …")
    return {"conversation": said.text}, None


def _media(said: Said) -> tuple[Json, Media] | None:
    if said.audio:
        media = _given(said.audio, samples.voice, said)
        return media_message("audioMessage", media, seconds=2, ptt=True, waveform=indexed(bytes(range(64)))), media
    if said.image:
        media = _given(said.image, samples.picture, said)
        thumbnail = indexed(samples.picture(4, 3))
        size: Json = {"height": 48, "width": 64, "jpegThumbnail": thumbnail}
        return media_message("imageMessage", media, caption=said.text, **size), media
    if said.sticker:
        media = _given(said.sticker, lambda: samples.STICKER, said)
        return media_message("stickerMessage", media, isAnimated=False, height=64, width=64), media
    if said.video:
        media = _given(said.video, lambda: _no_sample("video"), said)
        return media_message("videoMessage", media, caption=said.text, seconds=2), media
    if said.document:
        media = _given(said.document, samples.document, said)
        media.filename = said.filename or "pedido.pdf"
        names = {"fileName": media.filename, "title": media.filename}
        return media_message("documentMessage", media, caption=said.text, **names), media
    return None


def _given(value: bool | str, sample: Any, said: Said) -> Media:
    """The bytes of a file: base64 given, or the built-in one."""
    if value is True:
        content = sample()
    else:
        try:
            content = base64.b64decode(str(value), validate=True)
        except binascii.Error as error:
            raise bad_request("Media must be bare base64") from error
    return Media(content, said.mime or samples.mime_of(content), said.filename)


def _no_sample(kind: str) -> bytes:
    raise bad_request(f"There is no built-in {kind}: give the file")


def _place(place: Json) -> Json:
    names = {"degreesLatitude": "latitude", "degreesLongitude": "longitude", "name": "name", "address": "address"}
    return {name: place[key] for name, key in names.items() if key in place}


def _person(person: Json) -> Json:
    digits = person["phone"].lstrip("+")
    lines = ("BEGIN:VCARD", "VERSION:3.0", f"N:;{person['name']};;;", f"FN:{person['name']}")
    phone = f"TEL;type=CELL;waid={digits}:+{digits}"
    return {"displayName": person["name"], "vcard": "\n".join((*lines, phone, "END:VCARD"))}


def _reaction(world: World, instance: Instance, said: Said, key: Json) -> Json:
    target = _target(world, instance, said.quote or "last", key)
    wanted = {name: target.row["key"][name] for name in ("remoteJid", "fromMe", "id")}
    return {"key": wanted, "text": said.react, "senderTimestampMs": long(int(time.time() * 1000))}


def _edit(world: World, instance: Instance, said: Said, key: Json) -> Json:
    """MESSAGES_EDITED carries the protocol message; the stored row takes the new text."""
    target = _target(world, instance, said.edit or "last", key, own=True)
    edited = {"conversation": said.text or ""}
    _protocol(world, instance, target, "MESSAGE_EDIT", {"editedMessage": edited})
    target.row |= {"message": edited, "messageType": "conversation"}
    target.statuses.append("EDITED")
    world.store.keep_message(target)
    return {"id": target.id, "jid": target.jid}


def _revoke(world: World, instance: Instance, said: Said, key: Json) -> Json:
    """Both events of a revoke: the protocol message, and the bare key."""
    target = _target(world, instance, said.delete or "last", key, own=True)
    _protocol(world, instance, target, "REVOKE", {})
    world.emit(instance, "messages.delete", target.row["key"] | {"status": "DELETED"})
    target.statuses.append("DELETED")
    world.store.keep_message(target)
    return {"id": target.id, "jid": target.jid}


def _protocol(world: World, instance: Instance, target: Message, kind: str, more: Json) -> None:
    key = {name: target.row["key"][name] for name in ("remoteJid", "fromMe", "id")}
    stamp = long(int(time.time() * 1000))
    world.emit(instance, "messages.edited", {"key": key, "type": kind, **more, "timestampMs": stamp})


def _target(world: World, instance: Instance, wanted: str, key: Json, *, own: bool = False) -> Message:
    """The message meant: by its id, or the last of this chat (``own``: of this speaker)."""
    if wanted != "last":
        if message := world.store.message(instance.name, wanted):
            return message
        raise bad_request(f"There is no message {wanted}")
    jids = {key[name] for name in ("remoteJid", "remoteJidAlt", "previousRemoteJid") if name in key}
    chat = world.store.chat(instance.name, *jids)
    fitting = [message for message in chat if not own or message.row["key"]["fromMe"] == key["fromMe"]]
    if not fitting:
        raise bad_request("There is no message in this chat yet")
    return fitting[-1]

"""The sandbox's message and chat routes."""

import base64
import binascii
import mimetypes
import time
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final

from litestar import Request, delete, post

from plixa.whatsapp.sandbox.gate import Refusal, bad_request, body_of, instance_of, required, world_of
from plixa.whatsapp.sandbox.samples import mime_of
from plixa.whatsapp.sandbox.store import Instance, Json, Media, Message
from plixa.whatsapp.sandbox.wire import found, jid_of, media_message, row
from plixa.whatsapp.sandbox.world import World

Call = Request[Any, Any, Any]

MEDIA_KINDS: Final = {"image": "imageMessage", "video": "videoMessage", "document": "documentMessage"}
MEDIA_KINDS["audio"] = "audioMessage"


@post("/message/sendText/{instance:str}", status_code=HTTPStatus.CREATED)
async def send_text(request: Call) -> Json:
    body = await body_of(request)
    required(body, "number", "text")
    if not str(body["text"]).strip():
        raise bad_request("Text is required")
    return _send(request, body, {"conversation": body["text"]})


@post("/message/sendMedia/{instance:str}", status_code=HTTPStatus.CREATED)
async def send_media(request: Call) -> Json:
    body = await body_of(request)
    required(body, "number", "mediatype")
    kind, filename = body["mediatype"], body.get("fileName")
    if kind not in MEDIA_KINDS:
        raise bad_request(["instance.mediatype is not one of enum values: image,document,video,audio"])
    content = _decoded(body.get("media"), "Owned media must be a url or base64")
    if kind == "document" and not filename:
        raise bad_request("For base64 the file name must be informed.")
    mime = mimetypes.guess_type(filename or "")[0] or body.get("mimetype") or mime_of(content)
    media = Media(content, mime, filename)
    names = {"fileName": filename} if kind == "document" else {}
    return _send(request, body, media_message(MEDIA_KINDS[kind], media, caption=body.get("caption"), **names), media)


@post("/message/sendWhatsAppAudio/{instance:str}", status_code=HTTPStatus.CREATED)
async def send_voice(request: Call) -> Json:
    body = await body_of(request)
    required(body, "number")
    refusal = "Owned media must be a url, base64, or valid file with buffer"
    media = Media(_decoded(body.get("audio"), refusal), "audio/ogg; codecs=opus")
    return _send(request, body, media_message("audioMessage", media, ptt=True, seconds=2), media)


@post("/message/sendReaction/{instance:str}", status_code=HTTPStatus.CREATED)
async def send_reaction(request: Call) -> Json:
    body = await body_of(request)
    required(body, "key", "reaction")
    reaction = {"key": body["key"], "text": body["reaction"]}
    return _send(request, {"number": body["key"]["remoteJid"]}, {"reactionMessage": reaction})


def _decoded(media: Any, refusal: str) -> bytes:
    """Bare base64 only: the sandbox fetches nothing from the network."""
    try:
        return base64.b64decode(media or "", validate=True) or _refuse(refusal)
    except (binascii.Error, ValueError, TypeError) as error:
        raise bad_request(refusal) from error


def _refuse(message: str) -> bytes:
    raise bad_request(message)


def _send(request: Call, body: Json, message: Json, media: Media | None = None) -> Json:
    world, instance = world_of(request), instance_of(request)
    jid = jid_of(str(body["number"]))
    _check_connected(world, instance, jid)
    if jid in world.absent:
        raise bad_request({"jid": jid, "exists": False, "number": body["number"]})
    own_id = body.get("messageId") if world.version == "2.4.0" else None
    key = {"remoteJid": jid, "fromMe": True, "id": own_id or world.identifier("3EB0")}
    quoted = _quoted(world, instance, body.get("quoted"))
    return world.deliver(instance, row(instance, key, message, contextInfo=quoted), media).row


def _check_connected(world: World, instance: Instance, jid: str) -> None:
    """A known address fails in the send (400); an unknown one in the look-up before it (500)."""
    if instance.state != "open":
        if world.store.has_chat(instance.name, jid):
            raise bad_request("Error: Connection Closed")
        raise Refusal(HTTPStatus.INTERNAL_SERVER_ERROR, "Connection Closed")


def _quoted(world: World, instance: Instance, quoted: Json | None) -> Json | None:
    """Without ``message`` the id is looked up; an unknown one is sent unquoted."""
    if not quoted:
        return None
    key = quoted["key"]
    known = world.store.message(instance.name, key["id"])
    message = quoted.get("message") or (known.row["message"] if known else None)
    if message is None:
        return None
    participant = instance.owner if key.get("fromMe") else key.get("remoteJid")
    return {"stanzaId": key["id"], "participant": participant, "quotedMessage": message}


@post("/chat/markMessageAsRead/{instance:str}", status_code=HTTPStatus.CREATED)
async def mark_read(request: Call) -> Json:
    """Keys of a LID are dropped in silence, as up to 2.3.7."""
    world, instance, body = world_of(request), instance_of(request), await body_of(request)
    required(body, "readMessages")
    for key in body["readMessages"]:
        message = world.store.message(instance.name, key["id"])
        if message and key["remoteJid"].endswith(("@s.whatsapp.net", "@g.us")):
            message.read = True
            world.store.keep_message(message)
    return {"message": "Read messages", "read": "success"}


@post("/chat/sendPresence/{instance:str}", status_code=HTTPStatus.CREATED)
async def send_presence(request: Call) -> Json:
    instance_of(request)
    body = await body_of(request)
    required(body, "number", "presence", "delay")
    return {"presence": body["presence"]}


@post("/chat/whatsappNumbers/{instance:str}", status_code=HTTPStatus.OK)
async def whatsapp_numbers(request: Call) -> list[Json]:
    world, body = world_of(request), await body_of(request)
    required(body, "numbers")
    jids = [(str(number), jid_of(str(number))) for number in body["numbers"]]
    return [{"jid": jid, "exists": jid not in world.absent, "number": number} for number, jid in jids]


@post("/chat/findMessages/{instance:str}", status_code=HTTPStatus.OK)
async def find_messages(request: Call) -> Json:
    world, instance, body = world_of(request), instance_of(request), await body_of(request)
    size, page = body.get("offset") or 50, body.get("page") or 1
    where = body.get("where") or {}
    messages = [message for message in world.store.chat(instance.name) if _matches(message, where)]
    messages.sort(key=lambda message: (message.row["messageTimestamp"], message.seq), reverse=True)
    records = [found(message) for message in messages[(page - 1) * size : page * size]]
    pages = -(-len(messages) // size)
    return {"messages": {"total": len(messages), "pages": pages, "currentPage": page, "records": records}}


def _matches(message: Message, where: Json) -> bool:
    """The filters of the real one: key parts, and a time span that counts only when both ends are given."""
    key = {name: value for name, value in (where.get("key") or {}).items() if value}
    if any(message.row["key"].get(name) != value for name, value in key.items()):
        return False
    span = where.get("messageTimestamp") or {}
    if not (span.get("gte") and span.get("lte")):
        return True
    first, last = (int(datetime.fromisoformat(span[end]).timestamp()) for end in ("gte", "lte"))
    return first <= int(message.row["messageTimestamp"]) <= last


@post("/chat/getBase64FromMediaMessage/{instance:str}", status_code=HTTPStatus.CREATED)
async def get_media(request: Call) -> Json:
    world, instance, body = world_of(request), instance_of(request), await body_of(request)
    message_id = str(((body.get("message") or {}).get("key") or {}).get("id"))
    message = world.store.message(instance.name, message_id)
    if message is None:
        raise bad_request("Message not found")
    content = world.store.media(instance.name, message_id)
    if content is None:
        raise bad_request("The message is not of the media type")
    part = message.row["message"][message.row["messageType"]]
    extension = (mimetypes.guess_extension((message.mime or "").split(";")[0]) or ".bin")[1:]
    size = {"fileLength": part["fileLength"], "height": part.get("height"), "width": part.get("width")}
    return {
        "mediaType": message.row["messageType"],
        "fileName": message.filename or f"{message.id}.{extension}",
        "caption": part.get("caption"),
        "size": size,
        "mimetype": message.mime,
        "base64": base64.b64encode(content).decode(),
        "buffer": None,
    }


@delete("/chat/deleteMessageForEveryone/{instance:str}", status_code=HTTPStatus.CREATED)
async def delete_message(request: Call) -> Json:
    world, instance, body = world_of(request), instance_of(request), await body_of(request)
    required(body, "id", "remoteJid", "fromMe")
    if message := world.store.message(instance.name, body["id"]):
        message.statuses.append("DELETED")
        world.store.keep_message(message)
        gone = found(message) | {"status": "DELETED"}
        world.emit(instance, "messages.delete", {k: v for k, v in gone.items() if k != "MessageUpdate"})
    revoked = {"key": {name: body[name] for name in ("id", "remoteJid", "fromMe")}, "type": "REVOKE"}
    key = {"remoteJid": body["remoteJid"], "fromMe": True, "id": world.identifier("3EB0")}
    message_of = {"protocolMessage": revoked}
    return {"key": key, "message": message_of, "messageTimestamp": str(int(time.time())), "status": "PENDING"}


ROUTES: Final = (
    send_text,
    send_media,
    send_voice,
    send_reaction,
    mark_read,
    send_presence,
    whatsapp_numbers,
    find_messages,
    get_media,
    delete_message,
)

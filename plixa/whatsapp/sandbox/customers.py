"""The sandbox's own controls under /sandbox: customers speak, faults strike, tests look."""

import asyncio
import base64
import hashlib
from http import HTTPStatus
from typing import Any, Final

import msgspec
from litestar import Request, get, post

from plixa.whatsapp.sandbox.gate import Fault, Refusal, bad_request, body_of, world_of
from plixa.whatsapp.sandbox.speech import Said, hear
from plixa.whatsapp.sandbox.store import Instance, Json, Message
from plixa.whatsapp.sandbox.wire import RANKS, acknowledgement, jid_of
from plixa.whatsapp.sandbox.world import World

Call = Request[Any, Any, Any]

LONGEST_WAIT: Final = 60.0


@post("/sandbox/say", status_code=HTTPStatus.CREATED)
async def say(request: Call) -> Json:
    """A customer (or the owner's phone) does something; the answer names the message."""
    world = world_of(request)
    said = _struct(await body_of(request), Said)
    instance = _speaking(world, said.instance)
    return {"instance": instance.name, **hear(world, instance, said)}


@get("/sandbox/messages")
async def messages(request: Call) -> list[Json]:
    """Messages in order of arrival: ``after`` a seq, of one ``instance``; ``wait`` seconds for the first one."""
    world, query = world_of(request), request.query_params
    after, wait = int(query.get("after", "0")), min(float(query.get("wait", "0")), LONGEST_WAIT)

    def listed() -> list[Message]:
        name = query.get("instance")
        return [message for message in world.store.since(after) if name in (None, message.instance)]

    async with world.arrived:
        try:
            async with asyncio.timeout(wait):
                await world.arrived.wait_for(lambda: bool(listed()))
        except TimeoutError:
            return []
    return [_view(world, message) for message in listed()]


def _view(world: World, message: Message) -> Json:
    row = message.row
    content = row["message"].get(row["messageType"])
    context = row.get("contextInfo") or {}
    bytes_ = world.store.media(message.instance, message.id) if message.size else None
    return {
        "seq": message.seq,
        "instance": message.instance,
        "source": message.source,
        "id": message.id,
        "jid": message.jid,
        "kind": row["messageType"],
        "text": content if isinstance(content, str) else (content or {}).get("caption"),
        "quoted": context.get("stanzaId"),
        "statuses": message.statuses,
        "read": message.read,
        "mime": message.mime,
        "filename": message.filename,
        "size": message.size,
        "sha256": hashlib.sha256(bytes_).hexdigest() if bytes_ else None,
        "row": row,
    }


@get("/sandbox/media/{instance:str}/{message_id:str}")
async def media(request: Call) -> Json:
    names = request.path_params
    content = world_of(request).store.media(names["instance"], names["message_id"])
    if content is None:
        raise Refusal(HTTPStatus.NOT_FOUND, ["No media"])
    return {"base64": base64.b64encode(content).decode()}


@post("/sandbox/fault", status_code=HTTPStatus.CREATED)
async def fault(request: Call) -> Json:
    """Something goes wrong with the next requests; an empty ``count`` of 0 forgets every fault."""
    wanted = _struct(await body_of(request), Fault)
    faults: list[Fault] = request.app.state.faults
    if wanted.count <= 0:
        faults.clear()
    else:
        faults.append(wanted)
    return {"faults": len(faults)}


@post("/sandbox/absent", status_code=HTTPStatus.CREATED)
async def absent(request: Call) -> Json:
    """A number or JID that is not on WhatsApp; ``absent`` false brings it back."""
    world, body = world_of(request), await body_of(request)
    jid = jid_of(str(body["number"]))
    if body.get("absent", True):
        world.absent.add(jid)
    else:
        world.absent.discard(jid)
    return {"jid": jid, "absent": jid in world.absent}


@post("/sandbox/pair", status_code=HTTPStatus.CREATED)
async def pair(request: Call) -> Json:
    """Scan the QR now."""
    world, body = world_of(request), await body_of(request)
    instance = _named(world, body.get("instance"))
    world.open(instance)
    return {"instance": instance.name, "owner": instance.owner}


@post("/sandbox/unlink", status_code=HTTPStatus.CREATED)
async def unlink(request: Call) -> Json:
    """The number goes away: ``code`` 401 unlinked on the phone, 403 banned."""
    world, body = world_of(request), await body_of(request)
    instance = _named(world, body.get("instance"))
    world.close(instance, int(body.get("code", HTTPStatus.UNAUTHORIZED)))
    return {"instance": instance.name, "state": instance.state}


@post("/sandbox/acknowledge", status_code=HTTPStatus.CREATED)
async def acknowledge(request: Call) -> Json:
    """Report a status of a message at once, whatever came before: for ERROR, PLAYED and orders that never happen."""
    world, body = world_of(request), await body_of(request)
    instance = _named(world, body.get("instance"))
    message = world.store.message(instance.name, str(body.get("id")))
    if message is None or body.get("status") not in RANKS:
        raise bad_request("Name a message and one of: " + ", ".join(RANKS))
    message.statuses.append(body["status"])
    world.store.keep_message(message)
    world.emit(instance, "messages.update", acknowledgement(message, body["status"]))
    return {"id": message.id, "statuses": message.statuses}


def _struct(body: Json, shape: type[Any]) -> Any:
    try:
        return msgspec.convert(body, shape)
    except msgspec.ValidationError as error:
        raise bad_request(str(error)) from error


def _named(world: World, name: str | None) -> Instance:
    instances = [instance for instance in world.store.instances() if name in (None, instance.name)]
    if not instances:
        raise Refusal(HTTPStatus.NOT_FOUND, ["There is no such instance: connect a number first"])
    return instances[0]


def _speaking(world: World, name: str | None) -> Instance:
    """The named instance, else the first one that is connected."""
    connected = [instance.name for instance in world.store.instances() if instance.state == "open"]
    instance = _named(world, name or next(iter(connected), None))
    if instance.state != "open":
        raise bad_request(f'The "{instance.name}" instance is not connected')
    return instance


ROUTES: Final = (say, messages, media, fault, absent, pair, unlink, acknowledge)

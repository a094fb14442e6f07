"""The sandbox's instance, webhook and settings routes."""

import uuid
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final

from litestar import Request, delete, get, post

from plixa.whatsapp.sandbox.gate import Refusal, bad_request, body_of, check_key, instance_of, required, world_of
from plixa.whatsapp.sandbox.store import Instance, Json
from plixa.whatsapp.sandbox.world import World

SETTINGS: Final = ("rejectCall", "groupsIgnore", "alwaysOnline", "readMessages", "readStatus", "syncFullHistory")
EVERY_EVENT: Final = (
    "APPLICATION_STARTUP",
    "QRCODE_UPDATED",
    "MESSAGES_SET",
    "MESSAGES_UPSERT",
    "MESSAGES_EDITED",
    "MESSAGES_UPDATE",
    "MESSAGES_DELETE",
    "SEND_MESSAGE",
    "SEND_MESSAGE_UPDATE",
    "CONTACTS_SET",
    "CONTACTS_UPSERT",
    "CONTACTS_UPDATE",
    "PRESENCE_UPDATE",
    "CHATS_SET",
    "CHATS_UPSERT",
    "CHATS_UPDATE",
    "CHATS_DELETE",
    "GROUPS_UPSERT",
    "GROUP_UPDATE",
    "GROUP_PARTICIPANTS_UPDATE",
    "CONNECTION_UPDATE",
    "LABELS_EDIT",
    "LABELS_ASSOCIATION",
    "CALL",
    "TYPEBOT_START",
    "TYPEBOT_CHANGE_STATUS",
    "REMOVE_INSTANCE",
    "LOGOUT_INSTANCE",
    "INSTANCE_CREATE",
    "INSTANCE_DELETE",
    "STATUS_INSTANCE",
)

Call = Request[Any, Any, Any]


@post("/instance/create", status_code=HTTPStatus.CREATED)
async def create_instance(request: Call) -> Json:
    """The name is looked at before the key, as the real gateway does."""
    world, body = world_of(request), await body_of(request)
    if world.store.instance(str(body.get("instanceName"))):
        raise Refusal(HTTPStatus.FORBIDDEN, [f'This name "{body["instanceName"]}" is already in use.'])
    check_key(request)
    required(body, "instanceName")
    if body.get("integration") != "WHATSAPP-BAILEYS":
        raise bad_request("Invalid integration")
    instance = _new_instance(body)
    if webhook := body.get("webhook"):
        instance.webhook = _webhook(instance, {"enabled": True, **webhook}, HTTPStatus.BAD_REQUEST)
    world.store.keep_instance(instance)
    world.emit(instance, "instance.create", {"instanceName": instance.name, "instanceId": instance.id})
    if body.get("qrcode"):
        world.begin_pairing(instance)
    return _created(world, instance, body)


def _new_instance(body: Json) -> Instance:
    return Instance(
        name=str(body["instanceName"]),
        id=str(uuid.uuid4()),
        token=body.get("token") or str(uuid.uuid4()).upper(),
        number=body.get("number"),
        settings={"msgCall": "", **{name: body.get(name) is True for name in SETTINGS}},
        created_at=datetime.now(UTC).isoformat(),
    )


def _created(world: World, instance: Instance, body: Json) -> Json:
    webhook = instance.webhook or {}
    about = {
        "instanceName": instance.name,
        "instanceId": instance.id,
        "integration": "WHATSAPP-BAILEYS",
        "webhookWaBusiness": None,
        "accessTokenWaBusiness": "",
        "status": instance.state,
    }
    names = {"webhookUrl": "url", "webhookHeaders": "headers"}
    kept = {"webhookByEvents": webhook.get("webhookByEvents"), "webhookBase64": webhook.get("webhookBase64")}
    answer = {
        "instance": about,
        "hash": instance.token,
        "webhook": {name: webhook.get(key) for name, key in names.items()} | kept,
        "settings": instance.settings,
    }
    return answer | ({"qrcode": world.qr(instance)} if body.get("qrcode") else {})


@get("/instance/fetchInstances")
async def fetch_instances(request: Call) -> list[Json]:
    world, key = world_of(request), request.headers.get("apikey")
    instances = world.store.instances()
    if key != request.app.state.api_key:
        check_key(request, *(instance.token for instance in instances))
        instances = [instance for instance in instances if instance.token == key]
    wanted = {"name": "instanceName", "id": "instanceId", "number": "number"}
    for attribute, parameter in wanted.items():
        if value := request.query_params.get(parameter):
            instances = [instance for instance in instances if getattr(instance, attribute) == value]
            if not instances:
                raise Refusal(HTTPStatus.NOT_FOUND, [f'Instance "{value}" not found'])
    return [_listed(world, instance) for instance in instances]


def _listed(world: World, instance: Instance) -> Json:
    messages = world.store.chat(instance.name)
    chats = len({message.jid for message in messages})
    return {
        "id": instance.id,
        "name": instance.name,
        "connectionStatus": instance.state,
        "ownerJid": instance.owner,
        "profileName": instance.profile if instance.owner else None,
        "profilePicUrl": None,
        "integration": "WHATSAPP-BAILEYS",
        "number": instance.number,
        "token": instance.token,
        "disconnectionReasonCode": instance.disconnection,
        "disconnectionAt": None,
        "createdAt": instance.created_at,
        "Setting": instance.settings,
        "_count": {"Message": len(messages), "Contact": chats, "Chat": chats},
    }


@get("/instance/connect/{instance:str}")
async def connect(request: Call) -> Json:
    world, instance = world_of(request), instance_of(request)
    if instance.state == "close":
        instance.number = request.query_params.get("number") or instance.number
        world.begin_pairing(instance)
    return _state(instance) if instance.state == "open" else world.qr(instance)


@get("/instance/connectionState/{instance:str}")
async def connection_state(request: Call) -> Json:
    return _state(instance_of(request))


def _state(instance: Instance) -> Json:
    return {"instance": {"instanceName": instance.name, "state": instance.state}}


@post("/instance/restart/{instance:str}", status_code=HTTPStatus.OK)
async def restart(request: Call) -> Json:
    world, instance = world_of(request), instance_of(request)
    if instance.state == "close":
        return {"error": True, "message": "[object Object]"}
    if instance.state == "open":
        world.reconnect(instance)
        return _state(instance)
    world.begin_pairing(instance)
    return world.qr(instance)


@delete("/instance/logout/{instance:str}", status_code=HTTPStatus.OK)
async def logout(request: Call) -> Json:
    world, instance = world_of(request), instance_of(request)
    if instance.state != "close":
        world.close(instance)
    elif world.version == "2.3.7":
        raise bad_request(f'The "{instance.name}" instance is not connected')
    return {"status": "SUCCESS", "error": False, "response": {"message": "Instance logged out"}}


@delete("/instance/delete/{instance:str}", status_code=HTTPStatus.OK)
async def delete_instance(request: Call) -> Json:
    world, instance = world_of(request), instance_of(request)
    if instance.state != "close":
        world.close(instance)
    world.forget(instance)
    return {"status": "SUCCESS", "error": False, "response": {"message": "Instance deleted"}}


@post("/webhook/set/{instance:str}", status_code=HTTPStatus.CREATED)
async def set_webhook(request: Call) -> Json:
    world, instance, body = world_of(request), instance_of(request), await body_of(request)
    required(body, "webhook")
    required(body["webhook"], "enabled", "url")
    instance.webhook = _webhook(instance, body["webhook"], HTTPStatus.INTERNAL_SERVER_ERROR)
    world.store.keep_instance(instance)
    return instance.webhook


def _webhook(instance: Instance, wanted: Json, failure: int) -> Json:
    """The stored row. Enabled without ``events`` crashes the real gateway; an empty list means every event."""
    if wanted["enabled"] and "events" not in wanted:
        message = "Cannot read properties of undefined (reading 'length')"
        raise Refusal(failure, [message] if failure == HTTPStatus.BAD_REQUEST else message)
    return {
        "id": f"cw{instance.id.replace('-', '')[:22]}",
        "enabled": wanted["enabled"],
        "url": wanted["url"],
        "headers": wanted.get("headers"),
        "webhookByEvents": bool(wanted.get("byEvents")),
        "webhookBase64": bool(wanted.get("base64")),
        "events": (wanted["events"] or EVERY_EVENT) if wanted["enabled"] else [],
        "instanceId": instance.id,
    }


@get("/webhook/find/{instance:str}")
async def find_webhook(request: Call) -> Json | None:
    return instance_of(request).webhook


@post("/settings/set/{instance:str}", status_code=HTTPStatus.CREATED)
async def set_settings(request: Call) -> Json:
    world, instance, body = world_of(request), instance_of(request), await body_of(request)
    required(body, *SETTINGS)
    instance.settings = {"msgCall": body.get("msgCall", ""), **{name: body[name] for name in SETTINGS}}
    world.store.keep_instance(instance)
    return {"settings": {"instanceName": instance.name, "settings": instance.settings}}


@post("/instance/setPresence/{instance:str}", status_code=HTTPStatus.CREATED)
async def set_presence(request: Call) -> Json:
    instance_of(request)
    body = await body_of(request)
    required(body, "presence")
    return {"presence": body["presence"]}


OPEN_ROUTES: Final = (create_instance, fetch_instances)
"""They look at the key themselves."""

ROUTES: Final = (
    connect,
    connection_state,
    restart,
    logout,
    delete_instance,
    set_webhook,
    find_webhook,
    set_settings,
    set_presence,
)

"""Evolution API v2 over HTTP: targets 2.3.7, at home with 2.3.x and 2.4."""

import asyncio
import base64
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Final, Self, TypeVar
from urllib.parse import quote

import httpx
import msgspec
from msgspec import Struct

from plixa.whatsapp.client.answers import (
    CreatedAnswer,
    FoundAnswer,
    MediaAnswer,
    NumberAnswer,
    QrAnswer,
    SentAnswer,
    StateAnswer,
    failure,
    is_media_gone,
)
from plixa.whatsapp.client.gateway import (
    Created,
    FetchedMedia,
    FoundMessage,
    GatewayError,
    InstanceMissing,
    MessageKey,
    NotOnWhatsApp,
    NumberOnWhatsApp,
    OutcomeUnknown,
    Outgoing,
    Qr,
    Rejected,
    SendMedia,
    SendText,
    SendVoice,
    Sent,
    State,
    Transient,
    Unreachable,
)

TOKEN_HEADER: Final = "X-Plixa-Token"
EVENTS: Final = (
    "MESSAGES_UPSERT",
    "MESSAGES_UPDATE",
    "MESSAGES_EDITED",
    "MESSAGES_DELETE",
    "SEND_MESSAGE",
    "CONTACTS_UPSERT",
    "CONNECTION_UPDATE",
    "QRCODE_UPDATED",
)
PAGE_SIZE: Final = 100
MOST_PAGES: Final = 10

Answer = TypeVar("Answer")


class Deadlines(Struct, frozen=True):
    """Seconds a whole call may take, connection included; connecting alone never takes more than ``connect``."""

    connect: float = 5.0
    call: float = 20.0
    create: float = 30.0
    send: float = 40.0
    media: float = 120.0


class _Call(Struct, frozen=True, kw_only=True):
    method: str
    path: str
    body: dict[str, Any] | None = None
    query: dict[str, str] | None = None
    seconds: float
    is_send: bool = False


def message_id() -> str:
    """A fresh id of our own, as WhatsApp's web client makes them: ``3EB0`` and 18 hexadecimal digits; gateways from 2.4 on keep it."""
    return f"3EB0{secrets.token_hex(9).upper()}"


class EvolutionGateway:
    """The gateway of one Evolution server; use one per event loop and close it."""

    def __init__(self, base_url: str, api_key: str, deadlines: Deadlines | None = None) -> None:
        self._deadlines = deadlines or Deadlines()
        self._http = httpx.AsyncClient(
            base_url=base_url.rstrip("/"),
            headers={"apikey": api_key},
            timeout=httpx.Timeout(None, connect=self._deadlines.connect, pool=self._deadlines.connect),
            # Node closes idle connections after 5 s: ours must be the shorter patience, or a send meets a closed one.
            limits=httpx.Limits(max_connections=50, max_keepalive_connections=20, keepalive_expiry=3),
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        await self._http.aclose()

    async def create_instance(self, name: str, webhook_url: str, webhook_token: str, number: str | None = None) -> Created:
        body = {
            "instanceName": name,
            "integration": "WHATSAPP-BAILEYS",
            "token": secrets.token_hex(20),
            "qrcode": True,
            "groupsIgnore": True,
            "rejectCall": False,
            "alwaysOnline": False,
            "readMessages": False,
            "readStatus": False,
            "syncFullHistory": False,
            "webhook": _webhook(webhook_url, webhook_token),
            **({"number": number} if number else {}),
        }
        seconds = self._deadlines.create
        call = _Call(method="POST", path="/instance/create", body=body, seconds=seconds)
        answer = await self._ask(call, CreatedAnswer)
        return Created(answer.hash, answer.qrcode.qr() if answer.qrcode else Qr("connecting"))

    async def connect(self, name: str, number: str | None = None) -> Qr:
        query = {"number": number} if number else None
        return (await self._ask(self._call("GET", "instance/connect", name, query=query), QrAnswer)).qr()

    async def connection_state(self, name: str) -> State:
        return (await self._ask(self._call("GET", "instance/connectionState", name), StateAnswer)).instance.state

    async def restart(self, name: str) -> Qr:
        return (await self._ask(self._call("POST", "instance/restart", name), QrAnswer)).qr()

    async def logout(self, name: str) -> None:
        try:
            await self._ask(self._call("DELETE", "instance/logout", name), Any)
        except Rejected as error:
            if "is not connected" not in error.message:
                raise

    async def delete(self, name: str) -> None:
        try:
            await self._ask(self._call("DELETE", "instance/delete", name), Any)
        except InstanceMissing:
            return

    async def set_webhook(self, name: str, url: str, token: str) -> None:
        await self._ask(self._call("POST", "webhook/set", name, {"webhook": _webhook(url, token)}), Any)

    async def send_text(self, name: str, message: SendText) -> Sent:
        return await self._send("sendText", name, message, {"text": message.text, "linkPreview": False})

    async def send_media(self, name: str, message: SendMedia) -> Sent:
        body = {"mediatype": message.kind, "media": _encoded(message.content), "mimetype": message.mime}
        optional = {"fileName": message.filename, "caption": message.caption}
        body |= {key: value for key, value in optional.items() if value}
        return await self._send("sendMedia", name, message, body)

    async def send_voice(self, name: str, message: SendVoice) -> Sent:
        return await self._send("sendWhatsAppAudio", name, message, {"audio": _encoded(message.content)})

    async def mark_read(self, name: str, keys: Sequence[MessageKey]) -> None:
        if keys:
            body = {"readMessages": [_key(key) for key in keys]}
            await self._ask(self._call("POST", "chat/markMessageAsRead", name, body), Any)

    async def fetch_media(self, name: str, key: MessageKey, message: dict[str, Any] | None = None) -> FetchedMedia | None:
        wanted = {"key": _key(key), **({"message": message} if message else {})}
        path = _path("chat/getBase64FromMediaMessage", name)
        body = {"message": wanted, "convertToMp4": False}
        call = _Call(method="POST", path=path, body=body, seconds=self._deadlines.media)
        try:
            answer = await self._ask(call, MediaAnswer)
        except Rejected as error:
            if is_media_gone(error):
                return None
            raise
        return answer.media()

    async def find_messages(self, name: str, jid: str, since: datetime) -> list[FoundMessage]:
        until = datetime.now(UTC) + timedelta(days=1)
        span = {"gte": since.astimezone(UTC).isoformat(), "lte": until.isoformat()}
        body = {"where": {"key": {"remoteJid": jid}, "messageTimestamp": span}, "offset": PAGE_SIZE}
        found: list[FoundMessage] = []
        for page in range(1, MOST_PAGES + 1):
            call = self._call("POST", "chat/findMessages", name, {**body, "page": page})
            answer = (await self._ask(call, FoundAnswer)).messages
            found += answer.found()
            if page >= answer.pages:
                break
        return found

    async def whatsapp_numbers(self, name: str, numbers: Sequence[str]) -> list[NumberOnWhatsApp]:
        call = self._call("POST", "chat/whatsappNumbers", name, {"numbers": list(numbers)})
        return [row.on_whatsapp() for row in await self._ask(call, list[NumberAnswer])]

    async def _send(self, operation: str, name: str, message: Outgoing, body: dict[str, Any]) -> Sent:
        try:
            return await self._send_to(message.to, operation, name, body | _about(message))
        except NotOnWhatsApp:
            if message.other_to is None:
                raise
            return await self._send_to(message.other_to, operation, name, body | _about(message))

    async def _send_to(self, to: str, operation: str, name: str, body: dict[str, Any]) -> Sent:
        seconds = self._deadlines.send if operation == "sendText" else self._deadlines.media
        path = _path(f"message/{operation}", name)
        call = _Call(method="POST", path=path, body={"number": to, **body}, seconds=seconds, is_send=True)
        return (await self._ask(call, SentAnswer)).sent()

    def _call(
        self,
        method: str,
        operation: str,
        name: str,
        body: dict[str, Any] | None = None,
        *,
        query: dict[str, str] | None = None,
    ) -> _Call:
        path = _path(operation, name)
        return _Call(method=method, path=path, body=body, query=query, seconds=self._deadlines.call)

    async def _ask(self, call: _Call, shape: type[Answer]) -> Answer:
        response = await self._exchange(call)
        if error := failure(response, is_send=call.is_send):
            raise error
        try:
            return msgspec.json.decode(b"{}" if response.content == b"null" else response.content, type=shape)
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            raise _lost(call, "The WhatsApp gateway answered something we do not understand.") from error

    async def _exchange(self, call: _Call) -> httpx.Response:
        content = None if call.body is None else msgspec.json.encode(call.body)
        headers = {"content-type": "application/json"} if content else None
        try:
            async with asyncio.timeout(call.seconds):
                return await self._http.request(call.method, call.path, content=content, params=call.query, headers=headers)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol) as error:
            raise Unreachable from error
        except TimeoutError as error:
            raise _lost(call, f"The WhatsApp gateway took longer than {call.seconds:g} s.") from error
        except httpx.TransportError as error:
            raise _lost(call, "The WhatsApp gateway dropped the connection.") from error


def _lost(call: _Call, message: str) -> GatewayError:
    """Calls other than sends may be repeated: each leaves the same state the second time."""
    return OutcomeUnknown(message) if call.is_send else Transient(message)


def _path(operation: str, name: str) -> str:
    return f"/{operation}/{quote(name, safe='')}"


def _webhook(url: str, token: str) -> dict[str, Any]:
    headers = {TOKEN_HEADER: token}
    return {
        "enabled": True,
        "url": url,
        "byEvents": False,
        "base64": False,
        "headers": headers,
        "events": list(EVENTS),
    }


def _encoded(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def _key(key: MessageKey) -> dict[str, Any]:
    return {"id": key.id, "remoteJid": key.remote_jid, "fromMe": key.from_me}


def _about(message: Outgoing) -> dict[str, Any]:
    if message.quoted is None:
        return {"messageId": message.message_id}
    quoted = {"key": _key(message.quoted.key), "message": {"conversation": message.quoted.text}}
    return {"messageId": message.message_id, "quoted": quoted}

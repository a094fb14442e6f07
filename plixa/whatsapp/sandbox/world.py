"""The simulated WhatsApp behind the sandbox gateway: numbers pair, messages travel, acknowledgements come back."""

import asyncio
import base64
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Literal

import segno
from msgspec import Struct

from plixa.whatsapp.sandbox.store import Instance, Json, Media, Message, Store
from plixa.whatsapp.sandbox.webhooks import Deliverer, Retry, Tasks
from plixa.whatsapp.sandbox.wire import acknowledgement

Version = Literal["2.3.7", "2.4.0"]

MOST_QRS: Final = 30
LOGGED_OUT: Final = 401
PAIRING_LETTERS: Final = "ABCDEFGHJKLMNPQRSTVWXYZ123456789"


class Timing(Struct, frozen=True):
    """Seconds. ``pair_after`` None never pairs by itself; ``acks`` count from the send: one tick, two, blue."""

    pair_after: float | None = 3.0
    qr_life: float = 45.0
    acks: tuple[float, float, float] = (0.3, 1.0, 3.0)
    retry: Retry = Retry()


class QrCode(Struct):
    code: str
    base64: str
    pairing_code: str | None
    count: int

    def answer(self) -> Json:
        return {"pairingCode": self.pairing_code, "code": self.code, "base64": self.base64, "count": self.count}


class World:
    """The sandbox's state while it runs."""

    def __init__(self, home: Path, timing: Timing, version: Version, seed: int | None) -> None:
        self.store = Store(home)
        self.timing, self.version = timing, version
        self.absent: set[str] = set()
        self.chance = random.Random(seed)  # noqa: S311 - a simulation, repeatable by its seed
        self.arrived = asyncio.Condition()
        self._tasks = Tasks()
        self._deliverer = Deliverer(timing.retry, self._tasks, self.chance)
        self._qrs: dict[str, QrCode] = {}
        self._pairings: dict[str, Callable[[], bool]] = {}

    def start(self) -> None:
        """Reconnect what was connected, go on pairing what was pairing, finish the acknowledgements."""
        for instance in self.store.instances():
            if instance.state == "open":
                self.reconnect(instance)
                for message in self.store.chat(instance.name):
                    self._acknowledge(message)
            elif instance.state == "connecting":
                self.begin_pairing(instance)

    async def stop(self) -> None:
        await self._tasks.end()
        await self._deliverer.aclose()
        self.store.close()

    def emit(self, instance: Instance, event: str, data: Any) -> None:
        self._deliverer.emit(instance, event, data)

    def identifier(self, prefix: str) -> str:
        """A message id: 3EB0 for the web client, 3A for iOS, with 18 more digits."""
        return f"{prefix}{self.chance.randbytes(9).hex().upper()}"

    # Pairing

    def qr(self, instance: Instance) -> Json:
        """The present QR as `connect` answers it."""
        qr = self._qrs.get(instance.name)
        return qr.answer() if qr else {"count": 0}

    def begin_pairing(self, instance: Instance) -> None:
        self._forget_pairing(instance.name)
        self._connection(instance, "connecting")
        self._next_qr(instance, 1)
        self._pairings[instance.name] = self._tasks.start(self._pair(instance.name))

    async def _pair(self, name: str) -> None:
        for count in range(2, MOST_QRS + 2):
            patience = self.timing.pair_after
            if patience is not None and patience <= (count - 1) * self.timing.qr_life:
                await asyncio.sleep(patience - (count - 2) * self.timing.qr_life)
                self._end_pairing(name, self.open)
                return
            await asyncio.sleep(self.timing.qr_life)
            instance = self.store.instance(name)
            if instance and count <= MOST_QRS:
                self._next_qr(instance, count)
        self._end_pairing(name, self._refuse)

    def _end_pairing(self, name: str, end: Callable[[Instance], None]) -> None:
        self._pairings.pop(name, None)
        if instance := self.store.instance(name):
            end(instance)

    def _next_qr(self, instance: Instance, count: int) -> None:
        parts = [base64.b64encode(self.chance.randbytes(32)).decode() for _ in range(4)]
        code = "2@" + ",".join(parts)
        image = segno.make(code, error="h", micro=False).png_data_uri(scale=4, border=3)
        letters = "".join(self.chance.choices(PAIRING_LETTERS, k=8)) if instance.number else None
        qr = self._qrs[instance.name] = QrCode(code, image, letters, count)
        answer = qr.answer() | {"instance": instance.name}
        self.emit(instance, "qrcode.updated", {"qrcode": {k: v for k, v in answer.items() if k != "count"}})

    def _refuse(self, instance: Instance) -> None:
        self._qrs.pop(instance.name, None)
        limit = {"message": "QR code limit reached, please login again", "statusCode": 500}
        self.emit(instance, "qrcode.updated", limit)
        instance.state = "close"
        self.store.keep_instance(instance)
        self.emit(instance, "connection.update", {"instance": instance.name, "state": "refused", "statusReason": 428})

    def open(self, instance: Instance) -> None:
        """The phone scanned the QR."""
        self._forget_pairing(instance.name)
        digits = instance.number or f"551199{sum(instance.name.encode()) * 7919 % 10_000_000:07d}"
        instance.owner = f"{digits}@s.whatsapp.net"
        instance.disconnection = None
        self._connection(instance, "open")

    def reconnect(self, instance: Instance) -> None:
        self._connection(instance, "connecting")
        self._connection(instance, "open")

    def close(self, instance: Instance, code: int = LOGGED_OUT) -> None:
        """The number is unlinked (401), banned (403) or otherwise gone for good."""
        self._forget_pairing(instance.name)
        instance.disconnection = code
        closed = {"instance": instance.name, "status": "closed", "disconnectionReasonCode": code}
        self.emit(instance, "status.instance", closed)
        self.emit(instance, "logout.instance", None)
        self._connection(instance, "close", code)

    def forget(self, instance: Instance) -> None:
        self._forget_pairing(instance.name)
        self.emit(instance, "instance.delete", {"instanceName": instance.name, "instanceId": instance.id})
        self.store.drop_instance(instance.name)

    def _forget_pairing(self, name: str) -> None:
        self._qrs.pop(name, None)
        if stop := self._pairings.pop(name, None):
            stop()

    def _connection(self, instance: Instance, state: str, reason: int = 200) -> None:
        instance.state = state
        self.store.keep_instance(instance)
        about = {"wuid": instance.owner, "profileName": instance.profile, "profilePictureUrl": None}
        more = about if state == "open" else {}
        data = {"instance": instance.name, **more, "state": state, "statusReason": reason}
        self.emit(instance, "connection.update", data)

    # Messages

    def deliver(self, instance: Instance, data: Json, media: Media | None = None) -> Message:
        """A message of ours leaves through the API: PENDING now, acknowledgements later."""
        message = Message(instance=instance.name, row=data, source="api")
        self._keep(message, media)
        self.emit(instance, "send.message", data)
        self._acknowledge(message)
        return message

    def receive(self, instance: Instance, data: Json, media: Media | None = None) -> Message:
        """A customer's message, or one typed on the owner's phone, reaches the gateway."""
        is_new = not self.store.has_chat(instance.name, data["key"]["remoteJid"])
        from_me = data["key"]["fromMe"]
        message = Message(instance=instance.name, row=data, source="own_phone" if from_me else "customer")
        self._keep(message, media)
        self.emit(instance, "messages.upsert", data)
        name = "" if from_me else data["pushName"]
        contact = {"remoteJid": message.jid, "pushName": name, "profilePicUrl": None, "instanceId": instance.id}
        self.emit(instance, "contacts.upsert" if is_new else "contacts.update", contact)
        return message

    def _keep(self, message: Message, media: Media | None) -> None:
        message.seq = self.store.add_message(message, media)
        self._tasks.start(self._announce())

    async def _announce(self) -> None:
        async with self.arrived:
            self.arrived.notify_all()

    def _acknowledge(self, message: Message) -> None:
        if message.source == "api" and "READ" not in message.statuses:
            self._tasks.start(self._come_back(message.instance, message.id))

    async def _come_back(self, name: str, message_id: str) -> None:
        waited = 0.0
        for status, due in zip(("SERVER_ACK", "DELIVERY_ACK", "READ"), self.timing.acks, strict=True):
            await asyncio.sleep(max(0.0, due - waited))
            waited = due
            message, instance = self.store.message(name, message_id), self.store.instance(name)
            if message is None or instance is None:
                return
            if status not in message.statuses:
                message.statuses.append(status)
                self.store.keep_message(message)
                self.emit(instance, "messages.update", acknowledgement(message, status))
                await self._announce()

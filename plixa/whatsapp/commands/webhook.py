"""What the gateway tells by webhook: who may tell it, what it says, and into which transactions it goes."""

import asyncio
import json
import logging
import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from hmac import compare_digest
from typing import Final

import msgspec
from msgspec import Struct

from plixa.kernel.auth import hashed
from plixa.kernel.errors import Unauthenticated, Unavailable
from plixa.kernel.event_store import Actor
from plixa.kernel.requests import current_request_id
from plixa.kernel.uow import Kernel, UnitOfWork, perform, working
from plixa.whatsapp.commands.instances import hear
from plixa.whatsapp.domain import ConnectionChanged, Fact, Ignored, QrChanged, dedupe_key, redact, translate
from plixa.whatsapp.domain.instance import Heard
from plixa.whatsapp.queries import Instances, KnownInstance

log = logging.getLogger(__name__)

GATEWAY: Final = Actor("gateway")
PATIENCE: Final = 25.0
"""Seconds; the gateway waits for 30 and then comes again."""
SECRETS: Final = re.compile(rb'"(apikey|token|hash|jwt|jwt_key|authorization|destination)"\s*:\s*"(?:[^"\\]|\\.)*"?', re.IGNORECASE)
TOUCH: Final = """
UPDATE phone_instance SET last_webhook_at = $3::timestamptz
WHERE tenant_id = $1 AND id = $2 AND (last_webhook_at IS NULL OR last_webhook_at < $3::timestamptz - interval '1 minute')
"""


class Delivered(Struct, frozen=True):
    """One fact of one webhook: ``key`` makes it apply once per number, ``raw`` is the redacted body."""

    instance_id: int
    fact: Fact
    key: str
    raw: bytes
    at: datetime


Accept = Callable[[UnitOfWork, Delivered], Awaitable[None]]
"""Applies a fact that is not about the connection."""


class Webhook(Struct, frozen=True):
    """One webhook that was let in; ``told_at`` is when the gateway says it happened."""

    instance: KnownInstance
    facts: list[Fact]
    raw: bytes
    at: datetime
    told_at: datetime | None

    def delivered(self, fact: Fact) -> Delivered:
        """One of its facts. What has no key of its own counts once for the same body."""
        key = dedupe_key(fact) or f"raw:{sha256(self.raw).hexdigest()}"
        return Delivered(self.instance.id, fact, key, self.raw, self.at)


class Intake(Struct, frozen=True):
    """Lets webhooks in and applies them."""

    kernel: Kernel
    instances: Instances
    accept: Accept

    async def admit(self, gateway_name: str, token: str) -> KnownInstance:
        """The number a webhook is about; raises Unauthenticated, upon which the gateway gives up."""
        with ours_to_mend():
            instance = await self.instances.find(gateway_name)
        if instance is None or not compare_digest(hashed(token), instance.secret):
            raise Unauthenticated
        return instance

    async def take(self, instance: KnownInstance, body: bytes) -> None:
        """Apply everything a webhook says and commit it; raises nothing but Unavailable, so that it comes again."""
        if instance.is_removed:
            return
        with ours_to_mend():
            webhook = read(instance, body)
            async with (
                asyncio.timeout(PATIENCE),
                working(self.kernel, instance.tenant, GATEWAY, current_request_id()) as uow,
            ):
                for fact in webhook.facts:
                    await perform(uow, partial(self.apply, uow, webhook, fact))

    async def apply(self, uow: UnitOfWork, webhook: Webhook, fact: Fact) -> None:
        """Apply one fact in a transaction of its own."""
        instance = webhook.instance
        uow.actor = GATEWAY
        if isinstance(fact, ConnectionChanged | QrChanged):
            heard = Heard(webhook.at, webhook.told_at, instance.heard_at)
            if await hear(uow, instance.id, fact, heard):
                return
        else:
            await self.accept(uow, webhook.delivered(fact))
        await uow.begin()
        if instance.is_quiet:
            uow.also(TOUCH, instance.id, webhook.at)


@contextmanager
def ours_to_mend() -> Iterator[None]:
    """Whatever is wrong with us, the gateway must come again: a 4xx it takes for final, and forgets what it told."""
    try:
        yield
    except Exception as error:
        log.exception("A webhook could not be taken and has to come again")
        raise Unavailable from error


def read(instance: KnownInstance, body: bytes) -> Webhook:
    """The facts of a body. What is no JSON object says nothing, and is kept all the same."""
    payload = decode(body)
    if payload is not None:
        return read_payload(instance, payload)
    kept = SECRETS.sub(rb'"\1":null', body)
    return Webhook(instance, [Ignored(reason="not a JSON object")], kept, datetime.now(UTC), None)


def read_payload(instance: KnownInstance, payload: dict[str, object]) -> Webhook:
    """The facts of a JSON object."""
    return Webhook(instance, translate(payload), encode(redact(payload)), datetime.now(UTC), told_at(payload))


def decode(body: bytes) -> dict[str, object] | None:
    """A JSON object; also one whose texts were cut within an emoji, which strict readers refuse."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        try:
            value = json.loads(body)
        except (ValueError, RecursionError):
            return None
    return value if isinstance(value, dict) else None


def encode(payload: dict[str, object]) -> bytes:
    """JSON; half an emoji is kept as an escape."""
    try:
        return msgspec.json.encode(payload)
    except (UnicodeEncodeError, OverflowError):
        return json.dumps(payload).encode()


def told_at(payload: dict[str, object]) -> datetime | None:
    """The gateway's local time, with a zone that is not its own: good only for comparing with itself."""
    told = payload.get("date_time")
    try:
        moment = datetime.fromisoformat(told) if isinstance(told, str) else None
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment else None

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
from weakref import WeakValueDictionary

import msgspec
from msgspec import Struct

from plixa.kernel.auth import hashed
from plixa.kernel.errors import Unauthenticated, Unavailable
from plixa.kernel.event_store import Actor
from plixa.kernel.requests import current_request_id
from plixa.kernel.uow import Kernel, UnitOfWork, perform, working
from plixa.whatsapp.commands.instances import hear
from plixa.whatsapp.commands.lines import Line, Waiting
from plixa.whatsapp.domain import (
    ConnectionChanged,
    Fact,
    Ignored,
    PeerNamed,
    QrChanged,
    claims,
    dedupe_key,
    redact,
    translate,
    without_secrets,
)
from plixa.whatsapp.domain.instance import Heard
from plixa.whatsapp.queries import Instances, KnownInstance

log = logging.getLogger(__name__)

GATEWAY: Final = Actor("gateway")
PATIENCE: Final = 25.0
"""Seconds; the gateway waits for 30 and then comes again."""
LARGEST_SHARED: Final = 65_536
"""Bytes of a webhook that may share a transaction with others."""
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
    request_id: str = ""


Accept = Callable[..., Awaitable[None]]
"""``(uow, *deliveries)``: applies facts that are not about the connection. Of several no two claim the same; it raises Entangled."""


class Entangled(Exception):
    """Deliveries that claim nothing in common concern one contact all the same: they must be applied one after the other."""


class Webhook(Struct, frozen=True):
    """What was let in; ``raw`` says nothing but its facts, ``told_at`` is when the gateway says it happened."""

    instance: KnownInstance
    facts: list[Fact]
    raw: bytes
    at: datetime
    told_at: datetime | None
    request_id: str

    def delivered(self, fact: Fact) -> Delivered:
        """One of its facts. What has no key of its own counts once for the same body."""
        key = dedupe_key(fact) or f"raw:{sha256(self.raw).hexdigest()}"
        return Delivered(self.instance.id, fact, key, self.raw, self.at, self.request_id)


class Intake(Struct, frozen=True):
    """Lets webhooks in and applies them. ``lines``: what waits, by workspace, for as long as it does."""

    kernel: Kernel
    instances: Instances
    accept: Accept
    lines: WeakValueDictionary[int, Line]

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
            webhooks = read(instance, body)
            one = Waiting(webhooks, claims_of(webhooks), is_alone(webhooks), asyncio.get_running_loop().create_future())
            async with asyncio.timeout(PATIENCE):
                await self.lines.setdefault(instance.tenant, Line()).stand(one, self.work)

    async def work(self, group: list[Waiting]) -> None:
        """Apply several together or, where that fails for whatever reason, each by itself: one that cannot be applied harms no other."""
        try:
            if len(group) > 1:
                await self.share([webhook for one in group for webhook in one.delivery])
                return
        except Entangled:
            for one in group:
                await self.settle(one)
        except Exception as error:  # noqa: BLE001 - whoever brought it meets it again
            log.info("Webhooks are applied each by itself: %r", error)
        await asyncio.gather(*(self.settle(one) for one in group if not one.done.done()))

    async def settle(self, one: Waiting) -> None:
        """Apply one delivery, each fact in a transaction of its own, and tell who waits for it."""
        first: Webhook = one.delivery[0]
        try:
            async with asyncio.timeout(PATIENCE), working(self.kernel, first.instance.tenant, GATEWAY, first.request_id) as uow:
                for webhook in one.delivery:
                    for fact in webhook.facts:
                        await perform(uow, partial(self.apply, uow, webhook, fact))
        except Exception as error:  # noqa: BLE001 - who waits for it raises it
            one.end(error)
        else:
            one.end()

    async def share(self, webhooks: list[Webhook]) -> None:
        """Apply webhooks of one fact each in one transaction."""
        async with asyncio.timeout(PATIENCE), working(self.kernel, webhooks[0].instance.tenant, GATEWAY) as uow:
            await perform(uow, partial(self.apply_all, uow, webhooks), attempts=1)

    async def apply_all(self, uow: UnitOfWork, webhooks: list[Webhook]) -> None:
        """Apply webhooks of one fact each."""
        await self.accept(uow, *(webhook.delivered(webhook.facts[0]) for webhook in webhooks))
        await uow.begin()
        quiet = {webhook.instance.id: webhook.at for webhook in webhooks if webhook.instance.is_quiet}
        for number in sorted(quiet):
            uow.also(TOUCH, number, quiet[number])

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


def read(instance: KnownInstance, body: bytes) -> list[Webhook]:
    """What a body tells. What is no JSON object says nothing, and is kept all the same."""
    payload = decode(body)
    if payload is not None:
        return read_payload(instance, payload, body)
    kept = SECRETS.sub(rb'"\1":null', body)
    return [Webhook(instance, [Ignored(reason="not a JSON object")], kept, datetime.now(UTC), None, current_request_id())]


def read_payload(instance: KnownInstance, payload: dict[str, object], body: bytes | None = None) -> list[Webhook]:
    """A JSON object as if each fact had come alone: what is kept under one customer's key must tell of no other.

    What says nothing stays together, and whole. ``body`` is what the object was read from.
    """

    def webhook(facts: list[Fact], part: dict[str, object]) -> Webhook:
        kept = cleaned(payload, body) if part is payload and body is not None else encode(redact(part))
        return Webhook(instance, facts, kept, *times)

    data, times = payload.get("data"), (datetime.now(UTC), told_at(payload), current_request_id())
    parts = [payload | {"data": [item]} for item in data] if isinstance(data, list) and data else [payload]
    told = [(fact, part) for part in parts for fact in translate(part)]
    webhooks = [webhook([fact], part) for fact, part in told if not isinstance(fact, Ignored)]
    ignored = [fact for fact, _ in told if isinstance(fact, Ignored)]
    if ignored:
        webhooks.append(webhook(list(dict.fromkeys(ignored)), payload))
    return webhooks


def claims_of(webhooks: list[Webhook]) -> frozenset[str]:
    """What nobody else may work on while these are applied, so that they take effect in their order."""
    told = [(one.instance.id, fact) for one in webhooks for fact in one.facts]
    connections = {f"connection/{number}" for number, fact in told if isinstance(fact, ConnectionChanged | QrChanged)}
    return frozenset(connections.union(*(claims(number, fact) for number, fact in told)))


def is_alone(webhooks: list[Webhook]) -> bool:
    """They share no transaction: they are large or several, or say something that may concern much."""
    first, *others = webhooks
    lonely = isinstance(first.facts[0], ConnectionChanged | QrChanged | PeerNamed)
    return lonely or bool(others) or len(first.facts) > 1 or len(first.raw) > LARGEST_SHARED


def cleaned(payload: dict[str, object], body: bytes) -> bytes:
    """A body without its secrets."""
    try:
        return without_secrets(body)
    except (msgspec.DecodeError, UnicodeError):
        return encode(redact(payload))


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

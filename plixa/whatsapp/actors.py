"""Effects at the gateway: making a number, forgetting it, and looking for what was missed while it was gone."""

from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from msgspec import Struct

from plixa.identity.queries.sending import find_sending_bar
from plixa.kernel.delivery import Delivery, Handler, Retry
from plixa.kernel.outbox import Effect
from plixa.kernel.settings import Settings
from plixa.kernel.uow import UnitOfWork, perform
from plixa.whatsapp.client import FoundMessage, Gateway, GatewayError, NameTaken, Qr
from plixa.whatsapp.commands.instances import (
    DELETE_EFFECT,
    RECONCILE_EFFECT,
    Target,
    catching_up,
    hear_answer,
    prepare_instance,
)
from plixa.whatsapp.commands.webhook import GATEWAY, Accept, read_payload
from plixa.whatsapp.queries import CREATE_EFFECT, KnownInstance, find_known

CHATS_AT_ONCE: Final = 50
"""Looked through within one delivery, well before its lease ends."""
STILL_ALIVE: Final = timedelta(days=7)
"""Chats that were quiet for so long before the gap are not looked through."""

Chats = Callable[[UnitOfWork, int, datetime], Awaitable[list[str]]]
"""The addresses (JIDs) of a number's chats that were alive after a time, in a lasting order."""


class Actors(Struct, frozen=True):
    """The handlers of this module's effects."""

    gateway: Gateway
    settings: Settings

    def handlers(self) -> dict[str, Handler]:
        """By the effect's kind."""
        return {CREATE_EFFECT: self.create_instance, DELETE_EFFECT: self.delete_instance}

    async def create_instance(self, delivery: Delivery) -> None:
        """Make a number at the gateway; one of that name is ours, made by an earlier try whose answer was lost.

        Not for a workspace that may send nothing: once it may again, restarting the number makes it.
        """
        number: int = delivery.payload["instance_id"]
        async with delivery.unit() as uow:
            target = await perform(uow, partial(prepare_instance, uow, self.settings, number))
            barred = await find_sending_bar(uow) is not None
        told = await self.pair(delivery, target) if target and not barred else None
        async with delivery.unit() as uow:
            await perform(uow, partial(finish, uow, delivery, told))

    async def delete_instance(self, delivery: Delivery) -> None:
        """Have the gateway forget a number; one it does not know is fine."""
        try:
            await self.gateway.delete(delivery.payload["gateway_name"])
        except GatewayError as error:
            raise later(delivery, error) from error
        async with delivery.unit() as uow:
            await perform(uow, partial(finish, uow, delivery, None))

    async def pair(self, delivery: Delivery, target: Target) -> Qr:
        """Begin the pairing of a new number."""
        url = f"{self.settings.public_url.rstrip('/')}/v1/webhooks/evolution/{target.gateway_name}"
        try:
            try:
                return (await self.gateway.create_instance(target.gateway_name, url, target.secret)).qr
            except NameTaken:
                await self.gateway.set_webhook(target.gateway_name, url, target.secret)
                return await self.gateway.connect(target.gateway_name)
        except GatewayError as error:
            raise later(delivery, error) from error


class Reconciler(Struct, frozen=True):
    """Finds what the gateway has and we were not told. ``accept`` applies it, ``chats`` says where to look."""

    gateway: Gateway
    accept: Accept
    chats: Chats

    def handlers(self) -> dict[str, Handler]:
        """By the effect's kind."""
        return {RECONCILE_EFFECT: self.reconcile}

    async def reconcile(self, delivery: Delivery) -> None:
        """Look through some chats, and leave the others to the next delivery. What is known already is not applied again."""
        async with delivery.unit() as uow:
            known = await find_known(uow, delivery.payload["instance_id"])
        rest = await self.look_through_some(delivery, known) if known else None
        async with delivery.unit() as uow:
            await perform(uow, partial(finish_part, uow, delivery, rest))

    async def look_through_some(self, delivery: Delivery, known: KnownInstance) -> Effect | None:
        """The effect for what is left, if anything is."""
        since, skip = datetime.fromisoformat(delivery.payload["since"]), delivery.payload["skip"]
        async with delivery.unit() as uow:
            jids = await self.chats(uow, known.id, since - STILL_ALIVE)
        following = skip + CHATS_AT_ONCE
        for jid in jids[skip:following]:
            await self.look_through(delivery, known, jid, since)
        if following >= len(jids):
            return None
        return catching_up(known.id, delivery.payload["version"], since, following)

    async def look_through(self, delivery: Delivery, known: KnownInstance, jid: str, since: datetime) -> None:
        """One chat, oldest message first, each fact in a transaction of its own."""
        try:
            found = await self.gateway.find_messages(known.gateway_name, jid, since)
        except GatewayError as error:
            raise later(delivery, error) from error
        async with delivery.unit() as uow:
            for payload in (told for one in reversed(found) for told in as_webhooks(known, one)):
                for webhook in read_payload(known, payload):
                    for fact in webhook.facts:
                        uow.actor = GATEWAY
                        await perform(uow, partial(self.accept, uow, webhook.delivered(fact)))


def as_webhooks(known: KnownInstance, found: FoundMessage) -> Iterator[dict[str, Any]]:
    """What the gateway would have told of a message. Ours is told as sent by its API, lest one still in flight doubles."""
    about = {"instance": known.gateway_name, "sender": f"{known.number}@s.whatsapp.net"}
    yield about | {"event": "send.message" if found.key.from_me else "messages.upsert", "data": found.raw}
    for status in found.statuses:
        key = {"keyId": found.key.id, "remoteJid": found.key.remote_jid, "fromMe": found.key.from_me}
        yield about | {"event": "messages.update", "data": key | {"status": status}}


async def finish_part(uow: UnitOfWork, delivery: Delivery, rest: Effect | None) -> None:
    """Note that these chats are done, and what is left."""
    if rest is not None:
        await uow.begin()
        uow.enqueue(rest)
    await delivery.done(uow)


async def finish(uow: UnitOfWork, delivery: Delivery, told: Qr | None) -> None:
    """Note what the gateway answered, and that the effect is done."""
    if told is not None:
        await hear_answer(uow, delivery.payload["instance_id"], told)
    await delivery.done(uow)


def later(delivery: Delivery, error: GatewayError) -> Retry:
    """Another try after 5 s, 30 s, 3 and 18 minutes: the gateway may be restarting, or away for longer."""
    return Retry(5.0 * 6 ** (delivery.attempt - 1), error.message)

"""The inbox's effects outside: sending messages, fetching files, telling the phone what was read, and the timer of a snooze."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import sha256

import msgspec
from msgspec import Struct

from plixa.identity.queries.sending import find_sending_bar
from plixa.inbox.commands.conversations import wake_conversation
from plixa.inbox.commands.delivery import Taken, accept_message, check_stalled, doubt_message, fail_message, keep_media, miss_media
from plixa.inbox.commands.people import follow_unseen
from plixa.inbox.commands.releasing import drop_label, leave_sector, unassign_member
from plixa.inbox.commands.surveys import expire_survey
from plixa.inbox.commands.targets import check_targets, retime, warn
from plixa.inbox.domain.conversation import BlockedMeanwhile, Conversation
from plixa.inbox.domain.events import MediaStored
from plixa.inbox.queries.messages import Outbound, find_message_row, get_outbound, is_to_blocked, list_latest_received
from plixa.kernel.delivery import ATTEMPTS, Delivery, Handler, Retry, backoff
from plixa.kernel.errors import Forbidden, NotFound, PayloadTooLarge, Unavailable
from plixa.kernel.event_store import Actor, stream_id
from plixa.kernel.media import sniff
from plixa.kernel.uow import UnitOfWork, perform
from plixa.whatsapp.client import (
    FetchedMedia,
    FoundMessage,
    Gateway,
    GatewayError,
    MessageKey,
    OutcomeUnknown,
    Quoted,
    SendMedia,
    SendText,
    SendVoice,
    Sent,
)
from plixa.whatsapp.domain import MessageArrived, translate

CLOCKS = timedelta(seconds=30)
"""How far the gateway's clock may be behind ours when a message is looked for."""
MEDIA_KINDS = {"image", "video", "audio", "document"}
UNSURE = "The WhatsApp gateway did not say whether the message was sent. Look at the phone before sending it again."


class Actors(Struct, frozen=True):
    """The handlers of this module's effects."""

    gateway: Gateway

    def handlers(self) -> dict[str, Handler]:
        """By the effect's kind."""
        return {
            "inbox.send": self.send,
            "inbox.fetch_media": self.fetch_media,
            "inbox.mark_read": self.mark_read,
            "inbox.wake": self.wake,
            "inbox.check_stalled": self.check_stalled,
            "inbox.check_targets": self.check_targets,
            "inbox.warn_target": warn_target,
            "inbox.expire_survey": self.expire_survey,
            "inbox.retime": self.retime,
            "inbox.delete_media": self.delete_media,
            "inbox.unassign_member": release_member,
            "inbox.leave_sector": release_sector,
            "inbox.drop_label": release_label,
            "inbox.follow_contacts": follow_contacts,
        }

    async def send(self, delivery: Delivery) -> None:
        """Give a message to the gateway. Where an earlier attempt may have done it, it is looked for there first."""
        place = (delivery.payload["conversation_id"], delivery.payload["message_id"])
        outbound = await find_outbound(delivery, place[1])
        if outbound is None:
            await finish(delivery, None)
            return
        try:
            taken = await self.reconcile(outbound) if delivery.in_doubt or outbound.in_doubt else None
            if taken is None:
                sent = await self.hand_over(delivery, outbound)
                taken = Taken(sent.gateway_id, sent.jid)
        except OutcomeUnknown as error:
            if delivery.attempt >= ATTEMPTS:
                await give_up(delivery, "unknown_outcome", UNSURE)
                return
            await doubt(delivery, *place)
            raise Retry(5, str(error)) from error
        except GatewayError as error:
            if error.retry and delivery.attempt < ATTEMPTS:
                raise Retry(backoff(delivery.attempt), str(error)) from error
            await give_up(delivery, error.code, str(error))
            return
        except (Forbidden, NotFound, BlockedMeanwhile) as error:
            await give_up(delivery, error.code, error.message)
            return
        await finish(delivery, partial(accept_message, conversation=place[0], message=place[1], taken=taken))

    async def reconcile(self, outbound: Outbound) -> Taken | None:
        """The message as the gateway has it: under our own id, or ours by kind, text and time."""
        found = await self.gateway.find_messages(outbound.gateway_name, outbound.to, outbound.queued_at - CLOCKS)
        mine = [one for one in found if one.key.from_me and one.key.id not in outbound.known_ids]
        for one in [
            *(one for one in mine if one.key.id == outbound.client_id),
            *(one for one in mine if said(one) == (outbound.type, outbound.body or "")),
        ]:
            return Taken(one.key.id, one.key.remote_jid, reconciled=True)
        return None

    async def hand_over(self, delivery: Delivery, outbound: Outbound) -> Sent:
        """One call of the gateway, by the kind of message; raises Forbidden and BlockedMeanwhile where nothing may be sent."""
        quoted = None
        if outbound.quoted_gateway_id is not None:
            key = MessageKey(outbound.quoted_gateway_id, outbound.to, outbound.quoted_from_me)
            quoted = Quoted(key, outbound.quoted_body or "")
        head = {"to": outbound.to, "other_to": outbound.other_to, "message_id": outbound.client_id, "quoted": quoted}
        name = outbound.gateway_name
        content = await load(delivery, outbound.blob) if outbound.blob is not None else None
        await refuse_barred(delivery)
        if content is None:
            return await self.gateway.send_text(name, SendText(text=outbound.body or "", **head))  # type: ignore[arg-type]
        if outbound.type == "voice":
            return await self.gateway.send_voice(name, SendVoice(content=content, **head))  # type: ignore[arg-type]
        kind = outbound.type if outbound.type in MEDIA_KINDS else "document"
        return await self.gateway.send_media(
            name,
            SendMedia(
                kind=kind,  # type: ignore[arg-type]
                content=content,
                mime=outbound.mime or "application/octet-stream",
                filename=outbound.filename,
                caption=outbound.body,
                **head,  # type: ignore[arg-type]
            ),
        )

    async def fetch_media(self, delivery: Delivery) -> None:
        """Bring a file from the gateway into our own store before WhatsApp forgets it."""
        conversation, message = delivery.payload["conversation_id"], delivery.payload["message_id"]
        outbound = await find_missing_file(delivery, message)
        if outbound is None or outbound.gateway_id is None:
            await finish(delivery, None)
            return
        key = MessageKey(outbound.gateway_id, outbound.to, outbound.from_me)
        try:
            fetched = await self.gateway.fetch_media(outbound.gateway_name, key)
            if fetched is None:
                await fetch_later(delivery, "WhatsApp no longer has this file.")
                return
            stored = await store(delivery, fetched)
        except PayloadTooLarge:
            too_large = "The file is larger than 16 MB."
            await finish(delivery, partial(miss_media, conversation=conversation, message=message, reason=too_large))
        except (GatewayError, Unavailable) as error:
            await fetch_later(delivery, str(error))
        except NotFound:
            await finish(delivery, None)
        else:
            await finish(delivery, partial(keep_media, conversation=conversation, stored=stored))

    async def mark_read(self, delivery: Delivery) -> None:
        """Blue ticks for the customer, and nothing unread on the workspace's own phone."""
        conversation = delivery.payload["conversation_id"]
        async with delivery.unit() as uow:
            barred = await find_sending_bar(uow) is not None
            received = [] if barred else await list_latest_received(uow, conversation)
            outbound = await get_outbound(uow, conversation, None) if received else None
        if outbound is not None:
            keys = [MessageKey(one, outbound.to) for one in received]
            try:
                await self.gateway.mark_read(outbound.gateway_name, keys)
            except GatewayError as error:
                raise Retry(backoff(delivery.attempt), str(error)) from error
        await finish(delivery, None)

    async def wake(self, delivery: Delivery) -> None:
        """A snooze's time has come."""
        await finish(delivery, partial(wake_conversation, number=delivery.payload["conversation_id"], moment=told_at(delivery)))

    async def check_targets(self, delivery: Delivery) -> None:
        """A target's time is over, if nobody was in time."""
        place = {"conversation": delivery.payload["conversation_id"], "moment": told_at(delivery)}
        await finish(delivery, partial(check_targets, **place))

    async def expire_survey(self, delivery: Delivery) -> None:
        """Nobody answered a survey."""
        place = {"conversation": delivery.payload["conversation_id"], "moment": told_at(delivery)}
        await finish(delivery, partial(expire_survey, **place))

    async def retime(self, delivery: Delivery) -> None:
        """The workspace's hours were changed."""
        await retime(delivery.kernel, delivery.tenant)
        await finish(delivery, None)

    async def check_stalled(self, delivery: Delivery) -> None:
        """A message may have been accepted and gone nowhere."""
        place = (delivery.payload["conversation_id"], delivery.payload["message_id"])
        await finish(delivery, partial(check_stalled, conversation=place[0], message=place[1]))

    async def delete_media(self, delivery: Delivery) -> None:
        """Files of a conversation that is gone; unreadable already, since their key is."""
        for blob in delivery.payload["blobs"]:
            await delivery.kernel.media.delete(blob)
        await finish(delivery, None)


def told_at(delivery: Delivery) -> datetime:
    """The instant a timer stands for: by the database's clock it has come, whatever ours says."""
    at = delivery.payload.get("at")
    return datetime.fromisoformat(at) if at else datetime.min.replace(tzinfo=UTC)


def said(found: FoundMessage) -> tuple[str, str] | None:
    """Kind and text (or caption, or nothing) of a message as the gateway keeps it; None for a reaction and whatever else is no message."""
    fact = translate({"event": "messages.upsert", "data": found.raw})[0]
    return (fact.kind, fact.body) if isinstance(fact, MessageArrived) else None


async def load(delivery: Delivery, blob: str) -> bytes:
    """The file of a message that is to be sent; raises NotFound."""
    try:
        async with delivery.unit() as uow:
            key = await uow.data_key(stream_id(Conversation.KIND, delivery.payload["conversation_id"]))
        return await delivery.kernel.media.get(blob, key)
    except NotFound as error:
        raise NotFound("The file of this message is no longer there.") from error


async def refuse_barred(delivery: Delivery) -> None:
    """Raises Forbidden while nothing may be sent for the workspace, BlockedMeanwhile where nothing may be to the contact."""
    async with delivery.unit() as uow:
        bar = await find_sending_bar(uow)
        is_blocked = await is_to_blocked(uow, delivery.payload["message_id"])
    if bar is not None:
        raise bar
    if is_blocked:
        raise BlockedMeanwhile


async def store(delivery: Delivery, fetched: FetchedMedia) -> MediaStored:
    """Put a fetched file into our own store; raises NotFound once its conversation is deleted, PayloadTooLarge, Unavailable."""
    async with delivery.unit() as uow:
        key = await uow.data_key(stream_id(Conversation.KIND, delivery.payload["conversation_id"]))
    content = fetched.content
    blob = await delivery.kernel.media.put(delivery.tenant, content, key)
    digest = sha256(content).hexdigest()
    return MediaStored(delivery.payload["message_id"], blob, fetched.mime or sniff(content), len(content), digest)


async def fetch_later(delivery: Delivery, reason: str) -> None:
    """Another try after 5 s, 30 s, 3 and 18 minutes; after the last one the file is missing."""
    if delivery.attempt < ATTEMPTS:
        raise Retry(5.0 * 6 ** (delivery.attempt - 1), reason)
    place = {"conversation": delivery.payload["conversation_id"], "message": delivery.payload["message_id"]}
    await finish(delivery, partial(miss_media, reason=reason, **place))


async def give_up(delivery: Delivery, code: str, reason: str) -> None:
    """The message will not go out, for this reason."""
    place = {"conversation": delivery.payload["conversation_id"], "message": delivery.payload["message_id"]}
    await finish(delivery, partial(fail_message, code=code, reason=reason, **place))


async def find_outbound(delivery: Delivery, message: int) -> Outbound | None:
    """What is to be sent, unless it has gone out, failed or been deleted."""
    async with delivery.unit() as uow:
        row = await find_message_row(uow, message)
        if row is None or (row.direction == "out" and (row.gateway_id is not None or row.status == "failed")):
            return None
        return await get_outbound(uow, row.conversation_id, row)


async def find_missing_file(delivery: Delivery, message: int) -> Outbound | None:
    """The message, the customer's or the owner's own, whose file is to be fetched, unless that is here or no longer wanted."""
    async with delivery.unit() as uow:
        row = await find_message_row(uow, message)
        if row is None or row.media is None or row.media.blob is not None:
            return None
        return await get_outbound(uow, row.conversation_id, row)


async def warn_target(delivery: Delivery) -> None:
    """A target is near."""
    await finish(delivery, partial(warn, conversation=delivery.payload["conversation_id"], due=delivery.payload["due"]))


async def release_member(delivery: Delivery) -> None:
    """The conversations of a member who left are nobody's."""
    by = msgspec.convert(delivery.payload["by"], Actor)
    await unassign_member(delivery.kernel, delivery.tenant, delivery.payload["member_id"], by)
    await finish(delivery, None)


async def release_sector(delivery: Delivery) -> None:
    """The conversations of a sector that was given up are in none."""
    by = msgspec.convert(delivery.payload["by"], Actor)
    await leave_sector(delivery.kernel, delivery.tenant, delivery.payload["sector_id"], by)
    await finish(delivery, None)


async def release_label(delivery: Delivery) -> None:
    """The conversations that carried a deleted label no longer do."""
    by = msgspec.convert(delivery.payload["by"], Actor)
    await drop_label(delivery.kernel, delivery.tenant, delivery.payload["label_id"], by)
    await finish(delivery, None)


async def follow_contacts(delivery: Delivery) -> None:
    """Conversations show the names their contacts have now."""
    for contact in delivery.payload["contacts"]:
        async with delivery.unit() as uow:
            with suppress(NotFound):
                await perform(uow, partial(follow_unseen, uow, contact))
    await finish(delivery, None)


async def doubt(delivery: Delivery, conversation: int, message: int) -> None:
    """Let the inbox show that nobody knows whether it went out."""
    async with delivery.unit() as uow:
        await perform(uow, lambda: doubt_message(uow, conversation, message))


async def finish(delivery: Delivery, command: Callable[[UnitOfWork], Awaitable[object]] | None) -> None:
    """Record the result and the row's end in one transaction. A conversation deleted meanwhile needs no result."""
    async with delivery.unit() as uow:

        async def end() -> None:
            await delivery.done(uow)
            if command is not None:
                await command(uow)

        try:
            await perform(uow, end)
        except NotFound:
            await perform(uow, lambda: delivery.done(uow))

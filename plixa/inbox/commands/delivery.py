"""What became of a message on its way out, and of a file on its way in."""

import msgspec
from msgspec import Struct

from plixa.inbox.commands.editing import edit_live
from plixa.inbox.commands.ingest import GATEWAY, Asked, changes, expect_acknowledgement, look_up, open_parked, unpark
from plixa.inbox.domain.events import Accepted, Failed, InDoubt, MediaMissing, MediaStored, Stalled
from plixa.inbox.queries.messages import find_message_row
from plixa.kernel.event_store import Event
from plixa.kernel.uow import UnitOfWork
from plixa.whatsapp import domain as gateway


class Taken(Struct, frozen=True):
    """The gateway's word for a message it took; ``reconciled`` when it was found there afterwards."""

    gateway_id: str
    jid: str
    reconciled: bool = False


async def accept_message(uow: UnitOfWork, conversation: int, message: int, taken: Taken) -> None:
    """The gateway has it: bind its id, and apply the acknowledgements that were faster than its answer."""
    uow.actor = GATEWAY
    row = await find_message_row(uow, message)
    if row is None or row.gateway_id is not None:
        return
    (known,) = await look_up(uow, Asked(row.phone_instance_id, "", taken.gateway_id))
    if known["message_id"] is not None:
        return
    async with edit_live(uow, conversation) as editor:
        editor.record(Accepted(message, taken.gateway_id, taken.jid, taken.reconciled))
        for raw in known["parked"] or ():
            editor.record(changes(msgspec.json.decode(open_parked(uow, raw), type=gateway.Fact), message, uow.now, "out"))
        expect_acknowledgement(uow, conversation, message)
        if known["parked"]:
            await unpark(uow, editor, row.phone_instance_id, taken.gateway_id)


async def check_stalled(uow: UnitOfWork, conversation: int, message: int) -> None:
    """Five minutes later: has WhatsApp acknowledged it?"""
    row = await find_message_row(uow, message)
    if row is not None and row.status == "pending":
        await record(uow, conversation, Stalled(message))


async def fail_message(uow: UnitOfWork, conversation: int, message: int, code: str, reason: str) -> None:
    """It will not go out, unless its echo has shown meanwhile that it did."""
    uow.actor = GATEWAY
    async with edit_live(uow, conversation) as editor:
        row = await find_message_row(uow, message)
        if row is not None and row.gateway_id is None:
            editor.record(Failed(message, code, reason))


async def doubt_message(uow: UnitOfWork, conversation: int, message: int) -> None:
    """Nobody knows whether it went out, unless its echo was faster than the loss of the answer."""
    uow.actor = GATEWAY
    async with edit_live(uow, conversation) as editor:
        row = await find_message_row(uow, message)
        if row is not None and row.gateway_id is None:
            editor.record(InDoubt(message))


async def keep_media(uow: UnitOfWork, conversation: int, stored: MediaStored) -> None:
    """The file is in our own store."""
    await record(uow, conversation, stored)


async def miss_media(uow: UnitOfWork, conversation: int, message: int, reason: str) -> None:
    """The file is nowhere to be had."""
    await record(uow, conversation, MediaMissing(message, reason))


async def record(uow: UnitOfWork, conversation: int, event: Event) -> None:
    """One event of the gateway."""
    uow.actor = GATEWAY
    async with edit_live(uow, conversation) as editor:
        editor.record(event)

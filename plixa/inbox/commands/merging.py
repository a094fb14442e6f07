"""Two contacts turned out to be one: their conversations on each number become one, with every message of both.

And what a conversation learns of its contact: how they are known now, and that they are shut out.
"""

from collections import defaultdict

from plixa.contacts.commands.identities import Known
from plixa.contacts.commands.merging import note_conversations
from plixa.inbox.commands.targets import find_missed
from plixa.inbox.domain.conversation import BlockedMeanwhile, Conversation, Status
from plixa.inbox.domain.events import Absorbed, Failed, Merged
from plixa.inbox.queries.conversations import get_last_seen
from plixa.inbox.queries.surveys import find_agent
from plixa.kernel.editor import Editor
from plixa.kernel.uow import UnitOfWork

EVERYWHERE = """SELECT contact_id, id, phone_instance_id FROM inbox_conversation
WHERE tenant_id = $1 AND contact_id = ANY($2::bigint[]) ORDER BY id"""
UNSENT = """WITH unsent AS (
    SELECT o.id, m.id AS message_id FROM outbox o
    JOIN inbox_message m ON m.tenant_id = o.tenant_id AND m.id = (o.payload->>'message_id')::bigint
        AND m.status = 'queued' AND NOT m.in_doubt
    WHERE o.tenant_id = $1 AND o.kind = 'inbox.send' AND o.order_key = ANY($2::text[]) AND o.state = 'waiting'
    ORDER BY o.id FOR UPDATE OF o SKIP LOCKED
)
DELETE FROM outbox o USING unsent u WHERE o.tenant_id = $1 AND o.id = u.id RETURNING u.message_id"""
OWN_KEYS = "UPDATE stream_key SET contact_id = $2 WHERE tenant_id = $1 AND contact_id = $3 RETURNING stream_id"


async def merge_conversations(uow: UnitOfWork, contact: Known, instance_id: int) -> int | None:
    """Make one conversation a number of all that ``contact`` and those it absorbed have; answers the one on ``instance_id``."""
    connection = await uow.begin()
    groups: dict[int, list[tuple[bool, int]]] = defaultdict(list)
    whose: dict[int, list[Editor[Conversation]]] = defaultdict(list)
    for row in await connection.fetch(EVERYWHERE, uow.tenant, [contact.id, *contact.absorbed]):
        groups[row["phone_instance_id"]].append((row["contact_id"] != contact.id, row["id"]))
        async with uow.edit(Conversation, row["id"]) as editor:  # takes every stream's lock in the order of their ids
            whose[row["contact_id"]].append(editor)
    shared = {number for number, conversations in groups.items() if len(conversations) > 1}
    for absorbed in contact.absorbed:
        streams = [row["stream_id"] for row in await connection.fetch(OWN_KEYS, uow.tenant, contact.id, absorbed)]
        states = [editor.state for editor in whose[absorbed]]
        whole = {state.number: len(state.absorbed) for state in states if state.instance_id not in shared}
        joined = [state.number for state in states if state.instance_id in shared]
        await note_conversations(uow, absorbed, conversations=whole, joined=joined, streams=streams)
    kept: dict[int, int] = {}
    for number, conversations in groups.items():
        winner, *losers = [conversation for _, conversation in sorted(conversations)]
        kept[number] = winner
        for loser in losers:
            await absorb(uow, winner, loser)
        async with uow.edit(Conversation, winner) as editor:
            await recognise(uow, editor, contact)
            if contact.blocked:
                await shut_out(uow, editor)
    return kept.get(instance_id)


async def recognise(uow: UnitOfWork, editor: Editor[Conversation], contact: Known) -> None:
    """The conversation knows its contact as they are now, and whether they are let through."""
    editor.record(editor.state.know_contact(contact.id, contact.phone, contact.name))
    if contact.blocked and not editor.state.blocked:
        await shut_out(uow, editor)
    elif not contact.blocked:
        editor.record(editor.state.unblock())


async def shut_out(uow: UnitOfWork, editor: Editor[Conversation]) -> None:
    """The contact is blocked: the conversation ends, with what was missed by then, and what waits to be sent is not sent any more.

    What a worker holds at the moment, and what the gateway may have, is left to ``Actors.send``.
    """
    missed = await find_missed(uow, editor, uow.now)
    editor.record(editor.state.block())
    editor.record(missed)
    orders = [f"conversation/{number}" for number in (editor.state.number, *editor.state.absorbed)]
    unsent = await (await uow.begin()).fetch(UNSENT, uow.tenant, orders)
    editor.record(Failed(row["message_id"], BlockedMeanwhile.code, BlockedMeanwhile.default) for row in unsent)


async def absorb(uow: UnitOfWork, winner: int, loser: int) -> None:
    """Everything of ``loser`` goes on in ``winner``; an open one keeps the other open."""
    last = await get_last_seen(uow, loser)
    async with uow.edit(Conversation, loser) as other:
        before = other.state
        other.record(before.care.end_survey("cancelled", uow.now))
        other.record(Merged(winner))
    async with uow.edit(Conversation, winner) as editor:
        if before.status is Status.OPEN:
            if editor.state.status is Status.CLOSED:
                editor.record(editor.state.reopen("message", uow.now))
                editor.record(before.care.running())
            if before.snoozed_until is None:
                editor.record(editor.state.wake("inbound"))
        for label in sorted(before.labels):
            editor.record(editor.state.label(label))
        await inherit(uow, editor, before)
        editor.record(Absorbed(loser, before.unread, last, before.absorbed))


async def inherit(uow: UnitOfWork, editor: Editor[Conversation], before: Conversation) -> None:
    """What members noted stays: the other's name, sector and assignee where there is none, and the notes of both."""
    state = editor.state
    editor.record(state.rename(state.name or before.name))
    notes = dict.fromkeys(notes for notes in (state.notes, before.notes) if notes)
    editor.record(state.note("\n\n".join(notes)))
    if state.sector_id is None:
        editor.record(state.move(before.sector_id))
    if state.assigned_user_id is None:  # whoever had the other may have left just now
        editor.record(state.assign(*await find_agent(uow, before.assigned_user_id)))

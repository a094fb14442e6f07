"""What members do to conversations."""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Final, Literal

from litestar.params import Parameter
from msgspec import UNSET, Meta, Struct, UnsetType

from plixa.contacts.queries.labels import hold_label
from plixa.identity.commands.account import call_waiting
from plixa.identity.queries.members import find_member_name, may_delete_conversations
from plixa.inbox.commands.editing import edit_visible
from plixa.inbox.commands.keeping import keep_activity
from plixa.inbox.commands.surveys import ask_survey, keep_scores, remember_asked
from plixa.inbox.commands.targets import find_missed, set_targets
from plixa.inbox.domain.conversation import Conversation
from plixa.inbox.domain.events import Deleted
from plixa.inbox.queries.messages import list_blobs
from plixa.kernel.editor import Editor
from plixa.kernel.errors import Forbidden, Invalid, NotFound
from plixa.kernel.event_store import Event
from plixa.kernel.outbox import Effect
from plixa.kernel.uow import UnitOfWork
from plixa.workspace.queries.sectors import get_sector

TURN: Final = """INSERT INTO assignment_turn (tenant_id, member_id, assigned_at)
SELECT $1, member_id, max(assigned_at) FROM unnest($2::bigint[], $3::timestamptz[]) AS t(member_id, assigned_at) GROUP BY member_id
ON CONFLICT (tenant_id, member_id) DO UPDATE SET assigned_at = excluded.assigned_at"""
"""When a member last got a conversation: auto-assignment asks whose turn it is."""

Action = Literal["close", "reopen", "assign", "delete", "add_label", "remove_label"]


class SnoozeConversation(Struct, frozen=True):
    """``until`` null wakes it at once."""

    until: datetime | None = None


class UpdateConversation(Struct, frozen=True):
    """Absent = unchanged; an empty name shows the contact's own again; null unassigns, and takes it out of its sector."""

    contact_name: Annotated[str, Meta(max_length=255)] | UnsetType | None = UNSET
    notes: Annotated[str, Meta(max_length=4000)] | UnsetType | None = UNSET
    assigned_user_id: int | UnsetType | None = UNSET
    sector_id: int | UnsetType | None = UNSET


class BulkAction(Struct, frozen=True):
    """``assignee_id`` goes with assign, ``label_id`` with add_label and remove_label."""

    action: Action
    ids: Annotated[list[Annotated[int, Parameter(ge=1)]], Meta(min_length=1, max_length=100)]
    assignee_id: int | UnsetType | None = UNSET
    label_id: int | None = None


async def update_conversation(uow: UnitOfWork, number: int, data: UpdateConversation) -> None:
    """Name, notes, assignee and sector; raises NotFound for a member or sector that is not of this workspace."""
    async with edit_visible(uow, number) as editor:
        if data.contact_name is not UNSET:
            editor.record(editor.state.rename(data.contact_name))
        if data.notes is not UNSET:
            editor.record(editor.state.note(data.notes))
        if data.assigned_user_id is not UNSET:
            await assign(uow, editor, data.assigned_user_id)
        if data.sector_id is not UNSET:
            if data.sector_id is not None:
                await get_sector(uow, data.sector_id)
            if recorded(editor, editor.state.move(data.sector_id)):
                call_waiting(uow, f"conversation/{number}")


async def snooze_conversation(uow: UnitOfWork, number: int, until: datetime | None) -> None:
    """Out of sight until then, or back at once; a timer in the outbox brings it back."""
    async with edit_visible(uow, number) as editor:
        if until is None:
            editor.record(editor.state.wake())
        elif recorded(editor, editor.state.snooze(until, uow.now)):
            uow.enqueue(Effect("inbox.wake", f"{number}/{editor.version}", {"conversation_id": number, "at": until}, until))


async def wake_conversation(uow: UnitOfWork, number: int, moment: datetime) -> None:
    """The timer of a snooze: wakes a conversation whose time has come, by our clock or by the one that ran the timer."""
    async with uow.edit(Conversation, number) as editor:
        editor.record(editor.state.wake_due(max(uow.now, moment)))


async def close_conversation(uow: UnitOfWork, number: int) -> bool:
    """End the episode, and ask how it was; False when it was closed already."""
    async with edit_visible(uow, number) as editor:
        missed = await find_missed(uow, editor, uow.now)
        if not recorded(editor, editor.state.close()):
            return False
        editor.record(missed)
        await ask_survey(uow, editor)
        return True


async def reopen_conversation(uow: UnitOfWork, number: int) -> bool:
    """Begin a new episode; False when it was open."""
    async with edit_visible(uow, number) as editor:
        if not recorded(editor, editor.state.reopen(now=uow.now)):
            return False
        await set_targets(uow, editor)
        return True


async def read_conversation(uow: UnitOfWork, number: int) -> None:
    """Nothing is unread any more, here and on the workspace's phone."""
    async with edit_visible(uow, number) as editor:
        if recorded(editor, editor.state.read()):
            uow.enqueue(Effect("inbox.mark_read", f"{number}/{editor.version}", {"conversation_id": number}))


async def unread_conversation(uow: UnitOfWork, number: int) -> None:
    """Keep it for later."""
    async with edit_visible(uow, number) as editor:
        editor.record(editor.state.mark_unread())


async def delete_conversation(uow: UnitOfWork, number: int) -> bool:
    """Remove it with every message: the keys of its content are destroyed; the log keeps that it existed."""
    await refuse_undeletable(uow)
    async with edit_visible(uow, number) as editor:
        blobs = await list_blobs(uow, number)
        await remember_asked(uow, number, editor.state.contact_id)
        await keep_scores(uow, number)
        for absorbed in editor.state.absorbed:
            async with uow.edit(Conversation, absorbed) as other:
                other.record(Deleted())
                uow.erase(other.stream)
        editor.record(Deleted())
        uow.erase(editor.stream)
        for each in (number, *editor.state.absorbed):
            await keep_activity(uow, each)
        if blobs:
            uow.enqueue(Effect("inbox.delete_media", str(number), {"blobs": blobs}))
    return True


async def change_many(uow: UnitOfWork, data: BulkAction) -> int:
    """Apply one action to many; answers how many changed. Ids that are missing or hidden are passed over in silence."""
    await refuse_incomplete(uow, data)
    changed = 0
    for number in sorted(set(data.ids)):
        try:
            changed += await change_one(uow, number, data)
        except NotFound:
            continue
    return changed


async def change_one(uow: UnitOfWork, number: int, data: BulkAction) -> bool:
    """One conversation of a bulk action; was it changed?"""
    if data.action == "close":
        return await close_conversation(uow, number)
    if data.action == "reopen":
        return await reopen_conversation(uow, number)
    if data.action == "delete":
        return await delete_conversation(uow, number)
    async with edit_visible(uow, number) as editor:
        state = editor.state
        if data.action == "assign":
            return await assign(uow, editor, data.assignee_id or None)
        label = data.label_id or 0
        return recorded(editor, state.label(label) if data.action == "add_label" else state.unlabel(label))


async def refuse_incomplete(uow: UnitOfWork, data: BulkAction) -> None:
    """Raises Invalid for a missing companion field, NotFound for a member or label that is not of this workspace."""
    if data.action == "delete":
        await refuse_undeletable(uow)
    if data.action == "assign":
        if data.assignee_id is UNSET:
            raise Invalid.field("assignee_id", "Say who is to have them, or null for nobody.")
        if data.assignee_id is not None:
            await find_member_name(uow, data.assignee_id)
    if data.action in ("add_label", "remove_label"):
        if data.label_id is None:
            raise Invalid.field("label_id", "Say which label.")
        await hold_label(uow, data.label_id)


async def refuse_undeletable(uow: UnitOfWork) -> None:
    """Agents delete only where the owner allows it; raises Forbidden."""
    principal = uow.principal
    if principal is not None and principal.role != "owner" and not await may_delete_conversations(uow):
        raise Forbidden("Only the owner of the workspace can delete conversations.")


async def assign(uow: UnitOfWork, editor: Editor[Conversation], member: int | None) -> bool:
    """Give it to a member of the workspace; raises NotFound for anybody else."""
    name = await find_member_name(uow, member) if member is not None else None
    return give(uow, editor, member, name)


def give(uow: UnitOfWork, editor: Editor[Conversation], member: int | None, name: str | None, rule: int | None = None) -> bool:
    """Give it to a member, or to nobody, and remember whose turn it was; False when they had it already."""
    given = recorded(editor, editor.state.assign(member, name, rule))
    if given and member is not None:
        uow.also_row(TURN, member, uow.now)
    return given


def recorded(editor: Editor[Conversation], events: Iterable[Event]) -> bool:
    """Record; was there anything to record?"""
    before = len(editor.facts)
    editor.record(events)
    return len(editor.facts) > before

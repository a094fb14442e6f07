"""What members do to conversations."""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Literal

from litestar.params import Parameter
from msgspec import UNSET, Meta, Struct, UnsetType

from plixa.contacts.queries import refuse_unknown_label
from plixa.identity.queries import find_member_name, may_delete_conversations
from plixa.inbox.commands.editing import edit_visible
from plixa.inbox.domain.conversation import Conversation
from plixa.inbox.domain.events import Deleted
from plixa.inbox.queries.messages import list_blobs
from plixa.kernel.editor import Editor
from plixa.kernel.errors import Forbidden, Invalid, NotFound
from plixa.kernel.event_store import Event
from plixa.kernel.outbox import Effect
from plixa.kernel.uow import UnitOfWork

Action = Literal["close", "reopen", "assign", "delete", "add_label", "remove_label"]


class SnoozeConversation(Struct, frozen=True):
    """``until`` null wakes it at once."""

    until: datetime | None = None


class UpdateConversation(Struct, frozen=True):
    """Absent = unchanged; an empty name shows the contact's own again; ``assigned_user_id`` null unassigns."""

    contact_name: Annotated[str, Meta(max_length=255)] | UnsetType | None = UNSET
    notes: Annotated[str, Meta(max_length=4000)] | UnsetType | None = UNSET
    assigned_user_id: int | UnsetType | None = UNSET


class BulkAction(Struct, frozen=True):
    """``assignee_id`` goes with assign, ``label_id`` with add_label and remove_label."""

    action: Action
    ids: Annotated[list[Annotated[int, Parameter(ge=1)]], Meta(min_length=1, max_length=100)]
    assignee_id: int | UnsetType | None = UNSET
    label_id: int | None = None


async def update_conversation(uow: UnitOfWork, number: int, data: UpdateConversation) -> None:
    """Name, notes and assignee; raises NotFound for a member that is not of this workspace."""
    async with edit_visible(uow, number) as editor:
        if data.contact_name is not UNSET:
            editor.record(editor.state.rename(data.contact_name))
        if data.notes is not UNSET:
            editor.record(editor.state.note(data.notes))
        if data.assigned_user_id is not UNSET:
            await assign(uow, editor, data.assigned_user_id)


async def snooze_conversation(uow: UnitOfWork, number: int, until: datetime | None) -> None:
    """Out of sight until then, or back at once; a timer in the outbox brings it back."""
    async with edit_visible(uow, number) as editor:
        if until is None:
            editor.record(editor.state.wake())
        elif recorded(editor, editor.state.snooze(until, uow.now)):
            uow.enqueue(Effect("inbox.wake", f"{number}/{editor.version}", {"conversation_id": number}, until))


async def wake_conversation(uow: UnitOfWork, number: int) -> None:
    """The timer of a snooze: wakes a conversation whose time has come."""
    async with uow.edit(Conversation, number) as editor:
        editor.record(editor.state.wake_due(uow.now))


async def close_conversation(uow: UnitOfWork, number: int) -> bool:
    """End the episode; False when it was closed already."""
    async with edit_visible(uow, number) as editor:
        return recorded(editor, editor.state.close())


async def reopen_conversation(uow: UnitOfWork, number: int) -> bool:
    """Begin a new episode; False when it was open."""
    async with edit_visible(uow, number) as editor:
        return recorded(editor, editor.state.reopen())


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
        for absorbed in editor.state.absorbed:
            async with uow.edit(Conversation, absorbed) as other:
                other.record(Deleted())
                uow.erase(other.stream)
        editor.record(Deleted())
        uow.erase(editor.stream)
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
        await refuse_unknown_label(uow, data.label_id)


async def refuse_undeletable(uow: UnitOfWork) -> None:
    """Agents delete only where the owner allows it; raises Forbidden."""
    principal = uow.principal
    if principal is not None and principal.role != "owner" and not await may_delete_conversations(uow):
        raise Forbidden("Only the owner of the workspace can delete conversations.")


async def assign(uow: UnitOfWork, editor: Editor[Conversation], member: int | None) -> bool:
    """Give it to a member of the workspace; raises NotFound for anybody else."""
    name = await find_member_name(uow, member) if member is not None else None
    return recorded(editor, editor.state.assign(member, name))


def recorded(editor: Editor[Conversation], events: Iterable[Event]) -> bool:
    """Record; was there anything to record?"""
    before = len(editor.facts)
    editor.record(events)
    return len(editor.facts) > before

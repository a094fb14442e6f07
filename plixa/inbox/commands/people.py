"""Conversations follow their contact: known by another name, merged and parted, blocked, deleted."""

from contextlib import suppress
from typing import Final

from msgspec import Struct

from plixa.contacts.commands.identities import Known, delete_contacts, lock_identity
from plixa.contacts.commands.merging import Merge, absorb_contacts, get_merge, part_contacts
from plixa.contacts.commands.people import UpdateContact, find_known, set_blocked, update_contact
from plixa.inbox.commands.merging import merge_conversations, recognise
from plixa.inbox.domain.conversation import Conversation
from plixa.kernel.audit import record
from plixa.kernel.editor import Editor
from plixa.kernel.errors import Conflict, Invalid, NotFound
from plixa.kernel.event_store import stream_id
from plixa.kernel.phones import phone_variants
from plixa.kernel.uow import UnitOfWork

THEIRS: Final = "SELECT id FROM inbox_conversation WHERE tenant_id = scope.tenant AND contact_id = $2 ORDER BY id"
LEFT: Final = """(SELECT id FROM inbox_conversation WHERE tenant_id = scope.tenant AND phone_instance_id = $2 AND contact_id IS NULL
    AND phone = ANY($3::text[]) ORDER BY id DESC LIMIT 1)
UNION ALL
(SELECT id FROM inbox_conversation WHERE tenant_id = scope.tenant AND phone_instance_id = $2 AND contact_id IS NULL
    AND reply_to = ANY($4::text[]) ORDER BY id DESC LIMIT 1)"""
OWN: Final = "UPDATE stream_key SET contact_id = $2 WHERE tenant_id = $1 AND stream_id = ANY($3::uuid[])"
DISOWN: Final = "UPDATE stream_key SET contact_id = NULL WHERE tenant_id = $1 AND contact_id = ANY($2::bigint[])"


class MergeContact(Struct, frozen=True):
    """``into`` is the contact that stays."""

    into: int


class MergeNotUndoable(Conflict):
    code = "MERGE_NOT_UNDOABLE"
    default = "Their conversations on one number were joined into one, and its messages cannot be told apart any more."


async def change_contact(uow: UnitOfWork, contact: int, data: UpdateContact) -> None:
    """Change name and notes; conversations show the new name at once. Raises NotFound, ContactErased."""
    await update_contact(uow, contact, data)
    await follow_contact(uow, contact)


async def block_contact(uow: UnitOfWork, contact: int, *, blocked: bool) -> None:
    """Shut somebody out, or let them in again; raises NotFound, ContactErased.

    What they write while they are shut out is kept in conversations that stay closed; it counts, wakes and starts nothing.
    """
    if await set_blocked(uow, contact, blocked=blocked):
        await follow_contact(uow, contact)


async def delete_contact(uow: UnitOfWork, contact: int) -> None:
    """Forget who somebody is; their conversations stay, by their phone. Raises NotFound, ContactErased."""
    identity = await lock_identity(uow, contact)
    editors = await theirs(uow, contact)
    for editor in editors:
        async with uow.edit(Conversation, editor.state.number):
            editor.record(editor.state.lose_contact())
    await uow.execute(DISOWN, identity.contacts)
    await delete_contacts(uow, identity)
    await record(uow, "contact.deleted", ("contact", contact), {"conversations": [editor.state.number for editor in editors]})


async def merge_contact(uow: UnitOfWork, contact: int, data: MergeContact) -> None:
    """Let a contact be one with another, and their conversations on each number too; raises NotFound, ContactErased."""
    if contact == data.into:
        raise Invalid.field("into", "Choose another contact than this one.")
    for one in sorted((contact, data.into)):
        await lock_identity(uow, one)
    await absorb_contacts(uow, data.into, [contact])
    known = await find_known(uow, data.into)
    await merge_conversations(uow, Known(known.id, known.phone, known.name, (contact,), blocked=known.blocked), 0)
    await record(uow, "contact.merged", ("contact", contact), after={"into": data.into})


async def unmerge_contact(uow: UnitOfWork, contact: int) -> None:
    """Undo a merge, whether made by hand or found out by itself; raises NotFound, NotMerged, MergeNotUndoable.

    What the contact brought along goes back, but for what was changed since. What was written since stays where it was written.
    """
    merge = await get_merge(uow, contact)
    try:
        await lock_identity(uow, merge.kept)
    except NotFound as error:
        raise MergeNotUndoable("Whom it was merged into was merged into somebody else since. Undo that first.") from error
    merge = await get_merge(uow, contact)
    editors = await conversations_to_part(uow, merge)
    await part_contacts(uow, contact, merge)
    known = await find_known(uow, contact)
    for editor in editors:
        async with uow.edit(Conversation, editor.state.number):
            await recognise(uow, editor, known)
    await uow.execute(OWN, contact, merge.undo.streams)
    await follow_contact(uow, merge.kept)
    await record(uow, "contact.unmerged", ("contact", contact), {"into": merge.kept})


async def conversations_to_part(uow: UnitOfWork, merge: Merge) -> list[Editor[Conversation]]:
    """Those that go back; raises MergeNotUndoable where one became one with another's, here or since. Deleted ones do not count."""
    if await edit_standing(uow, merge.undo.joined):
        raise MergeNotUndoable
    editors = await edit_standing(uow, list(merge.undo.conversations))
    grown = [editor for editor in editors if len(editor.state.absorbed) != merge.undo.conversations[editor.state.number]]
    if grown:
        raise MergeNotUndoable
    return [editor for editor in editors if editor.state.contact_id == merge.kept]


async def adopt_conversation(uow: UnitOfWork, contact: Known, aliases: list[str], instance_id: int) -> int | None:
    """What a contact that was deleted left behind on a number is theirs again once they are back; answers its number."""
    phones = phone_variants(contact.phone) if contact.phone else ()
    found = await uow.fetchrow(LEFT, instance_id, phones, [alias.removeprefix("lid:") for alias in aliases])
    if found is None:
        return None
    async with uow.edit(Conversation, found["id"]) as editor:
        await recognise(uow, editor, contact)
        streams = [stream_id(Conversation.KIND, number) for number in (editor.state.number, *editor.state.absorbed)]
    await uow.execute(OWN, contact.id, streams)
    return int(found["id"])


async def follow_unseen(uow: UnitOfWork, contact: int) -> None:
    """The same behind the change that made it needed; raises NotFound for one that is gone by now."""
    await lock_identity(uow, contact)
    await follow_contact(uow, contact)


async def follow_contact(uow: UnitOfWork, contact: int) -> None:
    """Let a contact's conversations know them as they are now."""
    known = await find_known(uow, contact)
    for editor in await theirs(uow, contact):
        async with uow.edit(Conversation, editor.state.number):
            await recognise(uow, editor, known)


async def theirs(uow: UnitOfWork, contact: int) -> list[Editor[Conversation]]:
    """A contact's conversations, each under its lock."""
    return await edit_standing(uow, [row["id"] for row in await uow.fetch(THEIRS, contact)])


async def edit_standing(uow: UnitOfWork, numbers: list[int]) -> list[Editor[Conversation]]:
    """Those of the conversations that are still there, each under its lock, taken in the order of their ids."""
    editors = []
    for number in sorted(numbers):
        with suppress(NotFound):  # deleted meanwhile
            async with uow.edit(Conversation, number) as editor:
                editors.append(editor)
    return editors

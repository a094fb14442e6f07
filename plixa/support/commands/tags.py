"""Tags of tickets and canned replies, written and deleted by staff for all staff."""

from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated, Any, Final

import asyncpg
from msgspec import UNSET, Meta, Struct, UnsetType, to_builtins
from msgspec.structs import asdict

from plixa.kernel.audit import record, record_change
from plixa.kernel.errors import Conflict, Invalid, NotFound
from plixa.kernel.event_store import Actor
from plixa.kernel.outbox import Effect
from plixa.kernel.tenancy import lock_of
from plixa.kernel.uow import Kernel, UnitOfWork, perform, working
from plixa.support.domain.ticket import Ticket
from plixa.support.queries.tags import (
    CannedReplyView,
    CountedTagView,
    get_canned_reply,
    get_tag,
    list_canned_replies,
    list_tags,
    list_tickets_tagged,
)

MOST: Final = 500
"""Tags, and canned replies, there can be."""
DROP_TAG: Final = "support.drop_tag"
NEW_TAG: Final = "INSERT INTO ticket_tag (tenant_id, id, name, created_at) VALUES ($1, $2, $3, $4)"
DELETE_TAG: Final = "DELETE FROM ticket_tag WHERE tenant_id = $1 AND id = $2"
NEW_REPLY: Final = "INSERT INTO canned_reply (tenant_id, id, title, body, updated_at) VALUES ($1, $2, $3, $4, $5)"
UPDATE_REPLY: Final = "UPDATE canned_reply SET title = $3, body = $4, updated_at = $5 WHERE tenant_id = $1 AND id = $2"
DELETE_REPLY: Final = "DELETE FROM canned_reply WHERE tenant_id = $1 AND id = $2"

Title = Annotated[str, Meta(min_length=1, max_length=80, pattern=r"\S")]
Answer = Annotated[str, Meta(min_length=1, max_length=5000, pattern=r"\S")]


class CreateTag(Struct, frozen=True):
    name: Annotated[str, Meta(min_length=1, max_length=50, pattern=r"\S")]


class CreateCannedReply(Struct, frozen=True):
    """An answer, and what it is picked by."""

    title: Title
    body: Answer


class UpdateCannedReply(Struct, frozen=True):
    """Absent = unchanged."""

    title: Title | UnsetType = UNSET
    body: Answer | UnsetType = UNSET


async def create_tag(uow: UnitOfWork, data: CreateTag) -> CountedTagView:
    """A new tag; raises Invalid for a name that is taken, Conflict where there are too many."""
    await alone(uow)
    if len(await list_tags(uow)) >= MOST:
        raise Conflict(f"There are at most {MOST} tags. Delete one first.")
    number = await uow.number("ticket_tag_number")
    try:
        await uow.execute(NEW_TAG, number, data.name.strip(), uow.now)
    except asyncpg.UniqueViolationError as error:
        if error.constraint_name != "ticket_tag_name":
            raise
        raise Invalid.field("name", "Another tag has this name.") from error
    await record(uow, "ticket_tag.created", ("ticket_tag", number), after={"name": data.name.strip()})
    return await get_tag(uow, number)


async def delete_tag(uow: UnitOfWork, number: int) -> None:
    """Off every ticket, one after the other behind this; raises NotFound."""
    await alone(uow)
    before = await get_tag(uow, number)
    await uow.execute(DELETE_TAG, number)
    uow.enqueue(Effect(DROP_TAG, str(number), {"tag_id": number, "by": to_builtins(uow.actor)}))
    await record(uow, "ticket_tag.deleted", ("ticket_tag", number), {"name": before.name})


async def drop_tag(kernel: Kernel, tag: int, by: Actor) -> None:
    """Take a deleted tag off whatever carries it, in all workspaces, each ticket in a transaction of its own."""
    async for tenant, ticket in tagged(kernel, tag):
        async with working(kernel, tenant, by, f"tag-{tag}") as uow:
            await perform(uow, partial(untag, uow, ticket, tag))


async def tagged(kernel: Kernel, tag: int) -> AsyncIterator[tuple[int, int]]:
    """Tickets that carry a tag, by workspace and number, a batch at a time."""
    last = 0
    while batch := await list_tickets_tagged(kernel.system, tag, last):
        for tenant, ticket in batch:
            yield tenant, ticket
            last = ticket


async def untag(uow: UnitOfWork, ticket: int, tag: int) -> None:
    """Decide on the present state; one that is gone by now needs nothing."""
    try:
        async with uow.edit(Ticket, ticket) as editor:
            editor.record(editor.state.tag(editor.state.tags - {tag}))
    except NotFound:
        return


async def create_canned_reply(uow: UnitOfWork, data: CreateCannedReply) -> CannedReplyView:
    """A new one; raises Conflict where there are too many."""
    await alone(uow)
    if len(await list_canned_replies(uow)) >= MOST:
        raise Conflict(f"There are at most {MOST} canned replies. Delete one first.")
    number = await uow.number("canned_reply_number")
    await uow.execute(NEW_REPLY, number, data.title.strip(), data.body, uow.now)
    view = await get_canned_reply(uow, number)
    await record(uow, "canned_reply.created", ("canned_reply", number), after=shown(view))
    return view


async def update_canned_reply(uow: UnitOfWork, number: int, data: UpdateCannedReply) -> CannedReplyView:
    """Another title or text; raises NotFound."""
    await alone(uow)
    before = shown(await get_canned_reply(uow, number))
    after = before | {name: value for name, value in asdict(data).items() if value is not UNSET}
    after["title"] = after["title"].strip()
    if after != before:
        await uow.execute(UPDATE_REPLY, number, after["title"], after["body"], uow.now)
        await record_change(uow, "canned_reply.updated", ("canned_reply", number), before, after)
    return await get_canned_reply(uow, number)


async def delete_canned_reply(uow: UnitOfWork, number: int) -> None:
    """Raises NotFound."""
    await alone(uow)
    before = shown(await get_canned_reply(uow, number))
    await uow.execute(DELETE_REPLY, number)
    await record(uow, "canned_reply.deleted", ("canned_reply", number), before)


async def alone(uow: UnitOfWork) -> None:
    """One change of these after the other, so that what it was before is true."""
    await uow.begin(lock_of("support/desk"))


def shown(view: CannedReplyView) -> dict[str, Any]:
    """What the audit trail says of it."""
    return {"title": view.title, "body": view.body}

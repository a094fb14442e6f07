"""Saved replies: written, changed, put in order, deleted."""

from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from plixa.inbox.queries.saved_replies import SavedReplyView, get_saved_reply, list_saved_replies
from plixa.kernel.audit import record, record_change
from plixa.kernel.errors import Conflict
from plixa.kernel.ordering import Order, Reorder, reorder
from plixa.kernel.tenancy import lock_of
from plixa.kernel.uow import UnitOfWork

MOST: Final = 500
"""Saved replies a workspace can have."""

INSERT: Final = "INSERT INTO saved_reply (tenant_id, id, label, body, position, created_at) VALUES ($1, $2, $3, $4, $5, $6)"
UPDATE: Final = "UPDATE saved_reply SET label = $3, body = $4 WHERE tenant_id = $1 AND id = $2"
DELETE: Final = "DELETE FROM saved_reply WHERE tenant_id = $1 AND id = $2"
PLACE: Final = """UPDATE saved_reply r SET position = p.position FROM unnest($2::bigint[], $3::int[]) AS p(id, position)
WHERE r.tenant_id = $1 AND r.id = p.id"""
ORDER: Final = Order("saved_reply", PLACE)


class SavedReply(Struct, frozen=True):
    """The whole of one, whether new or changed."""

    label: Annotated[str, Meta(min_length=1, max_length=80, pattern=r"\S")]
    body: Annotated[str, Meta(min_length=1, max_length=2000, pattern=r"\S")]


async def create_saved_reply(uow: UnitOfWork, data: SavedReply) -> SavedReplyView:
    """A new one below the others; raises Conflict where there are too many."""
    await alone(uow)
    others = await list_saved_replies(uow)
    if len(others) >= MOST:
        raise Conflict(f"A workspace has at most {MOST} saved replies. Delete one first.")
    number = await uow.number("saved_reply_number")
    position = max((one.position for one in others), default=-1) + 1
    await uow.execute(INSERT, number, data.label.strip(), data.body, position, uow.now)
    view = await get_saved_reply(uow, number)
    await record(uow, "saved_reply.created", ("saved_reply", number), after=shown(view))
    return view


async def update_saved_reply(uow: UnitOfWork, number: int, data: SavedReply) -> SavedReplyView:
    """Another label or text; raises NotFound."""
    await alone(uow)
    before = shown(await get_saved_reply(uow, number))
    after = {"label": data.label.strip(), "body": data.body}
    if after != before:
        await uow.execute(UPDATE, number, after["label"], after["body"])
        await record_change(uow, "saved_reply.updated", ("saved_reply", number), before, after)
    return await get_saved_reply(uow, number)


async def delete_saved_reply(uow: UnitOfWork, number: int) -> None:
    """Raises NotFound."""
    await alone(uow)
    before = shown(await get_saved_reply(uow, number))
    await uow.execute(DELETE, number)
    await record(uow, "saved_reply.deleted", ("saved_reply", number), before)


async def reorder_saved_replies(uow: UnitOfWork, data: Reorder) -> list[SavedReplyView]:
    """Put them in this order; ids that are not of this workspace are passed over, missing ones stay where they are."""
    await alone(uow)
    return await reorder(uow, ORDER, list_saved_replies, data)


async def alone(uow: UnitOfWork) -> None:
    """One change of a workspace's saved replies after the other, so that no two have one place."""
    await uow.begin(lock_of(f"{uow.tenant}/saved_reply"))


def shown(view: SavedReplyView) -> dict[str, Any]:
    """What the audit trail says of it."""
    return {"label": view.label, "body": view.body}

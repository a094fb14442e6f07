"""Saved replies."""

from typing import Final

from msgspec import Struct

from plixa.kernel.errors import NotFound
from plixa.kernel.uow import UnitOfWork

LIST: Final = """SELECT id, label, body, position FROM saved_reply
WHERE tenant_id = scope.tenant AND ($2::bigint IS NULL OR id = $2) ORDER BY position"""


class SavedReplyView(Struct, frozen=True):
    """A text for the composer, and the short label it is picked by."""

    id: int
    label: str
    body: str
    position: int


async def list_saved_replies(uow: UnitOfWork, number: int | None = None) -> list[SavedReplyView]:
    """All of them in their order, or only one."""
    return [SavedReplyView(*row) for row in await uow.fetch(LIST, number)]


async def get_saved_reply(uow: UnitOfWork, number: int) -> SavedReplyView:
    """One; raises NotFound."""
    found = await list_saved_replies(uow, number)
    if not found:
        raise NotFound("There is no such saved reply.")
    return found[0]

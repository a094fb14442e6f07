"""Saved replies."""

from litestar import Controller
from litestar.params import FromPath, JSONBody

from plixa.inbox.commands.saved_replies import (
    SavedReply,
    create_saved_reply,
    delete_saved_reply,
    reorder_saved_replies,
    update_saved_reply,
)
from plixa.inbox.queries.saved_replies import SavedReplyView, list_saved_replies
from plixa.kernel.auth import Access
from plixa.kernel.envelope import Data
from plixa.kernel.http import Uow, delete, get, post, put
from plixa.kernel.ordering import Reorder


class SavedReplyController(Controller):
    path = "/saved-replies"
    tags = ("Saved replies",)

    @get("/", access=Access.MEMBER)
    async def index(self, uow: Uow) -> Data[list[SavedReplyView]]:
        """List the saved replies, top to bottom."""
        return Data(await list_saved_replies(uow))

    @post("/", access=Access.OWNER)
    async def create(self, uow: Uow, data: JSONBody[SavedReply]) -> Data[SavedReplyView]:
        """Create a saved reply."""
        return Data(await create_saved_reply(uow, data))

    @post("/reorder", access=Access.OWNER, status_code=200)
    async def reorder(self, uow: Uow, data: JSONBody[Reorder]) -> Data[list[SavedReplyView]]:
        """Put saved replies in another order; those that are missing stay where they are."""
        return Data(await reorder_saved_replies(uow, data))

    @put("/{reply:int}", access=Access.OWNER)
    async def update(self, uow: Uow, reply: FromPath[int], data: JSONBody[SavedReply]) -> Data[SavedReplyView]:
        """Change a saved reply's label and text."""
        return Data(await update_saved_reply(uow, reply, data))

    @delete("/{reply:int}", access=Access.OWNER)
    async def remove(self, uow: Uow, reply: FromPath[int]) -> None:
        """Delete a saved reply."""
        await delete_saved_reply(uow, reply)

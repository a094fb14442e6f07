"""Tags of tickets and canned replies, for staff."""

from litestar import Controller
from litestar.params import FromPath, JSONBody

from plixa.kernel.auth import Access
from plixa.kernel.envelope import Data
from plixa.kernel.http import Uow, delete, get, patch, post
from plixa.support.commands.tags import (
    CreateCannedReply,
    CreateTag,
    UpdateCannedReply,
    create_canned_reply,
    create_tag,
    delete_canned_reply,
    delete_tag,
    update_canned_reply,
)
from plixa.support.queries.tags import CannedReplyView, CountedTagView, list_canned_replies, list_tags


class TicketTagController(Controller):
    path = "/admin/support/tags"
    tags = ("Admin — Support",)

    @get("/", access=Access.STAFF)
    async def index(self, uow: Uow) -> Data[list[CountedTagView]]:
        """List the tags, and how many tickets carry each."""
        return Data(await list_tags(uow))

    @post("/", access=Access.STAFF)
    async def create(self, uow: Uow, data: JSONBody[CreateTag]) -> Data[CountedTagView]:
        """Create a tag."""
        return Data(await create_tag(uow, data))

    @delete("/{tag:int}", access=Access.STAFF)
    async def remove(self, uow: Uow, tag: FromPath[int]) -> None:
        """Delete a tag and take it off every ticket."""
        await delete_tag(uow, tag)


class CannedReplyController(Controller):
    path = "/admin/support/canned-replies"
    tags = ("Admin — Support",)

    @get("/", access=Access.STAFF)
    async def index(self, uow: Uow) -> Data[list[CannedReplyView]]:
        """List the canned replies."""
        return Data(await list_canned_replies(uow))

    @post("/", access=Access.STAFF)
    async def create(self, uow: Uow, data: JSONBody[CreateCannedReply]) -> Data[CannedReplyView]:
        """Create a canned reply."""
        return Data(await create_canned_reply(uow, data))

    @patch("/{canned_reply:int}", access=Access.STAFF)
    async def update(self, uow: Uow, canned_reply: FromPath[int], data: JSONBody[UpdateCannedReply]) -> Data[CannedReplyView]:
        """Change a canned reply."""
        return Data(await update_canned_reply(uow, canned_reply, data))

    @delete("/{canned_reply:int}", access=Access.STAFF)
    async def remove(self, uow: Uow, canned_reply: FromPath[int]) -> None:
        """Delete a canned reply."""
        await delete_canned_reply(uow, canned_reply)

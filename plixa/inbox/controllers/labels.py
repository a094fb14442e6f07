"""Labels of a conversation."""

from litestar import Controller
from litestar.params import FromPath

from plixa.inbox.commands.labels import label_conversation, unlabel_conversation
from plixa.inbox.queries.conversations import ConversationView, present_conversation
from plixa.kernel.auth import Access
from plixa.kernel.envelope import Data
from plixa.kernel.http import Uow, delete, post


class ConversationLabelController(Controller):
    path = "/conversations/{conversation:int}/labels"
    tags = ("Labels",)

    @post("/{label:int}", access=Access.MEMBER, ability="write", status_code=200)
    async def attach(self, uow: Uow, conversation: FromPath[int], label: FromPath[int]) -> Data[ConversationView]:
        """Put a label on a conversation, once."""
        await label_conversation(uow, conversation, label)
        return Data(await present_conversation(uow, conversation))

    @delete("/{label:int}", access=Access.MEMBER, ability="write")
    async def detach(self, uow: Uow, conversation: FromPath[int], label: FromPath[int]) -> None:
        """Take a label off a conversation."""
        await unlabel_conversation(uow, conversation, label)

"""The Messages API: sending to a phone number, and what has become of a message."""

from litestar import Controller
from litestar.params import FromPath, JSONBody

from plixa.inbox.commands.outreach import SendToPhone, Written, send_to_phone
from plixa.inbox.queries.messages import DeliveryView, get_delivery
from plixa.kernel.auth import Access
from plixa.kernel.envelope import Data
from plixa.kernel.http import Uow, get, post


class MessagesApiController(Controller):
    path = "/messages"
    tags = ("Messages API",)

    @post("/send", access=Access.MEMBER, ability="write", feature="api_access", throttle="send_message")
    async def send(self, uow: Uow, data: JSONBody[SendToPhone]) -> Data[Written]:
        """Send a WhatsApp message to a phone number; its conversation is created, or reopened."""
        return Data(await send_to_phone(uow, data))

    @get("/{message:int}", access=Access.MEMBER, ability="read")
    async def show(self, uow: Uow, message: FromPath[int]) -> Data[DeliveryView]:
        """How far a message has come: queued, sent, delivered, read or failed."""
        return Data(await get_delivery(uow, message))

"""Conversations: the list, one conversation and what can be done to it."""

from datetime import datetime
from typing import Annotated, Any

from litestar import Controller
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from msgspec import Struct

from plixa.identity.queries.members import get_instant
from plixa.inbox.commands.conversations import (
    BulkAction,
    SnoozeConversation,
    UpdateConversation,
    change_many,
    close_conversation,
    delete_conversation,
    read_conversation,
    reopen_conversation,
    snooze_conversation,
    unread_conversation,
    update_conversation,
)
from plixa.inbox.queries.conversations import (
    Belonging,
    ConversationView,
    Counts,
    Filters,
    Status,
    View,
    count_conversations,
    get_conversation,
    list_conversations,
    present_conversation,
)
from plixa.inbox.queries.history import get_conversation_as_of, list_events
from plixa.inbox.queries.messages import MessageView, list_newest_messages, search_messages
from plixa.kernel.auth import Access
from plixa.kernel.envelope import Data
from plixa.kernel.history import EventView
from plixa.kernel.http import Uow, delete, get, patch, post
from plixa.kernel.paging import LARGEST, PageWanted

Query = Annotated[str, QueryParameter(min_length=1, max_length=100, description="Words, or beginnings of words.")]


class Affected(Struct, frozen=True):
    """How many conversations were changed."""

    affected: int


class OpenedConversation(Struct, frozen=True):
    """A conversation with its newest messages."""

    conversation: ConversationView
    messages: list[MessageView]
    next_cursor: str | None


def provide_filters(
    status: FromQuery[Status | None] = None,
    view: FromQuery[View] = "all",
    unread: FromQuery[bool] = False,
    q: Annotated[str | None, QueryParameter(max_length=100, description="Part of a name or phone number.")] = None,
) -> Filters:
    """The tab and the search box."""
    return Filters(status, view, unread, q)


def provide_belonging(
    assigned_user_id: FromQuery[int | None] = None,
    sector_id: FromQuery[int | None] = None,
    phone_instance_id: FromQuery[int | None] = None,
    label_id: FromQuery[int | None] = None,
) -> Belonging:
    """Whose conversations."""
    return Belonging(assigned_user_id, sector_id, phone_instance_id, label_id)


class ConversationController(Controller):
    path = "/conversations"
    tags = ("Conversations",)
    dependencies: Any = {  # noqa: RUF012
        "filters": Provide(provide_filters, sync_to_thread=False),
        "belonging": Provide(provide_belonging, sync_to_thread=False),
    }

    @get(access=Access.MEMBER, ability="read")
    async def index(
        self, uow: Uow, filters: NamedDependency[Filters], belonging: NamedDependency[Belonging], paging: PageWanted
    ) -> Data[list[ConversationView]]:
        """List conversations, newest message first; snoozed ones only in their own view."""
        return Data(*await list_conversations(uow, filters, belonging, paging))

    @get("/counts", access=Access.MEMBER, ability="read")
    async def counts(self, uow: Uow) -> Data[Counts]:
        """Count conversations for the inbox's tabs."""
        return Data(await count_conversations(uow))

    @get("/search", access=Access.MEMBER, ability="read")
    async def search(self, uow: Uow, q: Query, paging: PageWanted) -> Data[list[MessageView]]:
        """Find messages by words they contain, newest first."""
        return Data(*await search_messages(uow, q, paging.limit, paging.cursor))

    @post("/bulk", access=Access.MEMBER, status_code=200)
    async def bulk(self, uow: Uow, data: JSONBody[BulkAction]) -> Data[Affected]:
        """Apply an action to many conversations in one request."""
        return Data(Affected(await change_many(uow, data)))

    @get("/{conversation:int}", access=Access.MEMBER, ability="read")
    async def show(self, uow: Uow, conversation: FromPath[int], as_of: FromQuery[datetime | None] = None) -> Data[ConversationView]:
        """Get a conversation as it is, or as it was at ``as_of``."""
        if as_of is not None:
            return Data(await get_conversation_as_of(uow, conversation, await get_instant(uow, as_of, "as_of")))
        return Data(await get_conversation(uow, conversation))

    @get("/{conversation:int}/open", access=Access.MEMBER, ability="read")
    async def opened(
        self, uow: Uow, conversation: FromPath[int], limit: Annotated[int, QueryParameter(ge=1, le=LARGEST)] = 50
    ) -> Data[OpenedConversation]:
        """Get a conversation together with its newest messages, as the panel opens it."""
        view = await get_conversation(uow, conversation)
        messages, page = await list_newest_messages(uow, conversation, limit)
        return Data(OpenedConversation(view, messages, page.next_cursor))

    @patch("/{conversation:int}", access=Access.MEMBER)
    async def update(self, uow: Uow, conversation: FromPath[int], data: JSONBody[UpdateConversation]) -> Data[ConversationView]:
        """Update a conversation's shown name, notes or assignee."""
        await update_conversation(uow, conversation, data)
        return Data(await present_conversation(uow, conversation))

    @delete("/{conversation:int}", access=Access.MEMBER)
    async def remove(self, uow: Uow, conversation: FromPath[int]) -> None:
        """Delete a conversation and every message in it, for good."""
        await delete_conversation(uow, conversation)

    @post("/{conversation:int}/snooze", access=Access.MEMBER, status_code=200)
    async def snooze(self, uow: Uow, conversation: FromPath[int], data: JSONBody[SnoozeConversation]) -> Data[ConversationView]:
        """Hide a conversation from the inbox until a time, or wake it."""
        until = await get_instant(uow, data.until, "until") if data.until is not None else None
        await snooze_conversation(uow, conversation, until)
        return Data(await present_conversation(uow, conversation))

    @post("/{conversation:int}/close", access=Access.MEMBER, status_code=200)
    async def close(self, uow: Uow, conversation: FromPath[int]) -> Data[ConversationView]:
        """Close a conversation."""
        await close_conversation(uow, conversation)
        return Data(await present_conversation(uow, conversation))

    @post("/{conversation:int}/reopen", access=Access.MEMBER, status_code=200)
    async def reopen(self, uow: Uow, conversation: FromPath[int]) -> Data[ConversationView]:
        """Reopen a conversation."""
        await reopen_conversation(uow, conversation)
        return Data(await present_conversation(uow, conversation))

    @post("/{conversation:int}/read", access=Access.MEMBER, status_code=200)
    async def read(self, uow: Uow, conversation: FromPath[int]) -> Data[ConversationView]:
        """Mark a conversation as read."""
        await read_conversation(uow, conversation)
        return Data(await present_conversation(uow, conversation))

    @post("/{conversation:int}/unread", access=Access.MEMBER, status_code=200)
    async def unread(self, uow: Uow, conversation: FromPath[int]) -> Data[ConversationView]:
        """Mark a conversation as unread."""
        await unread_conversation(uow, conversation)
        return Data(await present_conversation(uow, conversation))

    @get("/{conversation:int}/events", access=Access.MEMBER, ability="read")
    async def events(self, uow: Uow, conversation: FromPath[int], paging: PageWanted) -> Data[list[EventView]]:
        """List everything that happened in a conversation, newest first: what, who, when."""
        return Data(*await list_events(uow, conversation, paging))

"""Conversations under their lock: those a caller may see, and those that went on in another."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from plixa.inbox.domain.conversation import Conversation
from plixa.inbox.queries.conversations import refuse_hidden, why_missing
from plixa.kernel.editor import Editor
from plixa.kernel.errors import NotFound
from plixa.kernel.uow import UnitOfWork


@asynccontextmanager
async def edit_visible(uow: UnitOfWork, number: int) -> AsyncIterator[Editor[Conversation]]:
    """A conversation the caller may change; raises NotFound, also for one that went on in another, and ContactErased."""
    async with AsyncExitStack() as stack:
        try:
            editor = await stack.enter_async_context(uow.edit(Conversation, number))
        except NotFound as error:
            raise await why_missing(uow, number) from error
        if editor.state.merged_into is not None:
            raise NotFound
        refuse_hidden(uow, editor.state.assigned_user_id)
        yield editor


@asynccontextmanager
async def edit_live(uow: UnitOfWork, number: int) -> AsyncIterator[Editor[Conversation]]:
    """A conversation, or the one in which it goes on."""
    async with uow.edit(Conversation, number) as editor:
        into = editor.state.merged_into
        if into is None:
            yield editor
            return
    async with edit_live(uow, into) as editor:
        yield editor

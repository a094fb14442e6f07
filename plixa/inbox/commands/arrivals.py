"""A customer's message comes in: what it opens, what clock it starts, and what whoever handles it further needs to know."""

from collections.abc import Awaitable, Callable

from msgspec import Struct

from plixa.inbox.commands.targets import find_missed, set_targets, start_response
from plixa.inbox.domain.conversation import Conversation, Status
from plixa.inbox.domain.events import Echoed, Received
from plixa.kernel.editor import Editor
from plixa.kernel.uow import UnitOfWork

FIRST = """INSERT INTO contact_heard (tenant_id, contact_id, at) SELECT $1, b.* FROM unnest($2::bigint[], $3::timestamptz[]) AS b
ON CONFLICT DO NOTHING"""


class Arrival(Struct, frozen=True):
    """A message that was received in this transaction. ``is_first``: of the conversation; ``began``: with it began an episode."""

    uow: UnitOfWork
    editor: Editor[Conversation]
    message: Received
    is_first: bool
    began: bool

    @property
    def text(self) -> str:
        """What it says."""
        return self.message.content.body or ""

    def note(self, step: str, reason: str) -> None:
        """Keep with the message why a step acted on it, or did not."""
        if self.message.handling is not None:
            self.message.handling.append((step, reason))


Handle = Callable[[Arrival], Awaitable[None]]
"""Does what follows from a customer's message, in its transaction, with its conversation under edit."""


async def receive(uow: UnitOfWork, editor: Editor[Conversation], message: Received) -> Arrival:
    """Record a customer's message with what it opens."""
    before = editor.state
    editor.record(before.receive(message, uow.now))
    arrival = Arrival(uow, editor, message, not before.care.heard, began(editor, before))
    if arrival.is_first:
        uow.also_row(FIRST, editor.state.contact_id, uow.now)
    if arrival.began:
        arrival.note("targets", await set_targets(uow, editor))
    elif not before.care.asked and editor.state.status is Status.OPEN:
        arrival.note("targets", await start_response(uow, editor))
    return arrival


async def echo(uow: UnitOfWork, editor: Editor[Conversation], message: Echoed) -> None:
    """Record what was typed on the owner's own phone: a human's answer."""
    before, missed = editor.state, await find_missed(uow, editor, uow.now)
    editor.record(message)
    editor.record(missed)
    if began(editor, before):
        await set_targets(uow, editor)


def began(editor: Editor[Conversation], before: Conversation) -> bool:
    """Has an episode begun since then? Also with the conversation itself."""
    return editor.state.episode != before.episode or editor.before.instance_id == 0

"""A message comes in: what is known of it on its way, what it opens, and what clock it starts."""

from collections.abc import Awaitable, Callable
from typing import Any

from msgspec import Struct, field

from plixa.contacts.commands.identities import Known
from plixa.inbox.commands.targets import find_missed, set_targets, start_response
from plixa.inbox.domain.conversation import Conversation, Status
from plixa.inbox.domain.events import Echoed, Received
from plixa.kernel.editor import Editor
from plixa.kernel.uow import UnitOfWork
from plixa.whatsapp.commands.webhook import Delivered
from plixa.whatsapp.domain import MessageArrived

ENDS, GOES_ON = False, True
"""After a step: is the way over?"""
FIRST = """INSERT INTO contact_heard (tenant_id, contact_id, at) SELECT $1, b.* FROM unnest($2::bigint[], $3::timestamptz[]) AS b
ON CONFLICT DO NOTHING"""


class Arrival(Struct, frozen=True):
    """A customer's message that was received in this transaction.

    ``is_first``: of the conversation; ``asks``: it is the customer's first in its episode; ``began``: with it began an episode.
    """

    uow: UnitOfWork
    editor: Editor[Conversation]
    message: Received
    is_first: bool
    began: bool
    asks: bool = False

    @property
    def text(self) -> str:
        """What it says."""
        return self.message.content.body or ""

    def note(self, step: str, reason: str) -> None:
        """Keep with the message why a step acted on it, or did not."""
        if self.message.handling is not None:
            self.message.handling.append((step, reason))


class Incoming(Struct):
    """A message, the customer's or the owner's own, on its way into its conversation, and what the steps have found out.

    ``known`` is what ``look_up`` says of it; ``notes`` become its ``handling``; ``arrival`` stays None unless it is a customer's new one.
    """

    uow: UnitOfWork
    delivered: Delivered
    fact: MessageArrived
    known: Any
    contact: Known = Known(0, None, None)
    number: int = 0
    is_new: bool = False
    arrival: Arrival | None = None
    notes: list[tuple[str, str]] = field(default_factory=list)


Handle = Callable[[Incoming], Awaitable[None]]
"""Takes a message into its conversation, with all that follows, in its transaction."""


async def receive(uow: UnitOfWork, editor: Editor[Conversation], message: Received) -> Arrival:
    """Record a customer's message with what it opens."""
    before = editor.state
    editor.record(before.receive(message, uow.now))
    is_new_episode = began(editor, before)
    arrival = Arrival(uow, editor, message, not before.care.heard, is_new_episode, is_new_episode or not before.care.asked)
    if arrival.is_first:
        uow.also_row(FIRST, editor.state.contact_id, uow.now)
    return arrival


async def start_clocks(incoming: Incoming) -> tuple[str, bool]:
    """A step: by when the customer is to be answered, told by the message with which they begin to wait."""
    uow, arrival = incoming.uow, incoming.arrival
    if arrival is None:
        return "the owner's own message", ENDS
    if not arrival.asks or arrival.editor.state.status is Status.CLOSED:
        return "no new clock", GOES_ON
    async with uow.edit(Conversation, incoming.number, wait=False) as editor:
        return await (set_targets if arrival.began else start_response)(uow, editor), GOES_ON


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

"""What members of a workspace do with its tickets, and the clock that closes what was solved."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated, Final

from msgspec import Meta, Struct

from plixa.kernel.editor import Editor
from plixa.kernel.event_store import Person, stream_id
from plixa.kernel.outbox import Effect
from plixa.kernel.uow import UnitOfWork
from plixa.support.commands.files import Upload, keeping
from plixa.support.domain.events import Attachment, Message, Opened
from plixa.support.domain.ticket import QUIET, Status, Ticket

SAID: Final = r"^[^\x00]*[^\s\x00][^\x00]*$"
"""Something that can be read, and stored."""
Text = Annotated[str, Meta(min_length=1, max_length=5000, pattern=SAID)]
Subject = Annotated[str, Meta(min_length=1, max_length=150, pattern=SAID)]
Category = Annotated[str, Meta(min_length=1, max_length=60, pattern=SAID)]
CLOSE_QUIET: Final = "support.close_quiet"
TELL_STAFF: Final = "support.tell_staff"


class OpenTicket(Struct, frozen=True):
    """A question to Plixa."""

    subject: Subject
    body: Text
    category: Category | None = None
    attachments: Sequence[Upload] = ()


class WriteMessage(Struct, frozen=True):
    """What is said in a ticket."""

    body: Text
    attachments: Sequence[Upload] = ()


class RateTicket(Struct, frozen=True):
    """From 1, bad, to 5."""

    rating: Annotated[int, Meta(ge=1, le=5)]
    comment: Annotated[str, Meta(max_length=1000)] | None = None


async def open_ticket(uow: UnitOfWork, data: OpenTicket) -> int:
    """Ask Plixa for help; answers the ticket's number. Staff are told."""
    number = await uow.number("ticket_number")
    async with uow.create(Ticket(number)) as editor, keeping(uow, editor.key, data.attachments) as files:
        message = await written(uow, data.body, files)
        editor.record(Opened(data.subject.strip(), data.category.strip() if data.category else None, message))
        tell_staff(uow, number, message)
    return number


async def reply_as_customer(uow: UnitOfWork, number: int, data: WriteMessage) -> None:
    """Go on with a ticket, which opens it again; raises NotFound, TicketClosedForGood."""
    key = await uow.data_key(stream_id(Ticket.KIND, number))
    async with keeping(uow, key, data.attachments) as files, edit_ticket(uow, number) as editor:
        message = await written(uow, data.body, files)
        editor.record(editor.state.reply_as_customer(message))
        tell_staff(uow, number, message)


async def close_as_customer(uow: UnitOfWork, number: int) -> None:
    """It is settled; closing a closed one changes nothing. Raises NotFound."""
    async with edit_ticket(uow, number) as editor:
        editor.record(editor.state.set_status(Status.CLOSED, "customer", uow.now))


async def reopen_as_customer(uow: UnitOfWork, number: int) -> None:
    """It is not settled; raises NotFound, TicketClosedForGood."""
    async with edit_ticket(uow, number) as editor:
        editor.record(editor.state.reopen_as_customer(uow.now))


async def rate_ticket(uow: UnitOfWork, number: int, data: RateTicket) -> None:
    """Say how it was; raises NotFound, TicketNotRatable, RatingFinal."""
    async with edit_ticket(uow, number) as editor:
        editor.record(editor.state.rate(data.rating, data.comment or None, uow.now))


async def read_ticket(uow: UnitOfWork, number: int) -> None:
    """The answers were seen; raises NotFound."""
    async with edit_ticket(uow, number) as editor:
        editor.record(editor.state.read())


async def close_quiet(uow: UnitOfWork, number: int, moment: datetime) -> None:
    """The timer of a solved ticket: closes it if nobody has said a word, by our clock or by the one that ran the timer."""
    async with edit_ticket(uow, number) as editor:
        editor.record(editor.state.close_quiet(max(uow.now, moment)))


@asynccontextmanager
async def edit_ticket(uow: UnitOfWork, number: int) -> AsyncIterator[Editor[Ticket]]:
    """A ticket of the workspace; if it is solved then, a timer will close it after a quiet week. Raises NotFound."""
    async with uow.edit(Ticket, number) as editor:
        yield editor
        state, since = editor.state, editor.state.quiet_since
        if (
            state.status is Status.SOLVED
            and since is not None
            and (editor.before.status, editor.before.quiet_since) != (state.status, since)
        ):
            due = since + QUIET
            uow.enqueue(Effect(CLOSE_QUIET, f"{number}/{editor.version}", {"ticket_id": number, "at": due}, due))


async def written(uow: UnitOfWork, body: str, files: list[Attachment]) -> Message:
    """A message by whoever acts."""
    author = Person(uow.actor.id or 0, uow.actor.name or "")
    return Message(await uow.number("ticket_message_number"), body, author, uow.now, files)


def tell_staff(uow: UnitOfWork, number: int, message: Message) -> None:
    """Have those mailed who should answer."""
    uow.enqueue(Effect(TELL_STAFF, str(message.id), {"ticket_id": number, "message_id": message.id}))

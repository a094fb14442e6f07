"""What staff do with a ticket of any workspace. Each deed is an entry in that workspace's log; its members see what concerns them."""

from collections.abc import Sequence
from typing import Annotated, Final

from litestar.params import Parameter
from msgspec import Meta, Struct

from plixa.kernel.event_store import stream_id
from plixa.kernel.mail import Mail, send_mail
from plixa.kernel.outbox import Effect
from plixa.kernel.settings import Settings
from plixa.kernel.uow import UnitOfWork
from plixa.notifications.commands.push import tell
from plixa.notifications.queries.push import list_hearers
from plixa.support.commands.files import Upload, keeping
from plixa.support.commands.tickets import Text, edit_ticket, written
from plixa.support.domain.events import Message
from plixa.support.domain.ticket import Priority, Status, Ticket
from plixa.support.queries.notices import ANSWER
from plixa.support.queries.recipients import find_opener
from plixa.support.queries.tags import get_colleague, refuse_unknown_tags

EXCERPT: Final = 500
"""Characters of a message that a mail shows."""
TELL_ASSIGNEE: Final = "support.tell_assignee"


class AnswerTicket(Struct, frozen=True):
    """An answer to the customer or, ``internal``, a note among staff; ``status`` is set with it."""

    body: Text
    internal: bool = False
    status: Status | None = None
    attachments: Sequence[Upload] = ()


class SetStatus(Struct, frozen=True):
    status: Status


class SetPriority(Struct, frozen=True):
    priority: Priority


class AssignTicket(Struct, frozen=True):
    """``admin_id`` null: nobody's."""

    admin_id: int | None = None


class SetTags(Struct, frozen=True):
    """All the tags it is to have."""

    tag_ids: Annotated[list[Annotated[int, Parameter(ge=1)]], Meta(max_length=50)] = []


async def answer_ticket(uow: UnitOfWork, settings: Settings, number: int, data: AnswerTicket) -> None:
    """Answer, which mails whoever asked, or note something, which nobody hears of; raises NotFound, TicketClosed."""
    key = await uow.data_key(stream_id(Ticket.KIND, number))
    async with keeping(uow, key, data.attachments) as files, edit_ticket(uow, number) as editor:
        message = await written(uow, data.body, files)
        if data.internal:
            editor.record(editor.state.note(message, data.status))
        else:
            editor.record(editor.state.reply_as_staff(message, data.status))
    if not data.internal:
        await tell_opener(uow, settings, number, message)


async def set_status(uow: UnitOfWork, number: int, status: Status) -> None:
    """Move it through its life; raises NotFound, TicketClosed."""
    async with edit_ticket(uow, number) as editor:
        editor.record(editor.state.set_status(status, "staff", uow.now))


async def reopen_ticket(uow: UnitOfWork, number: int) -> None:
    """However long ago it was closed; raises NotFound."""
    async with edit_ticket(uow, number) as editor:
        editor.record(editor.state.reopen("staff", uow.now))


async def prioritize_ticket(uow: UnitOfWork, number: int, priority: Priority) -> None:
    """How urgent it is to us; raises NotFound."""
    async with edit_ticket(uow, number) as editor:
        editor.record(editor.state.prioritize(priority))


async def assign_ticket(uow: UnitOfWork, number: int, admin: int | None) -> None:
    """Give it to one of the staff, who is told, or to nobody; raises NotFound, Invalid."""
    person = await get_colleague(uow.kernel.system, admin) if admin is not None else None
    async with edit_ticket(uow, number) as editor:
        editor.record(editor.state.assign(person))
        if person is not None and editor.before.assigned_to != person.id != uow.actor.id:
            about = {"ticket_id": number, "staff_id": person.id, "at": uow.now}
            uow.enqueue(Effect(TELL_ASSIGNEE, f"{number}/{editor.version}", about))


async def tag_ticket(uow: UnitOfWork, number: int, tags: list[int]) -> None:
    """These tags and no others; raises NotFound, Invalid."""
    await refuse_unknown_tags(uow.kernel.system, tags)
    async with edit_ticket(uow, number) as editor:
        editor.record(editor.state.tag(frozenset(tags)))


async def tell_opener(uow: UnitOfWork, settings: Settings, number: int, message: Message) -> None:
    """Mail an answer to whoever asked, in their language, and tell their browsers; nobody where they have left."""
    opener = await find_opener(uow, number)
    if opener is not None:
        link = f"{settings.public_url}/support/tickets/{number}"
        values = {
            "name": opener.name,
            "ticket": opener.subject,
            "staff": message.author.name,
            "excerpt": excerpt(message.body),
            "link": link,
        }
        send_mail(uow, f"ticket_answered/{message.id}", Mail("ticket_answered", opener.email, opener.locale, values, opener.timezone))
        for hearer in await list_hearers(uow):
            if hearer.id == opener.id:
                tell(uow, hearer, ANSWER, message.at, {"ticket_id": number, "message_id": message.id})


def excerpt(body: str) -> str:
    """The beginning of a message."""
    return body if len(body) <= EXCERPT else f"{body[: EXCERPT - 1]}…"

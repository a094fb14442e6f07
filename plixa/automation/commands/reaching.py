"""Writing to a contact of our own accord: in their latest conversation, or in a new one."""

from datetime import datetime
from typing import Final, Literal
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date, format_time
from msgspec import Struct

from plixa.automation.queries.reach import find_living, find_places
from plixa.contacts.commands.identities import Known, lock_identity
from plixa.contacts.commands.people import find_known
from plixa.inbox.commands.editing import edit_live
from plixa.inbox.commands.messages import say
from plixa.inbox.commands.people import adopt_conversation
from plixa.inbox.domain.conversation import Conversation
from plixa.inbox.domain.events import Opened
from plixa.inbox.queries.care import Settings, find_settings
from plixa.kernel.errors import NotFound
from plixa.kernel.uow import UnitOfWork

Obstacle = Literal["silent", "no_number", "no_contact", "blocked", "no_phone"]
EVERYBODY: Final = frozenset({"silent", "no_number"})
"""What keeps us from writing to anybody."""


class Way(Struct, frozen=True):
    """Where a contact is written to: in a conversation, or on a number in a new one."""

    contact: Known
    conversation: int | None
    instance: int
    settings: Settings


async def find_way(uow: UnitOfWork, contact: int | None) -> Way | Obstacle:
    """How a contact can be reached, under the locks of their addresses, or why they cannot."""
    settings = await find_settings(uow)
    if settings.is_silent:
        return "silent"
    try:
        living = await find_living(uow, contact or 0)
        aliases = (await lock_identity(uow, living)).aliases
        known = await find_known(uow, living)
    except NotFound:
        return "no_contact"
    live, number = await find_places(uow, living)
    if number is None:
        return "no_number"
    live = live or await adopt_conversation(uow, known, aliases, number)
    if known.blocked or (live is None and known.phone is None):
        return "blocked" if known.blocked else "no_phone"
    return Way(known, live, number, settings)


async def write_to(uow: UnitOfWork, way: Way, text: str) -> int:
    """Say it; answers the message's id. What is closed stays closed, and what begins with it is: nobody has to answer."""
    if way.conversation is not None:
        async with edit_live(uow, way.conversation) as editor:
            return await say(uow, editor, text)
    number, contact = await uow.number("conversation_number"), way.contact
    async with uow.create(Conversation(number=number), contact.id) as editor:
        editor.record(Opened(contact.id, way.instance, contact.phone, contact.name, f"{contact.phone}@s.whatsapp.net"))
        message = await say(uow, editor, text)
        editor.record(editor.state.close())
        return message


def words_for(settings: Settings, moment: datetime, zone: str) -> dict[str, str]:
    """Date and time of an instant by a zone's clocks, in the workspace's language."""
    locale = Locale.parse("pt_BR" if settings.locale.startswith("pt") else settings.locale, sep="_")
    local = moment.astimezone(ZoneInfo(zone))
    return {"date": format_date(local, "full", locale), "time": format_time(local, "short", locale=locale)}

"""A customer's own word against announcements, or for them again."""

from datetime import timedelta
from typing import Final

from plixa.contacts.commands.opt_out import KEYWORD, opt_in, opt_out, renew_opt_out
from plixa.contacts.domain.people import wish_of
from plixa.inbox.commands.arrivals import Arrival
from plixa.inbox.commands.messages import say
from plixa.inbox.domain.care import OptedIn, OptedOut
from plixa.inbox.queries.care import find_settings
from plixa.inbox.queries.messages import is_broadcast_to

REMEMBERED: Final = timedelta(days=7)
"""For so long after a broadcast a word by itself is about it."""


async def heed_keyword(arrival: Arrival) -> str | None:
    """Opt the contact out, with one confirmation, or in again; answers what was done, or None where the message is about something else."""
    uow, editor, message = arrival.uow, arrival.editor, arrival.message
    contact = editor.state.contact_id
    wish = wish_of(arrival.text) if message.content.type == "text" else None
    if wish is None or contact is None:
        return None
    if wish == "in":
        if not await opt_in(uow, contact):
            return None
        editor.record(OptedIn(message.message_id, contact))
        return "opted in"
    if not await is_broadcast_to(uow, contact, uow.now - REMEMBERED):
        return None
    if not await opt_out(uow, contact, KEYWORD):
        await renew_opt_out(uow, contact, KEYWORD)
        return "opted out already"
    editor.record(OptedOut(message.message_id, contact))
    await say(uow, editor, (await find_settings(uow)).text("opted_out"))
    return "opted out"

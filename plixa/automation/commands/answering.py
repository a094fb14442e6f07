"""A customer's yes or no to what we asked them: whether they keep an appointment, or take time that is offered from the waitlist."""

from typing import Final

from plixa.automation.commands.offering import ANSWER
from plixa.automation.commands.reminding import take_answer
from plixa.automation.queries.reach import list_questions
from plixa.inbox.commands.arrivals import Arrival
from plixa.inbox.commands.messages import say
from plixa.inbox.queries.care import find_settings
from plixa.kernel.outbox import Effect
from plixa.kernel.search import folded

YES: Final = frozenset({"1", "sim", "s", "yes", "y", "si", "ok", "okay", "confirmo", "confirmado", "confirm", "confirmed", "sim confirmo"})
NO: Final = frozenset({"2", "nao", "n", "no", "not"})
LONGEST: Final = 40


def yes_or_no(text: str) -> bool | None:
    """What a message says that says nothing else, whatever its accents, case and punctuation."""
    words = " ".join(folded(text)) if len(text) <= LONGEST else ""
    return True if words in YES else False if words in NO else None


async def heed_answer(arrival: Arrival) -> str | None:
    """Take it; answers what it was, or None where nothing was asked. A word may be meant for a human who wrote since, a digit is not."""
    is_yes = yes_or_no(arrival.text) if arrival.message.content.type == "text" else None
    contact = arrival.editor.state.contact_id
    if is_yes is None or contact is None:
        return None
    is_digit = "".join(folded(arrival.text)).isdecimal()
    for question in await list_questions(arrival.uow, contact, arrival.editor.state.number, arrival.uow.now):
        if question.is_talked and not is_digit:
            continue
        if question.kind == "offer":
            decide_offer(arrival, question.id, question.hold_id, is_yes=is_yes)
            return "takes the offered time" if is_yes else "lets the offered time pass"
        if question.kind == "reminder" and await take_answer(arrival, question.id, is_yes=is_yes):
            return "confirms the appointment" if is_yes else "asks for another time"
        if question.kind == "over" and is_yes:
            await say(arrival.uow, arrival.editor, (await find_settings(arrival.uow)).text("offer_over"))
            return "the offer was over"
    return None


def decide_offer(arrival: Arrival, entry: int, hold: int | None, *, is_yes: bool) -> None:
    """Booking waits for others who book: it is done behind the message."""
    place = {"entry_id": entry, "hold_id": hold, "conversation_id": arrival.editor.state.number}
    key, order = f"{entry}/{arrival.message.message_id}", f"waitlist_entry/{entry}"
    arrival.uow.enqueue(Effect(ANSWER, key, place | {"is_yes": is_yes}, order=order))

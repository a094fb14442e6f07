"""Time that became free is offered to who waits for it, one after the other, and booked for who says yes in time."""

from datetime import timedelta
from functools import partial
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from plixa.automation.commands.reaching import EVERYBODY, Way, find_way, words_for, write_to
from plixa.automation.queries.reach import find_living
from plixa.inbox.commands.editing import edit_live
from plixa.inbox.commands.messages import say
from plixa.inbox.queries.care import Settings, find_settings
from plixa.kernel.errors import NotFound
from plixa.kernel.event_store import Actor
from plixa.kernel.uow import Kernel, UnitOfWork, perform, working
from plixa.scheduling.commands.booking import BookAppointment, book_appointment
from plixa.scheduling.commands.holds import HoldView, find_hold
from plixa.scheduling.commands.judging import NobodyProvides, ServiceInactive
from plixa.scheduling.commands.waitlist import NotTheirTurn, end_offer, offer, pass_over
from plixa.scheduling.domain.appointment import SlotUnavailable
from plixa.scheduling.queries.appointments import AppointmentView
from plixa.scheduling.queries.waitlist import Freed, Turn, find_turn, get_entry

ANSWER: Final = "automation.answer_offer"
MOST: Final = 200
"""Attempts to offer one freed time."""
READING: Final = timedelta(minutes=10)
"""Nobody is offered what begins sooner."""
CUSTOMER: Final = Actor("customer")
UNBOOKABLE: Final = (SlotUnavailable, ServiceInactive, NobodyProvides, NotFound)
"""Why offered time cannot be had after all."""


class Answer(Struct, frozen=True):
    """What somebody said, in a conversation, to time that was kept for them."""

    entry_id: int
    hold_id: int
    conversation_id: int
    is_yes: bool


async def offer_freed(kernel: Kernel, tenant: int, freed: Freed) -> None:
    """Offer it to whose turn it is, and what is left of it to the next, each in a transaction of its own."""
    over: set[int] = set()
    for _ in range(MOST):
        async with working(kernel, tenant) as uow:
            try:
                entry = await perform(uow, partial(offer_next, uow, freed, frozenset(over)))
            except (SlotUnavailable, NotTheirTurn):  # somebody was faster: look again
                continue
        if entry is None:
            return
        over.add(entry)


async def offer_next(uow: UnitOfWork, freed: Freed, over: frozenset[int]) -> int | None:
    """Keep the time for whose turn it is and tell them, or say why they are passed over; answers the entry, None where nobody is left."""
    freed = replace(freed, start=max(freed.start, uow.now + READING))
    turn = await find_turn(uow, freed, over) if freed.start < freed.end else None
    if turn is None:
        return None
    way = await find_way(uow, turn.waiter.contact_id)
    if isinstance(way, Way):
        hold = await offer(uow, turn, freed.provider_id, way.contact.id)
        await write_to(uow, way, words_of(way.settings, turn, hold))
    elif way in EVERYBODY:
        return None
    else:
        await pass_over(uow, turn, way)
    return turn.waiter.id


def words_of(settings: Settings, turn: Turn, hold: HoldView) -> str:
    """What they read, by the clocks of the provider."""
    provider = turn.setup.providers[hold.provider_id]
    until = words_for(settings, hold.expires_at, provider.zone)["time"]
    moment = words_for(settings, hold.start, provider.zone)
    return settings.text("offer").format(service=turn.setup.service.name, provider=provider.name, until=until, **moment)


async def accept(uow: UnitOfWork, answer: Answer) -> None:
    """Book what was kept for them, whatever rules were made since; raises one of ``UNBOOKABLE``."""
    entry = await get_entry(uow, answer.entry_id)
    if entry.appointment_id is not None:
        return
    hold = await find_hold(uow, answer.hold_id)
    contact = await find_living(uow, entry.contact.id if entry.contact else 0)
    uow.actor = CUSTOMER
    wanted = BookAppointment(hold.service_id, hold.start, hold.provider_id, contact, force=True, hold_id=hold.id)
    booked = await book_appointment(uow, wanted, "customer")
    await reply(uow, answer, "offer_requested" if booked.status == "pending" else "offer_booked", booked)


async def let_pass(uow: UnitOfWork, answer: Answer) -> None:
    """They do not take it, or cannot any more: the next one's turn."""
    uow.actor = CUSTOMER
    try:
        hold = await find_hold(uow, answer.hold_id)
    except NotFound:
        """It was over before."""
    else:
        await end_offer(uow, answer.entry_id, hold, "unavailable" if answer.is_yes else "declined")
    await reply(uow, answer, "offer_over" if answer.is_yes else "offer_passed")


async def reply(uow: UnitOfWork, answer: Answer, name: str, booked: AppointmentView | None = None) -> None:
    """Say it where they said theirs."""
    settings = await find_settings(uow)
    about = {} if booked is None else told(settings, booked)
    async with edit_live(uow, answer.conversation_id) as editor:
        await say(uow, editor, settings.text(name).format(**about))


def told(settings: Settings, booked: AppointmentView) -> dict[str, str]:
    """What was booked, in words."""
    moment: dict[str, str] = words_for(settings, booked.start, booked.timezone)
    return {"service": booked.service.name, "provider": booked.provider.name, **moment}

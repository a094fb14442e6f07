"""Reminding customers of what they booked, once for each offset, and hearing what they say to it."""

from datetime import datetime, timedelta

from msgspec import Struct

from plixa.automation.commands.reaching import Way, find_way, words_for, write_to
from plixa.inbox.commands.arrivals import Arrival
from plixa.inbox.commands.messages import say
from plixa.inbox.queries.care import find_settings
from plixa.kernel.uow import UnitOfWork
from plixa.scheduling.commands.appointments import edit_appointment
from plixa.scheduling.domain.events import Reminded, ReminderSkipped
from plixa.scheduling.queries.appointments import AppointmentView, get_appointment
from plixa.scheduling.queries.reminders import list_due


class Reminder(Struct, frozen=True):
    """A timer: ``offset`` minutes before an appointment that was to begin at ``start``."""

    appointment_id: int
    start: datetime
    offset: int

    def is_late(self, now: datetime) -> bool:
        """Is it later than half the offset?"""
        return now > self.start - timedelta(minutes=self.offset) / 2


async def remind(uow: UnitOfWork, reminder: Reminder) -> None:
    """Its time has come: say it, or tell in the appointment's events why it is not said. Raises NotFound once it was erased.

    Nothing is told of what is not confirmed, was moved, was reminded of already, or is not to be any more.
    """
    number, place = reminder.appointment_id, (reminder.start, reminder.offset)
    view = await get_appointment(uow, number)
    way = await find_way(uow, view.contact.id if view.contact else None)
    async with edit_appointment(uow, number) as editor:
        if not editor.state.is_to_be_reminded(*place) or reminder.offset not in await list_due(uow, editor.state.service_id):
            return
        if reminder.is_late(uow.now):
            editor.record(ReminderSkipped(*place, "late"))
        elif isinstance(way, Way):
            editor.record(Reminded(*place, await write_to(uow, way, words_of(way, view))))
        else:
            editor.record(ReminderSkipped(*place, way))


def words_of(way: Way, view: AppointmentView) -> str:
    """What the customer reads, by the clocks of the provider."""
    moment = words_for(way.settings, view.start, view.timezone)
    return way.settings.text("reminder").format(service=view.service.name, provider=view.provider.name, **moment)


async def take_answer(arrival: Arrival, appointment: int, *, is_yes: bool) -> bool:
    """What the customer says to a reminder, and our thanks; False where that is no news.

    A yes is nothing that anybody has to answer: what it opened is closed again.
    """
    uow = arrival.uow
    async with edit_appointment(uow, appointment) as editor:
        before = len(editor.facts)
        editor.record(editor.state.take_answer("confirmed" if is_yes else "move", arrival.message.message_id))
        is_news = len(editor.facts) > before
    if is_news:
        settings = await find_settings(uow)
        await say(uow, arrival.editor, settings.text("reminder_confirmed" if is_yes else "reminder_move"))
    if is_news and is_yes and arrival.began:
        arrival.editor.record(arrival.editor.state.read())
        arrival.editor.record(arrival.editor.state.close())
    return is_news

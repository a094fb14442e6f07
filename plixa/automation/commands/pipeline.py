"""What happens to a message that comes in: every step, in order, each telling why it acted or did not.

All of it runs in the message's own transaction, and what the steps say is kept with the message's event. Who may tell us of messages was
decided before, by ``Intake.admit``. What is older, brought by the reconciler after a gap, is answered by nobody: of it only the first
steps take notice; and of what was typed on the owner's own phone those that take it in.
"""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final

from msgspec import Struct

from plixa.automation.commands.answering import heed_answer
from plixa.automation.commands.assigning import assign_arrival, leave
from plixa.automation.commands.opting import heed_keyword
from plixa.automation.queries.welcome import find_beginning, is_heard
from plixa.inbox.commands.arrivals import ENDS, GOES_ON, Arrival, Incoming, start_clocks
from plixa.inbox.commands.ingest import append_message, drop_repeated, find_conversation, meet_contact
from plixa.inbox.commands.messages import say
from plixa.inbox.commands.surveys import answer_back
from plixa.inbox.domain.care import AwayTold, SurveyCommented, SurveyRated
from plixa.inbox.domain.conversation import Conversation, Status
from plixa.inbox.queries.care import find_settings
from plixa.kernel.outbox import Effect
from plixa.kernel.settings import Settings
from plixa.workspace.domain import closed_since, state_at, was_open
from plixa.workspace.queries.settings import list_weeks

LATE: Final = timedelta(minutes=10)

Reception = Callable[[Incoming], Awaitable[tuple[str, bool]]]
"""A step before the message stands in its conversation: answers why it acted or did not, and whether there is more to do."""
Step = Callable[[Arrival, Settings], Awaitable[tuple[str, bool]]]
"""A step after that, with a customer's message: likewise, and whether others may still answer the customer."""


async def answer_survey(arrival: Arrival, _settings: Settings) -> tuple[str, bool]:
    """A rating or a comment that a survey waited for: thank for it, and let nothing else answer."""
    for fact in arrival.editor.facts:
        if isinstance(fact.event, SurveyRated | SurveyCommented) and fact.event.message_id == arrival.message.message_id:
            return await answer_back(arrival.uow, arrival.editor, fact.event), ENDS
    return "none waits for it", GOES_ON


async def heed_opt_out(arrival: Arrival, _settings: Settings) -> tuple[str, bool]:
    """A word by which announcements are stopped, or asked for again."""
    heeded = await heed_keyword(arrival)
    return (heeded, ENDS) if heeded else ("no such word", GOES_ON)


async def hear_answer(arrival: Arrival, _settings: Settings) -> tuple[str, bool]:
    """A yes or no to a reminder, or to time offered from the waitlist."""
    heard = await heed_answer(arrival)
    return (heard, ENDS) if heard else ("nothing was asked", GOES_ON)


async def tell_hours(arrival: Arrival, _settings: Settings) -> tuple[str, bool]:
    """Say that it is closed, once in a closed period, whatever hours were set in it."""
    uow, editor, settings = arrival.uow, arrival.editor, await find_settings(arrival.uow)
    hours = settings.hours
    if hours is None or not hours.enabled:
        return "off", GOES_ON
    if state_at(hours, uow.now)[0]:
        return "open", GOES_ON
    told = editor.state.care.told
    if told is not None and not was_open(told, uow.now, [hours] if hours.since <= told else await list_weeks(uow, told)):
        return "told already", GOES_ON
    since = max(closed_since(hours, uow.now) or hours.since, hours.since)
    editor.record(AwayTold(await say(uow, editor, hours.message or settings.text("away")), since))
    return "told", GOES_ON


async def welcome(arrival: Arrival, settings: Settings) -> tuple[str, bool]:
    """Greet somebody whose first message ever this is."""
    if not arrival.is_first:
        return "not their first message", GOES_ON
    uow, editor, state = arrival.uow, arrival.editor, arrival.editor.state
    greeting = (await find_beginning(uow, settings)).welcome
    if not greeting.enabled:
        return "off", GOES_ON
    if not arrival.began:
        return "the workspace wrote first", GOES_ON
    if state.contact_id is None or await is_heard(uow, state.contact_id):
        return "not their first message", GOES_ON
    if greeting.delay_seconds == 0:
        await say(uow, editor, greeting.message or (await find_settings(uow)).text("welcome"))
        return "greeted", GOES_ON
    due = uow.now + timedelta(seconds=greeting.delay_seconds)
    payload = {"conversation_id": state.number, "episode": state.episode}
    uow.enqueue(Effect("automation.welcome", str(state.contact_id), payload, due))
    return f"in {greeting.delay_seconds} s, unless a human answers first", GOES_ON


async def assign(arrival: Arrival, settings: Settings) -> tuple[str, bool]:
    """Give it to somebody, once an episode, unless that is over already."""
    if not is_unsettled(arrival) or arrival.editor.state.status is Status.CLOSED:
        return "no new episode", GOES_ON
    if not (await find_beginning(arrival.uow, settings)).routes:
        return await leave(arrival.uow, arrival.editor), GOES_ON
    return await assign_arrival(arrival.uow, arrival.editor, arrival.text), GOES_ON


def is_unsettled(arrival: Arrival) -> bool:
    """Does an episode begin with it, or is it the first word of a customer whom we wrote to and whom nobody of the team talks with yet?"""
    state = arrival.editor.state
    return arrival.began or (arrival.asks and state.assigned_user_id is None and not state.care.answered)


TAKE_IN: Final[tuple[tuple[str, Reception], ...]] = (
    ("delivery", drop_repeated),
    ("contact", meet_contact),
    ("conversation", find_conversation),
    ("message", append_message),
    ("targets", start_clocks),
)
ALWAYS: Final[tuple[tuple[str, Step], ...]] = (
    ("survey", answer_survey),
    ("opt_out", heed_opt_out),
    ("answer", hear_answer),
)
UNLESS_LATE: Final[tuple[tuple[str, Step], ...]] = (
    ("closed_hours", tell_hours),
    ("welcome", welcome),
    ("assignment", assign),
)


async def take_in(incoming: Incoming) -> None:
    """Take the first steps in turn until one ends it: nobody answers."""
    for name, step in TAKE_IN:
        reason, goes_on = await step(incoming)
        incoming.notes.append((name, reason))
        if not goes_on:
            return


class Pipeline(Struct, frozen=True):
    """The steps, for messages as they come."""

    settings: Settings

    async def handle(self, incoming: Incoming) -> None:
        """Take every step in turn until one ends it."""
        await take_in(incoming)
        if incoming.arrival is not None:
            await self.answer(incoming.arrival, ALWAYS + UNLESS_LATE)

    async def handle_reconciled(self, incoming: Incoming) -> None:
        """As ``handle``, for messages that were missed for a while."""
        await take_in(incoming)
        arrival = incoming.arrival
        if arrival is None:
            return
        is_late = arrival.uow.now - arrival.message.sent_at > LATE
        await self.answer(arrival, ALWAYS if is_late else ALWAYS + UNLESS_LATE)
        if is_late:
            arrival.note("reconciled", "too late for an automatic answer")

    async def answer(self, arrival: Arrival, steps: tuple[tuple[str, Step], ...]) -> None:
        """Take steps with the conversation under edit."""
        async with arrival.uow.edit(Conversation, arrival.editor.state.number, wait=False):
            await self.take(arrival, steps)

    async def take(self, arrival: Arrival, steps: tuple[tuple[str, Step], ...]) -> None:
        """Take steps, and note what they say; none for somebody who is blocked, nor while nothing may leave the workspace."""
        if arrival.editor.state.blocked:
            arrival.note("blocked", "the contact is blocked")
            return
        if (await find_settings(arrival.uow)).is_silent:
            arrival.note("silent", "the workspace is suspended, or about to be deleted")
            return
        ended = False
        for name, step in steps:
            if ended and step is not assign:
                continue
            reason, goes_on = await step(arrival, self.settings)
            arrival.note(name, reason)
            ended |= not goes_on

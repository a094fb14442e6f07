"""What happens to a customer's message once it stands in its conversation: every step, in order, each telling why it acted or did not.

It runs in the message's own transaction, and what the steps say is kept with the message's event. What is older, brought by the
reconciler after a gap, is answered by nobody: of it only the first steps take notice.
"""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final

from msgspec import Struct

from plixa.automation.commands.assigning import assign_arrival
from plixa.automation.commands.opting import heed_keyword
from plixa.automation.queries.welcome import find_beginning, is_heard
from plixa.inbox.commands.arrivals import Arrival
from plixa.inbox.commands.messages import say
from plixa.inbox.commands.surveys import answer_back
from plixa.inbox.domain.care import AwayTold, SurveyCommented, SurveyRated
from plixa.inbox.queries.care import find_settings
from plixa.kernel.outbox import Effect
from plixa.kernel.settings import Settings
from plixa.workspace.domain import closed_since, state_at

LATE: Final = timedelta(minutes=10)

Step = Callable[[Arrival, Settings], Awaitable[tuple[str, bool]]]
"""Answers why it acted or did not, and whether others may still answer the customer."""
ENDS, GOES_ON = False, True


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


async def tell_hours(arrival: Arrival, _settings: Settings) -> tuple[str, bool]:
    """Say that it is closed, once in a closed period."""
    uow, editor, settings = arrival.uow, arrival.editor, await find_settings(arrival.uow)
    hours = settings.hours
    if hours is None or not hours.enabled:
        return "off", GOES_ON
    if state_at(hours.hours, hours.timezone, uow.now)[0]:
        return "open", GOES_ON
    since = closed_since(hours.hours, hours.timezone, uow.now) or hours.since
    told = editor.state.care.told
    if told is not None and told >= since:
        return "told already", GOES_ON
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
    """Give it to somebody, once an episode."""
    if not arrival.began:
        return "no new episode", GOES_ON
    if not (await find_beginning(arrival.uow, settings)).routes:
        return "no rules", GOES_ON
    return await assign_arrival(arrival.uow, arrival.editor, arrival.text), GOES_ON


ALWAYS: Final[tuple[tuple[str, Step], ...]] = (
    ("survey", answer_survey),
    ("opt_out", heed_opt_out),
)
UNLESS_LATE: Final[tuple[tuple[str, Step], ...]] = (
    ("closed_hours", tell_hours),
    ("welcome", welcome),
    ("assignment", assign),
)


class Pipeline(Struct, frozen=True):
    """The steps, for messages as they come."""

    settings: Settings

    async def handle(self, arrival: Arrival) -> None:
        """Take every step in turn until one ends it."""
        await self.take(arrival, ALWAYS + UNLESS_LATE)

    async def handle_reconciled(self, arrival: Arrival) -> None:
        """As ``handle``, for messages that were missed for a while."""
        is_late = arrival.uow.now - arrival.message.sent_at > LATE
        await self.take(arrival, ALWAYS if is_late else ALWAYS + UNLESS_LATE)
        if is_late:
            arrival.note("reconciled", "too late for an automatic answer")

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

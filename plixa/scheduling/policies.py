"""Whenever something happens to an appointment, its provider's calendar is to show it, and where that differs they are told."""

from typing import Final

from plixa.kernel.event_store import Recorded
from plixa.kernel.reacting import Reaction
from plixa.kernel.uow import UnitOfWork
from plixa.notifications.commands.push import tell
from plixa.notifications.queries.push import list_hearers
from plixa.scheduling.commands.google.linking import writing
from plixa.scheduling.domain import events as happened
from plixa.scheduling.queries.google import list_concerned
from plixa.scheduling.queries.notices import CONFLICT, list_providers

SHOWN: Final = (
    happened.Booked,
    happened.Approved,
    happened.Declined,
    happened.Rescheduled,
    happened.Shifted,
    happened.Cancelled,
    happened.Missed,
    happened.Corrected,
    happened.ContactChosen,
    happened.Erased,
)
"""What a calendar outside shows of an appointment."""


async def show(uow: UnitOfWork, facts: list[Recorded]) -> None:
    """Have every change written into the calendars it concerns."""
    concerned = set(await list_concerned(uow, sorted({fact.number for fact in facts})))
    for fact in facts:
        if fact.number in concerned:
            uow.enqueue(writing(fact.number, str(fact.version), fact.at))


async def tell_provider(uow: UnitOfWork, facts: list[Recorded]) -> None:
    """Tell a provider who does not sit before an open panel that their own calendar says otherwise."""
    hearers = {one.id: one for one in await list_hearers(uow) if not one.is_online}
    providers = await list_providers(uow, sorted({fact.number for fact in facts})) if hearers else {}
    for fact in facts:
        hearer = hearers.get(providers.get(fact.number, 0))
        if hearer is not None:
            tell(uow, hearer, CONFLICT, fact.at, {"appointment_id": fact.number})


REACTIONS: Final = (Reaction("google", SHOWN, show), Reaction("conflicts", (happened.ExternallyChanged,), tell_provider))
"""What follows the log beside the projections."""

"""Whenever something happens in the inbox that members should hear of wherever they are, their browsers are told."""

from datetime import timedelta
from typing import Final

from plixa.inbox.queries.notices import NEWS, list_rows, news_for
from plixa.kernel.event_store import Recorded
from plixa.kernel.reacting import Reaction
from plixa.kernel.uow import UnitOfWork
from plixa.notifications.commands.push import tell
from plixa.notifications.queries.push import list_hearers

FRESH: Final = timedelta(hours=1)
"""What is older when we come to it, after an outage of ours, is news to nobody."""


async def notify(uow: UnitOfWork, facts: list[Recorded]) -> None:
    """Ask for a notification to everybody who should hear of it and does not sit before an open panel."""
    fresh = [fact for fact in facts if uow.now - fact.at <= FRESH]
    hearers = [one for one in await list_hearers(uow) if not one.is_online] if fresh else []
    if not hearers:
        return
    rows = await list_rows(uow, [fact.number for fact in fresh])
    for fact in fresh:
        for hearer in hearers:
            news = news_for(hearer, fact, rows.get(fact.number))
            if news is not None:
                tell(uow, hearer, news[0], fact.at, news[1])


REACTIONS: Final = (Reaction("push", NEWS, notify),)
"""What follows the log beside the projections."""

"""Whenever somebody of a team with limits may have become free for more, what waits for an assignee is looked at again."""

from typing import Final

from plixa.automation.queries.routing import is_limited
from plixa.identity.commands.account import call_waiting
from plixa.inbox.domain.events import Assigned, Closed, Deleted, Erased, Merged, Snoozed
from plixa.kernel.event_store import Recorded
from plixa.kernel.reacting import Reaction
from plixa.kernel.uow import UnitOfWork

FREEING: Final = (Closed, Snoozed, Assigned, Merged, Deleted, Erased)
"""What takes an open conversation from whoever has it."""


async def look_again(uow: UnitOfWork, facts: list[Recorded]) -> None:
    """Once for all of them, as the drain looks at the whole team."""
    if await is_limited(uow):
        call_waiting(uow, f"freed/{facts[-1].position}")


REACTIONS: Final = (Reaction("freed", FREEING, look_again),)
"""What follows the log beside the projections."""

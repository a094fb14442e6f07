"""What outlives a conversation: numbers, for reports."""

from typing import ClassVar

from plixa.inbox.domain.care import ActivityKept, AnswersKept
from plixa.inbox.queries.activity import sum_up
from plixa.kernel.event_store import Aggregate
from plixa.kernel.uow import UnitOfWork


class Kept(Aggregate, frozen=True):
    """The stream in which a conversation's numbers outlive it."""

    KIND: ClassVar[str] = "activity"


async def keep_activity(uow: UnitOfWork, conversation: int) -> None:
    """It was just deleted or erased: how much happened in it, and when, stays; behind its end in the log."""
    quarters, answers = await sum_up(uow, conversation)
    if not quarters:
        return
    async with uow.create(Kept(number=conversation)) as editor:
        for row in quarters:
            counts = (row.opened, row.reopened, row.closed, row.received, row.sent)
            editor.record(ActivityKept(conversation, row.quarter, *counts))
        if answers:
            editor.record(AnswersKept(conversation, answers))

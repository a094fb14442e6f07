"""What happened in a conversation, in numbers, as reports count it."""

from plixa.inbox.domain.conversation import Conversation
from plixa.kernel.event_store import stream_id
from plixa.kernel.log import Log
from plixa.kernel.projection import Rows
from plixa.kernel.uow import UnitOfWork
from projections.activity import ActivityRow, WaitRow, activity, waits


async def sum_up(uow: UnitOfWork, number: int) -> tuple[list[ActivityRow], list[tuple[int, int]]]:
    """Its quarters of an hour and its first answers, from its own stream: the read models may be behind."""
    log = Log(await uow.connection(), uow.kernel.vault, uow.tenant)
    facts = await log.stream(stream_id(Conversation.KIND, number))
    quarters, waiting = Rows[ActivityRow](activity), Rows[WaitRow](waits)
    quarters.fold_all(facts)
    waiting.fold_all(facts)
    wait = waiting.now.get(number)
    return [row for row in quarters.now.values() if row is not None], wait.answers if wait is not None else []

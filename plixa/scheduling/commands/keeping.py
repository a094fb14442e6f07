"""What is looked after every day in a workspace whose calendar is in use: who waits for days that are over, and newer rules of zones."""

from datetime import date, timedelta
from typing import Final

from plixa.kernel.audit import record
from plixa.kernel.delivery import Delivery
from plixa.kernel.outbox import Effect
from plixa.kernel.uow import UnitOfWork
from plixa.scheduling.commands.judging import ZONES
from plixa.scheduling.queries.keeping import look_ahead

KEEP: Final = "scheduling.keep_calendar"
FOLLOW_ZONES: Final = "scheduling.follow_zones"
DAY: Final = timedelta(days=1)
EXPIRE: Final = """WITH over AS (
    UPDATE waitlist_entry SET status = 'expired' WHERE tenant_id = $1 AND status = 'waiting' AND preferred_to < $2 RETURNING id
) SELECT array_agg(id ORDER BY id) FROM over"""


def enrol(uow: UnitOfWork, today: date) -> None:
    """Have the calendar looked after tomorrow, once."""
    following = today + DAY
    uow.enqueue(Effect(KEEP, following.isoformat(), due_at=uow.now + (following - uow.now.date())))


async def keep_calendar(uow: UnitOfWork, delivery: Delivery) -> None:
    """Entries of the waitlist end with the last day they are for; wall times that may be another instant now are gone through, once a
    version of the zone database. Once more tomorrow, while there is anything ahead."""
    await delivery.done(uow)
    expired = await uow.insert(EXPIRE, uow.now.date() - DAY)
    if expired:
        first, *others = expired
        await record(uow, "waitlist_entry.expired", ("waitlist_entry", first), after={"others": others} if others else None)
    ahead = await look_ahead(uow, ZONES)
    if ahead.outdated:
        uow.enqueue(Effect(FOLLOW_ZONES, ZONES))
    if ahead.anything:
        enrol(uow, max(uow.now.date(), date.fromisoformat(delivery.key)))

"""What becomes of an entry of the waitlist with the hold by which time was offered to it."""

from datetime import datetime
from typing import Final

from plixa.kernel.uow import UnitOfWork

FULFIL: Final = """UPDATE waitlist_entry SET status = 'booked', hold_id = NULL, appointment_id = $3
WHERE tenant_id = $1 AND hold_id = $2 AND status = 'offered' RETURNING id"""
LAPSE: Final = """UPDATE waitlist_entry SET status = 'waiting', hold_id = NULL, passed = array_append(passed, $3::timestamptz),
    place = CASE WHEN offers > 1 THEN $4 ELSE place END
WHERE tenant_id = $1 AND hold_id = $2 AND status = 'offered' RETURNING id"""


async def fulfil(uow: UnitOfWork, hold: int, appointment: int) -> int | None:
    """The time that was offered is booked; answers the entry, where the hold was for one."""
    found: int | None = await uow.insert(FULFIL, hold, appointment)
    return found


async def lapse(uow: UnitOfWork, hold: int, start: datetime) -> int | None:
    """The offer is over: the entry waits on, after its first offer in its old place, then at the end. It is not offered this time again."""
    found: int | None = await uow.insert(LAPSE, hold, start, turn(uow.now))
    return found


def turn(now: datetime) -> int:
    """The place of somebody who begins to wait now: microseconds since 1970."""
    return int(now.timestamp() * 1_000_000)

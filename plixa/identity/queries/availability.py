"""Whether a member takes new conversations, and whether their panel is open."""

from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct

from plixa.kernel.errors import Unauthenticated
from plixa.kernel.uow import UnitOfWork

FRESH: Final = timedelta(seconds=120)
"""A panel that was silent for longer is closed."""
STANDING: Final = timedelta(hours=8)
"""For so long a member who said to be available counts as there, panel or not."""
TEAM: Final = "team"
"""Under this name a process remembers who of a workspace is there, for half a second."""
AVAILABILITY: Final = "SELECT is_available, last_heartbeat_at FROM member WHERE tenant_id = scope.tenant AND id = $2"


class AvailabilityView(Struct, frozen=True):
    """``is_available`` null was never set; ``last_heartbeat_at`` is right to fifteen seconds."""

    is_available: bool | None
    last_heartbeat_at: datetime | None
    online: bool


async def get_availability(uow: UnitOfWork, member: int) -> AvailabilityView:
    """A member's; raises Unauthenticated when they were removed a moment ago."""
    row = await uow.fetchrow(AVAILABILITY, member)
    if row is None:
        raise Unauthenticated
    available, seen = row
    return AvailabilityView(available, seen, is_online(seen, uow.now))


def is_present(available_set_at: datetime | None, last_heartbeat_at: datetime | None, now: datetime) -> bool:
    """Did they say something of their availability today, or is their panel open? Those who are available get new conversations then."""
    return is_online(last_heartbeat_at, now) or (available_set_at is not None and now - available_set_at <= STANDING)


def is_online(last_heartbeat_at: datetime | None, now: datetime) -> bool:
    """Did the panel give a sign of life lately?"""
    return last_heartbeat_at is not None and now - last_heartbeat_at <= FRESH

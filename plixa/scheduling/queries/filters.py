"""What a member wants to see of the calendar."""

from typing import Any, Final

from msgspec import Struct

from plixa.kernel.errors import NotFound
from plixa.kernel.uow import UnitOfWork
from plixa.scheduling.domain.appointment import AppointmentStatus

MOST: Final = 50
"""Filters a member can have."""
LIST: Final = """SELECT id, name, provider_ids, service_ids, statuses, is_default FROM calendar_filter
WHERE tenant_id = scope.tenant AND member_id = $2 ORDER BY lower(name) LIMIT 50"""
ONE: Final = """SELECT id, name, provider_ids, service_ids, statuses, is_default FROM calendar_filter
WHERE tenant_id = scope.tenant AND member_id = $2 AND id = $3"""


class CalendarFilterView(Struct, frozen=True):
    """Which providers, services and statuses are shown; an empty list is all. ``is_default``: applied when the calendar is opened."""

    id: int
    name: str
    provider_ids: list[int]
    service_ids: list[int]
    statuses: list[AppointmentStatus]
    is_default: bool


async def list_filters(uow: UnitOfWork, member: int) -> list[CalendarFilterView]:
    """A member's own, by name."""
    return [filter_view(row) for row in await uow.fetch(LIST, member)]


async def get_filter(uow: UnitOfWork, member: int, number: int) -> CalendarFilterView:
    """One of a member's own; raises NotFound."""
    row = await uow.fetchrow(ONE, member, number)
    if row is None:
        raise NotFound("You have no such filter.")
    return filter_view(row)


def filter_view(row: Any) -> CalendarFilterView:
    """A row of ``calendar_filter``."""
    statuses = [AppointmentStatus(status) for status in row["statuses"]]
    return CalendarFilterView(row["id"], row["name"], row["provider_ids"], row["service_ids"], statuses, row["is_default"])

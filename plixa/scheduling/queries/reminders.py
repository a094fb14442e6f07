"""When customers are reminded: a service's own offsets, else the workspace's, else ours. All in minutes before the start."""

from datetime import datetime
from typing import Final

from msgspec import Struct

from plixa.kernel.uow import UnitOfWork

DEFAULT: Final = (1440, 120)
OFFSETS: Final = """SELECT
    (SELECT reminder_offsets FROM service WHERE tenant_id = scope.tenant AND id = $2::bigint) AS own,
    (SELECT offsets FROM reminder_config WHERE tenant_id = scope.tenant) AS shared
WHERE scope.tenant IS NOT NULL"""
AHEAD: Final = 500
CONFIRMED: Final = """SELECT id, service_id, start_at FROM appointment WHERE tenant_id = scope.tenant AND status = 'confirmed'
AND (start_at, id) > ($2::timestamptz, $3::bigint) AND ($4::bigint IS NULL OR service_id = $4) ORDER BY start_at, id LIMIT $5::int"""


class Place(Struct, frozen=True):
    """Where a batch ended."""

    start: datetime
    id: int


class Ahead(Struct, frozen=True):
    """A confirmed appointment that lies ahead."""

    id: int
    service_id: int
    start: datetime


async def list_due(uow: UnitOfWork, service: int) -> list[int]:
    """The offsets of a service's reminders, the longest first; none where they are switched off."""
    row = await uow.fetchrow(OFFSETS, service)
    return in_force(row["own"], row["shared"]) if row else in_force(None, None)


def in_force(own: list[int] | None, shared: list[int] | None) -> list[int]:
    """A service's own offsets, or else the workspace's, or else ours; the longest first."""
    return sorted(next((given for given in (own, shared) if given is not None), DEFAULT), reverse=True)


async def list_ahead(uow: UnitOfWork, service: int | None, after: Place) -> list[Ahead]:
    """The next ``AHEAD`` confirmed appointments, of one service or of all, by start."""
    return [Ahead(*row) for row in await uow.fetch(CONFIRMED, after.start, after.id, service, AHEAD)]

"""What there is to look after in a calendar."""

from typing import Final

from msgspec import Struct

from plixa.kernel.uow import UnitOfWork
from plixa.scheduling.queries.reminders import Place

BATCH: Final = 200
AHEAD: Final = """SELECT EXISTS (
        SELECT FROM appointment WHERE tenant_id = scope.tenant AND start_at > $2::timestamptz
    ) OR EXISTS (SELECT FROM waitlist_entry WHERE tenant_id = scope.tenant AND status IN ('waiting', 'offered')) AS anything,
    EXISTS (SELECT FROM appointment WHERE tenant_id = scope.tenant AND start_at > $2::timestamptz AND zone_version <> $3::text) AS outdated
WHERE scope.tenant IS NOT NULL"""
OUTDATED: Final = """SELECT start_at, id FROM appointment WHERE tenant_id = scope.tenant AND start_at > $2::timestamptz
AND zone_version <> $3::text AND status IN ('pending', 'confirmed')"""
LATEST_FIRST: Final = f"""{OUTDATED} AND ($4::timestamptz IS NULL OR (start_at, id) < ($4, $5::bigint))
ORDER BY start_at DESC, id DESC LIMIT $6::int"""
EARLIEST_FIRST: Final = f"""{OUTDATED} AND ($4::timestamptz IS NULL OR (start_at, id) > ($4, $5::bigint))
ORDER BY start_at, id LIMIT $6::int"""


class Ahead(Struct, frozen=True):
    """Is there anything ahead, and was any of it booked by other rules of zones?"""

    anything: bool
    outdated: bool


async def look_ahead(uow: UnitOfWork, version: str) -> Ahead:
    """What lies ahead, and whether all of it was booked by this version of the zone database."""
    (row,) = await uow.fetch(AHEAD, uow.now, version)
    return Ahead(*row)


async def list_outdated(uow: UnitOfWork, version: str, after: Place | None, *, latest_first: bool) -> list[Place]:
    """The next ``BATCH`` appointments ahead that were booked by another version, by start."""
    edge = (after.start, after.id) if after is not None else (None, None)
    found = await uow.fetch(LATEST_FIRST if latest_first else EARLIEST_FIRST, uow.now, version, *edge, BATCH)
    return [Place(*row) for row in found]

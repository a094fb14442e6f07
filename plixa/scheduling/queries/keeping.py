"""What there is to look after in a calendar."""

from datetime import datetime
from typing import Final

from msgspec import Struct

from plixa.kernel.uow import UnitOfWork

BATCH: Final = 200
AHEAD: Final = """SELECT EXISTS (
        SELECT FROM appointment WHERE tenant_id = scope.tenant AND start_at > $2::timestamptz
    ) OR EXISTS (SELECT FROM waitlist_entry WHERE tenant_id = scope.tenant AND status IN ('waiting', 'offered')) AS anything,
    EXISTS (SELECT FROM appointment WHERE tenant_id = scope.tenant AND start_at > $2::timestamptz AND zone_version <> $3::text) AS outdated
WHERE scope.tenant IS NOT NULL"""
OUTDATED: Final = """SELECT id FROM appointment WHERE tenant_id = scope.tenant AND start_at > $2::timestamptz AND zone_version <> $3::text
AND id > $4::bigint AND status IN ('pending', 'confirmed') ORDER BY id LIMIT $5::int"""


class Ahead(Struct, frozen=True):
    """Is there anything ahead, and was any of it booked by other rules of zones?"""

    anything: bool
    outdated: bool


async def look_ahead(uow: UnitOfWork, version: str) -> Ahead:
    """What lies ahead, and whether all of it was booked by this version of the zone database."""
    (row,) = await uow.fetch(AHEAD, uow.now, version)
    return Ahead(*row)


async def list_outdated(uow: UnitOfWork, version: str, since: datetime, after: int) -> list[int]:
    """The next ``BATCH`` appointments ahead that were booked by another version, by id."""
    return [row["id"] for row in await uow.fetch(OUTDATED, since, version, after, BATCH)]

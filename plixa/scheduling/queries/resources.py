"""Rooms and equipment: what services take, and how many of each there are."""

from datetime import datetime
from typing import Final

import asyncpg
from msgspec import Struct

from plixa.kernel.cursor import decode, encode
from plixa.kernel.envelope import Page
from plixa.kernel.errors import NotFound
from plixa.kernel.paging import Paging
from plixa.kernel.uow import UnitOfWork

SHOWN: Final = """SELECT r.id, r.name, r.capacity, r.is_active,
    ARRAY(SELECT s.service_id FROM service_resource s
        WHERE s.tenant_id = r.tenant_id AND s.resource_id = r.id ORDER BY s.service_id) AS service_ids,
    r.created_at, r.place
FROM resource r WHERE r.tenant_id = scope.tenant"""
PAGE: Final = f"{SHOWN} AND r.place > $2::text ORDER BY r.place LIMIT $3::int"
ONE: Final = f"{SHOWN} AND r.id = $2"
NUMBER: Final = "SELECT count(*) FROM resource WHERE tenant_id = scope.tenant"


class ResourceView(Struct, frozen=True):
    """``capacity``: how many bookings may have it at the same time."""

    id: int
    name: str
    capacity: int
    is_active: bool
    service_ids: list[int]
    created_at: datetime


async def list_resources(uow: UnitOfWork, paging: Paging) -> tuple[list[ResourceView], Page]:
    """One page, by name."""
    (after,) = decode(paging.cursor, (str,)) if paging.cursor else ("",)
    rows = await uow.fetch(PAGE, after, paging.limit + 1)
    shown = rows[: paging.limit]
    return [resource_view(row) for row in shown], Page(encode((shown[-1]["place"],)) if len(rows) > paging.limit else None, paging.limit)


async def get_resource(uow: UnitOfWork, number: int) -> ResourceView:
    """One; raises NotFound."""
    row = await uow.fetchrow(ONE, number)
    if row is None:
        raise NotFound("There is no such resource.")
    return resource_view(row)


def resource_view(row: "asyncpg.Record") -> ResourceView:
    """A row with what is linked to it."""
    return ResourceView(**{name: row[name] for name in ResourceView.__struct_fields__})


async def count_resources(uow: UnitOfWork) -> int:
    """How many there are."""
    (row,) = await uow.fetch(NUMBER)
    return int(row["count"])

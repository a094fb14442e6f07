"""Rooms and equipment: entered, changed, taken out."""

from typing import Annotated, Any, Final

import asyncpg
from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import asdict

from plixa.kernel.audit import record, record_change
from plixa.kernel.errors import Conflict, Invalid
from plixa.kernel.uow import UnitOfWork
from plixa.scheduling.queries.links import Ids, refuse_unknown
from plixa.scheduling.queries.resources import ResourceView, count_resources, get_resource
from plixa.scheduling.queries.services import catalog_lock

Name = Annotated[str, Meta(min_length=1, max_length=120, pattern=r"\S")]
Capacity = Annotated[int, Meta(ge=1, le=1000)]
MOST: Final = 200
"""Resources a workspace can have."""

INSERT: Final = "INSERT INTO resource (tenant_id, id, name, capacity, is_active, created_at) VALUES ($1, $2, $3, $4, $5, $6)"
UPDATE: Final = "UPDATE resource SET name = $3, capacity = $4, is_active = $5 WHERE tenant_id = $1 AND id = $2"
DELETE: Final = "DELETE FROM resource WHERE tenant_id = $1 AND id = $2"
UNLINK: Final = "DELETE FROM service_resource WHERE tenant_id = $1 AND resource_id = $2 AND service_id <> ALL($3::bigint[])"
LINK: Final = """INSERT INTO service_resource (tenant_id, resource_id, service_id)
SELECT $1, $2, id FROM service WHERE tenant_id = $1 AND id = ANY($3::bigint[]) ON CONFLICT DO NOTHING"""


class CreateResource(Struct, frozen=True):
    """``capacity``: how many bookings may have it at the same time."""

    name: Name
    capacity: Capacity = 1
    service_ids: Ids = []
    is_active: bool = True


class UpdateResource(Struct, frozen=True):
    """Absent = unchanged; ``service_ids`` replaces which services take it."""

    name: Name | UnsetType = UNSET
    capacity: Capacity | UnsetType = UNSET
    service_ids: Ids | UnsetType = UNSET
    is_active: bool | UnsetType = UNSET


async def create_resource(uow: UnitOfWork, data: CreateResource) -> ResourceView:
    """A new one; raises Invalid for a name that is taken or services that are not there, Conflict at too many."""
    await uow.begin(catalog_lock(uow))
    if await count_resources(uow) >= MOST:
        raise Conflict(f"A workspace has at most {MOST} resources. Delete one first.")
    await refuse_unknown(uow, "service_ids", data.service_ids)
    number = await uow.number("resource_number")
    await written(uow, INSERT, number, data.name.strip(), data.capacity, data.is_active, uow.now)
    await uow.execute(LINK, number, data.service_ids)
    view = await get_resource(uow, number)
    await record(uow, "resource.created", ("resource", number), after=told(view))
    return view


async def update_resource(uow: UnitOfWork, number: int, data: UpdateResource) -> ResourceView:
    """Change what is given; where there is room for fewer, what was booked stays. Raises NotFound, and as ``create_resource``."""
    await uow.begin(catalog_lock(uow))
    before = told(await get_resource(uow, number))
    after = before | {name: value for name, value in asdict(data).items() if value is not UNSET}
    after |= {"name": after["name"].strip(), "service_ids": sorted(set(after["service_ids"]))}
    if after != before:
        await refuse_unknown(uow, "service_ids", after["service_ids"])
        await written(uow, UPDATE, number, after["name"], after["capacity"], after["is_active"])
        await uow.execute(UNLINK, number, after["service_ids"])
        await uow.execute(LINK, number, after["service_ids"])
        await record_change(uow, "resource.updated", ("resource", number), before, after)
    return await get_resource(uow, number)


async def delete_resource(uow: UnitOfWork, number: int) -> None:
    """Take it out; services that took it take it no more, and what was booked stays. Raises NotFound."""
    await uow.begin(catalog_lock(uow))
    before = told(await get_resource(uow, number))
    await uow.execute(DELETE, number)
    await record(uow, "resource.deleted", ("resource", number), before)


async def written(uow: UnitOfWork, statement: str, *values: Any) -> None:
    """Save a row; raises Invalid where another resource has the name."""
    try:
        await uow.execute(statement, *values)
    except asyncpg.UniqueViolationError as error:
        if error.constraint_name != "resource_name_key":
            raise
        raise Invalid.field("name", "Another resource has this name.") from error


def told(view: ResourceView) -> dict[str, Any]:
    """What the audit trail says of it."""
    return {name: value for name, value in asdict(view).items() if name not in ("id", "created_at")}

"""Departments: made, renamed, staffed, given up."""

from typing import Annotated, Any, Final

import asyncpg
import msgspec
from litestar.params import Parameter
from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import asdict

from plixa.identity.commands.account import call_waiting
from plixa.kernel.audit import record, record_change
from plixa.kernel.errors import Invalid
from plixa.kernel.outbox import Effect
from plixa.kernel.tenancy import lock_of
from plixa.kernel.uow import UnitOfWork
from plixa.workspace.queries.sectors import SectorView, get_sector

Name = Annotated[str, Meta(min_length=1, max_length=60, pattern=r"\S")]
Color = Annotated[str, Meta(max_length=7, pattern=r"^#[0-9a-fA-F]{6}$")]
Description = Annotated[str, Meta(max_length=500)]
UserIds = Annotated[list[Annotated[int, Parameter(ge=1)]], Meta(max_length=200)]

INSERT: Final = "INSERT INTO sector (tenant_id, id, name, color, description, created_at) VALUES ($1, $2, $3, $4, $5, $6)"
UPDATE: Final = "UPDATE sector SET name = $3, color = $4, description = $5 WHERE tenant_id = $1 AND id = $2"
DELETE: Final = "DELETE FROM sector WHERE tenant_id = $1 AND id = $2"
CLEAR: Final = "DELETE FROM sector_member WHERE tenant_id = $1 AND sector_id = $2"
STAFF: Final = """INSERT INTO sector_member (tenant_id, sector_id, member_id)
SELECT $1, $2, id FROM member WHERE tenant_id = $1 AND id = ANY($3::bigint[]) FOR KEY SHARE"""
"""Not those who are removed at the same moment."""
KNOWN: Final = "SELECT id FROM member WHERE tenant_id = scope.tenant AND id = ANY($2::bigint[])"


class CreateSector(Struct, frozen=True):
    """A department and who works in it."""

    name: Name
    color: Color | None = None
    description: Description | None = None
    user_ids: UserIds = []


class UpdateSector(Struct, frozen=True):
    """Absent = unchanged; ``user_ids`` replaces who works in it."""

    name: Name | UnsetType = UNSET
    color: Color | UnsetType | None = UNSET
    description: Description | UnsetType | None = UNSET
    user_ids: UserIds | UnsetType = UNSET


async def create_sector(uow: UnitOfWork, data: CreateSector) -> SectorView:
    """A new department; raises Invalid for a name that is taken or a member that is not of this workspace."""
    number = await uow.number("sector_number")
    await refuse_strangers(uow, data.user_ids)
    await written(uow, INSERT, number, data.name.strip(), data.color, data.description, uow.now)
    await uow.execute(STAFF, number, sorted(set(data.user_ids)))
    view = await get_sector(uow, number)
    await record(uow, "sector.created", ("sector", number), after=shown(view))
    return view


async def update_sector(uow: UnitOfWork, number: int, data: UpdateSector) -> SectorView:
    """Rename, recolour, staff anew."""
    await uow.begin(lock_of(f"{uow.tenant}/sector/{number}"))
    before = shown(await get_sector(uow, number))
    after = before | {name: value for name, value in asdict(data).items() if value is not UNSET}
    if isinstance(data.user_ids, list):
        await refuse_strangers(uow, data.user_ids)
        after["user_ids"] = sorted(set(data.user_ids))
    if after != before:
        await written(uow, UPDATE, number, after["name"].strip(), after["color"], after["description"])
        await uow.execute(CLEAR, number)
        await uow.execute(STAFF, number, after["user_ids"])
        call_waiting(uow, f"sector/{number}")
        await record_change(uow, "sector.updated", ("sector", number), before, after)
    return await get_sector(uow, number)


async def delete_sector(uow: UnitOfWork, number: int) -> None:
    """Give it up; its conversations keep their history and lose the tag, one after the other behind this."""
    await uow.begin(lock_of(f"{uow.tenant}/sector/{number}"))
    before = shown(await get_sector(uow, number))
    await uow.execute(DELETE, number)
    uow.enqueue(Effect("inbox.leave_sector", str(number), {"sector_id": number, "by": msgspec.to_builtins(uow.actor)}))
    await record(uow, "sector.deleted", ("sector", number), before)


async def written(uow: UnitOfWork, statement: str, *values: Any) -> None:
    """Save a row; raises Invalid where another sector has the name."""
    try:
        await uow.execute(statement, *values)
    except asyncpg.UniqueViolationError as error:
        if error.constraint_name != "sector_name_key":
            raise
        raise Invalid.field("name", "Another sector has this name.") from error


async def refuse_strangers(uow: UnitOfWork, members: list[int]) -> None:
    """Raises Invalid unless all are members of this workspace."""
    wanted = set(members)
    found = {row["id"] for row in await uow.fetch(KNOWN, sorted(wanted))} if wanted else set()
    if found != wanted:
        raise Invalid.field("user_ids", "Choose members of this workspace.")


def shown(view: SectorView) -> dict[str, Any]:
    """What the audit trail says of it."""
    users = [person.id for person in view.users]
    return {"name": view.name, "color": view.color, "description": view.description, "user_ids": sorted(users)}

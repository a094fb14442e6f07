"""Calendar filters, which everybody keeps for themselves: saved, changed, deleted."""

from typing import Annotated, Any, Final

import asyncpg
import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from plixa.kernel.audit import record, record_change
from plixa.kernel.errors import Conflict, Invalid
from plixa.kernel.tenancy import lock_of
from plixa.kernel.uow import UnitOfWork
from plixa.scheduling.domain.appointment import AppointmentStatus
from plixa.scheduling.queries.filters import MOST, CalendarFilterView, get_filter, list_filters
from plixa.scheduling.queries.links import Ids, refuse_unknown

Name = Annotated[str, Meta(min_length=1, max_length=60, pattern=r"\S")]
Statuses = Annotated[list[AppointmentStatus], Meta(max_length=6)]
INSERT: Final = """INSERT INTO calendar_filter (tenant_id, member_id, id, name, provider_ids, service_ids, statuses, is_default, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"""
UPDATE: Final = """UPDATE calendar_filter SET name = $4, provider_ids = $5, service_ids = $6, statuses = $7, is_default = $8
WHERE tenant_id = $1 AND member_id = $2 AND id = $3"""
NO_DEFAULT: Final = "UPDATE calendar_filter SET is_default = false WHERE tenant_id = $1 AND member_id = $2 AND is_default AND id <> $3"
DELETE: Final = "DELETE FROM calendar_filter WHERE tenant_id = $1 AND member_id = $2 AND id = $3"


class CreateFilter(Struct, frozen=True):
    """Empty lists show all."""

    name: Name
    provider_ids: Ids = []
    service_ids: Ids = []
    statuses: Statuses = []
    is_default: bool = False


class UpdateFilter(Struct, frozen=True):
    """Absent = unchanged."""

    name: Name | UnsetType = UNSET
    provider_ids: Ids | UnsetType = UNSET
    service_ids: Ids | UnsetType = UNSET
    statuses: Statuses | UnsetType = UNSET
    is_default: bool | UnsetType = UNSET


async def create_filter(uow: UnitOfWork, member: int, data: CreateFilter) -> CalendarFilterView:
    """One more of a member's; raises Invalid for a name they use or ids of nobody's here, Conflict at too many."""
    await alone(uow, member)
    if len(await list_filters(uow, member)) >= MOST:
        raise Conflict(f"You can have at most {MOST} filters. Delete one first.")
    wanted = msgspec.to_builtins(data)
    await refuse_strangers(uow, wanted)
    wanted["name"] = wanted["name"].strip()
    number = await uow.number("calendar_filter_number")
    await written(uow, INSERT, (member, number), wanted, uow.now)
    await record(uow, "calendar_filter.created", ("calendar_filter", number), after=wanted)
    return await get_filter(uow, member, number)


async def update_filter(uow: UnitOfWork, member: int, number: int, data: UpdateFilter) -> CalendarFilterView:
    """Change one of a member's; raises NotFound, and as ``create_filter``."""
    await alone(uow, member)
    before = told(await get_filter(uow, member, number))
    given = msgspec.to_builtins(data)
    after = before | given
    after["name"] = after["name"].strip()
    if after != before:
        await refuse_strangers(uow, given)
        await written(uow, UPDATE, (member, number), after)
        await record_change(uow, "calendar_filter.updated", ("calendar_filter", number), before, after)
    return await get_filter(uow, member, number)


async def delete_filter(uow: UnitOfWork, member: int, number: int) -> None:
    """Raises NotFound."""
    await alone(uow, member)
    before = told(await get_filter(uow, member, number))
    await uow.execute(DELETE, member, number)
    await record(uow, "calendar_filter.deleted", ("calendar_filter", number), before)


async def alone(uow: UnitOfWork, member: int) -> None:
    """One change of a member's filters after the other, so that one at most is the default."""
    await uow.begin(lock_of(f"{uow.tenant}/calendar_filter/{member}"))


async def refuse_strangers(uow: UnitOfWork, given: dict[str, Any]) -> None:
    """Raises Invalid for given ids that are not this workspace's; those that were saved before may be gone by now."""
    for field in ("provider_ids", "service_ids"):
        await refuse_unknown(uow, field, given.get(field, ()))


async def written(uow: UnitOfWork, statement: str, key: tuple[int, int], wanted: dict[str, Any], *more: Any) -> None:
    """Save a row, the only default if it is one; raises Invalid where another filter of theirs has the name."""
    if wanted["is_default"]:
        await uow.execute(NO_DEFAULT, *key)
    try:
        await uow.execute(statement, *key, *wanted.values(), *more)
    except asyncpg.UniqueViolationError as error:
        if error.constraint_name != "calendar_filter_name_key":
            raise
        raise Invalid.field("name", "Another filter of yours has this name.") from error


def told(view: CalendarFilterView) -> dict[str, Any]:
    """What the audit trail says of it."""
    return {name: value for name, value in msgspec.to_builtins(view).items() if name != "id"}

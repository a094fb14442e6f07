"""Services: made, changed, given up."""

from typing import Annotated, Any, Final

import asyncpg
from litestar.params import Parameter
from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import asdict

from plixa.kernel.audit import record, record_change
from plixa.kernel.errors import Conflict, Invalid
from plixa.kernel.uow import UnitOfWork
from plixa.scheduling.commands.reminders import remind_anew
from plixa.scheduling.queries.links import Ids, refuse_unknown
from plixa.scheduling.queries.services import ServiceView, catalog_lock, count_services, get_service
from plixa.workspace.queries.settings import CURRENCIES, read_workspace

Name = Annotated[str, Meta(min_length=1, max_length=120, pattern=r"\S")]
Description = Annotated[str, Meta(max_length=2000)]
Color = Annotated[str, Meta(pattern=r"^#[0-9a-fA-F]{6}$", max_length=7)]
Duration = Annotated[int, Meta(ge=5, le=1440)]
Buffer = Annotated[int, Meta(gt=-1, le=1440)]
Notice = Annotated[int, Meta(gt=-1, le=525_600)]
Days = Annotated[int, Meta(ge=1, le=730)]
Money = Annotated[int, Meta(gt=-1, le=1_000_000_000_000)]
Currency = Annotated[str, Meta(min_length=3, max_length=3)]
Offsets = Annotated[list[Annotated[int, Meta(ge=5, le=43_200), Parameter(ge=5, le=43_200)]], Meta(max_length=5)]
"""Minutes before the start at which the customer is reminded."""
MOST: Final = 500
"""Services a workspace can have."""
FIELDS: Final = (
    *("name", "description", "color", "duration_minutes", "buffer_before_minutes", "buffer_after_minutes", "slot_interval_minutes"),
    *("min_notice_minutes", "max_advance_days", "price", "currency", "deposit_amount", "prepayment", "requires_approval"),
    *("reminder_offsets", "is_active", "bookable_by_ai"),
)
"""What stands in the row itself."""

INSERT: Final = f"""INSERT INTO service (tenant_id, id, created_at, {", ".join(FIELDS)})
VALUES ($1, $2, $3, {", ".join(f"${place}" for place in range(4, 4 + len(FIELDS)))})"""  # noqa: S608 - constants
UPDATE: Final = f"""UPDATE service SET {", ".join(f"{name} = ${place}" for place, name in enumerate(FIELDS, 3))}
WHERE tenant_id = $1 AND id = $2"""  # noqa: S608 - constants
DELETE: Final = "DELETE FROM service WHERE tenant_id = $1 AND id = $2"
UNLINK: Final = (
    "DELETE FROM service_provider WHERE tenant_id = $1 AND service_id = $2 AND provider_id <> ALL($3::bigint[])",
    "DELETE FROM service_resource WHERE tenant_id = $1 AND service_id = $2 AND resource_id <> ALL($3::bigint[])",
)
LINK: Final = (
    """INSERT INTO service_provider (tenant_id, service_id, provider_id)
SELECT $1, $2, id FROM member WHERE tenant_id = $1 AND id = ANY($3::bigint[]) FOR KEY SHARE ON CONFLICT DO NOTHING""",
    """INSERT INTO service_resource (tenant_id, service_id, resource_id)
SELECT $1, $2, id FROM resource WHERE tenant_id = $1 AND id = ANY($3::bigint[]) ON CONFLICT DO NOTHING""",
)
"""Not those who are removed at the same moment."""


class CreateService(Struct, frozen=True, kw_only=True):
    """Minutes, and money in minor units; null ``currency`` and ``reminder_offsets`` are the workspace's."""

    name: Name
    duration_minutes: Duration
    description: Description | None = None
    color: Color | None = None
    buffer_before_minutes: Buffer = 0
    buffer_after_minutes: Buffer = 0
    slot_interval_minutes: Duration | None = None
    min_notice_minutes: Notice = 0
    max_advance_days: Days = 90
    price: Money | None = None
    currency: Currency | None = None
    deposit_amount: Money | None = None
    prepayment: bool = False
    requires_approval: bool = False
    reminder_offsets: Offsets | None = None
    is_active: bool = True
    bookable_by_ai: bool = True
    provider_ids: Ids = []
    resource_ids: Ids = []


class UpdateService(Struct, frozen=True, kw_only=True):
    """Absent = unchanged; ``provider_ids`` and ``resource_ids`` replace who gives it and what it takes."""

    name: Name | UnsetType = UNSET
    duration_minutes: Duration | UnsetType = UNSET
    description: Description | UnsetType | None = UNSET
    color: Color | UnsetType | None = UNSET
    buffer_before_minutes: Buffer | UnsetType = UNSET
    buffer_after_minutes: Buffer | UnsetType = UNSET
    slot_interval_minutes: Duration | UnsetType | None = UNSET
    min_notice_minutes: Notice | UnsetType = UNSET
    max_advance_days: Days | UnsetType = UNSET
    price: Money | UnsetType | None = UNSET
    currency: Currency | UnsetType | None = UNSET
    deposit_amount: Money | UnsetType | None = UNSET
    prepayment: bool | UnsetType = UNSET
    requires_approval: bool | UnsetType = UNSET
    reminder_offsets: Offsets | UnsetType | None = UNSET
    is_active: bool | UnsetType = UNSET
    bookable_by_ai: bool | UnsetType = UNSET
    provider_ids: Ids | UnsetType = UNSET
    resource_ids: Ids | UnsetType = UNSET


async def create_service(uow: UnitOfWork, data: CreateService) -> ServiceView:
    """A new one; raises Invalid for a name that is taken, a price that makes no sense or ids of nobody's here, Conflict at too many."""
    await uow.begin(catalog_lock(uow))
    if await count_services(uow) >= MOST:
        raise Conflict(f"A workspace has at most {MOST} services. Delete one first.")
    wanted = await checked(uow, asdict(data))
    number = await uow.number("service_number")
    await written(uow, INSERT, number, uow.now, *(wanted[name] for name in FIELDS))
    await link(uow, number, wanted)
    view = await get_service(uow, number)
    await record(uow, "service.created", ("service", number), after=told(view))
    return view


async def update_service(uow: UnitOfWork, number: int, data: UpdateService) -> ServiceView:
    """Change what is given, for what is booked from now on, but reminders for all that is; raises NotFound, and as ``create_service``."""
    await uow.begin(catalog_lock(uow))
    before = told(await get_service(uow, number))
    after = await checked(uow, before | {name: value for name, value in asdict(data).items() if value is not UNSET})
    if after != before:
        await written(uow, UPDATE, number, *(after[name] for name in FIELDS))
        await link(uow, number, after)
        if after["reminder_offsets"] != before["reminder_offsets"]:
            remind_anew(uow, number)
        await record_change(uow, "service.updated", ("service", number), before, after)
    return await get_service(uow, number)


async def delete_service(uow: UnitOfWork, number: int) -> None:
    """Give it up; what was booked stays, who waited for it waits no longer. Raises NotFound."""
    await uow.begin(catalog_lock(uow))
    before = told(await get_service(uow, number))
    await uow.execute(DELETE, number)
    await record(uow, "service.deleted", ("service", number), before)


async def checked(uow: UnitOfWork, given: dict[str, Any]) -> dict[str, Any]:
    """A service as it may be saved."""
    for field in ("provider_ids", "resource_ids"):
        given[field] = sorted(set(given[field]))
        await refuse_unknown(uow, field, given[field])
    given["name"] = given["name"].strip()
    given["currency"] = (given["currency"] or str((await read_workspace(uow))["currency"])).upper()
    if complaints := faults(given):
        raise Invalid(details=complaints)
    return given


def faults(given: dict[str, Any]) -> dict[str, list[str]]:
    """What is wrong with it as a whole, as field → messages."""
    price, deposit, offsets = given["price"] or 0, given["deposit_amount"], given["reminder_offsets"] or []
    checks = {
        "currency": (given["currency"] in CURRENCIES, "Must be an ISO 4217 currency code."),
        "deposit_amount": (deposit is None or deposit <= price, "Must not be more than the price."),
        "prepayment": (not given["prepayment"] or (price and deposit is None), "Needs a price, and no deposit besides."),
        "reminder_offsets": (len(set(offsets)) == len(offsets), "Name each time once."),
    }
    return {field: [message] for field, (holds, message) in checks.items() if not holds}


async def link(uow: UnitOfWork, number: int, wanted: dict[str, Any]) -> None:
    """Who gives it and what it takes, and nobody and nothing else."""
    for field, remove, add in zip(("provider_ids", "resource_ids"), UNLINK, LINK, strict=True):
        await uow.execute(remove, number, wanted[field])
        await uow.execute(add, number, wanted[field])


async def written(uow: UnitOfWork, statement: str, *values: Any) -> None:
    """Save a row; raises Invalid where another service has the name."""
    try:
        await uow.execute(statement, *values)
    except asyncpg.UniqueViolationError as error:
        if error.constraint_name != "service_name_key":
            raise
        raise Invalid.field("name", "Another service has this name.") from error


def told(view: ServiceView) -> dict[str, Any]:
    """What the audit trail says of it."""
    return {name: value for name, value in asdict(view).items() if name not in ("id", "created_at")}

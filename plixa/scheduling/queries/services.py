"""What customers can book, with whom and with what."""

from datetime import datetime
from typing import Final

import asyncpg
from msgspec import Struct

from plixa.kernel.cursor import decode, encode
from plixa.kernel.envelope import Page
from plixa.kernel.errors import NotFound
from plixa.kernel.paging import Paging
from plixa.kernel.tenancy import lock_of
from plixa.kernel.uow import UnitOfWork

SHOWN: Final = """SELECT s.id, s.name, s.description, s.color, s.duration_minutes, s.buffer_before_minutes, s.buffer_after_minutes,
    s.slot_interval_minutes, s.min_notice_minutes, s.max_advance_days, s.price, s.currency, s.deposit_amount, s.prepayment,
    s.requires_approval, s.reminder_offsets, s.is_active, s.bookable_by_ai,
    ARRAY(SELECT p.provider_id FROM service_provider p
        WHERE p.tenant_id = s.tenant_id AND p.service_id = s.id ORDER BY p.provider_id) AS provider_ids,
    ARRAY(SELECT r.resource_id FROM service_resource r
        WHERE r.tenant_id = s.tenant_id AND r.service_id = s.id ORDER BY r.resource_id) AS resource_ids,
    s.created_at, s.place
FROM service s WHERE s.tenant_id = scope.tenant"""
PAGE: Final = f"{SHOWN} AND s.place > $2::text ORDER BY s.place LIMIT $3::int"
ONE: Final = f"{SHOWN} AND s.id = $2"
NUMBER: Final = "SELECT count(*) FROM service WHERE tenant_id = scope.tenant"


class ServiceView(Struct, frozen=True, kw_only=True):
    """Minutes, and money in minor units. Null: the price is not told, slots begin as often as it is long, the workspace's reminders."""

    id: int
    name: str
    description: str | None
    color: str | None
    duration_minutes: int
    buffer_before_minutes: int
    buffer_after_minutes: int
    slot_interval_minutes: int | None
    min_notice_minutes: int
    max_advance_days: int
    price: int | None
    currency: str
    deposit_amount: int | None
    prepayment: bool
    requires_approval: bool
    reminder_offsets: list[int] | None
    is_active: bool
    bookable_by_ai: bool
    provider_ids: list[int]
    resource_ids: list[int]
    created_at: datetime


async def list_services(uow: UnitOfWork, paging: Paging) -> tuple[list[ServiceView], Page]:
    """One page, by name."""
    (after,) = decode(paging.cursor, (str,)) if paging.cursor else ("",)
    rows = await uow.fetch(PAGE, after, paging.limit + 1)
    shown = rows[: paging.limit]
    return [service_view(row) for row in shown], Page(encode((shown[-1]["place"],)) if len(rows) > paging.limit else None, paging.limit)


async def get_service(uow: UnitOfWork, number: int) -> ServiceView:
    """One; raises NotFound."""
    row = await uow.fetchrow(ONE, number)
    if row is None:
        raise NotFound("There is no such service.")
    return service_view(row)


def service_view(row: "asyncpg.Record") -> ServiceView:
    """A row with what is linked to it."""
    return ServiceView(**{name: row[name] for name in ServiceView.__struct_fields__})


async def count_services(uow: UnitOfWork) -> int:
    """How many there are."""
    (row,) = await uow.fetch(NUMBER)
    return int(row["count"])


def catalog_lock(uow: UnitOfWork) -> int:
    """The lock under which services, resources and what links them are changed."""
    return lock_of(f"{uow.tenant}/catalog")

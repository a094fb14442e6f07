"""Whether a workspace is about to be deleted, and what of it there is to destroy."""

from datetime import datetime
from typing import Any, Final

from msgspec import Struct

from plixa.kernel.event_store import Person
from plixa.kernel.uow import UnitOfWork

DELETION: Final = """SELECT t.deletion_requested_at, t.purge_at, m.id, m.name FROM tenant t
LEFT JOIN member m ON m.tenant_id = t.tenant_id AND m.id = t.deletion_requested_by WHERE t.tenant_id = scope.tenant"""
OWNER: Final = """SELECT m.name, m.email, coalesce(m.locale, t.locale) AS locale, t.name AS workspace, t.timezone, t.purge_at
FROM tenant t JOIN member m ON m.tenant_id = t.tenant_id AND m.role = 'owner' WHERE t.tenant_id = scope.tenant"""
NUMBERS: Final = "SELECT id, gateway_name FROM phone_instance WHERE tenant_id = scope.tenant AND removed_at IS NULL ORDER BY id"
CALENDARS: Final = "SELECT id FROM google_link WHERE tenant_id = scope.tenant ORDER BY id"
TABLES: Final = """SELECT c.oid::regclass::text AS name,
    ARRAY(SELECT DISTINCT f.confrelid::regclass::text FROM pg_constraint f
          WHERE f.conrelid = c.oid AND f.contype = 'f' AND f.confrelid <> c.oid) AS refers
FROM pg_class c WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace AND c.relrowsecurity
    AND c.relname <> ALL($1::text[]) ORDER BY 1"""
"""Every table that holds rows of tenants, and those whose rows it refers to."""


class DeletionView(Struct, frozen=True):
    """Until ``purge_at`` the owner can cancel it; from the request on nothing is sent."""

    scheduled: bool
    requested_at: datetime | None
    requested_by: Person | None
    purge_at: datetime | None


async def get_deletion(uow: UnitOfWork) -> DeletionView:
    """What the panel shows."""
    row = await uow.fetchrow(DELETION)
    if row is None or row["purge_at"] is None:
        return DeletionView(scheduled=False, requested_at=None, requested_by=None, purge_at=None)
    by = Person(row["id"], row["name"]) if row["id"] is not None else None
    return DeletionView(True, row["deletion_requested_at"], by, row["purge_at"])


async def find_owner(uow: UnitOfWork) -> Any:
    """Whom to tell: ``name, email, locale, workspace, timezone, purge_at``; None for a workspace that is gone."""
    return await uow.fetchrow(OWNER)


async def list_gateway_names(uow: UnitOfWork) -> list[tuple[int, str]]:
    """The numbers the gateway still knows, by id."""
    return [(row["id"], row["gateway_name"]) for row in await uow.fetch(NUMBERS)]


async def list_calendars(uow: UnitOfWork) -> list[int]:
    """Links to members' Google Calendars, by id."""
    return [row["id"] for row in await uow.fetch(CALENDARS)]

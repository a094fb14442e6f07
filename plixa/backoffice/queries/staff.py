"""Plixa's staff: the members of tenant 0."""

from datetime import datetime
from typing import Final

from msgspec import Struct

from plixa.kernel.database import Database
from plixa.kernel.errors import NotFound, Unauthenticated
from plixa.kernel.event_store import Person
from plixa.kernel.uow import UnitOfWork

STAFF: Final = """SELECT id, name, email, two_factor_confirmed_at IS NOT NULL AS has_two_factor, created_at, deactivated_at FROM member
WHERE tenant_id = scope.tenant"""
PERSON: Final = "SELECT id, name FROM member WHERE tenant_id = 0 AND id = $1"


class StaffView(Struct, frozen=True):
    """A staff person; one who left is ``deactivated_at`` some time, and stays so that what they did keeps a name."""

    id: int
    name: str
    email: str
    two_factor_enabled: bool
    created_at: datetime
    deactivated_at: datetime | None


async def get_staff(uow: UnitOfWork, number: int) -> StaffView:
    """A staff person by id; raises Unauthenticated when they were removed a moment ago."""
    row = await uow.fetchrow(f"{STAFF} AND id = $2", number)
    if row is None:
        raise Unauthenticated
    return StaffView(*row)


async def find_staff(uow: UnitOfWork, email: str) -> StaffView:
    """A staff person by lowercase e-mail address; raises NotFound."""
    row = await uow.fetchrow(f"{STAFF} AND email = $2", email)
    if row is None:
        raise NotFound(f"There is no staff person with the address {email}.")
    return StaffView(*row)


async def list_staff(uow: UnitOfWork) -> list[StaffView]:
    """Everybody of the staff, the longest-serving first."""
    return [StaffView(*row) for row in await uow.fetch(f"{STAFF} ORDER BY id")]


async def find_person(system: Database, number: int | None) -> Person | None:
    """A staff person as other workspaces may name them; None for one who has left."""
    if number is None:
        return None
    async with system.connection() as connection:
        row = await connection.fetchrow(PERSON, number)
    return Person(*row) if row else None

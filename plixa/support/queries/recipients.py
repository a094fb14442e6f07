"""Who is written to about a ticket."""

from datetime import datetime
from typing import Final

from msgspec import Struct

from plixa.kernel.database import Database
from plixa.kernel.uow import UnitOfWork

OPENER: Final = """SELECT m.name, m.email, coalesce(m.locale, t.locale), t.timezone, k.subject, m.id FROM ticket k
JOIN member m ON m.tenant_id = k.tenant_id AND m.id = k.opener_id JOIN tenant t ON t.tenant_id = k.tenant_id
WHERE k.tenant_id = scope.tenant AND k.id = $2"""
NEWS: Final = """SELECT k.id, k.subject, t.name, c.author_name, c.body, k.assigned_to, c.tenant_id, c.id AS message, c.created_at
FROM ticket_message c
JOIN ticket k ON k.tenant_id = c.tenant_id AND k.id = c.ticket_id JOIN tenant t ON t.tenant_id = k.tenant_id
WHERE c.tenant_id = scope.tenant AND c.id = $2"""
STAFF: Final = "SELECT id, name, email, coalesce(locale, 'en') FROM member WHERE tenant_id = 0 AND deactivated_at IS NULL ORDER BY id"


class Opener(Struct, frozen=True):
    """Whoever asked, and what it was about."""

    name: str
    email: str
    locale: str
    timezone: str
    subject: str
    id: int


class News(Struct, frozen=True):
    """What a customer wrote; ``assigned_to`` null is nobody's."""

    ticket: int
    subject: str
    workspace: str
    author: str
    body: str
    assigned_to: int | None
    tenant: int
    message: int
    at: datetime


class Colleague(Struct, frozen=True):
    """One of the staff."""

    id: int
    name: str
    email: str
    locale: str


class ColleagueView(Struct, frozen=True):
    """One of the staff, to whom a ticket may be given."""

    id: int
    name: str
    email: str


async def find_opener(uow: UnitOfWork, ticket: int) -> Opener | None:
    """Whoever asked, unless they have left the workspace."""
    row = await uow.fetchrow(OPENER, ticket)
    return Opener(*row) if row is not None else None


async def find_news(uow: UnitOfWork, message: int) -> News | None:
    """What staff are told of a message, unless it is gone."""
    row = await uow.fetchrow(NEWS, message)
    return News(*row) if row is not None else None


async def list_colleagues(system: Database, assigned_to: int | None = None) -> list[Colleague]:
    """All of the staff or, of a ticket that is somebody's who is still there, only them."""
    async with system.connection() as connection:
        staff = [Colleague(*row) for row in await connection.fetch(STAFF)]
    return [one for one in staff if one.id == assigned_to] or staff

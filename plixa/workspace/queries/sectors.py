"""Departments, and who belongs to them."""

from typing import Final

import msgspec
from msgspec import Struct

from plixa.kernel.errors import NotFound
from plixa.kernel.event_store import Person
from plixa.kernel.uow import UnitOfWork

LIST: Final = """SELECT s.id, s.name, s.color, s.description, coalesce(c.value, 0) AS open_conversations,
    (SELECT json_agg(json_build_object('id', m.id, 'name', m.name) ORDER BY m.name, m.id)::text
     FROM sector_member b JOIN member m ON m.tenant_id = b.tenant_id AND m.id = b.member_id
     WHERE b.tenant_id = s.tenant_id AND b.sector_id = s.id) AS users
FROM sector s LEFT JOIN counter c ON c.tenant_id = s.tenant_id AND c.projection = 'inbox_conversation' AND c.key = 'sector:' || s.id
WHERE s.tenant_id = scope.tenant AND ($2::bigint IS NULL OR s.id = $2) ORDER BY s.name, s.id"""


class SectorView(Struct, frozen=True):
    """A department; ``open_conversations`` are awake and assigned to it, null for agents who do not see all conversations."""

    id: int
    name: str
    color: str | None
    description: str | None
    users: list[Person]
    open_conversations: int | None


async def list_sectors(uow: UnitOfWork, number: int | None = None) -> list[SectorView]:
    """All of them by name, or only one."""
    hidden = uow.principal is not None and uow.principal.restricted
    return [
        SectorView(
            row["id"],
            row["name"],
            row["color"],
            row["description"],
            msgspec.json.decode(row["users"], type=list[Person]) if row["users"] else [],
            None if hidden else row["open_conversations"],
        )
        for row in await uow.fetch(LIST, number)
    ]


async def get_sector(uow: UnitOfWork, number: int) -> SectorView:
    """One; raises NotFound."""
    found = await list_sectors(uow, number)
    if not found:
        raise NotFound("There is no such sector.")
    return found[0]

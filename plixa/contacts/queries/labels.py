"""Labels, how many conversations and contacts carry each, and those of a contact."""

from typing import Final

import asyncpg
from msgspec import Struct

from plixa.kernel.errors import NotFound
from plixa.kernel.uow import UnitOfWork

COUNTED: Final = """SELECT l.id, l.name, l.color, coalesce((SELECT k.value FROM counter k
    WHERE k.tenant_id = l.tenant_id AND k.projection = 'inbox_conversation' AND k.key = 'labelled:' || l.id), 0) AS conversations,
    (SELECT count(*) FROM contact_label c WHERE c.tenant_id = l.tenant_id AND c.label_id = l.id) AS contacts
FROM label l WHERE l.tenant_id = scope.tenant"""
LIST: Final = f"{COUNTED} ORDER BY l.name, l.id"
ONE: Final = f"{COUNTED} AND l.id = $2"
NUMBER: Final = "SELECT count(*) FROM label WHERE tenant_id = scope.tenant"
HELD: Final = "SELECT id FROM label WHERE tenant_id = scope.tenant AND id = $2 FOR KEY SHARE"
OF_CONTACT: Final = """SELECT l.id, l.name, l.color FROM contact_label c JOIN label l ON l.tenant_id = c.tenant_id AND l.id = c.label_id
WHERE c.tenant_id = scope.tenant AND c.contact_id = $2 ORDER BY l.name, l.id"""


class LabelView(Struct, frozen=True):
    """A label as it is shown on what carries it."""

    id: int
    name: str
    color: str


class CountedLabelView(Struct, frozen=True):
    """A label and how many carry it; ``conversations_count`` is null for agents who do not see all conversations."""

    id: int
    name: str
    color: str
    conversations_count: int | None
    contacts_count: int


async def list_labels(uow: UnitOfWork) -> list[CountedLabelView]:
    """All of them, by name."""
    return [counted(uow, row) for row in await uow.fetch(LIST)]


async def get_label(uow: UnitOfWork, number: int) -> CountedLabelView:
    """One; raises NotFound."""
    found = await uow.fetchrow(ONE, number)
    if found is None:
        raise NotFound("There is no such label.")
    return counted(uow, found)


def counted(uow: UnitOfWork, row: "asyncpg.Record") -> CountedLabelView:
    """A row as the caller may see it."""
    hidden = uow.principal is not None and uow.principal.restricted
    return CountedLabelView(row["id"], row["name"], row["color"], None if hidden else row["conversations"], row["contacts"])


async def count_labels(uow: UnitOfWork) -> int:
    """How many there are."""
    (row,) = await uow.fetch(NUMBER)
    return int(row["count"])


async def hold_label(uow: UnitOfWork, number: int) -> None:
    """Nobody deletes it before this transaction ends; raises NotFound for one that is not of this workspace."""
    await uow.begin()
    if await uow.fetchrow(HELD, number) is None:
        raise NotFound("There is no such label.")


async def list_contact_labels(uow: UnitOfWork, contact: int) -> list[LabelView]:
    """What a contact carries, by name."""
    return [LabelView(*row) for row in await uow.fetch(OF_CONTACT, contact)]

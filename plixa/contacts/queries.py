"""Reading contacts and labels."""

import msgspec
from msgspec import Struct

from plixa.kernel.errors import NotFound
from plixa.kernel.uow import UnitOfWork

ACQUAINTANCES = """(SELECT json_agg(json_build_object('value', a.value, 'contact_id', a.contact_id, 'phone', c.phone, 'name', c.name))::text
    FROM contact_alias a JOIN contact c ON c.tenant_id = a.tenant_id AND c.id = a.contact_id
    WHERE a.tenant_id = $1 AND a.value = ANY({aliases}::text[]))"""
"""A column, for a query that knows the tenant as ``$1``: whom some addresses lead to, as ``decode_acquaintances`` reads it."""
LABEL = "SELECT id FROM label WHERE tenant_id = scope.tenant AND id = $2"


class Acquaintance(Struct, frozen=True):
    """An address we know, and the contact it leads to."""

    value: str
    contact_id: int
    phone: str | None
    name: str | None


def decode_acquaintances(column: str | None) -> list[Acquaintance]:
    """The contents of the column ``ACQUAINTANCES``."""
    return msgspec.json.decode(column, type=list[Acquaintance]) if column else []


async def refuse_unknown_label(uow: UnitOfWork, label: int) -> None:
    """Raises NotFound for a label that is not of this workspace."""
    if await uow.fetchrow(LABEL, label) is None:
        raise NotFound("There is no such label.")

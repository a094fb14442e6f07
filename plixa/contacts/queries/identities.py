"""Whom addresses lead to, and everything one person is known by."""

import asyncpg
import msgspec
from msgspec import Struct

from plixa.kernel.errors import NotFound
from plixa.kernel.phones import canonical_phone
from plixa.kernel.uow import UnitOfWork

ACQUAINTANCES = """(SELECT json_agg(json_build_object('value', a.value, 'contact_id', a.contact_id, 'phone', c.phone, 'name', c.name,
    'blocked', c.blocked_at IS NOT NULL))::text
    FROM contact_alias a JOIN contact c ON c.tenant_id = a.tenant_id AND c.id = a.contact_id
    WHERE a.tenant_id = $1 AND a.value = ANY({aliases}::text[]))"""
"""A column, for a query that knows the tenant as ``$1``: whom some addresses lead to, as ``decode_acquaintances`` reads it."""
IDENTITY = """WITH RECURSIVE one AS (
    SELECT id, phone, erased_at, merged_into FROM contact WHERE tenant_id = scope.tenant AND id = $2
    UNION ALL
    SELECT c.id, c.phone, NULL, NULL FROM contact c JOIN one ON c.merged_into = one.id WHERE c.tenant_id = scope.tenant
)
SELECT k.erased_at, k.merged_into, (SELECT array_agg(id) FROM one) AS contacts,
    (SELECT array_agg(phone ORDER BY id) FROM one WHERE phone IS NOT NULL) AS phones,
    (SELECT array_agg(value ORDER BY value DESC) FROM contact_alias
     WHERE tenant_id = scope.tenant AND contact_id IN (SELECT id FROM one)) AS aliases
FROM one k WHERE k.id = $2"""
HELD = "SELECT erased_at, merged_into FROM contact WHERE tenant_id = scope.tenant AND id = $2 FOR NO KEY UPDATE"


class Acquaintance(Struct, frozen=True):
    """An address we know, and the contact it leads to."""

    value: str
    contact_id: int
    phone: str | None
    name: str | None
    blocked: bool


class ContactErased(NotFound):
    """Not merely missing: it was there, and its end was asked for."""

    code = "ERASED"
    status = 410
    default = "This was erased at its contact's request. Nothing of it can be brought back."


class Identity(Struct, frozen=True):
    """Everything one person is known by: the contacts that turned out to be them, their phones, and their addresses, phones first."""

    contacts: list[int]
    phones: list[str]
    aliases: list[str]


def decode_acquaintances(column: str | None) -> list[Acquaintance]:
    """The contents of the column ``ACQUAINTANCES``."""
    return msgspec.json.decode(column, type=list[Acquaintance]) if column else []


def address_of(phone: str) -> str:
    """The address under which a phone is known, whatever form of it is given."""
    return f"phone:{canonical_phone(phone)}"


async def get_identity(uow: UnitOfWork, contact: int) -> Identity:
    """Who somebody is; raises NotFound, also for a contact that turned out to be another, and ContactErased."""
    found = refuse_gone(await uow.fetchrow(IDENTITY, contact))
    return Identity(found["contacts"], found["phones"] or [], found["aliases"] or [])


async def hold_contact(uow: UnitOfWork, contact: int) -> None:
    """Nobody changes, merges or erases it before this transaction ends; raises what ``get_identity`` raises."""
    await uow.begin()
    refuse_gone(await uow.fetchrow(HELD, contact))


def refuse_gone(found: "asyncpg.Record | None") -> "asyncpg.Record":
    """A contact that is still there; raises NotFound, also for one that turned out to be another, and ContactErased."""
    if found is None:
        raise NotFound
    if found["erased_at"] is not None:
        raise ContactErased(details={"erased_at": found["erased_at"].isoformat()})
    if found["merged_into"] is not None:
        raise NotFound
    return found

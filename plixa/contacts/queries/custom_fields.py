"""Custom fields as the workspace defined them, and what they say of a contact."""

from datetime import datetime
from typing import Final

from msgspec import Struct

from plixa.contacts.domain.custom_fields import FieldType
from plixa.contacts.queries.identities import get_identity
from plixa.kernel.errors import NotFound
from plixa.kernel.uow import UnitOfWork

DEFINITIONS: Final = """SELECT id, name, key, type, options, position, created_at FROM custom_field
WHERE tenant_id = scope.tenant AND ($2::bigint IS NULL OR id = $2) ORDER BY position"""
FIELDS: Final = """SELECT f.id, f.name, f.type, v.value FROM custom_field f
LEFT JOIN custom_field_value v ON v.tenant_id = f.tenant_id AND v.field_id = f.id AND v.contact_id = $2
WHERE f.tenant_id = scope.tenant ORDER BY f.position"""
HELD: Final = """SELECT f.id, f.type, f.options, v.value FROM custom_field f
LEFT JOIN custom_field_value v ON v.tenant_id = f.tenant_id AND v.field_id = f.id AND v.contact_id = $2
WHERE f.tenant_id = scope.tenant ORDER BY f.id FOR KEY SHARE OF f"""


class DefinitionView(Struct, frozen=True):
    """A field of the workspace's contacts; ``key`` is made of its first name and stays, ``options`` are those of a select."""

    id: int
    name: str
    key: str
    type: FieldType
    options: list[str]
    position: int
    created_at: datetime


class FieldView(Struct, frozen=True):
    """A field and what stands in it for one contact."""

    definition_id: int
    name: str
    type: FieldType
    value: str | None


class ValuesView(Struct, frozen=True):
    """What stands in every field of a contact, by the definition's id."""

    values: dict[str, str | None]


class HeldField(Struct, frozen=True):
    """A field as it is about to be filled."""

    definition_id: int
    type: FieldType
    options: list[str]
    value: str | None


async def list_definitions(uow: UnitOfWork, number: int | None = None) -> list[DefinitionView]:
    """All of them in their order, or only one."""
    return [DefinitionView(*row) for row in await uow.fetch(DEFINITIONS, number)]


async def get_definition(uow: UnitOfWork, number: int) -> DefinitionView:
    """One; raises NotFound."""
    found = await list_definitions(uow, number)
    if not found:
        raise NotFound("There is no such custom field.")
    return found[0]


async def list_fields(uow: UnitOfWork, contact: int) -> list[FieldView]:
    """Every field in its order, with what stands in it for a contact."""
    return [FieldView(*row) for row in await uow.fetch(FIELDS, contact)]


async def get_values(uow: UnitOfWork, contact: int) -> ValuesView:
    """What stands in a contact's fields; raises NotFound, ContactErased."""
    await get_identity(uow, contact)
    return ValuesView({str(field.definition_id): field.value for field in await list_fields(uow, contact)})


async def hold_fields(uow: UnitOfWork, contact: int) -> list[HeldField]:
    """Every field with what stands in it; nobody deletes one before this transaction ends."""
    await uow.begin()
    return [HeldField(*row) for row in await uow.fetch(HELD, contact)]

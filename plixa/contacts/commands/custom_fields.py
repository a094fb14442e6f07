"""Custom fields: defined, renamed, put in order, deleted; and filled for a contact."""

from typing import Annotated, Any, Final

import asyncpg
from litestar.params import Parameter
from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import asdict

from plixa.contacts.domain.custom_fields import FieldType, find_fault
from plixa.contacts.queries.custom_fields import (
    DefinitionView,
    HeldField,
    ValuesView,
    get_definition,
    get_values,
    hold_fields,
    list_definitions,
)
from plixa.contacts.queries.identities import hold_contact
from plixa.kernel.audit import record, record_change
from plixa.kernel.errors import Conflict, Invalid
from plixa.kernel.ordering import Order, Reorder, reorder
from plixa.kernel.search import folded
from plixa.kernel.tenancy import lock_of
from plixa.kernel.uow import UnitOfWork

MOST: Final = 100
"""Fields a workspace can have, and options of one."""
LONGEST_VALUE: Final = 1000

Name = Annotated[str, Meta(min_length=1, max_length=60, pattern=r"\S")]
Option = Annotated[str, Meta(min_length=1, max_length=100, pattern=r"\S"), Parameter(min_length=1, max_length=100)]
Options = Annotated[list[Option], Meta(max_length=MOST)]
Value = Annotated[str, Meta(max_length=LONGEST_VALUE)] | None

INSERT: Final = """INSERT INTO custom_field (tenant_id, id, name, key, type, options, position, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"""
UPDATE: Final = "UPDATE custom_field SET name = $3, options = $4 WHERE tenant_id = $1 AND id = $2"
DELETE: Final = "DELETE FROM custom_field WHERE tenant_id = $1 AND id = $2"
PLACE: Final = """UPDATE custom_field f SET position = p.position FROM unnest($2::bigint[], $3::int[]) AS p(id, position)
WHERE f.tenant_id = $1 AND f.id = p.id"""
ORDER: Final = Order("custom_field", PLACE)
FILL: Final = """INSERT INTO custom_field_value (tenant_id, contact_id, field_id, value)
SELECT $1, $2, v.field_id, v.value FROM unnest($3::bigint[], $4::text[]) AS v(field_id, value)
ON CONFLICT (tenant_id, contact_id, field_id) DO UPDATE SET value = EXCLUDED.value"""
CLEAR: Final = "DELETE FROM custom_field_value WHERE tenant_id = $1 AND contact_id = $2 AND field_id = ANY($3::bigint[])"


class DefineField(Struct, frozen=True):
    """``options`` goes with select."""

    name: Name
    type: FieldType
    options: Options = []


class UpdateField(Struct, frozen=True):
    """Absent = unchanged. The type stays what it is; options that go leave the values that were chosen from them."""

    name: Name | UnsetType = UNSET
    type: FieldType | UnsetType = UNSET
    options: Options | UnsetType = UNSET


class FillFields(Struct, frozen=True):
    """By the definition's id; null and the empty text clear. Absent ids stay as they are, unknown ones are passed over."""

    values: Annotated[
        dict[str, Value],
        Meta(max_length=1000),
        Parameter(schema_extra={"additional_properties": {"type": ["string", "null"], "maxLength": LONGEST_VALUE}}),
    ] = {}


async def define_field(uow: UnitOfWork, data: DefineField) -> DefinitionView:
    """A new field below the others; raises Invalid for a taken name or options that do not fit, Conflict where there are too many."""
    options = fitting(data.type, data.options)
    await alone(uow)
    others = await list_definitions(uow)
    if len(others) >= MOST:
        raise Conflict(f"A workspace has at most {MOST} custom fields. Delete one first.")
    number = await uow.number("custom_field_number")
    key = free_key(data.name, {one.key for one in others})
    position = max((one.position for one in others), default=-1) + 1
    await written(uow, INSERT, number, data.name.strip(), key, data.type, options, position, uow.now)
    view = await get_definition(uow, number)
    await record(uow, "custom_field.created", ("custom_field", number), after=shown(view))
    return view


async def update_field(uow: UnitOfWork, number: int, data: UpdateField) -> DefinitionView:
    """Rename it, offer other options; raises NotFound, and Invalid for another type, a name that is taken, options that do not fit."""
    await alone(uow)
    view = await get_definition(uow, number)
    if data.type not in (UNSET, view.type):
        raise Invalid.field("type", "The type of a field cannot be changed. Delete it and make another.")
    before = shown(view)
    after = before | {name: value for name, value in asdict(data).items() if value is not UNSET}
    after |= {"name": after["name"].strip(), "options": fitting(view.type, after["options"])}
    if after != before:
        await written(uow, UPDATE, number, after["name"], after["options"])
        await record_change(uow, "custom_field.updated", ("custom_field", number), before, after)
    return await get_definition(uow, number)


async def delete_field(uow: UnitOfWork, number: int) -> None:
    """It goes with everything that stands in it; raises NotFound."""
    await alone(uow)
    before = shown(await get_definition(uow, number))
    await uow.execute(DELETE, number)
    await record(uow, "custom_field.deleted", ("custom_field", number), before)


async def reorder_fields(uow: UnitOfWork, data: Reorder) -> list[DefinitionView]:
    """Put them in this order; ids that are not of this workspace are passed over, missing ones stay where they are."""
    await alone(uow)
    return await reorder(uow, ORDER, list_definitions, data)


async def fill_fields(uow: UnitOfWork, contact: int, data: FillFields) -> ValuesView:
    """Set and clear many of a contact's fields, all or none; raises NotFound, ContactErased, and Invalid for values that do not fit.

    What stands there already is taken again, also where the field has other options by now.
    """
    await hold_contact(uow, contact)
    given = {key: (value or "").strip() or None for key, value in data.values.items()}
    fields = [field for field in await hold_fields(uow, contact) if given.get(str(field.definition_id), field.value) != field.value]
    changed = {field.definition_id: given[str(field.definition_id)] for field in fields}
    filled = {number: value for number, value in changed.items() if value is not None}
    refuse_unfit(fields, filled)
    if changed:
        await uow.execute(FILL, contact, list(filled), list(filled.values()))
        await uow.execute(CLEAR, contact, [number for number in changed if number not in filled])
        await record(uow, "contact.custom_fields_changed", ("contact", contact), after={"definition_ids": list(changed)})
    return await get_values(uow, contact)


def refuse_unfit(fields: list[HeldField], values: dict[int, str]) -> None:
    """Raises Invalid naming every value that does not fit its field."""
    found = {
        f"values.{field.definition_id}": find_fault(field.type, field.options, values[field.definition_id])
        for field in fields
        if field.definition_id in values
    }
    complaints = {name: [fault] for name, fault in found.items() if fault is not None}
    if complaints:
        raise Invalid(details=complaints)


def fitting(kind: FieldType, options: list[str]) -> list[str]:
    """Options as they are kept; raises Invalid where a select has none or one twice, or another type has any."""
    kept = [option.strip() for option in options]
    if kind != "select" and kept:
        raise Invalid.field("options", "Only a field of the type select has options.")
    if kind == "select" and not kept:
        raise Invalid.field("options", "Give at least one option.")
    if len(set(kept)) < len(kept):
        raise Invalid.field("options", "Give every option once.")
    return kept


def free_key(name: str, taken: set[str]) -> str:
    """``Data de nascimento`` → ``data_de_nascimento``, or ``data_de_nascimento_2`` where that is taken."""
    plain = "_".join(folded(name)) or "field"
    keys = (plain if count == 1 else f"{plain}_{count}" for count in range(1, len(taken) + 2))
    return next(key for key in keys if key not in taken)


async def alone(uow: UnitOfWork) -> None:
    """One change of a workspace's fields after the other, so that no two have one place."""
    await uow.begin(lock_of(f"{uow.tenant}/custom_field"))


async def written(uow: UnitOfWork, statement: str, *values: Any) -> None:
    """Save a row; raises Invalid where another field has the name."""
    try:
        await uow.execute(statement, *values)
    except asyncpg.UniqueViolationError as error:
        if error.constraint_name != "custom_field_name_key":
            raise
        raise Invalid.field("name", "Another custom field has this name.") from error


def shown(view: DefinitionView) -> dict[str, Any]:
    """What the audit trail says of it."""
    return {"name": view.name, "type": view.type, "options": view.options}

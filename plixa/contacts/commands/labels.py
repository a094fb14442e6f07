"""Labels: made, renamed, recoloured, deleted; put on contacts and taken off."""

from typing import Annotated, Any, Final

import asyncpg
import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import asdict

from plixa.contacts.queries.identities import hold_contact
from plixa.contacts.queries.labels import CountedLabelView, LabelView, count_labels, get_label, hold_label, list_contact_labels
from plixa.kernel.audit import record, record_change
from plixa.kernel.errors import Conflict, Invalid
from plixa.kernel.outbox import Effect
from plixa.kernel.tenancy import lock_of
from plixa.kernel.uow import UnitOfWork

Name = Annotated[str, Meta(min_length=1, max_length=40, pattern=r"\S")]
Color = Annotated[str, Meta(pattern=r"^#[0-9a-fA-F]{6}$", max_length=7)]
MOST: Final = 500
"""Labels a workspace can have."""
GREY: Final = "#6b7280"

INSERT: Final = "INSERT INTO label (tenant_id, id, name, color, created_at) VALUES ($1, $2, $3, $4, $5)"
UPDATE: Final = "UPDATE label SET name = $3, color = $4 WHERE tenant_id = $1 AND id = $2"
DELETE: Final = "DELETE FROM label WHERE tenant_id = $1 AND id = $2"
ATTACH: Final = "INSERT INTO contact_label (tenant_id, contact_id, label_id) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"
DETACH: Final = "DELETE FROM contact_label WHERE tenant_id = $1 AND contact_id = $2 AND label_id = $3"


class CreateLabel(Struct, frozen=True):
    """``color`` as ``#rrggbb``."""

    name: Name
    color: Color = GREY


class UpdateLabel(Struct, frozen=True):
    """Absent = unchanged."""

    name: Name | UnsetType = UNSET
    color: Color | UnsetType = UNSET


async def create_label(uow: UnitOfWork, data: CreateLabel) -> CountedLabelView:
    """A new label; raises Invalid for a name that is taken, Conflict where there are too many."""
    await alone(uow)
    if await count_labels(uow) >= MOST:
        raise Conflict(f"A workspace has at most {MOST} labels. Delete one first.")
    number = await uow.number("label_number")
    await written(uow, INSERT, number, data.name.strip(), data.color, uow.now)
    view = await get_label(uow, number)
    await record(uow, "label.created", ("label", number), after=shown(view))
    return view


async def update_label(uow: UnitOfWork, number: int, data: UpdateLabel) -> CountedLabelView:
    """Rename and recolour, wherever it is shown; raises NotFound, and Invalid for a name that is taken."""
    await alone(uow)
    before = shown(await get_label(uow, number))
    after = before | {name: value.strip() for name, value in asdict(data).items() if value is not UNSET}
    if after != before:
        await written(uow, UPDATE, number, after["name"], after["color"])
        await record_change(uow, "label.updated", ("label", number), before, after)
    return await get_label(uow, number)


async def delete_label(uow: UnitOfWork, number: int) -> None:
    """Off every contact at once, and off the conversations one after the other behind this; what happened to them keeps it."""
    await alone(uow)
    before = shown(await get_label(uow, number))
    await uow.execute(DELETE, number)
    uow.enqueue(Effect("inbox.drop_label", str(number), {"label_id": number, "by": msgspec.to_builtins(uow.actor)}))
    await record(uow, "label.deleted", ("label", number), before)


async def label_contact(uow: UnitOfWork, contact: int, label: int) -> list[LabelView]:
    """Put a label on, once; answers all the contact carries. Raises NotFound, ContactErased."""
    await hold_contact(uow, contact)
    await hold_label(uow, label)
    if await uow.execute(ATTACH, contact, label) == "INSERT 0 1":
        await record(uow, "contact.labelled", ("contact", contact), after={"label_id": label})
    return await list_contact_labels(uow, contact)


async def unlabel_contact(uow: UnitOfWork, contact: int, label: int) -> None:
    """Take a label off; without it nothing happens. Raises NotFound, ContactErased."""
    await hold_contact(uow, contact)
    await hold_label(uow, label)
    if await uow.execute(DETACH, contact, label) == "DELETE 1":
        await record(uow, "contact.unlabelled", ("contact", contact), {"label_id": label})


async def alone(uow: UnitOfWork) -> None:
    """One change of a workspace's labels after the other, so that what it was before is true."""
    await uow.begin(lock_of(f"{uow.tenant}/label"))


async def written(uow: UnitOfWork, statement: str, *values: Any) -> None:
    """Save a row; raises Invalid where another label has the name."""
    try:
        await uow.execute(statement, *values)
    except asyncpg.UniqueViolationError as error:
        if error.constraint_name != "label_name_key":
            raise
        raise Invalid.field("name", "Another label has this name.") from error


def shown(view: CountedLabelView) -> dict[str, Any]:
    """What the audit trail says of it."""
    return {"name": view.name, "color": view.color}

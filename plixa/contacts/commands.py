"""Finding a contact by any of its addresses, and learning that two contacts are one."""

from msgspec import Struct

from plixa.contacts.queries import Acquaintance
from plixa.kernel.uow import UnitOfWork

CREATE = "INSERT INTO contact (tenant_id, id, phone, name, created_at) VALUES ($1, $2, $3, $4, $5)"
BIND = "INSERT INTO contact_alias (tenant_id, value, contact_id) SELECT $1, value, $2 FROM unnest($3::text[]) AS b(value)"
LEARN = "UPDATE contact SET phone = $3, name = $4 WHERE tenant_id = $1 AND id = $2"
REBIND = "UPDATE contact_alias SET contact_id = $2 WHERE tenant_id = $1 AND contact_id = ANY($3::bigint[])"
MERGE = "UPDATE contact SET merged_into = $2 WHERE tenant_id = $1 AND id = ANY($3::bigint[])"


class Known(Struct, frozen=True):
    """A contact as it is known now; ``absorbed`` are contacts that turned out to be this one; ``learned``: something is new."""

    id: int
    phone: str | None
    name: str | None
    absorbed: tuple[int, ...] = ()
    learned: bool = False


class Met(Struct, frozen=True):
    """Somebody by their addresses (``phone:…``, ``lid:…``), and what they are called."""

    aliases: list[str]
    phone: str | None
    name: str | None


async def resolve_contact(uow: UnitOfWork, met: Met, found: list[Acquaintance]) -> Known:
    """The contact somebody is, made if need be. A name or phone fills an empty one only.

    The caller holds the locks of the aliases, and under them has ``found`` whom they lead to.
    """
    connection = await uow.begin()
    aliases, phone, name = met.aliases, met.phone, met.name
    if not found:
        number = await uow.number("contact_number")
        await connection.execute(CREATE, uow.tenant, number, phone, name, uow.now)
        await connection.execute(BIND, uow.tenant, number, aliases)
        return Known(number, phone, name, learned=True)
    kept = min(found, key=lambda one: (not one.value.startswith("phone:"), one.contact_id))
    known = Known(
        kept.contact_id,
        first(kept.phone, phone, *(one.phone for one in found)),
        first(kept.name, name, *(one.name for one in found)),
        tuple(sorted({one.contact_id for one in found} - {kept.contact_id})),
    )
    missing = set(aliases) - {one.value for one in found}
    if missing:
        await connection.execute(BIND, uow.tenant, known.id, sorted(missing))
    if known.absorbed:
        await connection.execute(REBIND, uow.tenant, known.id, list(known.absorbed))
        await connection.execute(MERGE, uow.tenant, known.id, list(known.absorbed))
    if (known.phone, known.name) == (kept.phone, kept.name):
        return known
    await connection.execute(LEARN, uow.tenant, known.id, known.phone, known.name)
    return Known(known.id, known.phone, known.name, known.absorbed, learned=True)


def first(*values: str | None) -> str | None:
    """The first that is filled."""
    return next((value for value in values if value), None)

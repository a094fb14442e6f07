"""Finding a contact by any of its addresses, and learning that two contacts are one."""

from collections.abc import Sequence

from msgspec import Struct

from plixa.kernel.uow import UnitOfWork

FIND = """SELECT a.value, a.contact_id, c.phone, c.name FROM contact_alias a
JOIN contact c ON c.tenant_id = a.tenant_id AND c.id = a.contact_id
WHERE a.tenant_id = $1 AND a.value = ANY($2::text[])"""
CREATE = "INSERT INTO contact (tenant_id, id, phone, name, created_at) VALUES ($1, $2, $3, $4, $5)"
BIND = "INSERT INTO contact_alias (tenant_id, value, contact_id) SELECT $1, value, $2 FROM unnest($3::text[]) AS b(value)"
LEARN = "UPDATE contact SET phone = $3, name = $4 WHERE tenant_id = $1 AND id = $2"
REBIND = "UPDATE contact_alias SET contact_id = $2 WHERE tenant_id = $1 AND contact_id = ANY($3::bigint[])"
MERGE = "UPDATE contact SET merged_into = $2 WHERE tenant_id = $1 AND id = ANY($3::bigint[])"


class Known(Struct, frozen=True):
    """A contact as it is known now; ``absorbed`` are contacts that turned out to be this one; ``fresh`` had never been seen."""

    id: int
    phone: str | None
    name: str | None
    absorbed: tuple[int, ...] = ()
    fresh: bool = False
    learned: bool = False


async def resolve_contact(uow: UnitOfWork, aliases: Sequence[str], phone: str | None, name: str | None) -> Known:
    """The contact behind ``aliases`` (``phone:…``, ``lid:…``), made if need be. A name or phone fills an empty one only.

    The caller holds the locks of ``aliases``.
    """
    connection = await uow.begin()
    found = await connection.fetch(FIND, uow.tenant, aliases)
    if not found:
        number = await uow.number("contact_number")
        await connection.execute(CREATE, uow.tenant, number, phone, name, uow.now)
        await connection.execute(BIND, uow.tenant, number, list(aliases))
        return Known(number, phone, name, fresh=True, learned=True)
    kept = min(found, key=lambda row: (not row["value"].startswith("phone:"), row["contact_id"]))
    known = Known(
        kept["contact_id"],
        first(kept["phone"], phone, *(row["phone"] for row in found)),
        first(kept["name"], name, *(row["name"] for row in found)),
        tuple(sorted({row["contact_id"] for row in found} - {kept["contact_id"]})),
    )
    missing = set(aliases) - {row["value"] for row in found}
    if missing:
        await connection.execute(BIND, uow.tenant, known.id, sorted(missing))
    if known.absorbed:
        await connection.execute(REBIND, uow.tenant, known.id, list(known.absorbed))
        await connection.execute(MERGE, uow.tenant, known.id, list(known.absorbed))
    if (known.phone, known.name) == (kept["phone"], kept["name"]):
        return known
    await connection.execute(LEARN, uow.tenant, known.id, known.phone, known.name)
    return Known(known.id, known.phone, known.name, known.absorbed, learned=True)


def first(*values: str | None) -> str | None:
    """The first that is filled."""
    return next((value for value in values if value), None)

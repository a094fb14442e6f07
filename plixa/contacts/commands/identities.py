"""Finding a contact by any of its addresses, and learning that two contacts are one."""

from msgspec import Struct
from msgspec.structs import replace

from plixa.contacts.commands.merging import absorb_contacts, without_parted
from plixa.contacts.commands.opt_out import KEYWORD, keep_opt_out, opt_out, recall_opt_outs
from plixa.contacts.domain.people import words_of
from plixa.contacts.queries.identities import Acquaintance, Identity, get_identity
from plixa.kernel.tenancy import lock_of
from plixa.kernel.uow import UnitOfWork

CREATE = """INSERT INTO contact (tenant_id, id, phone, name, words, created_at, opted_out_at, opt_out_reason)
SELECT $1, b.* FROM unnest($2::bigint[], $3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::timestamptz[], $8::text[]) AS b"""
BIND = "INSERT INTO contact_alias (tenant_id, value, contact_id) SELECT $1, b.* FROM unnest($2::text[], $3::bigint[]) AS b"
LEARN = """UPDATE contact SET phone = $3, name = $4, words = CASE WHEN notes IS NULL THEN $5::text ELSE concat_ws(' ', words, $5::text) END
WHERE tenant_id = $1 AND id = $2"""
"""What is learned fills what was empty, so that the words of the notes may stay."""
FORGET = """UPDATE contact SET name = NULL, phone = $3, erased_at = $4, notes = NULL, words = ''
WHERE tenant_id = $1 AND id = ANY($2::bigint[])"""
STRIP = (
    "DELETE FROM contact_alias WHERE tenant_id = $1 AND contact_id = ANY($2::bigint[])",
    "DELETE FROM contact_label WHERE tenant_id = $1 AND contact_id = ANY($2::bigint[])",
    "DELETE FROM custom_field_value WHERE tenant_id = $1 AND contact_id = ANY($2::bigint[])",
    "DELETE FROM contact_asked WHERE tenant_id = $1 AND contact_id = ANY($2::bigint[])",
    "DELETE FROM contact_merge WHERE tenant_id = $1 AND (kept_id = ANY($2::bigint[]) OR absorbed_id = ANY($2::bigint[]))",
)
"""What goes with contacts before their own rows do."""
DELETE = "DELETE FROM contact WHERE tenant_id = $1 AND id = ANY($2::bigint[])"


class Known(Struct, frozen=True):
    """A contact as it is known now; ``absorbed`` are contacts that turned out to be this one; ``learned``: something is new.

    ``several``: the addresses led to more than one contact, whether those are one now or were parted by hand. ``opted_out`` is told
    of a new one.
    """

    id: int
    phone: str | None
    name: str | None
    absorbed: tuple[int, ...] = ()
    learned: bool = False
    blocked: bool = False
    several: bool = False
    opted_out: bool = False


class Met(Struct, frozen=True):
    """Somebody by their addresses (``phone:…``, ``lid:…``), and what they are called."""

    aliases: list[str]
    phone: str | None
    name: str | None


async def resolve_contact(uow: UnitOfWork, met: Met, found: list[Acquaintance]) -> Known:
    """The contact somebody is, made if need be. A name or phone fills an empty one only.

    The caller holds the locks of the aliases, and under them has ``found`` whom they lead to.
    """
    await uow.begin()
    aliases, phone, name = met.aliases, met.phone, met.name
    if not found:
        number = await uow.number("contact_number")
        wish = next(iter((await recall_opt_outs(uow, aliases)).values()), None)
        out = (wish.at, wish.reason) if wish else (None, None)
        uow.also_row(CREATE, number, phone, name, words_of(uow.tenant, name, phone), uow.now, *out)
        bind(uow, number, aliases)
        return Known(number, phone, name, learned=True, opted_out=wish is not None)
    kept = min(found, key=lambda one: (not one.value.startswith("phone:"), one.contact_id))
    others = sorted({one.contact_id for one in found} - {kept.contact_id})
    absorbed = await without_parted(uow, kept.contact_id, others) if others else []
    one = [each for each in found if each.contact_id in (kept.contact_id, *absorbed)]
    known = Known(
        kept.contact_id,
        first(kept.phone, phone, *(each.phone for each in one)),
        first(kept.name, name, *(each.name for each in one)),
        tuple(absorbed),
        blocked=any(each.blocked for each in one),
        several=bool(others),
    )
    await learn_addresses(uow, known.id, sorted(set(aliases) - {each.value for each in found}))
    if absorbed:
        await absorb_contacts(uow, known.id, absorbed)
    if (known.phone, known.name) == (kept.phone, kept.name):
        return known
    uow.also(LEARN, known.id, known.phone, known.name, words_of(uow.tenant, known.name, known.phone))
    return replace(known, learned=True)


async def lock_identity(uow: UnitOfWork, contact: int) -> Identity:
    """Who somebody is, once none of their addresses can lead anybody to them; raises what ``get_identity`` raises."""
    held: set[str] = set()
    identity = await get_identity(uow, contact)
    while missing := set(identity.aliases) - held:
        await uow.begin(*(lock_of(f"{uow.tenant}/contact/{alias}") for alias in missing))
        held |= missing
        identity = await get_identity(uow, contact)
    await uow.begin()
    return identity


async def forget_contact(uow: UnitOfWork, identity: Identity, pseudonym: str) -> None:
    """Nothing says who they were. The pseudonym, the same for the same person, keeps them countable."""
    await uow.execute(FORGET, identity.contacts, pseudonym, uow.now)  # first: whoever labels or fills them at the moment is done then
    await strip_contacts(uow, identity)


async def delete_contacts(uow: UnitOfWork, identity: Identity) -> None:
    """Gone, with all that was theirs alone; their addresses are free."""
    await strip_contacts(uow, identity)
    await uow.execute(DELETE, identity.contacts)


async def strip_contacts(uow: UnitOfWork, identity: Identity) -> None:
    """Nothing leads to them, and nothing says what they were."""
    await keep_opt_out(uow, identity)
    for statement in STRIP:
        await uow.execute(statement, identity.contacts)


async def learn_addresses(uow: UnitOfWork, contact: int, aliases: list[str]) -> None:
    """New addresses lead to the contact, with what their former owners wished."""
    if not aliases:
        return
    bind(uow, contact, aliases)
    for wish in (await recall_opt_outs(uow, aliases)).values():
        await opt_out(uow, contact, wish.reason or KEYWORD)


def bind(uow: UnitOfWork, contact: int, aliases: list[str]) -> None:
    """From now on the addresses lead to the contact."""
    for alias in aliases:
        uow.also_row(BIND, alias, contact)


def first(*values: str | None) -> str | None:
    """The first that is filled."""
    return next((value for value in values if value), None)

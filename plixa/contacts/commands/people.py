"""Contacts: added by hand, their name and notes, and whether they are let through."""

from datetime import datetime
from typing import Annotated, Final

from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import replace

from plixa.contacts.commands.identities import Known, Met, lock_identity, resolve_contact
from plixa.contacts.commands.merging import write_facts
from plixa.contacts.domain.people import LONGEST_NAME, LONGEST_NOTES
from plixa.contacts.queries.identities import ACQUAINTANCES, address_of, decode_acquaintances
from plixa.contacts.queries.people import PersonView, find_person, hold_facts
from plixa.kernel.audit import record
from plixa.kernel.errors import Invalid
from plixa.kernel.outbox import Effect
from plixa.kernel.tenancy import lock_of
from plixa.kernel.uow import UnitOfWork

Phone = Annotated[str, Meta(pattern=r"^\+?\d{8,18}$")]
Name = Annotated[str, Meta(max_length=LONGEST_NAME)]
KNOWN: Final = f"SELECT {ACQUAINTANCES.format(aliases='$2')} AS contacts"


SHOWN: Final = {"name": "contact_name", "notes": "notes"}
"""What may be edited, and what the API calls it."""


class CreateContact(Struct, frozen=True):
    """``contact_phone`` in digits with its country code, with or without a leading ``+``."""

    contact_phone: Phone
    contact_name: Name | None = None


class UpdateContact(Struct, frozen=True):
    """Absent = unchanged; null or empty clears."""

    contact_name: Name | UnsetType | None = UNSET
    notes: Annotated[str, Meta(max_length=LONGEST_NOTES)] | UnsetType | None = UNSET


async def create_contact(uow: UnitOfWork, data: CreateContact) -> PersonView:
    """A new contact, or the one who has this phone already; a name only fills an empty one. Two at once make one."""
    phone, name = data.contact_phone.removeprefix("+"), (data.contact_name or "").strip() or None
    if not phone.isascii():
        raise Invalid.field("contact_phone", "Write the phone with the digits 0 to 9.")
    address = address_of(phone)
    connection = await uow.begin(lock_of(f"{uow.tenant}/contact/{address}"))
    found = decode_acquaintances(await connection.fetchval(KNOWN, uow.tenant, [address]))
    known = await resolve_contact(uow, Met([address], phone, name), found)
    if not found:
        await record(uow, "contact.created", ("contact", known.id))
        return stranger(known, uow.now)
    if known.learned:
        await record(uow, "contact.updated", ("contact", known.id), after={"fields": ["contact_name"]})
        uow.enqueue(follow(uow, [known.id]))
    return replace(await find_person(uow, phone), contact_name=known.name)


async def update_contact(uow: UnitOfWork, contact: int, data: UpdateContact) -> None:
    """Change what the workspace knows; raises NotFound, ContactErased."""
    await lock_identity(uow, contact)
    before = (await hold_facts(uow, contact))[contact]
    told = {"name": data.contact_name, "notes": data.notes}
    wanted = {field: (value or "").strip() or None for field, value in told.items() if value is not UNSET}
    after = replace(before, **wanted)
    changed = [SHOWN[field] for field, value in wanted.items() if value != getattr(before, field)]
    if changed:
        await write_facts(uow, contact, after)
        await record(uow, "contact.updated", ("contact", contact), after={"fields": changed})


async def set_blocked(uow: UnitOfWork, contact: int, *, blocked: bool) -> bool:
    """Let a contact through, or no more; was it otherwise? Raises NotFound, ContactErased."""
    await lock_identity(uow, contact)
    before = (await hold_facts(uow, contact))[contact]
    if (before.blocked_at is not None) == blocked:
        return False
    await write_facts(uow, contact, replace(before, blocked_at=uow.now if blocked else None))
    await record(uow, "contact.blocked" if blocked else "contact.unblocked", ("contact", contact))
    return True


async def find_known(uow: UnitOfWork, contact: int) -> Known:
    """A contact as their conversations are to know them."""
    facts = (await hold_facts(uow, contact))[contact]
    return Known(contact, facts.phone, facts.name, blocked=facts.blocked_at is not None)


def follow(uow: UnitOfWork, contacts: list[int]) -> Effect:
    """Let the conversations of contacts know them by the names they have now."""
    return Effect("inbox.follow_contacts", f"{uow.request_id}/{contacts[0]}/{uow.now.isoformat()}", {"contacts": contacts})


def stranger(known: Known, now: datetime) -> PersonView:
    """A contact that was just made."""
    return PersonView(
        id=known.id,
        contact_phone=known.phone,
        contact_name=known.name,
        labels=[],
        last_seen_at=None,
        conversations_count=0,
        opted_out=known.opted_out,
        blocked=False,
        created_at=now,
    )

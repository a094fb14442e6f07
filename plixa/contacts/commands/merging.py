"""Two contacts are one, and two again.

One is absorbed by the other: its addresses, labels and field values go over, its facts fill what the other lacks. Its own row stays, out
of sight, and ``contact_merge`` keeps what it takes to part them. What was changed since the merge stays as it was changed.
"""

from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec import Struct
from msgspec.structs import astuple, replace

from plixa.contacts.domain.people import Facts, combined, parted, words_of
from plixa.contacts.queries.identities import refuse_gone
from plixa.contacts.queries.people import hold_facts
from plixa.kernel.errors import Conflict
from plixa.kernel.uow import UnitOfWork

PARTED: Final = """SELECT absorbed_id, kept_id FROM contact_merge WHERE tenant_id = scope.tenant AND undone_at IS NOT NULL
AND ((kept_id = $2 AND absorbed_id = ANY($3::bigint[])) OR (kept_id = ANY($3::bigint[]) AND absorbed_id = $2))"""
REBIND: Final = "UPDATE contact_alias SET contact_id = $2 WHERE tenant_id = $1 AND contact_id = $3 RETURNING value"
REBIND_SOME: Final = "UPDATE contact_alias SET contact_id = $2 WHERE tenant_id = $1 AND contact_id = $3 AND value = ANY($4::text[])"
MERGE: Final = "UPDATE contact SET merged_into = $2 WHERE tenant_id = $1 AND id = $3"
UNMERGE: Final = "UPDATE contact SET merged_into = NULL WHERE tenant_id = $1 AND id = $2"
TAKE_LABELS: Final = "DELETE FROM contact_label WHERE tenant_id = $1 AND contact_id = $2 RETURNING label_id"
GIVE_LABELS: Final = """INSERT INTO contact_label (tenant_id, contact_id, label_id)
SELECT tenant_id, $2, id FROM label WHERE tenant_id = $1 AND id = ANY($3::bigint[]) ON CONFLICT DO NOTHING RETURNING label_id"""
DROP_LABELS: Final = "DELETE FROM contact_label WHERE tenant_id = $1 AND contact_id = $2 AND label_id = ANY($3::bigint[])"
TAKE_FIELDS: Final = "DELETE FROM custom_field_value WHERE tenant_id = $1 AND contact_id = $2 RETURNING field_id, value"
GIVE_FIELDS: Final = """INSERT INTO custom_field_value (tenant_id, contact_id, field_id, value)
SELECT f.tenant_id, $2, f.id, b.value FROM unnest($3::bigint[], $4::text[]) AS b(id, value)
JOIN custom_field f ON f.tenant_id = $1 AND f.id = b.id ON CONFLICT DO NOTHING RETURNING field_id"""
DROP_FIELDS: Final = """DELETE FROM custom_field_value v USING unnest($3::bigint[], $4::text[]) AS b(id, value)
WHERE v.tenant_id = $1 AND v.contact_id = $2 AND v.field_id = b.id AND v.value = b.value"""
WRITE: Final = """UPDATE contact SET phone = $3, name = $4, notes = $5, opted_out_at = $6, opt_out_reason = $7, blocked_at = $8, words = $9
WHERE tenant_id = $1 AND id = $2"""
REMEMBER: Final = """INSERT INTO contact_merge (tenant_id, kept_id, absorbed_id, by, merged_at, undo)
VALUES ($1, $2, $3, $4::text::jsonb, $5, $6::text::jsonb)"""
NOTE: Final = "UPDATE contact_merge SET undo = $3::text::jsonb WHERE tenant_id = $1 AND id = $2"
CURRENT: Final = """SELECT c.erased_at, NULL AS merged_into, m.id, m.kept_id, m.undo FROM contact c
LEFT JOIN contact_merge m ON m.tenant_id = c.tenant_id AND m.absorbed_id = c.id AND m.undone_at IS NULL
WHERE c.tenant_id = scope.tenant AND c.id = $2"""
UNDONE: Final = "UPDATE contact_merge SET undone_at = $3, undo = NULL WHERE tenant_id = $1 AND id = $2"


class Undo(Struct, frozen=True):
    """What it takes to part two contacts: what the absorbed one had, and what of it was new to the other.

    ``conversations`` went over whole, each with how many it had taken in; those in ``joined`` became one with another's on the same
    number; ``streams`` are all that were the absorbed one's.
    """

    before: Facts
    after: Facts
    aliases: list[str] = []
    labels: list[int] = []
    new_labels: list[int] = []
    fields: dict[int, str] = {}
    new_fields: list[int] = []
    conversations: dict[int, int] = {}
    joined: list[int] = []
    streams: list[UUID] = []


class Merge(Struct, frozen=True):
    """A merge that stands."""

    id: int
    kept: int
    undo: Undo


class NotMerged(Conflict):
    code = "NOT_MERGED"
    default = "This contact is not merged into another one."


async def without_parted(uow: UnitOfWork, contact: int, others: list[int]) -> list[int]:
    """Those of ``others`` that were never parted from the contact by hand: what was undone does not happen again by itself."""
    apart = {number for row in await uow.fetch(PARTED, contact, others) for number in (row["absorbed_id"], row["kept_id"])}
    return [other for other in others if other not in apart]


async def absorb_contacts(uow: UnitOfWork, kept: int, absorbed: list[int]) -> None:
    """Let others be one with a contact. The caller holds the locks of all their addresses."""
    people = await hold_facts(uow, kept, *absorbed)
    before = people[kept]
    for other in absorbed:
        after = combined(before, people[other])
        undo = await take_possessions(uow, kept, other, Undo(before, after))
        await uow.execute(MERGE, kept, other)
        await write_facts(uow, kept, after)
        by, told = (msgspec.json.encode(value).decode() for value in (uow.actor, undo))
        await uow.execute(REMEMBER, kept, other, by, uow.now, told)
        before = after


async def take_possessions(uow: UnitOfWork, kept: int, absorbed: int, undo: Undo) -> Undo:
    """Addresses, labels and field values go over; answers the note with what they were."""
    connection, tenant = await uow.begin(), uow.tenant
    aliases = [row["value"] for row in await connection.fetch(REBIND, tenant, kept, absorbed)]
    labels = [row["label_id"] for row in await connection.fetch(TAKE_LABELS, tenant, absorbed)]
    new_labels = [row["label_id"] for row in await connection.fetch(GIVE_LABELS, tenant, kept, labels)]
    fields = {row["field_id"]: row["value"] for row in await connection.fetch(TAKE_FIELDS, tenant, absorbed)}
    given = await connection.fetch(GIVE_FIELDS, tenant, kept, list(fields), list(fields.values()))
    new_fields = [row["field_id"] for row in given]
    return replace(undo, aliases=aliases, labels=labels, new_labels=new_labels, fields=fields, new_fields=new_fields)


async def write_facts(uow: UnitOfWork, contact: int, facts: Facts) -> None:
    """What a contact's own row says from now on."""
    await uow.execute(WRITE, contact, *astuple(facts), words_of(uow.tenant, facts.name, facts.phone, facts.notes))


async def get_merge(uow: UnitOfWork, absorbed: int) -> Merge:
    """The merge by which a contact went over into another; raises NotFound, ContactErased, NotMerged."""
    found = refuse_gone(await uow.fetchrow(CURRENT, absorbed))
    if found["id"] is None:
        raise NotMerged
    return Merge(found["id"], found["kept_id"], msgspec.json.decode(found["undo"], type=Undo))


async def note_conversations(uow: UnitOfWork, absorbed: int, **told: Any) -> None:
    """Keep with a merge what became of the absorbed contact's conversations."""
    merge = await get_merge(uow, absorbed)
    await uow.execute(NOTE, merge.id, msgspec.json.encode(replace(merge.undo, **told)).decode())


async def part_contacts(uow: UnitOfWork, absorbed: int, merge: Merge) -> None:
    """Give back what went over and was not changed since. The caller holds the locks of all their addresses."""
    undo, kept = merge.undo, merge.kept
    now = (await hold_facts(uow, kept))[kept]
    await uow.execute(UNMERGE, absorbed)
    await uow.execute(REBIND_SOME, absorbed, kept, undo.aliases)
    await uow.execute(DROP_LABELS, kept, undo.new_labels)
    await uow.execute(GIVE_LABELS, absorbed, undo.labels)
    await uow.execute(DROP_FIELDS, kept, undo.new_fields, [undo.fields[field] for field in undo.new_fields])
    await uow.execute(GIVE_FIELDS, absorbed, list(undo.fields), list(undo.fields.values()))
    await write_facts(uow, kept, parted(now, undo.before, undo.after))
    await uow.execute(UNDONE, merge.id, uow.now)

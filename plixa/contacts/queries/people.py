"""Contacts as members see them: the directory, one contact, somebody by their phone."""

from datetime import datetime
from typing import Any, Final, Literal

import asyncpg
import msgspec
from msgspec import Struct

from plixa.contacts.domain.people import Facts
from plixa.contacts.queries.custom_fields import FieldView, list_fields
from plixa.contacts.queries.identities import address_of, refuse_gone
from plixa.contacts.queries.labels import LabelView
from plixa.kernel.cursor import decode, encode
from plixa.kernel.envelope import Page
from plixa.kernel.errors import NotFound
from plixa.kernel.event_store import Actor, Person
from plixa.kernel.paging import Paging
from plixa.kernel.search import beginnings, tsquery
from plixa.kernel.tenancy import bind
from plixa.kernel.uow import UnitOfWork

COLUMNS: Final = """c.id, c.phone, c.name, c.notes, c.created_at, c.opted_out_at, c.opt_out_reason, c.blocked_at,
    c.erased_at, c.merged_into, c.sort_name, t.conversations, t.last_seen_at, l.labels"""
AROUND: Final = """LEFT JOIN LATERAL (
    SELECT count(*) AS conversations, max(i.replied_at) AS last_seen_at FROM inbox_conversation i
    WHERE i.tenant_id = scope.tenant AND i.contact_id = c.id
      AND ($2::bigint IS NULL OR i.assigned_user_id IS NULL OR i.assigned_user_id = $2)
) t ON true
LEFT JOIN LATERAL (
    SELECT json_agg(json_build_object('id', b.id, 'name', b.name, 'color', b.color) ORDER BY b.name, b.id)::text AS labels
    FROM contact_label x JOIN label b ON b.tenant_id = x.tenant_id AND b.id = x.label_id
    WHERE x.tenant_id = scope.tenant AND x.contact_id = c.id
) l ON true"""
"""What stands around a contact, for the caller: ``$2`` is a member who sees no conversations but their own and nobody's, or null."""
PAGE: Final = f"""SELECT {COLUMNS} FROM (
    SELECT * FROM contact c WHERE {{where}} ORDER BY {{order}} LIMIT $3::int
) c {AROUND} ORDER BY {{order}}"""  # noqa: S608 - constants
ONE: Final = f"SELECT {COLUMNS} FROM contact c {AROUND} WHERE c.tenant_id = scope.tenant AND c.id = $3"  # noqa: S608
BY_ADDRESS: Final = "SELECT contact_id FROM contact_alias WHERE tenant_id = scope.tenant AND value = $2"
THERE: Final = ("c.tenant_id = scope.tenant", "c.merged_into IS NULL", "c.erased_at IS NULL")
TALKING: Final = """EXISTS (SELECT FROM inbox_conversation i WHERE i.tenant_id = scope.tenant AND i.contact_id = c.id
    AND ($2::bigint IS NULL OR i.assigned_user_id IS NULL OR i.assigned_user_id = $2))"""
NAMED: Final = "c.id = ANY(ARRAY(SELECT find_contacts({words}::text::tsquery)))"
"""An array is asked for once, whatever the planner believes of the rows."""
LABELLED: Final = "c.id IN (SELECT x.contact_id FROM contact_label x WHERE x.tenant_id = scope.tenant AND x.label_id = {label}::bigint)"
CONVERSATIONS: Final = """SELECT i.id, i.phone_instance_id, i.status, i.assigned_user_id, i.unread_count, i.last_message_at, i.opened_at
FROM inbox_conversation i WHERE i.tenant_id = scope.tenant AND i.contact_id = $3
AND ($2::bigint IS NULL OR i.assigned_user_id IS NULL OR i.assigned_user_id = $2) ORDER BY i.last_message_at DESC, i.id DESC LIMIT 100"""
APPOINTMENTS: Final = """WITH RECURSIVE one AS (
    SELECT id FROM contact WHERE tenant_id = scope.tenant AND id = $2
    UNION ALL
    SELECT c.id FROM contact c JOIN one ON c.merged_into = one.id WHERE c.tenant_id = scope.tenant
)
SELECT a.id, a.service_id, coalesce(s.name, a.service_name), a.provider_id, coalesce(m.name, a.provider_name), a.start_at, a.end_at,
    a.timezone, a.status
FROM appointment a LEFT JOIN service s ON s.tenant_id = a.tenant_id AND s.id = a.service_id
LEFT JOIN member m ON m.tenant_id = a.tenant_id AND m.id = a.provider_id
WHERE a.tenant_id = scope.tenant AND a.contact_id = ANY(ARRAY(SELECT id FROM one)) ORDER BY a.start_at DESC, a.id DESC LIMIT 100"""
"""Those of whoever was merged into the contact, too."""
ADDRESSES: Final = "SELECT value FROM contact_alias WHERE tenant_id = scope.tenant AND contact_id = $2 ORDER BY value DESC"
MERGES: Final = """SELECT absorbed_id, merged_at, by, undo->'joined' = '[]'::jsonb AS alone FROM contact_merge
WHERE tenant_id = scope.tenant AND kept_id = $2 AND undone_at IS NULL ORDER BY id"""
FACTS: Final = """SELECT id, phone, name, notes, opted_out_at, opt_out_reason, blocked_at FROM contact
WHERE tenant_id = scope.tenant AND id = ANY($2::bigint[]) ORDER BY id FOR NO KEY UPDATE"""
OPTED_OUT: Final = "SELECT opted_out_at FROM contact WHERE tenant_id = scope.tenant AND id = $2 AND opted_out_at IS NOT NULL"


CSV_HEADER: Final = ["name", "phone", "notes", "labels", "conversations", "last_seen_at", "opted_out_at", "blocked_at", "created_at"]

Sort = Literal["-created_at", "created_at", "name", "-name"]
"""By what the directory is sorted; those without a name stand by their phone. Accents and case do not matter."""


class Key(Struct, frozen=True):
    """A column by which the directory is sorted: its type as the cursor and as PostgreSQL has it."""

    name: str
    type: type
    sql: str


AGE_KEYS: Final = (Key("id", int, "bigint"),)
NAME_KEYS: Final = (Key("sort_name", str, "text"), *AGE_KEYS)


class PersonView(Struct, frozen=True, kw_only=True):
    """A contact; phones in digits, null while only a hidden WhatsApp number is known. ``last_seen_at`` is when they last wrote."""

    id: int
    contact_phone: str | None
    contact_name: str | None
    labels: list[LabelView]
    last_seen_at: datetime | None
    conversations_count: int
    opted_out: bool
    blocked: bool
    created_at: datetime


class AddressView(Struct, frozen=True):
    """Where somebody is known: ``type`` phone (in its shortest form) or lid."""

    type: str
    value: str


class TheirConversationView(Struct, frozen=True):
    """A conversation with the contact, as far as the caller may see it."""

    id: int
    phone_instance_id: int
    status: str
    assigned_user_id: int | None
    unread_count: int
    last_message_at: datetime
    opened_at: datetime


class TheirServiceView(Struct, frozen=True):
    """What an appointment is for, by its present name."""

    id: int
    name: str


class TheirAppointmentView(Struct, frozen=True):
    """An appointment of the contact; ``timezone`` is the provider's."""

    id: int
    service: TheirServiceView
    provider: Person
    start: datetime
    end: datetime
    timezone: str
    status: str


class MergeView(Struct, frozen=True):
    """A contact that was merged into this one."""

    contact_id: int
    merged_at: datetime
    by: Actor
    can_be_undone: bool


class PersonDetailView(PersonView, frozen=True, kw_only=True):
    """A contact with all that is kept about them."""

    notes: str | None
    opted_out_at: datetime | None
    opt_out_reason: str | None
    blocked_at: datetime | None
    aliases: list[AddressView]
    custom_fields: list[FieldView]
    conversations: list[TheirConversationView]
    appointments: list[TheirAppointmentView]
    merges: list[MergeView]


class PeopleFilters(Struct, frozen=True):
    """Which contacts: part of a name or phone, a label, or what is so or not so of them."""

    q: str | None = None
    label_id: int | None = None
    has_conversation: bool | None = None
    opted_out: bool | None = None
    blocked: bool | None = None


async def list_people(uow: UnitOfWork, filters: PeopleFilters, sort: Sort, paging: Paging) -> tuple[list[PersonView], Page]:
    """One page of the directory."""
    rows, page = await fetch_people(uow, filters, sort, paging)
    return [PersonView(**shown(row)) for row in rows], page


async def fetch_people(uow: UnitOfWork, filters: PeopleFilters, sort: Sort, paging: Paging) -> "tuple[list[asyncpg.Record], Page]":
    """The same as the database has it."""
    arguments: list[Any] = [only_of(uow), paging.limit + 1]
    conditions = [*THERE, *conditions_of(uow, filters, arguments)]
    keys = NAME_KEYS if sort.endswith("name") else AGE_KEYS
    is_falling = sort.startswith("-")
    if paging.cursor is not None:
        last = decode(paging.cursor, tuple(key.type for key in keys))
        places = ", ".join(f"{bind(arguments, value)}::{key.sql}" for key, value in zip(keys, last, strict=True))
        conditions.append(f"({', '.join(f'c.{key.name}' for key in keys)}) {'<' if is_falling else '>'} ({places})")
    order = ", ".join(f"c.{key.name}{' DESC' if is_falling else ''}" for key in keys)
    rows = await uow.fetch(PAGE.format(where=" AND ".join(conditions), order=order), *arguments)
    shown = rows[: paging.limit]
    following = encode(tuple(shown[-1][key.name] for key in keys)) if len(rows) > paging.limit else None
    return shown, Page(following, paging.limit)


def conditions_of(uow: UnitOfWork, filters: PeopleFilters, arguments: list[Any]) -> list[str]:
    """What a contact must be to be shown, in words that are all ours."""
    conditions = []
    if filters.q and not filters.q.isspace():
        wanted = beginnings(uow.tenant, filters.q)
        conditions.append(NAMED.format(words=bind(arguments, tsquery(wanted))) if wanted else "false")
    if filters.label_id is not None:
        conditions.append(LABELLED.format(label=bind(arguments, filters.label_id)))
    wishes = {
        TALKING: filters.has_conversation,
        "c.opted_out_at IS NOT NULL": filters.opted_out,
        "c.blocked_at IS NOT NULL": filters.blocked,
    }
    return conditions + [condition if wish else f"NOT ({condition})" for condition, wish in wishes.items() if wish is not None]


def only_of(uow: UnitOfWork) -> int | None:
    """The member who sees only their own conversations and those nobody has, if the caller is one."""
    return uow.principal.user_id if uow.principal is not None and uow.principal.restricted else None


async def get_person(uow: UnitOfWork, contact: int) -> PersonDetailView:
    """One contact; raises NotFound, also for one that was merged into another, and ContactErased."""
    row = refuse_gone(await uow.fetchrow(ONE, only_of(uow), contact))
    addresses = [AddressView(*one["value"].split(":", 1)) for one in await uow.fetch(ADDRESSES, contact)]
    conversations = [TheirConversationView(*one) for one in await uow.fetch(CONVERSATIONS, only_of(uow), contact)]
    return PersonDetailView(
        **shown(row),
        notes=row["notes"],
        opted_out_at=row["opted_out_at"],
        opt_out_reason=row["opt_out_reason"],
        blocked_at=row["blocked_at"],
        aliases=addresses,
        custom_fields=await list_fields(uow, contact),
        conversations=conversations,
        appointments=await list_appointments(uow, contact),
        merges=await list_merges(uow, contact),
    )


async def list_appointments(uow: UnitOfWork, contact: int) -> list[TheirAppointmentView]:
    """A contact's appointments, the latest first."""
    rows = await uow.fetch(APPOINTMENTS, contact)
    return [TheirAppointmentView(row[0], TheirServiceView(*row[1:3]), Person(*row[3:5]), *row[5:]) for row in rows]


async def list_merges(uow: UnitOfWork, contact: int) -> list[MergeView]:
    """Who was merged into a contact, by whom and when, and whether that can be undone."""
    rows = await uow.fetch(MERGES, contact)
    return [MergeView(row["absorbed_id"], row["merged_at"], msgspec.json.decode(row["by"], type=Actor), row["alone"]) for row in rows]


async def find_person(uow: UnitOfWork, phone: str) -> PersonView:
    """Whoever has a phone, in whichever form it is given; raises NotFound."""
    found = await uow.fetchrow(BY_ADDRESS, address_of(phone))
    row = await uow.fetchrow(ONE, only_of(uow), found["contact_id"]) if found else None
    if row is None:
        raise NotFound("Nobody is known by this phone.")
    return PersonView(**shown(row))


async def hold_facts(uow: UnitOfWork, *contacts: int) -> dict[int, Facts]:
    """What the rows of contacts say, by id; nobody changes them before this transaction ends."""
    await uow.begin()
    return {number: Facts(*facts) for number, *facts in await uow.fetch(FACTS, list(contacts))}


async def is_opted_out(uow: UnitOfWork, contact: int) -> bool:
    """Does somebody not want broadcasts?"""
    return await uow.fetchrow(OPTED_OUT, contact) is not None


def shown(row: "asyncpg.Record") -> dict[str, Any]:
    """What the directory shows of a contact."""
    return {
        "id": row["id"],
        "contact_phone": row["phone"],
        "contact_name": row["name"],
        "labels": msgspec.json.decode(row["labels"], type=list[LabelView]) if row["labels"] else [],
        "last_seen_at": row["last_seen_at"],
        "conversations_count": row["conversations"],
        "opted_out": row["opted_out_at"] is not None,
        "blocked": row["blocked_at"] is not None,
        "created_at": row["created_at"],
    }


def csv_cells(row: "asyncpg.Record") -> list[Any]:
    """The same as a row of the file, which can be brought in again."""
    labels = ", ".join(label.name for label in shown(row)["labels"])
    times = [row[name].isoformat() if row[name] else "" for name in ("last_seen_at", "opted_out_at", "blocked_at", "created_at")]
    return [row["name"], row["phone"], row["notes"], labels, row["conversations"], *times]

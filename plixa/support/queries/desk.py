"""Tickets as staff see them: those of all workspaces, one in full, and what is counted of them."""

from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from msgspec import Struct

from plixa.identity.domain import Licence, plan_in_force
from plixa.kernel.audit import PLATFORM
from plixa.kernel.cursor import decode, encode
from plixa.kernel.database import Database
from plixa.kernel.envelope import Page
from plixa.kernel.errors import NotFound
from plixa.kernel.event_store import Person
from plixa.kernel.paging import Paging
from plixa.kernel.search import beginnings, patterns, tsquery
from plixa.kernel.settings import Settings
from plixa.kernel.uow import UnitOfWork
from plixa.support.domain.ticket import Priority, Status
from plixa.support.queries.presence import ViewerView, list_viewers
from plixa.support.queries.tags import TagView, find_tags
from plixa.support.queries.tickets import EVERY, NEWEST, SHOWN, WRITTEN, AttachmentView, AuthorView, attachment_views
from projections.tickets import KeptRating, TicketRow, seconds, tickets

COLUMNS: Final = (
    ", ".join(f"k.{name}" for name in tickets.table.names).replace("k.tags", "k.tags::text").replace("k.ratings", "k.ratings::text")
)
SELECT: Final = f"""SELECT {COLUMNS}, t.tenant_id, t.name AS workspace, t.plan, t.license_expires_at, m.name AS opener_now, m.email
FROM {{source}} k JOIN tenant t ON t.tenant_id = k.tenant_id LEFT JOIN member m ON m.tenant_id = k.tenant_id AND m.id = k.opener_id"""  # noqa: S608 - words of ours
NEWEST_FIRST: Final = "ORDER BY k.last_message_at DESC, k.id DESC LIMIT"
ONE: Final = f"{SELECT.format(source='ticket')} WHERE k.tenant_id = scope.tenant AND k.id = $2"
TENANT: Final = "SELECT tenant_id FROM ticket WHERE id = $1"
GLANCE: Final = 400
"""How many of the newest tickets are looked through for a tag or words, before an index is asked for what few have."""
HAS_WORDS: Final = "(SELECT x.words LIKE ALL ({}::text[]) FROM ticket_text x WHERE x.tenant_id = k.tenant_id AND x.id = k.id)"
BY_WORDS: Final = """k.id = ANY(ARRAY(SELECT id FROM ticket_text
    WHERE array_to_tsvector(string_to_array(words, ' ')) @@ {}::text::tsquery))"""
HAS_TAG: Final = "k.tags @> to_jsonb({}::bigint)"
BY_TAG: Final = "k.id = ANY(ARRAY(SELECT id FROM ticket WHERE tags <> '[]' AND tags @> to_jsonb({}::bigint)))"
KEPT: Final = "SELECT key, sum(value)::bigint FROM counter WHERE projection = 'ticket' GROUP BY key"


class Belonging(Struct, frozen=True):
    """Whose tickets, and of which kind; ``assigned_to`` 0 is nobody."""

    assigned_to: int | None = None
    tag_id: int | None = None
    tenant_id: int | None = None


class DeskFilters(Struct, frozen=True):
    """Which tickets; ``q`` are beginnings of words of anything that was said."""

    belonging: Belonging = Belonging()
    status: Status | None = None
    priority: Priority | None = None
    q: str | None = None


class WorkspaceView(Struct, frozen=True):
    """Whose ticket it is, and the plan they have."""

    id: int
    name: str
    plan: str


class OpenerView(Struct, frozen=True):
    """Who asked; ``email`` is null once they have left."""

    id: int | None
    name: str | None
    email: str | None


class DeskTicketView(Struct, frozen=True, kw_only=True):
    """A ticket in the queue; ``unread`` counts what the customer wrote since staff last answered."""

    id: int
    number: int
    subject: str
    category: str | None
    status: str
    priority: str
    tenant: WorkspaceView
    opener: OpenerView
    assigned_admin: Person | None
    tags: list[TagView]
    last_message_at: datetime
    last_message_by: str
    unread: int
    created_at: datetime
    closed_at: datetime | None
    first_response_seconds: int | None
    resolution_seconds: int | None
    rating: int | None


class DeskMessageView(Struct, frozen=True):
    """One message; ``internal`` ones are never seen by the customer."""

    id: int
    author_type: str
    author: AuthorView
    body: str
    attachments: list[AttachmentView]
    internal: bool
    created_at: datetime


class DeskTicketDetailView(DeskTicketView, frozen=True, kw_only=True):
    """A ticket in full: its newest messages, oldest first, every rating there was, and who looks at it."""

    messages: list[DeskMessageView]
    rating_comment: str | None
    ratings: list[KeptRating]
    viewers: list[ViewerView]


class StatsView(Struct, frozen=True):
    """All tickets together; ``assigned`` counts those that are open or pending by staff id, 0 being nobody. Times in seconds."""

    by_status: dict[str, int]
    assigned: dict[int, int]
    first_response_seconds: int | None
    resolution_seconds: int | None
    rating: float | None


async def find_tenant(system: Database, ticket: int) -> int:
    """Whose ticket it is; raises NotFound."""
    async with system.connection() as connection:
        tenant: int | None = await connection.fetchval(TENANT, ticket)
    if tenant is None:
        raise NotFound
    return tenant


async def list_desk(system: Database, settings: Settings, filters: DeskFilters, paging: Paging) -> tuple[list[DeskTicketView], Page]:
    """One page of the tickets of all workspaces, newest message first."""
    wanted = beginnings(PLATFORM, filters.q) if filters.q and not filters.q.isspace() else None
    rows = [] if wanted == [] else await fetch_page(system, filters, wanted, paging)
    tags = await find_tags(system, {tag for row in rows for tag in msgspec.json.decode(row["tags"])})
    shown = [DeskTicketView(**fields_of(row, tags, settings)) for row in rows[: paging.limit]]
    last = shown[-1] if len(rows) > paging.limit else None
    return shown, Page(encode((last.last_message_at, last.id)) if last else None, paging.limit)


async def fetch_page(system: Database, filters: DeskFilters, wanted: list[str] | None, paging: Paging) -> list[Any]:
    """The rows of a page and one more. A tag or words that many have are met among the newest, what few have comes from an index."""
    arguments: list[Any] = [paging.limit + 1]
    where = " AND ".join(conditions(filters, paging, arguments))
    sifted = [value for value in (filters.belonging.tag_id, wanted) if value is not None]
    async with system.connection() as connection:
        if sifted:
            newest = f"(SELECT * FROM ticket k WHERE {where} {NEWEST_FIRST} {GLANCE})"  # noqa: S608 - words of ours
            looked = [*arguments]
            sieve = sieves(filters.belonging.tag_id, patterns(wanted) if wanted else None, (HAS_TAG, HAS_WORDS), looked)
            rows = await connection.fetch(page_where(sieve, newest), *looked)
            if len(rows) > paging.limit:
                return list(rows)
            where += " AND " + sieves(filters.belonging.tag_id, tsquery(wanted) if wanted else None, (BY_TAG, BY_WORDS), arguments)
        return list(await connection.fetch(page_where(where), *arguments))


def conditions(filters: DeskFilters, paging: Paging, arguments: list[Any]) -> list[str]:
    """What can be told from a ticket's row and stands in an index."""
    equal: dict[str, Any] = {
        "k.status = {}::text": filters.status,
        "k.priority = {}::text": filters.priority,
        "coalesce(k.assigned_to, 0) = {}::bigint": filters.belonging.assigned_to,
        "k.tenant_id = {}::bigint": filters.belonging.tenant_id,
    }
    found = [condition.format(put(arguments, value)) for condition, value in equal.items() if value is not None]
    if paging.cursor is not None:
        at, number = decode(paging.cursor, (datetime, int))
        found.append(f"(k.last_message_at, k.id) < ({put(arguments, at)}::timestamptz, {put(arguments, number)}::bigint)")
    return found or ["true"]


def sieves(tag: int | None, words: Any, by: tuple[str, str], arguments: list[Any]) -> str:
    """The conditions on tag and words, in the way they are asked."""
    asked = zip((tag, words), by, strict=True)
    return " AND ".join(how.format(put(arguments, value)) for value, how in asked if value is not None)


def put(arguments: list[Any], value: Any) -> str:
    """The placeholder of one more argument."""
    arguments.append(value)
    return f"${len(arguments)}"


def page_where(where: str, source: str = "ticket") -> str:
    """The statement of a page; ``$1`` is its length."""
    return f"{SELECT.format(source=source)} WHERE {where} {NEWEST_FIRST} $1::int"


async def get_desk_ticket(uow: UnitOfWork, settings: Settings, number: int) -> DeskTicketDetailView:
    """A ticket of ``uow``'s workspace in full; raises NotFound."""
    row = await uow.fetchrow(ONE, number)
    if row is None:
        raise NotFound
    tags = await find_tags(uow.kernel.system, msgspec.json.decode(row["tags"]))
    return DeskTicketDetailView(
        **fields_of(row, tags, settings),
        messages=[message_view(one) for one in await uow.fetch(EVERY, number, NEWEST, SHOWN)][::-1],
        rating_comment=row["rating_comment"],
        ratings=msgspec.json.decode(row["ratings"], type=list[KeptRating]),
        viewers=await list_viewers(uow, number),
    )


async def find_desk_ticket(uow: UnitOfWork, settings: Settings, number: int) -> DeskTicketView | None:
    """A ticket of ``uow``'s workspace as the queue has it, unless it is gone."""
    row = await uow.fetchrow(ONE, number)
    if row is None:
        return None
    return DeskTicketView(**fields_of(row, await find_tags(uow.kernel.system, msgspec.json.decode(row["tags"])), settings))


async def find_desk_messages(uow: UnitOfWork, numbers: list[int]) -> dict[int, DeskMessageView]:
    """Those of the messages that there are, by id."""
    return {row["id"]: message_view(row) for row in await uow.fetch(WRITTEN, numbers, True)}


async def list_desk_messages(uow: UnitOfWork, number: int, paging: Paging) -> tuple[list[DeskMessageView], Page]:
    """One page of everything that was said and noted, newest first."""
    rows = await uow.fetch(EVERY, number, decode(paging.cursor, (int,))[0] if paging.cursor else NEWEST, paging.limit + 1)
    shown = [message_view(row) for row in rows[: paging.limit]]
    return shown, Page(encode((shown[-1].id,)) if len(rows) > paging.limit else None, paging.limit)


async def get_stats(system: Database) -> StatsView:
    """What is counted of all tickets."""
    async with system.connection() as connection:
        kept = dict(map(tuple, await connection.fetch(KEPT)))
    assigned = {int(key.partition(":")[2]): value for key, value in kept.items() if key.startswith("assigned:")}
    rating = kept["rating_sum"] / kept["rated"] if kept.get("rated") else None
    times = (mean(kept, "response_seconds", "responded"), mean(kept, "resolution_seconds", "resolved"))
    return StatsView({status.value: kept.get(status, 0) for status in Status}, assigned, *times, round(rating, 2) if rating else None)


def mean(kept: dict[str, int], total: str, count: str) -> int | None:
    """A kept sum over its kept count."""
    return kept.get(total, 0) // kept[count] if kept.get(count) else None


def fields_of(record: Any, tags: dict[int, TagView], settings: Settings) -> dict[str, Any]:
    """A record of ``SELECT`` as the queue has it."""
    row: TicketRow = tickets.table.restore(tuple(record)[: len(tickets.table.names)])
    plan = plan_in_force(settings, Licence(record["plan"], record["license_expires_at"]), datetime.now(UTC))
    same = ("id", "subject", "category", "status", "priority", "last_message_at", "last_message_by", "closed_at", "rating")
    return {name: getattr(row, name) for name in same} | {
        "number": row.id,
        "tenant": WorkspaceView(record["tenant_id"], record["workspace"], plan.key),
        "opener": OpenerView(row.opener_id, record["opener_now"] or row.opener_name, record["email"]),
        "assigned_admin": Person(row.assigned_to, row.assigned_name or "") if row.assigned_to is not None else None,
        "tags": sorted((tags[tag] for tag in row.tags if tag in tags), key=lambda one: one.name.lower()),
        "unread": row.unread_by_staff,
        "created_at": row.opened_at,
        "first_response_seconds": elapsed(row.opened_at, row.first_responded_at),
        "resolution_seconds": elapsed(row.opened_at, row.resolved_at),
    }


def elapsed(since: datetime, until: datetime | None) -> int | None:
    """Seconds from one time to another, if that has come."""
    return seconds(since, until) if until is not None else None


def message_view(row: Any) -> DeskMessageView:
    """A message as staff see it."""
    author = AuthorView(row["author_id"], row["author_name"])
    files = attachment_views(row["attachments"], f"/v1/admin/support/tickets/{row['ticket_id']}/attachments")
    return DeskMessageView(row["id"], row["author_type"], author, row["body"], files, row["internal"], row["created_at"])

"""Conversations as members see them: the list with its views and filters, one conversation, the kept counts."""

from collections import Counter
from datetime import datetime
from typing import Any, Literal

import asyncpg
import msgspec
from msgspec import Struct
from msgspec.structs import replace

from plixa.contacts.queries.identities import ContactErased
from plixa.contacts.queries.labels import LabelView
from plixa.inbox.domain.conversation import Conversation
from plixa.inbox.domain.events import Erased, LastSeen
from plixa.inbox.queries.care import hide_scores
from plixa.kernel.cursor import decode, encode
from plixa.kernel.envelope import Page
from plixa.kernel.errors import NotFound
from plixa.kernel.event_store import stream_id
from plixa.kernel.paging import Paging
from plixa.kernel.search import beginnings, is_telling, patterns, tsquery
from plixa.kernel.tenancy import bind
from plixa.kernel.uow import UnitOfWork
from projections.inbox import InboxRow, inbox, tally

View = Literal["all", "mine", "unassigned", "snoozed"]
Status = Literal["open", "closed", "all"]
COLUMNS = ", ".join(f"c.{name}" for name in inbox.table.names[: inbox.table.names.index("labels")]).replace(
    "c.assigned_user_name", "coalesce(m.name, c.assigned_user_name)"
)
"""What is shown. A member has the name they have now; the row keeps the one they had when the conversation became theirs."""
ASSIGNEE = """LEFT JOIN LATERAL (
    SELECT m.name FROM member m WHERE m.tenant_id = c.tenant_id AND m.id = c.assigned_user_id LIMIT 1) m ON true"""
LABELS = """CASE WHEN c.labels <> '[]' THEN (
    SELECT json_agg(json_build_object('id', l.id, 'name', l.name, 'color', l.color) ORDER BY l.name)::text
    FROM label l WHERE l.tenant_id = c.tenant_id
    AND l.id = ANY(ARRAY(SELECT jsonb_array_elements_text(c.labels)::bigint))) END AS label_list"""
SHOWN = f"SELECT {COLUMNS}, {LABELS} FROM inbox_conversation c {ASSIGNEE}"  # noqa: S608
ONE = f"{SHOWN} WHERE c.tenant_id = scope.tenant AND c.id = $2"
NEWEST_FIRST = "ORDER BY c.last_message_at DESC, c.id DESC"
GLANCE, LOOK = 500, 9_000
"""How many of the newest conversations are looked through for a word or label at first, and where it turns out to be a common one."""
NEWEST = f"SELECT c.id, c.last_message_at, c.words, c.labels, c.notes FROM inbox_conversation c WHERE {{where}} {NEWEST_FIRST} LIMIT"  # noqa: S608
LOOKED = f"""SELECT c.id FROM ({NEWEST} CASE WHEN (
    SELECT count(*) FROM (SELECT FROM ({NEWEST} (SELECT {GLANCE})) c WHERE {{met}} LIMIT $2::int * {GLANCE} / {LOOK} + 1) AS first
) > $2::int * {GLANCE} / {LOOK} THEN {LOOK} ELSE 0 END) c WHERE {{met}} {NEWEST_FIRST} LIMIT $2::int"""  # noqa: S608
"""None where at first fewer are met than a page would take. What PostgreSQL does not know beforehand it does not sort for."""
FOUND = """((strpos(c.words, {longest}::text) > 0 AND c.words LIKE ALL ({others}::text[])) OR (c.notes IS NOT NULL AND (
    SELECT strpos(n.words, {longest}::text) > 0 AND n.words LIKE ALL ({others}::text[])
    FROM inbox_name n WHERE n.tenant_id = scope.tenant AND n.id = c.id)))"""
"""By the words of its names, which stand in the row itself, or where it has notes by all its words, which stand beside it."""
NAMES = """SELECT (SELECT json_agg(json_build_object('id', id, 'name', name, 'color', color) ORDER BY name)::text
    FROM label WHERE tenant_id = scope.tenant AND id = ANY($2::bigint[])) AS label_list,
    (SELECT name FROM member WHERE tenant_id = scope.tenant AND id = $3) AS assignee"""
LABEL_LIST = msgspec.json.Decoder(list[LabelView])
LIVE_CHATS = """SELECT DISTINCT reply_to FROM inbox_conversation WHERE tenant_id = scope.tenant AND phone_instance_id = $2
AND last_message_at >= $3 AND reply_to IS NOT NULL ORDER BY reply_to"""
LAST = "SELECT topic FROM event WHERE tenant_id = scope.tenant AND stream_id = $2 ORDER BY version DESC LIMIT 1"
COUNTS = "SELECT key, value FROM counter WHERE tenant_id = scope.tenant AND projection = 'inbox_conversation' AND value <> 0"
OVERSLEPT = f"""SELECT {", ".join(inbox.table.names)} FROM inbox_conversation
WHERE tenant_id = scope.tenant AND snoozed_until <= $2::timestamptz"""  # noqa: S608 - constants


class ContactView(Struct, frozen=True):
    """The customer; ``id`` is null once deleted, ``phone`` in digits, null while only a hidden WhatsApp number is known."""

    id: int | None
    name: str | None
    phone: str | None
    blocked: bool = False


class MemberView(Struct, frozen=True):
    id: int
    name: str | None


class LastMessageView(Struct, frozen=True):
    """``type`` is ``revoked`` once it was deleted for everyone."""

    id: int
    body: str | None
    direction: str
    type: str
    at: datetime


class SlaView(Struct, frozen=True):
    """By when this episode is to be answered and closed, null where there is no target; ``breached``: one of them was missed."""

    first_response_due_at: datetime | None
    resolution_due_at: datetime | None
    breached: bool


class ConversationView(Struct, frozen=True, kw_only=True):
    """A row of the inbox. ``contact_name`` is what to show: the workspace's own name for them, else the contact's, else the phone."""

    id: int
    contact: ContactView
    contact_name: str | None
    status: str
    handler: str
    assigned_user: MemberView | None
    sector_id: int | None
    phone_instance_id: int
    labels: list[LabelView]
    last_message: LastMessageView | None
    unread_count: int
    snoozed_until: datetime | None
    last_message_at: datetime
    updated_at: datetime
    notes: str | None
    episode: int
    opened_at: datetime
    closed_at: datetime | None
    first_responded_at: datetime | None
    sla: SlaView
    csat_rating: int | None
    """What the customer gave last, from 1 to 5; null as well for whoever may not see it."""


class Counts(Struct, frozen=True):
    """Open, unsnoozed conversations a tab shows; ``unread`` counts conversations. Restricted agents see theirs and nobody's."""

    mine: int
    unassigned: int
    all: int
    snoozed: int
    closed: int | None
    unread: int
    by_label: dict[int, int]
    by_sector: dict[int, int]


class Filters(Struct, frozen=True):
    """Which tab, and what was typed. Without ``status`` the open ones."""

    status: Status | None = None
    view: View = "all"
    unread: bool = False
    q: str | None = None


class Belonging(Struct, frozen=True):
    """Whose conversations."""

    assigned_user_id: int | None = None
    sector_id: int | None = None
    phone_instance_id: int | None = None
    label_id: int | None = None


async def list_conversations(
    uow: UnitOfWork, filters: Filters, belonging: Belonging, paging: Paging
) -> tuple[list[ConversationView], Page]:
    """One page, newest message first."""
    arguments: list[Any] = [paging.limit + 1]
    conditions = ["c.tenant_id = scope.tenant", *visible(uow, arguments), *view_of(uow, filters, arguments)]
    conditions += belongs(belonging, arguments)
    if paging.cursor is not None:
        at, number = decode(paging.cursor, (datetime, int))
        conditions.append(f"(c.last_message_at, c.id) < ({bind(arguments, at)}::timestamptz, {bind(arguments, number)}::bigint)")
    rows = await fetch_page(uow, " AND ".join(conditions), arguments, filters, belonging.label_id)
    shown = await show_rows(uow, rows[: paging.limit])
    last = shown[-1] if len(rows) > paging.limit else None
    return shown, Page(encode((last.last_message_at, last.id)) if last else None, paging.limit)


async def fetch_page(uow: UnitOfWork, where: str, arguments: list[Any], filters: Filters, label: int | None) -> "list[asyncpg.Record]":
    """The newest conversations that meet the conditions, have the label and are found by ``q``, at most ``$2`` of them.

    A word many have in names or notes, or a label, is soon met among the newest; what few have comes from an index.
    """
    wanted = beginnings(uow.tenant, filters.q) if filters.q and not filters.q.isspace() else None
    if wanted is None and label is None:
        return await uow.fetch(page_where(where, order_of(filters)), *arguments)
    if wanted == []:
        return []
    rows = [] if wanted and is_telling(wanted) else await look_through(uow, where, arguments, wanted, label)
    if len(rows) >= arguments[0]:
        return rows
    conditions = [where]
    if wanted:
        conditions.append(f"c.id = ANY(ARRAY(SELECT find_named({bind(arguments, tsquery(wanted))}::text::tsquery)))")
    if label is not None:
        conditions.append(f"c.id = ANY(ARRAY(SELECT find_labelled({bind(arguments, label)}::bigint)))")
    return await uow.fetch(page_where(" AND ".join(conditions)), *arguments)


async def look_through(
    uow: UnitOfWork, where: str, arguments: list[Any], wanted: list[str] | None, label: int | None
) -> "list[asyncpg.Record]":
    """Those of the newest conversations that have the wanted words and label: a page, or fewer, or none, where they are not common ones."""
    arguments, conditions = [*arguments], []
    if wanted:
        conditions.append(FOUND.format(longest=bind(arguments, wanted[0]), others=bind(arguments, patterns(wanted[1:]))))
    if label is not None:
        conditions.append(f"c.labels @> to_jsonb({bind(arguments, label)}::bigint)")
    met = LOOKED.format(where=where, met=" AND ".join(conditions))
    return await uow.fetch(page_where(f"c.tenant_id = scope.tenant AND c.id = ANY(ARRAY({met}))"), *arguments)


def page_where(where: str, order: str = NEWEST_FIRST) -> str:
    """The statement of a page; ``$2`` is its length."""
    page = f"(SELECT * FROM inbox_conversation c WHERE {where} {order} LIMIT $2::int)"  # noqa: S608
    return f"SELECT {COLUMNS}, {LABELS} FROM {page} c {ASSIGNEE} {NEWEST_FIRST}"  # noqa: S608


def order_of(filters: Filters) -> str:
    """Newest first, in such words that PostgreSQL sees it in an index: that all of them are nobody's it would not count as an order."""
    is_nobodys = filters.view == "unassigned" and filters.status != "all"
    return NEWEST_FIRST.replace("BY", "BY c.assigned_user_id,") if is_nobodys else NEWEST_FIRST


def view_of(uow: UnitOfWork, filters: Filters, arguments: list[Any]) -> list[str]:
    """What a tab means, in words that are all ours. A snooze that has passed counts as awake, however late its timer is."""
    status = filters.status or "open"
    now = f"{bind(arguments, uow.now)}::timestamptz"
    snoozed = filters.view == "snoozed"
    conditions = [f"c.snoozed_until > {now}" if snoozed else f"(c.snoozed_until IS NULL OR c.snoozed_until <= {now})"]
    if status != "all":
        conditions.append(f"c.status = '{status}'")
    if filters.view == "unassigned":
        conditions.append("c.assigned_user_id IS NULL")
    if filters.view == "mine":
        conditions.append(f"c.assigned_user_id = {bind(arguments, uow.principal.user_id if uow.principal else 0)}::bigint")
    if filters.unread:
        conditions.append("c.unread_count > 0")
    return conditions


def belongs(belonging: Belonging, arguments: list[Any]) -> list[str]:
    """Conditions on whose a conversation is, but for its label."""
    equal = {
        "c.assigned_user_id": belonging.assigned_user_id,
        "c.sector_id": belonging.sector_id,
        "c.phone_instance_id": belonging.phone_instance_id,
    }
    return [f"{column} = {bind(arguments, value)}::bigint" for column, value in equal.items() if value is not None]


def visible(uow: UnitOfWork, arguments: list[Any]) -> list[str]:
    """Restricted agents see their own conversations and those nobody has."""
    if uow.principal is None or not uow.principal.restricted:
        return []
    return [f"(c.assigned_user_id IS NULL OR c.assigned_user_id = {bind(arguments, uow.principal.user_id)}::bigint)"]


async def get_conversation(uow: UnitOfWork, number: int) -> ConversationView:
    """One conversation; raises NotFound, ContactErased."""
    found = await uow.fetchrow(ONE, number)
    if found is None:
        raise await why_missing(uow, number)
    refuse_hidden(uow, found["assigned_user_id"])
    return (await show_rows(uow, [found]))[0]


async def show_rows(uow: UnitOfWork, records: "list[asyncpg.Record]") -> list[ConversationView]:
    """Records of ``SHOWN`` as the caller sees them now."""
    rows = await hide_scores(uow, [InboxRow(*record[:-1]) for record in records])
    return [conversation_view(row, record[-1], uow.now) for row, record in zip(rows, records, strict=True)]


async def why_missing(uow: UnitOfWork, number: int) -> NotFound:
    """The refusal for a conversation without a row: its stream's last event, which outlives its key, tells whether it was erased."""
    last = await uow.fetchrow(LAST, stream_id(Conversation.KIND, number))
    return ContactErased() if last is not None and last["topic"] == Erased.TOPIC else NotFound()


async def find_conversations(uow: UnitOfWork, numbers: list[int]) -> dict[int, ConversationView]:
    """Those of the conversations that the caller may see, by id."""
    arguments: list[Any] = [numbers]
    conditions = " AND ".join(["c.tenant_id = scope.tenant", "c.id = ANY($2::bigint[])", *visible(uow, arguments)])
    rows = await uow.fetch(f"{SHOWN} WHERE {conditions}", *arguments)
    return {view.id: view for view in await show_rows(uow, rows)}


async def view_row(uow: UnitOfWork, row: InboxRow, now: datetime) -> ConversationView:
    """A row at hand, as members see it at ``now``; its labels and whose it is by the names they have today."""
    (row,) = await hide_scores(uow, [row])
    if not row.labels and row.assigned_user_id is None:
        return conversation_view(row, None, now)
    found = await uow.fetchrow(NAMES, row.labels, row.assigned_user_id)
    labels, assignee = found or (None, None)
    return conversation_view(replace(row, assigned_user_name=assignee or row.assigned_user_name), labels, now)


async def present_conversation(uow: UnitOfWork, number: int) -> ConversationView:
    """A conversation as this unit of work has just left it."""
    row = await uow.row(inbox, number)
    if row is None:
        raise NotFound
    return await view_row(uow, row, uow.now)


async def list_live_chats(uow: UnitOfWork, instance_id: int, since: datetime) -> list[str]:
    """The addresses of the customers a number has talked with since then."""
    return [row["reply_to"] for row in await uow.fetch(LIVE_CHATS, instance_id, since)]


async def get_last_seen(uow: UnitOfWork, number: int) -> LastSeen | None:
    """What the inbox shows of a conversation's newest message."""
    row = await uow.row(inbox, number)
    if row is None or row.last_message_id is None:
        return None
    direction, kind = row.last_message_direction or "in", row.last_message_type or "text"
    return LastSeen(row.last_message_id, direction, kind, row.last_message_body, row.last_message_at)


def refuse_hidden(uow: UnitOfWork, assigned_user_id: int | None) -> None:
    """Another member's conversation does not exist for a restricted agent; raises NotFound."""
    principal = uow.principal
    if principal is not None and principal.restricted and assigned_user_id not in (None, principal.user_id):
        raise NotFound


async def count_conversations(uow: UnitOfWork) -> Counts:
    """What the inbox's tabs show, from kept counters. A snooze that has passed counts as awake, however late its timer is."""
    kept = Counter({row["key"]: row["value"] for row in await uow.fetch(COUNTS)})
    if any(key.startswith("snoozed:") for key in kept):
        for row in [inbox.table.restore(record) for record in await uow.fetch(OVERSLEPT, uow.now)]:
            kept.subtract(tally(row))
            kept.update(tally(replace(row, snoozed_until=None)))
    principal = uow.principal
    me = principal.user_id if principal else 0
    restricted = principal is not None and principal.restricted

    def total(state: str) -> int:
        if restricted:
            return int(kept.get(f"{state}:{me}", 0) + kept.get(f"{state}:0", 0))
        return int(sum(value for key, value in kept.items() if key.startswith(f"{state}:")))

    def split(kind: str) -> dict[int, int]:
        found = {int(key.split(":")[1]): value for key, value in kept.items() if value and key.startswith(f"{kind}:")}
        return {} if restricted else found

    closed = None if restricted else int(kept.get("closed", 0))
    mine, unassigned = int(kept.get(f"open:{me}", 0)), int(kept.get("open:0", 0))
    return Counts(mine, unassigned, total("open"), total("snoozed"), closed, total("unread"), split("label"), split("sector"))


def conversation_view(row: InboxRow, labels: str | None, now: datetime) -> ConversationView:
    """A row as the API shows it at ``now``."""
    awake = row.snoozed_until is None or row.snoozed_until <= now
    return ConversationView(
        id=row.id,
        contact=ContactView(row.contact_id, row.contact_name, row.phone, row.blocked),
        contact_name=row.custom_name or row.contact_name or row.phone,
        status=row.status,
        handler=row.handler,
        assigned_user=MemberView(row.assigned_user_id, row.assigned_user_name) if row.assigned_user_id else None,
        sector_id=row.sector_id,
        phone_instance_id=row.phone_instance_id,
        labels=decode_labels(labels),
        last_message=last_message_view(row),
        unread_count=row.unread_count,
        snoozed_until=None if awake else row.snoozed_until,
        last_message_at=row.last_message_at,
        updated_at=row.updated_at,
        notes=row.notes,
        episode=row.episode,
        opened_at=row.opened_at,
        closed_at=row.closed_at,
        first_responded_at=row.first_responded_at,
        sla=SlaView(row.first_response_due_at, row.resolution_due_at, is_breached(row, now)),
        csat_rating=row.csat_rating,
    )


def is_breached(row: InboxRow, now: datetime) -> bool:
    """Was a target of this episode missed? One whose time has passed counts, however late its timer is."""
    if row.is_first_response_missed or row.is_resolution_missed:
        return True
    if row.status != "open":
        return False
    first, resolution = None if row.first_responded_at else row.first_response_due_at, row.resolution_due_at
    return (first is not None and now > first) or (resolution is not None and now > resolution)


def last_message_view(row: InboxRow) -> LastMessageView | None:
    """The newest message as a list shows it."""
    if row.last_message_id is None or row.last_message_direction is None or row.last_message_type is None:
        return None
    shown = (row.last_message_body, row.last_message_direction, row.last_message_type)
    return LastMessageView(row.last_message_id, *shown, row.last_message_at)


def decode_labels(labels: str | None) -> list[LabelView]:
    """Labels as the database lists them."""
    return LABEL_LIST.decode(labels) if labels else []

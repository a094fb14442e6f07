"""Conversations as members see them: the list with its views and filters, one conversation, the kept counts."""

from datetime import datetime
from typing import Any, Literal

import msgspec
from msgspec import Struct

from plixa.inbox.domain.events import LastSeen
from plixa.kernel.cursor import decode, encode
from plixa.kernel.envelope import Page
from plixa.kernel.errors import NotFound
from plixa.kernel.paging import Paging
from plixa.kernel.search import tsquery
from plixa.kernel.uow import UnitOfWork
from projections.inbox import InboxRow, inbox

View = Literal["all", "mine", "unassigned", "snoozed"]
Status = Literal["open", "closed", "all"]
COLUMNS = ", ".join(f"c.{name}" for name in inbox.table.names)
LABELS = """CASE WHEN c.labels <> '[]' THEN (
    SELECT json_agg(json_build_object('id', l.id, 'name', l.name, 'color', l.color) ORDER BY l.name)::text
    FROM label l WHERE l.tenant_id = c.tenant_id AND c.labels @> to_jsonb(l.id)) END AS label_list"""
ONE = f"SELECT {COLUMNS}, {LABELS} FROM inbox_conversation c WHERE c.tenant_id = scope.tenant AND c.id = $2"  # noqa: S608
LABELS_BY_ID = """SELECT json_agg(json_build_object('id', id, 'name', name, 'color', color) ORDER BY name)::text AS label_list
FROM label WHERE tenant_id = scope.tenant AND id = ANY($2::bigint[])"""
LIVE_CHATS = """SELECT DISTINCT reply_to FROM inbox_conversation WHERE tenant_id = scope.tenant AND phone_instance_id = $2
AND last_message_at >= $3 AND reply_to IS NOT NULL ORDER BY reply_to"""
COUNTS = "SELECT key, value FROM counter WHERE tenant_id = scope.tenant AND projection = 'inbox_conversation' AND value <> 0"


class ContactView(Struct, frozen=True):
    """The customer; ``phone`` in digits, null while only a hidden WhatsApp number is known."""

    id: int
    name: str | None
    phone: str | None


class MemberView(Struct, frozen=True):
    id: int
    name: str | None


class LabelView(Struct, frozen=True):
    id: int
    name: str
    color: str


class LastMessageView(Struct, frozen=True):
    """``type`` is ``revoked`` once it was deleted for everyone."""

    id: int
    body: str | None
    direction: str
    type: str
    at: datetime


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
    arguments: list[Any] = []
    conditions = ["c.tenant_id = scope.tenant", *visible(uow, arguments), *view_of(uow, filters, arguments)]
    conditions += belongs(belonging, arguments)
    if paging.cursor is not None:
        at, number = decode(paging.cursor, (datetime, int))
        conditions.append(f"(c.last_message_at, c.id) < ({bind(arguments, at)}::timestamptz, {bind(arguments, number)}::bigint)")
    rows = await uow.fetch(
        f"SELECT {COLUMNS}, {LABELS} FROM inbox_conversation c WHERE {' AND '.join(conditions)} "  # noqa: S608
        f"ORDER BY c.last_message_at DESC, c.id DESC LIMIT {bind(arguments, paging.limit + 1)}::int",
        *arguments,
    )
    shown = [conversation_view(inbox.table.restore(row[:-1]), row["label_list"], uow.now) for row in rows[: paging.limit]]
    last = shown[-1] if len(rows) > paging.limit else None
    return shown, Page(encode((last.last_message_at, last.id)) if last else None, paging.limit)


def bind(arguments: list[Any], value: Any) -> str:
    """The placeholder of one more argument; ``$1`` is the tenant."""
    arguments.append(value)
    return f"${len(arguments) + 1}"


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
    if filters.q and not filters.q.isspace():
        query = tsquery(uow.tenant, filters.q)
        conditions.append(f"c.id IN (SELECT find_named({bind(arguments, query)}::text::tsquery))" if query else "false")
    return conditions


def belongs(belonging: Belonging, arguments: list[Any]) -> list[str]:
    """Conditions on whose a conversation is."""
    equal = {
        "c.assigned_user_id": belonging.assigned_user_id,
        "c.sector_id": belonging.sector_id,
        "c.phone_instance_id": belonging.phone_instance_id,
    }
    conditions = [f"{column} = {bind(arguments, value)}::bigint" for column, value in equal.items() if value is not None]
    if belonging.label_id is not None:
        conditions.append(f"c.id IN (SELECT find_labelled({bind(arguments, belonging.label_id)}::bigint))")
    return conditions


def visible(uow: UnitOfWork, arguments: list[Any]) -> list[str]:
    """Restricted agents see their own conversations and those nobody has."""
    if uow.principal is None or not uow.principal.restricted:
        return []
    return [f"(c.assigned_user_id IS NULL OR c.assigned_user_id = {bind(arguments, uow.principal.user_id)}::bigint)"]


async def get_conversation(uow: UnitOfWork, number: int) -> ConversationView:
    """One conversation; raises NotFound."""
    found = await uow.fetchrow(ONE, number)
    if found is None:
        raise NotFound
    row = inbox.table.restore(found[:-1])
    refuse_hidden(uow, row.assigned_user_id)
    return conversation_view(row, found["label_list"], uow.now)


async def find_conversations(uow: UnitOfWork, numbers: list[int]) -> dict[int, ConversationView]:
    """Those of the conversations that the caller may see, by id."""
    arguments: list[Any] = [numbers]
    conditions = " AND ".join(["c.tenant_id = scope.tenant", "c.id = ANY($2::bigint[])", *visible(uow, arguments)])
    rows = await uow.fetch(f"SELECT {COLUMNS}, {LABELS} FROM inbox_conversation c WHERE {conditions}", *arguments)  # noqa: S608
    return {row["id"]: conversation_view(inbox.table.restore(row[:-1]), row["label_list"], uow.now) for row in rows}


async def view_row(uow: UnitOfWork, row: InboxRow, now: datetime) -> ConversationView:
    """A row at hand, as members see it at ``now``."""
    found = await uow.fetchrow(LABELS_BY_ID, row.labels) if row.labels else None
    return conversation_view(row, found["label_list"] if found else None, now)


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
    """What the inbox's tabs show, from kept counters."""
    kept = {row["key"]: row["value"] for row in await uow.fetch(COUNTS)}
    principal = uow.principal
    me = principal.user_id if principal else 0
    restricted = principal is not None and principal.restricted

    def total(state: str) -> int:
        if restricted:
            return int(kept.get(f"{state}:{me}", 0) + kept.get(f"{state}:0", 0))
        return int(sum(value for key, value in kept.items() if key.startswith(f"{state}:")))

    def split(kind: str) -> dict[int, int]:
        return {} if restricted else {int(key.split(":")[1]): value for key, value in kept.items() if key.startswith(f"{kind}:")}

    closed = None if restricted else int(kept.get("closed", 0))
    mine, unassigned = int(kept.get(f"open:{me}", 0)), int(kept.get("open:0", 0))
    return Counts(mine, unassigned, total("open"), total("snoozed"), closed, total("unread"), split("label"), split("sector"))


def conversation_view(row: InboxRow, labels: str | None, now: datetime) -> ConversationView:
    """A row as the API shows it at ``now``."""
    awake = row.snoozed_until is None or row.snoozed_until <= now
    return ConversationView(
        id=row.id,
        contact=ContactView(row.contact_id, row.contact_name, row.phone),
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
    )


def last_message_view(row: InboxRow) -> LastMessageView | None:
    """The newest message as a list shows it."""
    if row.last_message_id is None or row.last_message_direction is None or row.last_message_type is None:
        return None
    shown = (row.last_message_body, row.last_message_direction, row.last_message_type)
    return LastMessageView(row.last_message_id, *shown, row.last_message_at)


def decode_labels(labels: str | None) -> list[LabelView]:
    """Labels as the database lists them."""
    return msgspec.json.decode(labels, type=list[LabelView]) if labels else []

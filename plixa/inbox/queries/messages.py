"""Messages as members see them."""

from datetime import datetime
from typing import Any

import asyncpg
from msgspec import Struct
from msgspec.structs import replace

from plixa.inbox.domain.events import Card, Location, Media
from plixa.inbox.queries.care import list_withheld
from plixa.inbox.queries.conversations import refuse_hidden, why_missing
from plixa.kernel.cursor import decode, encode
from plixa.kernel.envelope import Page
from plixa.kernel.errors import NotFound
from plixa.kernel.search import beginnings
from plixa.kernel.uow import UnitOfWork
from projections.messages import MessageRow, messages

COLUMNS = ", ".join(f"m.{one.name}{'::text' * (one.sql == 'jsonb')}" for one in messages.table.columns)
WIDTH = len(messages.table.names)
QUOTED = """LEFT JOIN LATERAL (
    SELECT q.id AS q_id, q.body AS q_body, q.type AS q_type FROM inbox_message q
    WHERE q.tenant_id = m.tenant_id AND q.conversation_id = m.conversation_id
      AND (q.id = m.quoted_id OR (q.phone_instance_id = m.phone_instance_id AND q.gateway_id = m.quoted_gateway_id)) LIMIT 1
) q ON m.quoted_id IS NOT NULL OR m.quoted_gateway_id IS NOT NULL"""
SELECT = f"SELECT {COLUMNS}, q.q_id, q.q_body, q.q_type FROM inbox_message m {QUOTED} WHERE m.tenant_id = scope.tenant"  # noqa: S608
THREAD = f"{SELECT} AND m.conversation_id = $2 ORDER BY m.sent_at DESC, m.id DESC LIMIT $3::int"
OLDER = (
    f"{SELECT} AND m.conversation_id = $2 AND (m.sent_at, m.id) < ($4::timestamptz, $5::bigint) "
    "ORDER BY m.sent_at DESC, m.id DESC LIMIT $3::int"
)
NEWER = f"{SELECT} AND m.conversation_id = $2 AND (m.sent_at, m.id) > ($4::timestamptz, $5::bigint) ORDER BY m.sent_at, m.id LIMIT $3::int"
ONE = f"{SELECT} AND m.conversation_id = $2 AND m.id = $3::bigint"
BY_ID = f"{SELECT} AND m.id = ANY($2::bigint[])"
NEWEST = 2**63 - 1
FOUND = "SELECT id FROM find_texts($2::text[], $3::bigint, $4::int, $5::bigint) AS found(id) WHERE scope.tenant IS NOT NULL"
TO_BLOCKED = """SELECT FROM inbox_message m JOIN inbox_conversation c ON c.tenant_id = m.tenant_id AND c.id = m.conversation_id
WHERE m.tenant_id = scope.tenant AND m.id = $2 AND c.blocked"""
BLOBS = "SELECT media->>'blob' AS blob FROM inbox_message WHERE tenant_id = scope.tenant AND conversation_id = $2 AND media ? 'blob'"
LATEST_IN = """SELECT gateway_id FROM inbox_message WHERE tenant_id = scope.tenant AND conversation_id = $2 AND direction = 'in'
AND gateway_id IS NOT NULL ORDER BY sent_at DESC, id DESC LIMIT 50"""
ROUTE = """SELECT c.contact_id, c.phone, c.reply_to, p.gateway_name,
    (SELECT a.value FROM contact_alias a
     WHERE a.tenant_id = c.tenant_id AND a.contact_id = c.contact_id AND a.value LIKE 'lid:%' LIMIT 1) AS lid
FROM inbox_conversation c JOIN phone_instance p ON p.tenant_id = c.tenant_id AND p.id = c.phone_instance_id
WHERE c.tenant_id = scope.tenant AND c.id = $2"""
KNOWN_IDS = """SELECT gateway_id FROM inbox_message WHERE tenant_id = scope.tenant AND conversation_id = $2
AND gateway_id IS NOT NULL AND direction = 'out' ORDER BY sent_at DESC, id DESC LIMIT 200"""
OWNER = "SELECT assigned_user_id FROM inbox_conversation WHERE tenant_id = scope.tenant AND id = $2"


BROADCAST_TO = """SELECT EXISTS (SELECT FROM inbox_conversation c JOIN inbox_message m
    ON m.tenant_id = c.tenant_id AND m.conversation_id = c.id AND m.sent_at > $3::timestamptz AND m.author_type = 'broadcast'
    WHERE c.tenant_id = scope.tenant AND c.contact_id = $2) AS is_so"""


class AuthorView(Struct, frozen=True):
    """``type``: user, customer, device, bot, ai, flow, api, broadcast or system."""

    type: str
    id: int | None
    name: str | None


class QuotedView(Struct, frozen=True):
    id: int
    body: str | None
    type: str


class MediaView(Struct, frozen=True):
    """``state``: pending, stored or missing; ``size`` in bytes, ``duration`` in seconds; ``url`` answers members only."""

    mime: str
    size: int | None
    filename: str | None
    duration: int | None
    waveform: list[int] | None
    thumbnail: str | None
    state: str
    url: str


class ReactionView(Struct, frozen=True):
    by: str
    emoji: str
    at: datetime


class MessageView(Struct, frozen=True, kw_only=True):
    """One message. ``status``: received, noted, queued, pending, sent, delivered, read, played or failed.

    ``in_doubt``: nobody knows whether the gateway took it. ``stalled``: it did, but WhatsApp has not for five minutes.
    ``withheld``: its body, which belongs to a rating that the owner does not show to this member.
    """

    id: int
    conversation_id: int
    direction: str
    type: str
    body: str | None
    author: AuthorView
    quoted_message: QuotedView | None
    media: MediaView | None
    location: Location | None
    contacts: list[Card] | None
    reactions: list[ReactionView]
    status: str
    error: str | None
    in_doubt: bool
    stalled: bool
    forwarded: bool
    unsupported_kind: str | None
    evolution_message_id: str | None
    created_at: datetime
    sent_at: datetime | None
    delivered_at: datetime | None
    read_at: datetime | None
    edited_at: datetime | None
    deleted_at: datetime | None
    withheld: bool = False


class DeliveryView(Struct, frozen=True):
    """The way of one message; a time is null until it has happened."""

    id: int
    conversation_id: int
    status: str
    sent_at: datetime | None
    delivered_at: datetime | None
    read_at: datetime | None
    error: str | None


class Outbound(Struct, frozen=True, kw_only=True):
    """A message and where it goes: ``to`` is the address the customer last wrote from, ``other_to`` their other one."""

    gateway_name: str
    to: str
    other_to: str | None
    type: str = "text"
    body: str | None = None
    blob: str | None = None
    mime: str | None = None
    filename: str | None = None
    client_id: str = ""
    gateway_id: str | None = None
    from_me: bool = False
    in_doubt: bool = False
    queued_at: datetime
    known_ids: frozenset[str] = frozenset()
    quoted_gateway_id: str | None = None
    quoted_from_me: bool = False
    quoted_body: str | None = None


class Span(Struct, frozen=True, kw_only=True):
    """Which part of a thread: the newest, older than ``cursor`` or the message ``before``, or newer than ``after``."""

    cursor: str | None = None
    before: int | None = None
    after: int | None = None
    limit: int = 50


async def list_messages(uow: UnitOfWork, conversation: int, span: Span) -> tuple[list[MessageView], Page]:
    """Newest first; the cursor leads to older ones."""
    await refuse_hidden_conversation(uow, conversation)
    if span.after is not None:
        rows = await uow.fetch(NEWER, conversation, span.limit, *await edge_of(uow, conversation, span.after))
        return await withhold(uow, [message_view(row) for row in reversed(rows)]), Page(None, span.limit)
    if span.before is not None:
        rows = await uow.fetch(OLDER, conversation, span.limit + 1, *await edge_of(uow, conversation, span.before))
    elif span.cursor is not None:
        rows = await uow.fetch(OLDER, conversation, span.limit + 1, *decode(span.cursor, (datetime, int)))
    else:
        return await list_newest_messages(uow, conversation, span.limit)
    shown, page = page_of(rows, span.limit)
    return await withhold(uow, shown), page


async def list_newest_messages(uow: UnitOfWork, conversation: int, limit: int) -> tuple[list[MessageView], Page]:
    """Those of a conversation that the caller is known to see."""
    shown, page = page_of(await uow.fetch(THREAD, conversation, limit + 1), limit)
    return await withhold(uow, shown), page


def page_of(rows: "list[asyncpg.Record]", limit: int) -> tuple[list[MessageView], Page]:
    """Rows as a page; one more than ``limit`` says that there are older ones."""
    shown = [message_view(row) for row in rows[:limit]]
    last = rows[limit - 1] if len(rows) > limit else None
    return shown, Page(encode((last["sent_at"], last["id"])) if last else None, limit)


async def edge_of(uow: UnitOfWork, conversation: int, message: int) -> tuple[datetime, int]:
    """A message's place in its thread; raises NotFound."""
    row = await uow.fetchrow(ONE, conversation, message)
    if row is None:
        raise NotFound
    return row["sent_at"], message


async def refuse_hidden_conversation(uow: UnitOfWork, conversation: int) -> None:
    """Raises NotFound for a conversation that is missing or hidden from the caller, ContactErased for one that was erased."""
    row = await uow.fetchrow(OWNER, conversation)
    if row is None:
        raise await why_missing(uow, conversation)
    refuse_hidden(uow, row["assigned_user_id"])


async def get_message_row(uow: UnitOfWork, conversation: int, message: int) -> MessageRow:
    """One message of a conversation the caller may see; raises NotFound."""
    await refuse_hidden_conversation(uow, conversation)
    row = await uow.row(messages, message)
    if row is None or row.conversation_id != conversation:
        raise NotFound
    return row


async def present_message(uow: UnitOfWork, message: int) -> MessageView:
    """A message as this unit of work has just left it."""
    row = await uow.row(messages, message)
    if row is None:
        raise NotFound
    quoted = await uow.row(messages, row.quoted_id) if row.quoted_id is not None else None
    view = row_view(row, QuotedView(quoted.id, quoted.body, quoted.type) if quoted else None)
    return view if quoted is None else (await withhold(uow, [view]))[0]


async def get_delivery(uow: UnitOfWork, message: int) -> DeliveryView:
    """How far a message has come; raises NotFound, also for one in a conversation that is hidden from the caller."""
    row = await uow.row(messages, message)
    if row is None:
        raise NotFound
    await refuse_hidden_conversation(uow, row.conversation_id)
    times = (row.accepted_at, row.delivered_at, row.read_at)
    return DeliveryView(row.id, row.conversation_id, row.status, *times, row.error)


async def find_message_row(uow: UnitOfWork, message: int) -> MessageRow | None:
    """One message, for Plixa's own work."""
    return await uow.row(messages, message)


async def get_outbound(uow: UnitOfWork, conversation: int, row: MessageRow | None) -> Outbound | None:
    """A message with its route; None when the conversation is gone."""
    route = await uow.fetchrow(ROUTE, conversation)
    if route is None:
        return None
    quoted = await uow.row(messages, row.quoted_id) if row and row.quoted_id else None
    known = await uow.fetch(KNOWN_IDS, conversation) if row and row.direction == "out" else []
    lid = route["lid"].removeprefix("lid:") if route["lid"] else None
    to: str = route["reply_to"] or route["phone"] or lid or ""
    media = row.media if row else None
    return Outbound(
        gateway_name=route["gateway_name"],
        to=to,
        other_to=route["phone"] if to == lid else lid,
        type=row.type if row else "text",
        body=row.body if row else None,
        blob=media.blob if media else None,
        mime=media.mime if media else None,
        filename=media.filename if media else None,
        client_id=(row.client_id if row else None) or "",
        gateway_id=row.gateway_id if row else None,
        from_me=row is not None and row.direction == "out",
        in_doubt=row is not None and row.in_doubt,
        queued_at=row.recorded_at if row else uow.now,
        known_ids=frozenset(one["gateway_id"] for one in known),
        quoted_gateway_id=quoted.gateway_id if quoted else None,
        quoted_from_me=quoted is not None and quoted.direction == "out",
        quoted_body=quoted.body if quoted else None,
    )


async def is_to_blocked(uow: UnitOfWork, message: int) -> bool:
    """Is a message for somebody who is blocked?"""
    return await uow.fetchrow(TO_BLOCKED, message) is not None


async def list_blobs(uow: UnitOfWork, conversation: int) -> list[str]:
    """The names of a conversation's files in our store."""
    return [row["blob"] for row in await uow.fetch(BLOBS, conversation)]


async def list_latest_received(uow: UnitOfWork, conversation: int) -> list[str]:
    """The gateway's ids of the customer's last 50 messages."""
    return [row["gateway_id"] for row in await uow.fetch(LATEST_IN, conversation)]


async def find_messages(uow: UnitOfWork, numbers: list[int]) -> dict[int, MessageView]:
    """Messages by id, for the realtime stream."""
    views = [message_view(row) for row in await uow.fetch(BY_ID, numbers)] if numbers else []
    return {view.id: view for view in await withhold(uow, views)}


async def withhold(uow: UnitOfWork, views: list[MessageView]) -> list[MessageView]:
    """The messages as the caller may read them: without what tells a score they may not see."""
    quoted = [view.quoted_message.id for view in views if view.quoted_message is not None]
    hidden = await list_withheld(uow, [view.id for view in views] + quoted)
    return [veiled(view, hidden) for view in views] if hidden else views


def veiled(view: MessageView, hidden: frozenset[int]) -> MessageView:
    """A message without its body, and without that of the one it quotes, where those are hidden."""
    if view.quoted_message is not None and view.quoted_message.id in hidden:
        view = replace(view, quoted_message=replace(view.quoted_message, body=None))
    return replace(view, body=None, withheld=True) if view.id in hidden else view


async def is_broadcast_to(uow: UnitOfWork, contact: int, since: datetime) -> bool:
    """Was anything broadcast to a contact after a time?"""
    row = await uow.fetchrow(BROADCAST_TO, contact, since)
    return row is not None and bool(row["is_so"])


async def search_messages(uow: UnitOfWork, text: str, limit: int, cursor: str | None) -> tuple[list[MessageView], Page]:
    """Messages that have words beginning with each word of ``text``, newest first."""
    wanted = beginnings(uow.tenant, text)
    if not wanted:
        return [], Page(None, limit)
    before = decode(cursor, (int,))[0] if cursor else NEWEST
    principal = uow.principal
    mine = principal.user_id if principal is not None and principal.restricted else None
    found = [row["id"] for row in await uow.fetch(FOUND, wanted, before, limit + 1, mine)]
    shown = found[:limit]
    messages = await find_messages(uow, shown)
    page = Page(encode((shown[-1],)) if len(found) > limit else None, limit)
    return [messages[number] for number in shown if number in messages and not messages[number].withheld], page


def message_view(record: Any) -> MessageView:
    """A record of ``SELECT`` as the API shows it."""
    quoted = QuotedView(record["q_id"], record["q_body"], record["q_type"]) if record["q_id"] is not None else None
    return row_view(messages.table.restore(record[:WIDTH]), quoted)


def row_view(row: MessageRow, quoted: QuotedView | None) -> MessageView:
    """A row as the API shows it."""
    return MessageView(
        id=row.id,
        conversation_id=row.conversation_id,
        direction="in" if row.direction == "in" else "out",
        type=row.type,
        body=row.body,
        author=AuthorView(row.author_type, row.author_id, row.author_name),
        quoted_message=quoted,
        media=media_view(row, row.media) if row.media is not None else None,
        location=row.location,
        contacts=row.contacts,
        reactions=[ReactionView(one.by, one.emoji, one.at) for one in row.reactions if one.emoji],
        status=row.status,
        error=row.error,
        in_doubt=row.in_doubt,
        stalled=row.stalled,
        forwarded=row.forwarded,
        unsupported_kind=row.unsupported_kind,
        evolution_message_id=row.gateway_id,
        created_at=row.sent_at,
        sent_at=row.accepted_at,
        delivered_at=row.delivered_at,
        read_at=row.read_at,
        edited_at=row.edited_at,
        deleted_at=row.revoked_at,
    )


def media_view(row: MessageRow, media: Media) -> MediaView:
    """A file as the API shows it."""
    return MediaView(
        mime=media.mime,
        size=media.size,
        filename=media.filename,
        duration=media.seconds,
        waveform=media.waveform,
        thumbnail=media.thumbnail,
        state=media.state,
        url=f"/v1/conversations/{row.conversation_id}/messages/{row.id}/media",
    )

"""Tickets as the workspace that opened them sees them: nothing of what is among staff is even read."""

from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from msgspec import Struct

from plixa.kernel.cursor import decode, encode
from plixa.kernel.envelope import Page
from plixa.kernel.errors import NotFound
from plixa.kernel.paging import Paging
from plixa.kernel.tenancy import bind
from plixa.kernel.uow import UnitOfWork
from plixa.support.domain.events import Attachment
from plixa.support.domain.ticket import DONE, Status, is_revisable

COLUMNS: Final = """k.id, k.subject, k.category, k.status, k.opener_id, coalesce(m.name, k.opener_name) AS opener_name,
    k.last_message_at, k.last_message_by, k.unread_by_customer, k.opened_at, k.closed_at, k.rating, k.rating_comment, k.rated_at"""
TICKETS: Final = f"SELECT {COLUMNS} FROM ticket k LEFT JOIN member m ON m.tenant_id = k.tenant_id AND m.id = k.opener_id"  # noqa: S608
ONE: Final = f"{TICKETS} WHERE k.tenant_id = scope.tenant AND k.id = $2"
FOUND: Final = f"{TICKETS} WHERE k.tenant_id = scope.tenant AND k.id = ANY($2::bigint[])"
MESSAGES: Final = """SELECT id, ticket_id, author_type, author_id, author_name, body, attachments::text, created_at, internal
FROM ticket_message WHERE tenant_id = scope.tenant"""
PAGE: Final = f"{MESSAGES} AND ticket_id = $2 AND id < $3 {{public}} ORDER BY id DESC LIMIT $4::int"
PUBLIC: Final = PAGE.format(public="AND NOT internal")
EVERY: Final = PAGE.format(public="")
WRITTEN: Final = f"{MESSAGES} AND id = ANY($2::bigint[]) AND (NOT internal OR $3)"
NEWEST: Final = 2**63 - 1
SHOWN: Final = 100
"""Messages that come with a ticket, the newest; older ones are paged."""


class AuthorView(Struct, frozen=True):
    """Who wrote; the id of staff is not told to customers."""

    id: int | None
    name: str | None


class AttachmentView(Struct, frozen=True):
    """A file; ``size`` in bytes, ``url`` answers whoever may read the ticket."""

    id: int
    filename: str
    mime: str
    size: int
    url: str


class TicketMessageView(Struct, frozen=True):
    """One message; ``author_type`` is ``user`` or ``admin``."""

    id: int
    author_type: str
    author: AuthorView
    body: str
    attachments: list[AttachmentView]
    created_at: datetime


class TicketView(Struct, frozen=True, kw_only=True):
    """A ticket; ``unread`` counts the answers since the workspace last looked or wrote."""

    id: int
    number: int
    subject: str
    category: str | None
    status: str
    opener: AuthorView
    last_message_at: datetime
    last_message_by: str
    unread: int
    created_at: datetime
    closed_at: datetime | None
    rating: int | None
    rating_comment: str | None
    can_rate: bool


class TicketDetailView(TicketView, frozen=True, kw_only=True):
    """A ticket with its newest messages, oldest first."""

    messages: list[TicketMessageView]


async def list_tickets(uow: UnitOfWork, status: Status | None, paging: Paging) -> tuple[list[TicketView], Page]:
    """One page of the workspace's tickets, newest message first."""
    arguments: list[Any] = [paging.limit + 1]
    conditions = ["k.tenant_id = scope.tenant"]
    if status is not None:
        conditions.append(f"k.status = {bind(arguments, status.value)}::text")
    if paging.cursor is not None:
        at, number = decode(paging.cursor, (datetime, int))
        conditions.append(f"(k.last_message_at, k.id) < ({bind(arguments, at)}::timestamptz, {bind(arguments, number)}::bigint)")
    query = f"{TICKETS} WHERE {' AND '.join(conditions)} ORDER BY k.last_message_at DESC, k.id DESC LIMIT $2::int"
    rows = await uow.fetch(query, *arguments)
    shown = [TicketView(**fields_of(row)) for row in rows[: paging.limit]]
    last = shown[-1] if len(rows) > paging.limit else None
    return shown, Page(encode((last.last_message_at, last.id)) if last else None, paging.limit)


async def get_ticket(uow: UnitOfWork, number: int) -> TicketDetailView:
    """One ticket; raises NotFound."""
    row = await uow.fetchrow(ONE, number)
    if row is None:
        raise NotFound
    messages = [message_view(one) for one in await uow.fetch(PUBLIC, number, NEWEST, SHOWN)]
    return TicketDetailView(**fields_of(row), messages=messages[::-1])


async def list_messages(uow: UnitOfWork, number: int, paging: Paging) -> tuple[list[TicketMessageView], Page]:
    """One page of what was said, newest first; raises NotFound."""
    if await uow.fetchrow(ONE, number) is None:
        raise NotFound
    rows = await uow.fetch(PUBLIC, number, decode(paging.cursor, (int,))[0] if paging.cursor else NEWEST, paging.limit + 1)
    shown = [message_view(row) for row in rows[: paging.limit]]
    return shown, Page(encode((shown[-1].id,)) if len(rows) > paging.limit else None, paging.limit)


async def find_tickets(uow: UnitOfWork, numbers: list[int]) -> dict[int, TicketView]:
    """Those of the tickets that there are, by number."""
    return {row["id"]: TicketView(**fields_of(row)) for row in await uow.fetch(FOUND, numbers)}


async def find_messages(uow: UnitOfWork, numbers: list[int]) -> dict[int, TicketMessageView]:
    """Those of the messages that customers may see, by id."""
    return {row["id"]: message_view(row) for row in await uow.fetch(WRITTEN, numbers, False)}


def fields_of(row: Any) -> dict[str, Any]:
    """A row of ``TICKETS`` as its view has it."""
    same = ("id", "subject", "category", "status", "last_message_at", "last_message_by", "closed_at", "rating", "rating_comment")
    return {name: row[name] for name in same} | {
        "number": row["id"],
        "opener": AuthorView(row["opener_id"], row["opener_name"]),
        "unread": row["unread_by_customer"],
        "created_at": row["opened_at"],
        "can_rate": row["status"] in DONE and is_revisable(row["rated_at"], datetime.now(UTC)),
    }


def message_view(row: Any) -> TicketMessageView:
    """A message as the customer sees it."""
    author = AuthorView(row["author_id"] if row["author_type"] == "user" else None, row["author_name"])
    files = attachment_views(row["attachments"], f"/v1/support/tickets/{row['ticket_id']}/attachments")
    return TicketMessageView(row["id"], row["author_type"], author, row["body"], files, row["created_at"])


def attachment_views(stored: str, place: str) -> list[AttachmentView]:
    """The files of a message, to be had below ``place``."""
    files = msgspec.json.decode(stored, type=list[Attachment])
    return [AttachmentView(one.id, one.filename, one.mime, one.size, f"{place}/{one.id}") for one in files]

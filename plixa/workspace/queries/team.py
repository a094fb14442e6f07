"""Who belongs to a workspace, who is there, and who was asked to come."""

from datetime import datetime
from typing import Final, Literal

import asyncpg
import msgspec
from msgspec import Struct

from plixa.identity.queries.availability import is_online
from plixa.identity.queries.plans import get_plan
from plixa.kernel.auth import hashed
from plixa.kernel.cursor import decode, encode
from plixa.kernel.database import Database
from plixa.kernel.envelope import Page
from plixa.kernel.errors import NotFound, PlixaError
from plixa.kernel.event_store import Person
from plixa.kernel.paging import Paging
from plixa.kernel.settings import Settings
from plixa.kernel.uow import UnitOfWork

LAST: Final = 2**63 - 1
MEMBERS: Final = """SELECT m.id, m.name, m.email, m.role, m.two_factor_confirmed_at IS NOT NULL AS has_two_factor, m.is_available,
    m.last_heartbeat_at, m.created_at, m.max_open, coalesce(c.value, 0) AS open_conversations,
    (SELECT max(last_used_at) FROM access_token a WHERE a.tenant_id = m.tenant_id AND a.member_id = m.id AND a.kind = 'panel') AS seen_at,
    (SELECT json_agg(json_build_object('id', s.id, 'name', s.name) ORDER BY s.name)::text
     FROM sector_member b JOIN sector s ON s.tenant_id = b.tenant_id AND s.id = b.sector_id
     WHERE b.tenant_id = m.tenant_id AND b.member_id = m.id) AS sectors
FROM member m LEFT JOIN counter c ON c.tenant_id = m.tenant_id AND c.projection = 'inbox_conversation' AND c.key = 'open:' || m.id
WHERE m.tenant_id = scope.tenant AND ($2::bigint IS NULL OR m.id = $2) ORDER BY m.name, m.id"""
SEATS: Final = """SELECT (SELECT count(*) FROM member WHERE tenant_id = scope.tenant) AS members,
    (SELECT count(*) FROM invitation WHERE tenant_id = scope.tenant AND accepted_at IS NULL AND cancelled_at IS NULL
     AND expires_at > $2::timestamptz) AS invited"""
COLUMNS: Final = "id, email, role, invited_by, invited_by_name, created_at, expires_at, accepted_at, cancelled_at"
INVITATIONS: Final = f"""SELECT {COLUMNS} FROM invitation
WHERE tenant_id = scope.tenant AND id < $2 ORDER BY id DESC LIMIT $3::int"""  # noqa: S608 - constants
INVITATION: Final = f"SELECT {COLUMNS}, sealed_token FROM invitation WHERE tenant_id = scope.tenant AND id = $2"  # noqa: S608 - constants
BY_TOKEN: Final = """SELECT i.tenant_id, i.id, i.email, i.role, i.expires_at, i.accepted_at, i.cancelled_at, i.invited_by_name,
    i.expires_at <= now() AS is_late, t.name AS workspace, t.locale
FROM invitation i JOIN tenant t ON t.tenant_id = i.tenant_id WHERE i.token_hash = $1"""

State = Literal["pending", "accepted", "cancelled", "expired"]


class InvitationInvalid(NotFound):
    code = "INVITATION_INVALID"
    default = "This invitation does not exist. Ask for a new one."


class InvitationExpired(PlixaError):
    code = "INVITATION_EXPIRED"
    status = 410
    default = "This invitation is no longer good. Ask for a new one."


class MemberView(Struct, frozen=True):
    """A member; whether they have a second factor is told to the owner only. ``max_open`` null: no limit to what Plixa gives them."""

    id: int
    name: str
    email: str
    role: str
    two_factor_enabled: bool | None
    is_available: bool | None
    online: bool
    max_open: int | None
    sectors: list[Person]
    last_seen_at: datetime | None
    created_at: datetime


class SeatsPage(Page, frozen=True):
    """How many of the plan's seats are taken: by members, and by invitations that wait."""

    seats_used: int
    seats_limit: int


class AvailabilityView(Struct, frozen=True):
    """Who takes new conversations, and how many each has."""

    user_id: int
    name: str
    is_available: bool | None
    online: bool
    last_heartbeat_at: datetime | None
    open_conversations: int


class InvitationView(Struct, frozen=True):
    """An invitation; ``accept_url`` is told only to whoever makes or repeats it."""

    id: int
    email: str
    role: str
    status: State
    expires_at: datetime
    invited_by: Person
    created_at: datetime
    accept_url: str | None = None


class PreviewView(Struct, frozen=True):
    """What somebody who was invited sees before they accept."""

    email: str
    workspace_name: str
    invited_by: str
    role: str
    expires_at: datetime
    locale: str


class Invited(Struct, frozen=True):
    """An invitation that can be accepted."""

    tenant: int
    id: int
    email: str
    role: str
    preview: PreviewView


async def list_members(uow: UnitOfWork, settings: Settings) -> tuple[list[MemberView], SeatsPage]:
    """All members by name: a plan's seats are few."""
    members = [member_view(uow, row) for row in await uow.fetch(MEMBERS, None)]
    return members, SeatsPage(None, len(members), await count_seats(uow), await get_seat_limit(uow, settings))


async def get_member(uow: UnitOfWork, number: int) -> MemberView:
    """One; raises NotFound."""
    row = await uow.fetchrow(MEMBERS, number)
    if row is None:
        raise NotFound("There is no such member in this workspace.")
    return member_view(uow, row)


async def list_availability(uow: UnitOfWork) -> list[AvailabilityView]:
    """The whole team at a glance."""
    return [
        AvailabilityView(
            row["id"],
            row["name"],
            row["is_available"],
            is_online(row["last_heartbeat_at"], uow.now),
            row["last_heartbeat_at"],
            row["open_conversations"],
        )
        for row in await uow.fetch(MEMBERS, None)
    ]


async def count_seats(uow: UnitOfWork) -> int:
    """Members, and invitations that wait."""
    row = await uow.fetchrow(SEATS, uow.now)
    return int(row["members"] + row["invited"]) if row else 0


async def get_seat_limit(uow: UnitOfWork, settings: Settings) -> int:
    """How many the plan allows."""
    return (await get_plan(uow, settings)).limits.get("seats", 0)


async def list_invitations(uow: UnitOfWork, paging: Paging) -> tuple[list[InvitationView], Page]:
    """Newest first."""
    before = decode(paging.cursor, (int,))[0] if paging.cursor else LAST
    rows = await uow.fetch(INVITATIONS, before, paging.limit + 1)
    shown = [invitation_view(row, uow.now) for row in rows[: paging.limit]]
    return shown, Page(encode((shown[-1].id,)) if len(rows) > paging.limit else None, paging.limit)


async def preview_invitation(system: Database, token: str) -> PreviewView:
    """What an invitation is about; raises as ``find_invited``."""
    return (await find_invited(system, token)).preview


async def find_invited(system: Database, token: str) -> Invited:
    """Behind an invitation's token; raises InvitationInvalid, or InvitationExpired for one that was good once."""
    async with system.connection() as connection:
        row = await connection.fetchrow(BY_TOKEN, hashed(token))
    if row is None or row["cancelled_at"] is not None or row["accepted_at"] is not None:
        raise InvitationInvalid
    if row["is_late"]:
        raise InvitationExpired
    preview = PreviewView(row["email"], row["workspace"], row["invited_by_name"], row["role"], row["expires_at"], row["locale"])
    return Invited(row["tenant_id"], row["id"], row["email"], row["role"], preview)


def member_view(uow: UnitOfWork, row: "asyncpg.Record") -> MemberView:
    """A row as the caller may see it."""
    tells = uow.principal is not None and uow.principal.role == "owner"
    return MemberView(
        id=row["id"],
        name=row["name"],
        email=row["email"],
        role=row["role"],
        two_factor_enabled=row["has_two_factor"] if tells else None,
        is_available=row["is_available"],
        online=is_online(row["last_heartbeat_at"], uow.now),
        max_open=row["max_open"],
        sectors=msgspec.json.decode(row["sectors"], type=list[Person]) if row["sectors"] else [],
        last_seen_at=row["seen_at"],
        created_at=row["created_at"],
    )


def invitation_view(row: "asyncpg.Record", now: datetime, accept_url: str | None = None) -> InvitationView:
    """A row as the owner sees it."""
    return InvitationView(
        id=row["id"],
        email=row["email"],
        role=row["role"],
        status=state_of(row, now),
        expires_at=row["expires_at"],
        invited_by=Person(row["invited_by"], row["invited_by_name"]),
        created_at=row["created_at"],
        accept_url=accept_url,
    )


def state_of(row: "asyncpg.Record", now: datetime) -> State:
    """What has become of an invitation."""
    if row["accepted_at"] is not None:
        return "accepted"
    if row["cancelled_at"] is not None:
        return "cancelled"
    return "expired" if row["expires_at"] <= now else "pending"

"""Reads: the caller's session, the account behind an e-mail address, the principal behind a token."""

from datetime import datetime
from hmac import compare_digest
from typing import Final

import asyncpg
from msgspec import Struct

from plixa.kernel.audit import PLATFORM
from plixa.kernel.auth import Authenticate, Principal
from plixa.kernel.clock import instant
from plixa.kernel.database import Database
from plixa.kernel.errors import NotFound, Unauthenticated
from plixa.kernel.settings import Plan, Settings
from plixa.kernel.uow import UnitOfWork

PANEL_DAYS: Final = 30
"""A panel token lives this long after it was last used."""


class UserView(Struct, frozen=True):
    """A member; ``locale`` null lets the browser decide."""

    id: int
    tenant_id: int
    name: str
    email: str
    role: str
    locale: str | None


class PlanView(Struct, frozen=True):
    """What the workspace may use; ``source`` is ``licence`` or ``default``."""

    key: str
    source: str
    features: list[str]
    limits: dict[str, int]


class WorkspaceView(Struct, frozen=True):
    """The workspace of a member."""

    id: int
    name: str
    slug: str
    country_code: str
    timezone: str
    locale: str
    status: str
    agents_can_delete_conversations: bool
    plan: PlanView


class SessionView(Struct, frozen=True):
    """Who is signed in, and where."""

    user: UserView
    tenant: WorkspaceView


class SignedInView(SessionView, frozen=True):
    """A new session; the token is shown this once."""

    token: str


class Account(Struct, frozen=True):
    """What signing in needs of a member; ``password_hash`` is None for nobody."""

    tenant: int
    id: int
    name: str
    password_hash: str | None


NOBODY: Final = Account(PLATFORM, 0, "", None)
"""Behind every unknown address, so that trying one runs exactly the code, and leaves the trace, of a wrong password."""

SESSION: Final = """
SELECT m.id, m.tenant_id, m.name, m.email, m.role, m.locale, t.name AS tenant_name, t.slug, t.country_code, t.timezone,
       t.locale AS tenant_locale, t.status, t.agents_can_delete_conversations, t.plan
FROM member m JOIN tenant t ON t.tenant_id = m.tenant_id
WHERE m.tenant_id = scope.tenant AND m.id = $2
"""
ACCOUNT: Final = "SELECT tenant_id, id, name, password_hash FROM member WHERE email = $1"
TOKEN: Final = """
SELECT a.tenant_id, a.kind, a.hash, a.abilities, m.id AS member_id, m.name, m.role, t.status, t.plan,
       t.agent_restricted AND m.role = 'agent' AS restricted,
       a.last_used_at IS NULL OR a.last_used_at <= now() - interval '1 minute' AS is_stale
FROM access_token a
JOIN member m ON m.tenant_id = a.tenant_id AND m.id = a.member_id
JOIN tenant t ON t.tenant_id = a.tenant_id
WHERE a.id = $1 AND (a.expires_at IS NULL OR a.expires_at > now())
"""
TOUCH: Final = f"""
UPDATE access_token SET last_used_at = now(),
    expires_at = CASE WHEN kind = 'panel' THEN now() + interval '{PANEL_DAYS} days' ELSE expires_at END
WHERE tenant_id = $1 AND id = $2 AND (last_used_at IS NULL OR last_used_at <= now() - interval '1 minute')
"""  # noqa: S608 - a constant


async def get_session(uow: UnitOfWork, member: int, settings: Settings) -> SessionView:
    """A member and their workspace; raises Unauthenticated when the member was removed a moment ago."""
    row = await uow.fetchrow(SESSION, member)
    if row is None:
        raise Unauthenticated
    user = UserView(row["id"], row["tenant_id"], row["name"], row["email"], row["role"], row["locale"])
    workspace = WorkspaceView(
        id=row["tenant_id"],
        name=row["tenant_name"],
        slug=row["slug"],
        country_code=row["country_code"],
        timezone=row["timezone"],
        locale=row["tenant_locale"],
        status=row["status"],
        agents_can_delete_conversations=row["agents_can_delete_conversations"],
        plan=plan_view(settings, row["plan"]),
    )
    return SessionView(user, workspace)


async def find_account(system: Database, email: str) -> Account:
    """The account of a lowercase e-mail address, in whichever workspace; ``NOBODY`` where there is none."""
    async with system.connection() as connection:
        row = await connection.fetchrow(ACCOUNT, email)
    return NOBODY if row is None else Account(*row)


def find_principal(system: Database, settings: Settings) -> Authenticate:
    """Tokens are looked up across tenants: one query, and one update a minute for a token in use."""

    async def authenticate(number: int, digest: bytes) -> Principal | None:
        async with system.connection() as connection:
            row = await connection.fetchrow(TOKEN, number)
            if not compare_digest(digest, row["hash"] if row else bytes(32)) or row is None:
                return None
            if row["is_stale"]:
                await connection.execute(TOUCH, row["tenant_id"], number)
        return principal(number, row, effective_plan(settings, row["plan"])[1])

    return authenticate


def principal(number: int, row: asyncpg.Record, plan: Plan) -> Principal:
    """The caller behind a row of ``TOKEN``."""
    return Principal(
        kind=row["kind"],
        token_id=number,
        tenant=row["tenant_id"],
        user_id=row["member_id"],
        name=row["name"],
        role=row["role"],
        abilities=frozenset(row["abilities"]),
        features=plan.features,
        tenant_status=row["status"],
        restricted=row["restricted"],
    )


def effective_plan(settings: Settings, granted: str | None) -> tuple[str, Plan]:
    """Key and plan in force: the granted one, else the default; a plan no longer on offer counts as none."""
    key = granted if granted in settings.plans else settings.default_plan
    return key, settings.plans[key]


def plan_view(settings: Settings, granted: str | None) -> PlanView:
    """The plan in force, as shown."""
    key, plan = effective_plan(settings, granted)
    return PlanView(key, "licence" if key == granted else "default", sorted(plan.features), plan.limits)


async def find_member_name(uow: UnitOfWork, member: int) -> str:
    """The name of a member of the workspace; raises NotFound for anybody else."""
    row = await uow.fetchrow("SELECT name FROM member WHERE tenant_id = scope.tenant AND id = $2", member)
    if row is None:
        raise NotFound("There is no such member in this workspace.")
    return str(row["name"])


async def may_delete_conversations(uow: UnitOfWork) -> bool:
    """Does the owner let agents delete conversations?"""
    row = await uow.fetchrow("SELECT agents_can_delete_conversations AS allowed FROM tenant WHERE tenant_id = scope.tenant")
    return row is not None and bool(row["allowed"])


async def get_instant(uow: UnitOfWork, given: datetime, field: str) -> datetime:
    """A time a caller gave, in UTC: without an offset it is wall time of the workspace."""
    if given.tzinfo is not None:
        return instant(given, "UTC", field)
    row = await uow.fetchrow("SELECT timezone FROM tenant WHERE tenant_id = scope.tenant")
    return instant(given, row["timezone"] if row else "UTC", field)

"""Members and their sessions: the caller's own, and the account behind an e-mail address."""

from datetime import datetime
from typing import Final, Literal

from msgspec import Struct

from plixa.identity.domain import Licence, PlanInForce, plan_in_force
from plixa.kernel.audit import PLATFORM
from plixa.kernel.clock import instant
from plixa.kernel.database import Database
from plixa.kernel.errors import NotFound, Unauthenticated
from plixa.kernel.event_store import Person
from plixa.kernel.settings import Settings
from plixa.kernel.uow import UnitOfWork


class UserView(Struct, frozen=True):
    """A member; ``locale`` null lets the browser decide, ``is_available`` null was never set."""

    id: int
    tenant_id: int
    name: str
    email: str
    role: str
    locale: str | None
    is_available: bool | None
    two_factor_enabled: bool


class WorkspaceView(Struct, frozen=True):
    """The workspace of a member; ``deletion_scheduled_at`` is when it will be deleted for good."""

    id: int
    name: str
    slug: str
    country_code: str
    timezone: str
    locale: str
    currency: str
    status: str
    logo_url: str | None
    agents_can_delete_conversations: bool
    deletion_scheduled_at: datetime | None
    plan: PlanInForce


class SessionView(Struct, frozen=True):
    """Who is signed in, and where."""

    user: UserView
    tenant: WorkspaceView
    must_enable_two_factor: bool
    impersonated_by: Person | None


class SignedInView(SessionView, frozen=True):
    """A new session; the token is shown this once."""

    token: str


class ChallengeView(Struct, frozen=True, kw_only=True):
    """The password was right; the token is good for ``POST /v1/auth/2fa-challenge`` alone."""

    two_factor_required: Literal[True] = True
    challenge_token: str
    expires_at: datetime


class Account(Struct, frozen=True):
    """What signing in needs of a member; ``password_hash`` is None for nobody."""

    tenant: int
    id: int
    name: str
    email: str
    locale: str | None
    password_hash: str | None


NOBODY: Final = Account(PLATFORM, 0, "", "", None, None)
"""Behind every unknown address, so that trying one runs exactly the code, and leaves the trace, of a wrong password."""

SESSION: Final = """
SELECT m.id, m.tenant_id, m.name, m.email, m.role, m.locale, m.is_available, m.two_factor_confirmed_at IS NOT NULL AS has_two_factor,
       t.name AS tenant_name, t.slug, t.country_code, t.timezone, t.locale AS tenant_locale, t.currency, t.status, t.logo_key,
       t.agents_can_delete_conversations, t.purge_at, t.require_two_factor, t.plan, t.license_expires_at
FROM member m JOIN tenant t ON t.tenant_id = m.tenant_id
WHERE m.tenant_id = scope.tenant AND m.id = $2
"""
ACCOUNT: Final = "SELECT tenant_id, id, name, email, locale, password_hash FROM member WHERE email = $1 AND tenant_id > 0"
STAFF_ACCOUNT: Final = """SELECT tenant_id, id, name, email, locale, password_hash FROM member
WHERE email = $1 AND tenant_id = 0 AND deactivated_at IS NULL"""
"""Each is answered by the partial index of its condition."""


async def get_session(uow: UnitOfWork, member: int, settings: Settings) -> SessionView:
    """A member and their workspace; raises Unauthenticated when the member was removed a moment ago."""
    row = await uow.fetchrow(SESSION, member)
    if row is None:
        raise Unauthenticated
    person = (row["id"], row["tenant_id"], row["name"], row["email"], row["role"], row["locale"])
    user = UserView(*person, row["is_available"], row["has_two_factor"])
    workspace = WorkspaceView(
        id=row["tenant_id"],
        name=row["tenant_name"],
        slug=row["slug"],
        country_code=row["country_code"],
        timezone=row["timezone"],
        locale=row["tenant_locale"],
        currency=row["currency"],
        status=row["status"],
        logo_url=image_url(settings, row["logo_key"]),
        agents_can_delete_conversations=row["agents_can_delete_conversations"],
        deletion_scheduled_at=row["purge_at"],
        plan=plan_in_force(settings, Licence(row["plan"], row["license_expires_at"]), uow.now),
    )
    caller = uow.principal
    return SessionView(
        user, workspace, row["require_two_factor"] and not row["has_two_factor"], caller.impersonated_by if caller is not None else None
    )


def image_url(settings: Settings, key: str | None) -> str | None:
    """Where a public image is served, by its key."""
    return f"{settings.public_url}/images/{key}" if key else None


async def find_account(system: Database, email: str, staff: bool = False) -> Account:
    """The account of a lowercase e-mail address, in whichever workspace, or among the staff; ``NOBODY`` where there is none."""
    async with system.connection() as connection:
        row = await connection.fetchrow(STAFF_ACCOUNT if staff else ACCOUNT, email)
    return NOBODY if row is None else Account(*row)


async def find_password(system: Database, tenant: int, member: int) -> str | None:
    """What is stored of a member's password; on a connection of its own, which nobody holds while it is verified."""
    async with system.connection() as connection:
        stored: str | None = await connection.fetchval("SELECT password_hash FROM member WHERE tenant_id = $1 AND id = $2", tenant, member)
    return stored


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

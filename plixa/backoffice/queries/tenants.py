"""Workspaces as staff see them: all of them with plan, usage and state, or one in full."""

from datetime import UTC, datetime
from typing import Any, Final, Literal

import asyncpg
from msgspec import Struct

from plixa.backoffice.queries.staff import find_person
from plixa.identity.domain import Licence, PlanInForce, plan_in_force
from plixa.kernel.cursor import decode, encode
from plixa.kernel.database import Database
from plixa.kernel.envelope import Page
from plixa.kernel.errors import NotFound
from plixa.kernel.event_store import Person
from plixa.kernel.paging import Paging
from plixa.kernel.search import folded
from plixa.kernel.settings import Settings
from plixa.kernel.uow import UnitOfWork
from plixa.whatsapp.queries import InstanceView, list_instances
from plixa.workspace.queries.team import count_seats

State = Literal["active", "suspended", "deleting"]
Source = Literal["license", "default"]

STATE: Final = "CASE WHEN t.purge_at IS NOT NULL THEN 'deleting' ELSE t.status END"
"""Suspended or not, what is about to be deleted is shown as that."""
COUNTS: Final = """(SELECT count(*) FROM member m WHERE m.tenant_id = t.tenant_id) AS members_count,
(SELECT count(*) FROM phone_instance p WHERE p.tenant_id = t.tenant_id AND p.removed_at IS NULL) AS whatsapp_numbers_count,
(SELECT e.recorded_at FROM log_head h JOIN event e ON e.tenant_id = h.tenant_id AND e.position = h.position
 WHERE h.tenant_id = t.tenant_id) AS last_activity_at"""
ROW: Final = "t.tenant_id, t.name, t.slug, t.state, t.country_code, t.created_at, t.plan, t.license_expires_at"
LIST: Final = f"""
SELECT {ROW}, {COUNTS} FROM (
    SELECT t.*, {STATE} AS state
    FROM tenant t LEFT JOIN member o ON o.tenant_id = t.tenant_id AND o.role = 'owner'
    CROSS JOIN LATERAL (SELECT t.plan = ANY($1::text[]) AND coalesce(t.license_expires_at > now(), true) AS licensed) l
    WHERE t.tenant_id > 0
      AND (t.created_at, t.tenant_id) < (coalesce($3::timestamptz, 'infinity'), coalesce($4::bigint, 0))
      AND ($5::text IS NULL OR strpos(lower(t.name), $5) > 0 OR strpos(o.email, $5) > 0 OR strpos(t.slug, $6::text) > 0)
      AND ($7::text IS NULL OR $7 = {STATE})
      AND ($8::text IS NULL OR $8 = CASE WHEN l.licensed THEN t.plan ELSE $2::text END)
      AND ($9::text IS NULL OR $9 = CASE WHEN l.licensed THEN 'license' ELSE 'default' END)
    ORDER BY t.created_at DESC, t.tenant_id DESC LIMIT $10::int
) t ORDER BY t.created_at DESC, t.tenant_id DESC
"""  # noqa: S608 - constants
"""``$1`` are the plans on offer and ``$2`` the default one: the rule of ``plan_in_force`` as a filter."""
ONE: Final = f"""
SELECT {ROW}, {COUNTS}, t.tax_id, t.timezone, t.locale, t.currency, t.allow_support_access, t.license_granted_by, t.license_granted_at,
       t.suspended_at, t.suspended_reason, t.deletion_requested_at, t.purge_at
FROM (SELECT t.*, {STATE} AS state FROM tenant t WHERE t.tenant_id = scope.tenant AND t.tenant_id > 0) t
"""  # noqa: S608 - constants
MEMBERS: Final = """
SELECT id, name, email, role, two_factor_confirmed_at IS NOT NULL AS has_two_factor, created_at FROM member
WHERE tenant_id = scope.tenant ORDER BY role = 'owner' DESC, id LIMIT 200
"""
LOCKED: Final = """
SELECT t.name, t.status, t.locale, t.timezone, t.allow_support_access, t.plan, t.license_expires_at, o.id, o.name, o.email
FROM tenant t LEFT JOIN member o ON o.tenant_id = t.tenant_id AND o.role = 'owner'
WHERE t.tenant_id = scope.tenant AND t.tenant_id > 0 FOR NO KEY UPDATE OF t
"""


class TenantView(Struct, frozen=True, kw_only=True):
    """A workspace; ``status`` is ``active``, ``suspended`` or ``deleting``, ``plan_source`` ``license`` or ``default``."""

    id: int
    name: str
    slug: str
    status: str
    plan: str
    plan_source: str
    country_code: str
    members_count: int
    whatsapp_numbers_count: int
    last_activity_at: datetime | None
    created_at: datetime


class TeamMemberView(Struct, frozen=True):
    """A member of a workspace, as staff see them."""

    id: int
    name: str
    email: str
    role: str
    two_factor_enabled: bool
    created_at: datetime


class LicenceView(Struct, frozen=True):
    """A plan that staff granted; ``granted_by`` is null once they have left, ``expires_at`` for life."""

    plan_key: str
    granted_by: Person | None
    granted_at: datetime | None
    expires_at: datetime | None


class UsageView(Struct, frozen=True):
    """How much of a limit of the plan is used."""

    used: int
    limit: int


class TenantDetailView(TenantView, frozen=True, kw_only=True):
    """A workspace in full; ``audit_log`` is where its trail is read."""

    tax_id: str | None
    timezone: str
    locale: str
    currency: str
    owner: TeamMemberView | None
    members: list[TeamMemberView]
    phone_instances: list[InstanceView]
    license: LicenceView | None
    features: list[str]
    usage: dict[str, UsageView]
    allow_support_access: bool
    suspended_at: datetime | None
    suspended_reason: str | None
    deletion_requested_at: datetime | None
    deletion_scheduled_at: datetime | None
    audit_log: str


class TenantFilters(Struct, frozen=True):
    """Which workspaces; ``q`` is part of a name, a slug or the owner's address."""

    q: str | None = None
    status: State | None = None
    plan: str | None = None
    source: Source | None = None


class Owner(Struct, frozen=True):
    """Who is written to about a workspace."""

    id: int
    name: str
    email: str


class LockedTenant(Struct, frozen=True):
    """What changing a workspace needs to know of it."""

    name: str
    status: str
    locale: str
    timezone: str
    allow_support_access: bool
    licence: Licence
    owner: Owner | None


async def list_tenants(system: Database, settings: Settings, filters: TenantFilters, paging: Paging) -> tuple[list[TenantView], Page]:
    """One page of every workspace, newest first."""
    at, number = decode(paging.cursor, (datetime, int)) if paging.cursor is not None else (None, None)
    q = filters.q.strip().lower() if filters.q else ""
    words = "-".join(folded(q))
    wanted = (q or None, words or None, filters.status, filters.plan, filters.source)
    async with system.connection() as connection:
        rows = await connection.fetch(LIST, list(settings.plans), settings.default_plan, at, number, *wanted, paging.limit + 1)
    shown = [TenantView(**summary(row, plan_of(row, settings))) for row in rows[: paging.limit]]
    last = shown[-1] if len(rows) > paging.limit else None
    return shown, Page(encode((last.created_at, last.id)) if last else None, paging.limit)


async def get_tenant(uow: UnitOfWork, settings: Settings) -> TenantDetailView:
    """The workspace of ``uow`` in full; raises NotFound where there is none."""
    row = await uow.fetchrow(ONE)
    if row is None:
        raise NotFound
    plan = plan_of(row, settings)
    members = [TeamMemberView(*member) for member in await uow.fetch(MEMBERS)]
    numbers, _ = await list_instances(uow, settings)
    used = {"seats": await count_seats(uow), "whatsapp_numbers": row["whatsapp_numbers_count"]}
    return TenantDetailView(
        **summary(row, plan),
        **{name: row[name] for name in ("tax_id", "timezone", "locale", "currency", "allow_support_access")},
        **{name: row[name] for name in ("suspended_at", "suspended_reason", "deletion_requested_at")},
        deletion_scheduled_at=row["purge_at"],
        owner=next((member for member in members if member.role == "owner"), None),
        members=members,
        phone_instances=numbers,
        license=await licence_view(uow, row),
        features=plan.features,
        usage={name: UsageView(used.get(name, 0), limit) for name, limit in plan.limits.items()},
        audit_log=f"/v1/admin/audit-logs?tenant_id={uow.tenant}",
    )


async def lock_tenant(uow: UnitOfWork) -> LockedTenant:
    """The workspace of ``uow``, which nobody else changes until this is committed; raises NotFound where there is none."""
    await uow.begin()
    row = await uow.fetchrow(LOCKED)
    if row is None:
        raise NotFound
    name, status, locale, timezone, allowed, plan, until, owner, *rest = row
    return LockedTenant(name, status, locale, timezone, allowed, Licence(plan, until), Owner(owner, *rest) if owner else None)


async def licence_view(uow: UnitOfWork, row: asyncpg.Record) -> LicenceView | None:
    """What staff granted, whether it is still in force or has run out."""
    if row["plan"] is None:
        return None
    granted_by = await find_person(uow.kernel.system, row["license_granted_by"])
    return LicenceView(row["plan"], granted_by, row["license_granted_at"], row["license_expires_at"])


def plan_of(row: asyncpg.Record, settings: Settings) -> PlanInForce:
    """The plan in force for a row."""
    return plan_in_force(settings, Licence(row["plan"], row["license_expires_at"]), datetime.now(UTC))


def summary(row: asyncpg.Record, plan: PlanInForce) -> dict[str, Any]:
    """The fields every view of a workspace has."""
    same = ("name", "slug", "country_code", "members_count", "whatsapp_numbers_count", "last_activity_at", "created_at")
    return {"id": row["tenant_id"], "status": row["state"], "plan": plan.key, "plan_source": plan.source} | {
        name: row[name] for name in same
    }

"""Workspaces as staff see them: all of them with plan, usage and state, or one in full."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

import asyncpg
from msgspec import Struct
from msgspec.structs import asdict

from plixa.backoffice.queries.staff import find_person
from plixa.billing.queries import SubscriptionView, get_subscription
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
from plixa.workspace.queries.onboarding import OnboardingView, get_onboarding
from projections.activity import activity, day_of
from projections.audit import AuditRow, audit
from projections.tickets import ticket_messages, tickets
from projections.usage import BYTES, files, last

State = Literal["active", "suspended", "deleting"]
Source = Literal["license", "default"]
Sort = Literal["created_at", "last_activity_at"]
MESSAGES_OF: Final = timedelta(days=30)
"""Today's and those of the days before, in UTC."""

STATE: Final = "CASE WHEN t.purge_at IS NOT NULL THEN 'deleting' ELSE t.status END"
"""Suspended or not, what is about to be deleted is shown as that."""
KEPT: Final = "coalesce((SELECT c.value FROM counter c WHERE (c.tenant_id, c.projection, c.key) = (t.tenant_id, '{}', '{}')), 0)"
USAGE: Final = f"""{KEPT.format("member", "rows")} AS members_count, {KEPT.format("phone_instance", "rows")} AS whatsapp_numbers_count,
(SELECT coalesce(sum(c.value), 0)::bigint FROM counter c
 WHERE c.tenant_id = t.tenant_id AND c.projection = '{activity.name}' AND c.key > {{since}}::text) AS messages_30d,
{KEPT.format(files.name, BYTES)} + {KEPT.format(ticket_messages.name, BYTES)} AS storage_bytes, t.last_activity_at"""  # noqa: S608 - constants
KEPT_OF: Final = ("members_count", "whatsapp_numbers_count", "messages_30d", "storage_bytes", "last_activity_at")
"""What ``USAGE`` tells, kept as it changes: nothing here grows with what a workspace has, and messages have a counter a day."""
ROW: Final = "t.tenant_id, t.name, t.slug, t.state, t.country_code, t.created_at, t.plan, t.license_expires_at"
LIST: Final = f"""
SELECT {ROW}, {USAGE.format(since="$11")} FROM (
    SELECT t.*, a.at AS last_activity_at, {STATE} AS state, {{sorted}} AS sorted
    FROM {{source}} LEFT JOIN member o ON o.tenant_id = t.tenant_id AND o.role = 'owner'
    CROSS JOIN LATERAL (SELECT t.plan = ANY($1::text[]) AND coalesce(t.license_expires_at > now(), true) AS licensed) l
    WHERE t.tenant_id > 0
      AND ({{sorted}}, {{number}}) < (coalesce($3::timestamptz, 'infinity'), coalesce($4::bigint, 0))
      AND ($5::text IS NULL OR strpos(lower(t.name), $5) > 0 OR strpos(o.email, $5) > 0 OR strpos(t.slug, $6::text) > 0)
      AND ($7::text IS NULL OR $7 = {STATE})
      AND ($8::text IS NULL OR $8 = CASE WHEN l.licensed THEN t.plan ELSE $2::text END)
      AND ($9::text IS NULL OR $9 = CASE WHEN l.licensed THEN 'license' ELSE 'default' END)
    ORDER BY {{sorted}} DESC, {{number}} DESC LIMIT $10::int
) t ORDER BY t.sorted DESC, t.tenant_id DESC
"""  # noqa: S608 - constants
"""``$1`` are the plans on offer and ``$2`` the default one: the rule of ``plan_in_force`` as a filter."""
BESIDE: Final = f"tenant t LEFT JOIN {last.name} a ON (a.tenant_id, a.id) = (t.tenant_id, t.tenant_id)"
BEHIND: Final = f"{last.name} a CROSS JOIN LATERAL (SELECT * FROM tenant WHERE tenant_id = a.id OFFSET 0) t"  # noqa: S608 - constants
"""The fence keeps the planner from sorting all there are: it takes the filters to leave almost none."""
LISTS: Final[dict[Sort, str]] = {
    "created_at": LIST.format(source=BESIDE, sorted="t.created_at", number="t.tenant_id"),
    "last_activity_at": LIST.format(source=BEHIND, sorted="a.at", number="a.id"),
}
"""Each from the index of what it is sorted by."""
ONE: Final = f"""
SELECT {ROW}, {USAGE.format(since="$2")}, t.tax_id, t.timezone, t.locale, t.currency, t.allow_support_access, t.license_granted_by,
       t.license_granted_at, t.suspended_at, t.suspended_reason, t.deletion_requested_at, t.purge_at,
       {KEPT.format(tickets.name, "open")} + {KEPT.format(tickets.name, "pending")} AS open_tickets
FROM (SELECT t.*, a.at AS last_activity_at, {STATE} AS state FROM {BESIDE} WHERE t.tenant_id = scope.tenant AND t.tenant_id > 0) t
"""  # noqa: S608 - constants
DEEDS: Final = f"""SELECT {", ".join(audit.table.names)} FROM {audit.name} WHERE tenant_id = scope.tenant AND is_staff
ORDER BY at DESC, id DESC LIMIT 10"""  # noqa: S608 - constants
MEMBERS: Final = """
SELECT id, name, email, role, two_factor_confirmed_at IS NOT NULL AS has_two_factor, created_at FROM member
WHERE tenant_id = scope.tenant ORDER BY role = 'owner' DESC, id LIMIT 200
"""
LOCKED: Final = """
SELECT t.name, t.status, t.suspended_reason, t.locale, t.timezone, t.allow_support_access, t.plan, t.license_expires_at,
       o.id, o.name, o.email
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
    messages_30d: int
    storage_bytes: int
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


class DeedView(Struct, frozen=True):
    """Something staff did in a workspace."""

    id: int
    at: datetime
    admin: Person | None
    action: str
    subject_type: str
    subject_id: int
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class TenantDetailView(TenantView, frozen=True, kw_only=True):
    """A workspace in full; ``subscription`` is what its owner sees of it, ``recent_audit`` the newest of what is read at ``audit_log``."""

    tax_id: str | None
    timezone: str
    locale: str
    currency: str
    owner: TeamMemberView | None
    members: list[TeamMemberView]
    phone_instances: list[InstanceView]
    subscription: SubscriptionView
    license: LicenceView | None
    features: list[str]
    usage: dict[str, UsageView]
    allow_support_access: bool
    suspended_at: datetime | None
    suspended_reason: str | None
    deletion_requested_at: datetime | None
    deletion_scheduled_at: datetime | None
    open_tickets: int
    onboarding: OnboardingView
    recent_audit: list[DeedView]
    audit_log: str


class TenantFilters(Struct, frozen=True):
    """Which workspaces; ``q`` is part of a name, a slug or the owner's address. Sorted newest, or latest active, first."""

    q: str | None = None
    status: State | None = None
    plan: str | None = None
    source: Source | None = None
    sort: Sort = "created_at"


class Owner(Struct, frozen=True):
    """Who is written to about a workspace."""

    id: int
    name: str
    email: str


class LockedTenant(Struct, frozen=True):
    """What changing a workspace needs to know of it."""

    name: str
    status: str
    suspended_reason: str | None
    locale: str
    timezone: str
    allow_support_access: bool
    licence: Licence
    owner: Owner | None


async def list_tenants(system: Database, settings: Settings, filters: TenantFilters, paging: Paging) -> tuple[list[TenantView], Page]:
    """One page of every workspace; by activity one that has just begun comes as soon as its log was followed."""
    at, number = decode(paging.cursor, (datetime, int)) if paging.cursor is not None else (None, None)
    q = filters.q.strip().lower() if filters.q else ""
    words = "-".join(folded(q))
    wanted = (q or None, words or None, filters.status, filters.plan, filters.source)
    async with system.connection() as connection:
        rows = await connection.fetch(
            LISTS[filters.sort],
            list(settings.plans),
            settings.default_plan,
            at,
            number,
            *wanted,
            paging.limit + 1,
            since(datetime.now(UTC)),
        )
    shown = [TenantView(**summary(row, plan_of(row, settings))) for row in rows[: paging.limit]]
    more = shown[-1] if len(rows) > paging.limit else None
    return shown, Page(encode((getattr(more, filters.sort), more.id)) if more else None, paging.limit)


async def get_tenant(uow: UnitOfWork, settings: Settings) -> TenantDetailView:
    """The workspace of ``uow`` in full; raises NotFound where there is none."""
    row = await uow.fetchrow(ONE, since(uow.now))
    if row is None:
        raise NotFound
    plan = plan_of(row, settings)
    members = [TeamMemberView(*member) for member in await uow.fetch(MEMBERS)]
    numbers, _ = await list_instances(uow, settings)
    subscription = await get_subscription(uow, settings)
    used = asdict(subscription.usage)
    return TenantDetailView(
        **summary(row, plan),
        **{name: row[name] for name in ("tax_id", "timezone", "locale", "currency", "allow_support_access")},
        **{name: row[name] for name in ("suspended_at", "suspended_reason", "deletion_requested_at")},
        deletion_scheduled_at=row["purge_at"],
        open_tickets=row["open_tickets"],
        owner=next((member for member in members if member.role == "owner"), None),
        members=members,
        phone_instances=numbers,
        subscription=subscription,
        license=await licence_view(uow, row),
        features=plan.features,
        usage={name: UsageView(used.get(name, 0), limit) for name, limit in plan.limits.items()},
        onboarding=await get_onboarding(uow),
        recent_audit=[deed_view(audit.table.restore(found)) for found in await uow.fetch(DEEDS)],
        audit_log=f"/v1/admin/audit-logs?tenant_id={uow.tenant}",
    )


async def lock_tenant(uow: UnitOfWork) -> LockedTenant:
    """The workspace of ``uow``, which nobody else changes until this is committed; raises NotFound where there is none."""
    await uow.begin()
    row = await uow.fetchrow(LOCKED)
    if row is None:
        raise NotFound
    name, status, reason, locale, timezone, allowed, plan, until, owner, *rest = row
    licence = Licence(plan, until)
    return LockedTenant(name, status, reason, locale, timezone, allowed, licence, Owner(owner, *rest) if owner else None)


async def licence_view(uow: UnitOfWork, row: asyncpg.Record) -> LicenceView | None:
    """What staff granted, whether it is still in force or has run out."""
    if row["plan"] is None:
        return None
    granted_by = await find_person(uow.kernel.system, row["license_granted_by"])
    return LicenceView(row["plan"], granted_by, row["license_granted_at"], row["license_expires_at"])


def deed_view(row: AuditRow) -> DeedView:
    """An entry of the trail, without what every one here has in common."""
    admin = Person(row.actor_id, row.actor_name or "") if row.actor_id is not None else None
    return DeedView(row.id, row.at, admin, row.action, row.subject, row.subject_id, row.before, row.after)


def since(now: datetime) -> str:
    """The last day whose messages no longer count."""
    return day_of(now - MESSAGES_OF)


def plan_of(row: asyncpg.Record, settings: Settings) -> PlanInForce:
    """The plan in force for a row."""
    return plan_in_force(settings, Licence(row["plan"], row["license_expires_at"]), datetime.now(UTC))


def summary(row: asyncpg.Record, plan: PlanInForce) -> dict[str, Any]:
    """The fields every view of a workspace has."""
    same = ("name", "slug", "country_code", "created_at", *KEPT_OF)
    return {"id": row["tenant_id"], "status": row["state"], "plan": plan.key, "plan_source": plan.source} | {
        name: row[name] for name in same
    }

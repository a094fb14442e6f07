"""Campaigns: who would get one, who got one, and how their mails fared."""

from datetime import datetime
from typing import Any, Final

import asyncpg
from msgspec import Struct

from plixa.backoffice.domain.campaigns import (
    MOST_RECIPIENTS,
    STATES,
    Audience,
    AudienceTooLarge,
    CampaignState,
    Content,
    RecipientState,
)
from plixa.kernel.audit import PLATFORM
from plixa.kernel.cursor import decode, encode
from plixa.kernel.database import Database
from plixa.kernel.envelope import Page
from plixa.kernel.errors import NotFound
from plixa.kernel.event_store import Person
from plixa.kernel.paging import Paging
from plixa.kernel.settings import Settings
from plixa.kernel.tenancy import bind
from plixa.kernel.uow import UnitOfWork
from plixa.notifications.queries.suppressions import list_suppressed

OWNERS: Final = """SELECT o.email, t.locale, t.tenant_id AS workspace_id, o.id AS member_id
FROM tenant t JOIN member o ON o.tenant_id = t.tenant_id AND o.role = 'owner'
CROSS JOIN LATERAL (
    SELECT coalesce(t.plan = ANY($1::text[]) AND coalesce(t.license_expires_at > now(), true), false) AS licensed) l
WHERE t.tenant_id > 0 AND t.status = 'active' AND t.purge_at IS NULL
  AND ($3::text IS NULL OR $3 = CASE WHEN l.licensed THEN t.plan ELSE $2::text END) AND NOT ($4::boolean AND l.licensed)
ORDER BY t.tenant_id LIMIT $5::int"""
"""Nobody of a workspace that is suspended or about to be deleted; ``$1`` are the plans on offer and ``$2`` the default one."""
SIGNED_UP: Final = """SELECT email, coalesce(locale, 'en') AS locale, NULL::bigint AS workspace_id, NULL::bigint AS member_id
FROM waitlist_signup WHERE tenant_id = $1 ORDER BY id LIMIT $2::int"""
SAMPLE: Final = 10
COUNTS: Final = ", ".join(f"{state}_count" for state in STATES)
ROW: Final = f"id, subject, audience, plan, status, recipients_count, {COUNTS}, created_by, created_by_name, created_at, sent_at"
LIST: Final = "SELECT {row} FROM campaign WHERE tenant_id = scope.tenant AND id < $3 {where} ORDER BY id DESC LIMIT $2::int"
ONE: Final = f"SELECT {ROW}, preheader, body, cta_label, cta_url FROM campaign WHERE tenant_id = scope.tenant AND id = $2"  # noqa: S608
RECIPIENTS: Final = """SELECT id, email, workspace_id, member_id, status, provider_id, error, sent_at, delivered_at, opened_at
FROM campaign_recipient WHERE tenant_id = scope.tenant AND campaign_id = $2 AND id > $3 {where} ORDER BY id LIMIT $4::int"""
WAITING: Final = """SELECT id, email, locale FROM campaign_recipient
WHERE tenant_id = scope.tenant AND campaign_id = $2 AND id > $3 ORDER BY id LIMIT $4::int"""
OUTGOING: Final = """SELECT r.email, r.locale, c.subject, c.preheader, c.body, c.cta_label, c.cta_url
FROM campaign_recipient r JOIN campaign c ON c.tenant_id = r.tenant_id AND c.id = r.campaign_id
WHERE r.tenant_id = scope.tenant AND r.id = $2 AND r.status = 'queued'"""
SHUT: Final = """SELECT EXISTS (SELECT FROM campaign_recipient r JOIN tenant t ON t.tenant_id = r.workspace_id
WHERE r.tenant_id = $1 AND r.id = $2 AND (t.status <> 'active' OR t.purge_at IS NOT NULL))"""
HOLD: Final = """WITH held AS MATERIALIZED (
    SELECT id FROM campaign WHERE tenant_id = scope.tenant
      AND id = (SELECT campaign_id FROM campaign_recipient WHERE tenant_id = scope.tenant AND id = $2) FOR NO KEY UPDATE)
SELECT r.campaign_id, r.email, r.status FROM held JOIN campaign_recipient r ON r.campaign_id = held.id
WHERE r.tenant_id = scope.tenant AND r.id = $2 FOR NO KEY UPDATE OF r"""
"""The campaign first, as who deletes it does: else each would wait for the other."""
LAST: Final = 2**63 - 1


class Addressee(Struct, frozen=True):
    """Somebody a campaign goes to; of which workspace they are, where they are of one."""

    email: str
    locale: str = "en"
    workspace_id: int | None = None
    member_id: int | None = None


class AudienceView(Struct, frozen=True):
    """Who would get a campaign now: how many, and the first few."""

    count: int
    sample: list[str]


class CampaignView(Struct, frozen=True, kw_only=True):
    """A campaign; ``sent_count`` left us, ``failed_count`` never did, ``sent_at`` is when the last one had its turn."""

    id: int
    subject: str
    audience: str
    audience_value: str | None
    status: str
    recipients_count: int
    sent_count: int
    failed_count: int
    created_by: Person
    created_at: datetime
    sent_at: datetime | None


class CampaignDetailView(CampaignView, frozen=True, kw_only=True):
    """A campaign with what it says; ``counts`` says of how many recipients each status is."""

    preheader: str | None
    body: str
    cta_label: str | None
    cta_url: str | None
    counts: dict[str, int]


class RecipientView(Struct, frozen=True, kw_only=True):
    """One mail of a campaign and how it fared; ``tenant_id`` and ``user_id`` are null for strangers."""

    id: int
    email: str
    tenant_id: int | None
    user_id: int | None
    status: str
    provider_id: str | None
    error: str | None
    sent_at: datetime | None
    delivered_at: datetime | None
    opened_at: datetime | None


class Outgoing(Struct, frozen=True):
    """A mail that has not gone out; ``recipient`` is None where it is a test."""

    email: str
    locale: str
    content: Content
    recipient: int | None = None


class Held(Struct, frozen=True):
    """A recipient whom nobody else changes before this transaction ends."""

    campaign_id: int
    email: str
    status: str


async def find_audience(uow: UnitOfWork, settings: Settings, audience: Audience, value: list[str]) -> list[Addressee]:
    """Everybody it goes to, each address once, without those that want no more news; raises AudienceTooLarge.

    ``value`` is the plan of the audience ``plan`` and the addresses of ``emails``; ``trial`` are workspaces that were granted no plan.
    """
    found = [Addressee(one) for one in value] if audience == "emails" else await read_audience(uow, settings, audience, value)
    once = {one.email.lower(): one for one in reversed(found)}
    if len(once) > MOST_RECIPIENTS:
        raise AudienceTooLarge
    gone = await list_suppressed(uow, once)
    return [one for address, one in reversed(once.items()) if address not in gone]


async def read_audience(uow: UnitOfWork, settings: Settings, audience: Audience, value: list[str]) -> list[Addressee]:
    """Everybody of an audience that is looked up across workspaces."""
    async with uow.kernel.system.connection() as connection:
        if audience == "waitlist":
            rows = await connection.fetch(SIGNED_UP, PLATFORM, MOST_RECIPIENTS + 1)
        else:
            plan = value[0] if audience == "plan" else None
            wanted = (list(settings.plans), settings.default_plan, plan, audience == "trial")
            rows = await connection.fetch(OWNERS, *wanted, MOST_RECIPIENTS + 1)
    return [Addressee(*row) for row in rows]


async def count_audience(uow: UnitOfWork, settings: Settings, audience: Audience, value: list[str]) -> AudienceView:
    """Who would get a campaign now."""
    found = await find_audience(uow, settings, audience, value)
    return AudienceView(len(found), [one.email for one in found[:SAMPLE]])


async def list_campaigns(uow: UnitOfWork, status: CampaignState | None, q: str | None, paging: Paging) -> tuple[list[CampaignView], Page]:
    """One page, the newest first; ``q`` is part of a subject."""
    arguments: list[Any] = [paging.limit + 1, decode(paging.cursor, (int,))[0] if paging.cursor is not None else LAST]
    where = f"AND status = {bind(arguments, status)}::text" if status is not None else ""
    if q and not q.isspace():
        where += f" AND strpos(lower(subject), lower({bind(arguments, q.strip())}::text)) > 0"
    rows = await uow.fetch(LIST.format(row=ROW, where=where), *arguments)
    shown = [CampaignView(**summary(row)) for row in rows[: paging.limit]]
    return shown, Page(encode((shown[-1].id,)) if len(rows) > paging.limit else None, paging.limit)


async def get_campaign(uow: UnitOfWork, number: int) -> CampaignDetailView:
    """One with what it says and how it fared; raises NotFound."""
    row = await uow.fetchrow(ONE, number)
    if row is None:
        raise NotFound("There is no such campaign.")
    own = {name: row[name] for name in ("preheader", "body", "cta_label", "cta_url")}
    return CampaignDetailView(**summary(row), **own, counts={state: row[f"{state}_count"] for state in STATES})


async def list_recipients(uow: UnitOfWork, number: int, status: RecipientState | None, paging: Paging) -> tuple[list[RecipientView], Page]:
    """One page of whom a campaign went to; raises NotFound."""
    await get_campaign(uow, number)
    arguments: list[Any] = [number, decode(paging.cursor, (int,))[0] if paging.cursor is not None else 0, paging.limit + 1]
    where = f"AND status = {bind(arguments, status)}::text" if status is not None else ""
    rows = await uow.fetch(RECIPIENTS.format(where=where), *arguments)
    shown = [recipient(row) for row in rows[: paging.limit]]
    return shown, Page(encode((shown[-1].id,)) if len(rows) > paging.limit else None, paging.limit)


async def list_waiting(uow: UnitOfWork, number: int, after: int, limit: int) -> list[tuple[int, str, str]]:
    """The next recipients of a campaign, as (id, email, locale)."""
    return [tuple(row) for row in await uow.fetch(WAITING, number, after, limit)]


async def find_outgoing(uow: UnitOfWork, recipient_id: int) -> Outgoing | None:
    """The mail of a recipient, unless it went out already, or its campaign is gone."""
    row = await uow.fetchrow(OUTGOING, recipient_id)
    if row is None:
        return None
    names = ("subject", "preheader", "body", "cta_label", "cta_url")
    return Outgoing(row["email"], row["locale"], Content(**{name: row[name] for name in names}), recipient_id)


async def is_shut(system: Database, recipient_id: int) -> bool:
    """Is a recipient's workspace suspended by now, or about to be deleted?"""
    async with system.connection() as connection:
        return bool(await connection.fetchval(SHUT, PLATFORM, recipient_id))


async def hold_recipient(uow: UnitOfWork, recipient_id: int) -> Held | None:
    """A recipient, locked with its campaign; None where that is gone."""
    await uow.begin()
    row = await uow.fetchrow(HOLD, recipient_id)
    return Held(*row) if row is not None else None


def summary(row: asyncpg.Record) -> dict[str, Any]:
    """The fields of a campaign in a list."""
    same = ("id", "subject", "audience", "status", "recipients_count", "created_at", "sent_at")
    kept = sum(row[f"{state}_count"] for state in ("queued", "suppressed", "failed"))
    return {name: row[name] for name in same} | {
        "audience_value": row["plan"],
        "sent_count": row["recipients_count"] - kept,
        "failed_count": row["failed_count"] + row["suppressed_count"],
        "created_by": Person(row["created_by"], row["created_by_name"]),
    }


def recipient(row: asyncpg.Record) -> RecipientView:
    """One recipient as staff see them."""
    same = ("id", "email", "status", "provider_id", "error", "sent_at", "delivered_at", "opened_at")
    return RecipientView(**{name: row[name] for name in same}, tenant_id=row["workspace_id"], user_id=row["member_id"])

"""Members' Google Calendars: whose is connected, what of their time it takes, and what we wrote there."""

from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from msgspec import Struct

from plixa.kernel.database import Database
from plixa.kernel.errors import Invalid
from plixa.kernel.uow import UnitOfWork
from plixa.scheduling.domain.google import Ours, Shown

CALENDAR: Final = "primary"
STALE: Final = timedelta(hours=1)
"""What was read longer ago may not be so any more."""
LONGEST: Final = timedelta(days=92)
WEEK: Final = timedelta(days=7)
COLUMNS: Final = """l.id, l.member_id, l.state, l.email, l.connected_at, l.last_synced_at, l.error, l.sync_token, l.full_sync_at,
l.channel_id, l.channel_resource, l.watch_at"""
OF_MEMBER: Final = f"SELECT {COLUMNS} FROM google_link l WHERE l.tenant_id = scope.tenant AND l.member_id = $2 AND l.state <> 'leaving'"  # noqa: S608
LINK: Final = f"""SELECT {COLUMNS} FROM google_link l JOIN member m ON m.tenant_id = l.tenant_id AND m.id = l.member_id
WHERE l.tenant_id = scope.tenant AND l.id = $2 AND l.state = 'connected'"""  # noqa: S608
LEAVING: Final = f"SELECT {COLUMNS} FROM google_link l WHERE l.tenant_id = scope.tenant AND l.id = $2"  # noqa: S608
BY_CHANNEL: Final = "SELECT tenant_id, id, channel_secret FROM google_link WHERE channel_id = $1 AND state = 'connected'"
BUSY: Final = """SELECT starts_at, ends_at FROM external_busy
WHERE tenant_id = scope.tenant AND provider_id = $2 AND ends_at > $3 AND starts_at < $4 ORDER BY starts_at, ends_at, event_id LIMIT 2000"""
OWNER: Final = """SELECT m.name, m.email, coalesce(m.locale, t.locale) AS locale, t.name AS workspace
FROM member m JOIN tenant t ON t.tenant_id = m.tenant_id WHERE m.tenant_id = scope.tenant AND m.id = $2"""
WRITTEN: Final = """SELECT l.id AS link, g.event_id, g.written::text, a.conflict IS NOT NULL AS differs,
    a.id, a.service_name, a.start_at, a.end_at, a.timezone, a.status, c.name
FROM google_link l
LEFT JOIN appointment a ON a.tenant_id = l.tenant_id AND a.id = $2 AND a.provider_id = l.member_id
LEFT JOIN google_event g ON g.tenant_id = l.tenant_id AND g.link_id = l.id AND g.appointment_id = $2
LEFT JOIN contact c ON c.tenant_id = a.tenant_id AND c.id = a.contact_id
WHERE l.tenant_id = scope.tenant AND l.state = 'connected' AND (a.id IS NOT NULL OR g.event_id IS NOT NULL)"""
OUR_COLUMNS: Final = """g.appointment_id, g.event_id, g.written::text, g.updated_at, g.written_at, a.start_at, a.end_at, a.conflict"""
OURS: Final = f"""SELECT {OUR_COLUMNS} FROM google_event g
LEFT JOIN appointment a ON a.tenant_id = g.tenant_id AND a.id = g.appointment_id
WHERE g.tenant_id = scope.tenant AND g.link_id = $2 AND g.event_id = ANY($3::text[])"""  # noqa: S608 - constants
OURS_WITHIN: Final = f"""SELECT {OUR_COLUMNS} FROM appointment a
JOIN google_event g ON g.tenant_id = a.tenant_id AND g.appointment_id = a.id AND g.link_id = $2
WHERE a.tenant_id = scope.tenant AND a.provider_id = $3 AND a.start_at > $4 AND a.start_at < $5"""  # noqa: S608 - constants
CONCERNED: Final = """SELECT a.id FROM appointment a
JOIN google_link l ON l.tenant_id = a.tenant_id AND l.member_id = a.provider_id AND l.state = 'connected'
WHERE a.tenant_id = scope.tenant AND a.id = ANY($2::bigint[])
UNION SELECT g.appointment_id FROM google_event g
JOIN google_link l ON l.tenant_id = g.tenant_id AND l.id = g.link_id AND l.state = 'connected'
WHERE g.tenant_id = scope.tenant AND g.appointment_id = ANY($2::bigint[])"""
UPCOMING: Final = """SELECT id FROM appointment WHERE tenant_id = scope.tenant AND provider_id = $2 AND start_at > $3
AND status IN ('pending', 'confirmed', 'arrived') ORDER BY start_at, id LIMIT 5000"""


class Link(Struct, frozen=True):
    """A member's calendar; ``sync_token`` says up to where it was read, ``watch_at`` when a new channel is due."""

    id: int
    member_id: int
    state: str
    email: str | None
    connected_at: datetime
    last_synced_at: datetime | None
    error: str | None
    sync_token: str | None
    full_sync_at: datetime | None
    channel_id: str | None
    channel_resource: str | None
    watch_at: datetime


class GoogleView(Struct, frozen=True):
    """One's own Google Calendar; ``error``: needs_reauth, where it has to be connected anew, or unavailable."""

    connected: bool
    google_email: str | None
    calendar_id: str | None
    connected_at: datetime | None
    last_synced_at: datetime | None
    error: str | None


class ConnectView(Struct, frozen=True):
    """Where the member's browser is to go."""

    url: str


class BlockView(Struct, frozen=True):
    start: datetime
    end: datetime


class BusyView(Struct, frozen=True):
    """When somebody is busy elsewhere, and nothing of what they do; ``stale`` where that was not read lately."""

    stale: bool
    last_synced_at: datetime | None
    blocks: list[BlockView]


class WrittenEvent(Struct, frozen=True):
    """An appointment beside its event: ``shown`` is None where it is gone, ``written`` where there is no event."""

    link: int
    event_id: str | None
    written: dict[str, Any] | None
    differs: bool
    shown: Shown | None


async def get_google(uow: UnitOfWork, member: int) -> GoogleView:
    """What a member may know of their own link."""
    link = await find_link_of(uow, member)
    if link is None:
        return GoogleView(False, None, None, None, None, None)
    return GoogleView(link.state == "connected", link.email, CALENDAR, link.connected_at, link.last_synced_at, link.error)


async def get_busy(uow: UnitOfWork, member: int, since: datetime | None, until: datetime | None) -> BusyView:
    """A member's time that is taken elsewhere, for a week from now unless told otherwise; raises Invalid."""
    start = since or uow.now
    end = until or start + WEEK
    if not start < end <= start + LONGEST:
        raise Invalid.field("to", f"Must be after from, by at most {LONGEST.days} days.")
    link = await find_link_of(uow, member)
    blocks = [BlockView(*row) for row in await uow.fetch(BUSY, member, start, end)]
    return BusyView(link is not None and is_stale(link, uow.now), link.last_synced_at if link else None, blocks)


def is_stale(link: Link, now: datetime) -> bool:
    """May its owner be busy at other times by now?"""
    return link.state != "connected" or link.last_synced_at is None or link.last_synced_at < now - STALE


async def find_link_of(uow: UnitOfWork, member: int) -> Link | None:
    """A member's link."""
    row = await uow.fetchrow(OF_MEMBER, member)
    return Link(*row) if row else None


async def find_link(uow: UnitOfWork, number: int) -> Link | None:
    """A link that works, of somebody who is still a member."""
    row = await uow.fetchrow(LINK, number)
    return Link(*row) if row else None


async def find_leaving(uow: UnitOfWork, number: int) -> Link | None:
    """A link in whatever state."""
    row = await uow.fetchrow(LEAVING, number)
    return Link(*row) if row else None


async def find_channel(system: Database, channel: str) -> tuple[int, int, bytes] | None:
    """Tenant, link and hashed secret of a channel, in whichever workspace."""
    async with system.connection() as connection:
        row = await connection.fetchrow(BY_CHANNEL, channel)
    return tuple(row) if row else None


async def find_person(uow: UnitOfWork, member: int) -> Any:
    """Whom to write to: ``name, email, locale, workspace``; None for somebody who was removed."""
    return await uow.fetchrow(OWNER, member)


async def list_written(uow: UnitOfWork, appointment: int) -> list[WrittenEvent]:
    """An appointment in every calendar where it is, or should be."""
    return [
        WrittenEvent(
            row["link"],
            row["event_id"],
            msgspec.json.decode(row["written"]) if row["written"] is not None else None,
            bool(row["differs"]),
            Shown(*tuple(row)[4:]) if row["id"] is not None else None,
        )
        for row in await uow.fetch(WRITTEN, appointment)
    ]


async def list_ours(uow: UnitOfWork, link: Link, event_ids: list[str], within: tuple[datetime, datetime] | None) -> list[Ours]:
    """Events of ours by their ids, and where asked for those that begin ``within`` two times, some of them twice."""
    rows = await uow.fetch(OURS, link.id, event_ids)
    if within is not None:
        rows += await uow.fetch(OURS_WITHIN, link.id, link.member_id, *within)
    return [Ours(row[0], row[1], msgspec.json.decode(row[2]), *tuple(row)[3:]) for row in rows]


async def list_concerned(uow: UnitOfWork, appointments: list[int]) -> list[int]:
    """Those of some appointments that some calendar shows, or should."""
    return sorted(row["id"] for row in await uow.fetch(CONCERNED, appointments))


async def list_upcoming(uow: UnitOfWork, provider: int) -> list[int]:
    """What lies ahead of a provider."""
    return [row["id"] for row in await uow.fetch(UPCOMING, provider, uow.now)]

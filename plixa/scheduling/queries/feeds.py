"""iCalendar feeds: whose there are, and what one shows."""

from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

from plixa.kernel.database import Database
from plixa.kernel.errors import NotFound
from plixa.kernel.uow import Kernel, UnitOfWork, working
from plixa.scheduling.domain.feed import Entry, draw_feed

BEHIND, AHEAD = timedelta(days=30), timedelta(days=366)
LONGEST_TOKEN: Final = 100
FEEDS: Final = """SELECT f.provider_id, m.name, f.created_at FROM calendar_feed f
JOIN member m ON m.tenant_id = f.tenant_id AND m.id = f.provider_id
WHERE f.tenant_id = scope.tenant AND ($2::bigint IS NULL OR f.provider_id = $2) ORDER BY f.provider_id LIMIT 1000"""
BY_TOKEN: Final = """SELECT f.tenant_id, f.provider_id, m.name FROM calendar_feed f
JOIN member m ON m.tenant_id = f.tenant_id AND m.id = f.provider_id
JOIN tenant t ON t.tenant_id = f.tenant_id AND t.status <> 'suspended' WHERE f.token_hash = $1"""
SHOWN: Final = """SELECT a.id, a.service_name, a.start_at, a.end_at, a.status, c.name, a.created_at, a.updated_at FROM appointment a
LEFT JOIN contact c ON c.tenant_id = a.tenant_id AND c.id = a.contact_id
WHERE a.tenant_id = scope.tenant AND a.provider_id = $2 AND a.start_at >= $3 AND a.start_at < $4 ORDER BY a.start_at, a.id LIMIT 10000"""


class FeedView(Struct, frozen=True):
    """A feed there is; its address was shown when it was made."""

    provider_id: int
    provider_name: str
    created_at: datetime


class NewFeedView(FeedView, frozen=True):
    """A feed that was just made. Whoever knows ``url`` sees when its provider is busy: it is shown this once."""

    url: str


class FeedFile(Struct, frozen=True):
    """A feed as programs fetch it; ``etag`` tells whether it is still the same."""

    content: bytes
    etag: str


async def list_feeds(uow: UnitOfWork, provider: int | None) -> list[FeedView]:
    """The feeds of the workspace, or of one provider."""
    return [FeedView(*row) for row in await uow.fetch(FEEDS, provider)]


async def get_feed_file(kernel: Kernel, public_url: str, name: str) -> FeedFile:
    """The feed of a secret address, ``<token>.ics``; raises NotFound."""
    tenant, provider, who = await find_feed(kernel.system, name)
    async with working(kernel, tenant) as uow:
        rows = await uow.fetch(SHOWN, provider, uow.now - BEHIND, uow.now + AHEAD)
    place = f"{tenant}.{urlsplit(public_url).hostname}"
    content = draw_feed(who, place, (Entry(*row) for row in rows))
    return FeedFile(content, f'"{sha256(content).hexdigest()[:32]}"')


async def find_feed(system: Database, name: str) -> tuple[int, int, str]:
    """Tenant, provider and their name; the token is looked up by its hash, so that time tells nothing of it."""
    token = name.removesuffix(".ics")
    if token == name or len(token) > LONGEST_TOKEN:
        raise NotFound
    async with system.connection() as connection:
        row = await connection.fetchrow(BY_TOKEN, sha256(token.encode()).digest())
    if row is None:
        raise NotFound
    return row["tenant_id"], row["provider_id"], row["name"]

"""Browsers that want notifications: a member's own, and whoever may be told of something."""

from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import Struct

from plixa.identity.queries.availability import is_online
from plixa.kernel.audit import PLATFORM
from plixa.kernel.uow import Kernel, UnitOfWork
from plixa.notifications.client.push import Browser

KEY: Final = "SELECT sealed FROM push_key WHERE tenant_id = scope.tenant"
PLACE_OF_KEY: Final = "push_key"
OWN: Final = """SELECT id, endpoint_host, created_at, last_used_at FROM push_subscription
WHERE tenant_id = scope.tenant AND member_id = $2 ORDER BY id DESC"""
KNOWN: Final = """SELECT id, member_id, token_id, endpoint_host, sealed FROM push_subscription
WHERE tenant_id = scope.tenant AND endpoint_hash = $2"""
HEARING: Final = """FROM push_subscription s JOIN access_token a ON a.tenant_id = s.tenant_id AND a.id = s.token_id
JOIN member m ON m.tenant_id = s.tenant_id AND m.id = s.member_id JOIN tenant t ON t.tenant_id = s.tenant_id
WHERE s.tenant_id = scope.tenant AND (a.expires_at IS NULL OR a.expires_at > $2)
AND NOT (t.require_two_factor AND m.two_factor_confirmed_at IS NULL)"""
"""Whose session has ended, or who may not look in before a second factor is set up, hears nothing."""
PERSON: Final = "m.id, m.role, m.is_available, m.last_heartbeat_at, t.agent_restricted AND m.role = 'agent' AS restricted"
HEARERS: Final = f"""SELECT {PERSON}, array_agg(s.id ORDER BY s.id) AS devices {HEARING}
GROUP BY m.id, m.role, m.is_available, m.last_heartbeat_at, t.agent_restricted"""
DEVICE: Final = f"SELECT {PERSON}, s.id AS device, s.endpoint_hash, s.sealed, s.failures, s.failing_since {HEARING} AND s.id = $3"


class PushConfigView(Struct, frozen=True):
    """What a page hands to its browser as ``applicationServerKey``."""

    vapid_public_key: str


class SubscriptionView(Struct, frozen=True):
    """A browser of one's own."""

    id: int
    endpoint_host: str
    created_at: datetime
    last_used_at: datetime | None


class Hearer(Struct, frozen=True):
    """Somebody with browsers that want notifications. ``is_available`` null was never set; ``restricted`` agents see less."""

    id: int
    role: str
    is_available: bool | None
    is_online: bool
    restricted: bool
    devices: tuple[int, ...]


class Device(Struct, frozen=True):
    """One browser, whose it is, and how often in a row it could not be told."""

    id: int
    hearer: Hearer
    browser: Browser
    failures: int
    failing_since: datetime | None


async def find_key(kernel: Kernel) -> bytes | None:
    """Our private key, once there is one."""
    uow = kernel.unit(PLATFORM)
    try:
        row = await uow.fetchrow(KEY)
    finally:
        uow.close()
    return kernel.vault.open(row["sealed"], PLACE_OF_KEY) if row is not None else None


async def list_subscriptions(uow: UnitOfWork, member: int) -> list[SubscriptionView]:
    """A member's browsers, newest first."""
    return [SubscriptionView(*row) for row in await uow.fetch(OWN, member)]


async def find_subscription(uow: UnitOfWork, endpoint_hash: bytes) -> Any:
    """The row of a browser of this tenant, or None."""
    return await uow.fetchrow(KNOWN, endpoint_hash)


async def list_hearers(uow: UnitOfWork) -> list[Hearer]:
    """Everybody who may be told of something."""
    return [hearer(row, tuple(row["devices"]), uow.now) for row in await uow.fetch(HEARERS, uow.now)]


async def find_device(uow: UnitOfWork, number: int) -> Device | None:
    """A browser that may still be told of something."""
    row = await uow.fetchrow(DEVICE, uow.now, number)
    if row is None:
        return None
    browser = open_browser(uow, row["endpoint_hash"], row["sealed"])
    return Device(number, hearer(row, (number,), uow.now), browser, row["failures"], row["failing_since"])


def hearer(row: Any, devices: tuple[int, ...], now: datetime) -> Hearer:
    """Who a row is about."""
    return Hearer(row["id"], row["role"], row["is_available"], is_online(row["last_heartbeat_at"], now), row["restricted"], devices)


def seal_browser(uow: UnitOfWork, endpoint_hash: bytes, browser: Browser) -> bytes:
    """As it is stored: whoever knows address and keys could write to it."""
    return uow.kernel.vault.seal(msgspec.json.encode(browser), place_of_browser(uow.tenant, endpoint_hash))


def open_browser(uow: UnitOfWork, endpoint_hash: bytes, sealed: bytes) -> Browser:
    """The browser that was stored."""
    return msgspec.json.decode(uow.kernel.vault.open(sealed, place_of_browser(uow.tenant, endpoint_hash)), type=Browser)


def place_of_browser(tenant: int, endpoint_hash: bytes) -> str:
    """Where a browser belongs, as the vault seals it."""
    return f"push_subscription/{tenant}/{endpoint_hash.hex()}"

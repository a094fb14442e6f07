"""Checks of what Plixa stands on: ``/ready`` asks the cheap ones, ``plixa doctor`` all of them."""

import shutil
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import asyncpg
import httpx
from msgspec import Struct
from redis.asyncio import Redis
from redis.exceptions import RedisError

from plixa.kernel.assembly import Machinery
from plixa.kernel.migrations import head

OLDEST_POSTGRES = 150000
DURABILITY = {
    "fsync": ("on",),
    "full_page_writes": ("on",),
    "synchronous_commit": ("on", "remote_write", "remote_apply"),
    "data_checksums": ("on",),
}
"""What must hold so that an answered request survives a power cut, and a rotten disk page is noticed."""
ALLOWED_SKEW = 2.0
"""Seconds between our clock and the database's."""
SCARCE_BYTES = 1 << 30


class Check(Struct, frozen=True):
    """One thing looked at: what was found, and what to do when it is not well."""

    name: str
    found: str
    advice: str | None = None

    @property
    def well(self) -> bool:
        return self.advice is None


def ready_checks(machinery: Machinery) -> dict[str, Callable[[], Awaitable[str | None]]]:
    """What must hold before a process is sent requests: each answers None, or what to do."""

    async def database() -> str | None:
        async with machinery.kernel.system.connection() as connection:
            return _advice(await database_checks(connection))

    async def migrations() -> str | None:
        async with machinery.kernel.system.connection() as connection:
            return _advice([await migration_check(connection)])

    async def redis() -> str | None:
        await machinery.redis.ping()
        return None

    return {"database": database, "migrations": migrations, "redis": redis}


async def database_checks(connection: "asyncpg.Connection[Any]") -> list[Check]:
    """Version and durability of the database behind a connection."""
    query = "SELECT name, setting FROM pg_settings WHERE name = ANY($1)"
    rows = await connection.fetch(query, ["server_version", "server_version_num", *DURABILITY])
    found = {row["name"]: row["setting"] for row in rows}
    return [_version(found), *(_durability(name, found) for name in DURABILITY)]


async def clock_check(connection: "asyncpg.Connection[Any]") -> Check:
    """Reminders, tokens and signatures need one time."""
    before = time.time()
    theirs = await connection.fetchval("SELECT extract(epoch FROM clock_timestamp())::float8")
    skew = float(theirs) - (before + time.time()) / 2
    advice = "Switch on time synchronisation (NTP) on both machines."
    return Check("clock", f"{skew:+.3f} s to the database", None if abs(skew) <= ALLOWED_SKEW else advice)


async def migration_check(connection: "asyncpg.Connection[Any]") -> Check:
    """Whether the schema is the one this version was written for."""
    known = await connection.fetchval("SELECT to_regclass('schema_version')")
    current = await connection.fetchval("SELECT version_num FROM schema_version") if known else None
    return Check("migrations", str(current or "none"), None if current == head() else f"Run plixa migrate, up to {head()}.")


async def redis_checks(url: str) -> list[Check]:
    """Reachable, written to disk, and never throwing jobs away."""
    client: Redis = Redis.from_url(url, socket_timeout=5, socket_connect_timeout=5, decode_responses=True)
    try:
        info: Mapping[str, Any] = await client.info()
    except (RedisError, OSError) as error:
        return [Check("redis", _first_line(error), "Start the server, or correct PLIXA_REDIS_URL.")]
    finally:
        await client.aclose()
    server = f"{info.get('server_name', 'redis')} {info.get('valkey_version', info.get('redis_version'))}"
    persistent = bool(info.get("aof_enabled"))
    policy = str(info.get("maxmemory_policy"))
    return [
        Check("redis", server),
        Check("redis persistence", _on(persistent), None if persistent else "Set appendonly yes: a restart forgets jobs."),
        Check("redis eviction", policy, None if policy == "noeviction" else "Set maxmemory-policy noeviction."),
    ]


async def gateway_check(url: str) -> Check:
    """Whether the WhatsApp gateway answers at all."""
    try:
        async with httpx.AsyncClient(timeout=5) as client:
            answer = await client.get(url)
    except httpx.HTTPError as error:
        return Check("gateway", f"{url}: {_first_line(error)}", "Start the gateway, or correct PLIXA_EVOLUTION_URL.")
    ill = answer.status_code >= 500
    return Check("gateway", f"{url}: {answer.status_code}", "Look into the gateway's own log." if ill else None)


def disk_check(folder: Path) -> Check:
    """Room below the data."""
    free = shutil.disk_usage(folder).free
    advice = f"Free some space on the disk of {folder}: PostgreSQL stops when it is full."
    return Check("disk", f"{free / (1 << 30):.1f} GiB free", None if free >= SCARCE_BYTES else advice)


def _advice(checks: Sequence[Check]) -> str | None:
    return " ".join(f"{check.name} is {check.found}: {check.advice}" for check in checks if not check.well) or None


def _version(found: Mapping[str, str]) -> Check:
    recent = int(found["server_version_num"]) >= OLDEST_POSTGRES
    return Check("database", f"PostgreSQL {found['server_version']}", None if recent else "Move to PostgreSQL 15 or newer.")


def _durability(name: str, found: Mapping[str, str]) -> Check:
    value = found.get(name, "unknown")
    if value in DURABILITY[name]:
        return Check(name, value)
    advice = "Run pg_checksums --enable while the server is down." if name == "data_checksums" else f"Set {name} = on."
    return Check(name, value, advice)


def _on(value: bool) -> str:
    return "on" if value else "off"


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]

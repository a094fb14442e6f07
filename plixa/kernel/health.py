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
from plixa.kernel.schema import head

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
SLOW_SECONDS = 60.0
"""Whatever waits for a worker waits for less."""
BEHIND = """SELECT p.name, sum(h.position - coalesce(c.position, 0))::bigint AS events,
    extract(epoch FROM now() - min(e.recorded_at))::float8 AS age
FROM unnest($1::text[]) AS p(name) CROSS JOIN log_head h
LEFT JOIN checkpoint c ON c.tenant_id = h.tenant_id AND c.projection = p.name
LEFT JOIN event e ON e.tenant_id = h.tenant_id AND e.position = coalesce(c.position, 0) + 1
WHERE h.position > coalesce(c.position, 0) GROUP BY p.name ORDER BY age DESC"""
OVERDUE = """SELECT count(*) AS rows, extract(epoch FROM now() - min(due_at))::float8 AS age FROM outbox
WHERE state IN ('waiting', 'running') AND due_at <= now()"""
PARKED = "SELECT kind, count(*) AS rows FROM outbox WHERE state = 'parked' GROUP BY kind ORDER BY kind"
WORKER = "Start a worker (plixa up starts one); where one runs, its log says what holds it up."


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


async def work_checks(connection: "asyncpg.Connection[Any]", followers: Sequence[str]) -> list[Check]:
    """What workers have still to do, or gave up: read models that follow the log, by name, and effects. For the system role."""
    behind = await connection.fetch(BEHIND, followers)
    slow = [f"{row['name']} {row['events']} events, {row['age']:.0f} s" for row in behind if row["age"] > SLOW_SECONDS]
    due = await connection.fetchrow(OVERDUE)
    late = due is not None and (due["age"] or 0) > SLOW_SECONDS
    parked = [f"{row['rows']} {row['kind']}" for row in await connection.fetch(PARKED)]
    mend = "Read error in the table outbox, remove the cause, and set state = 'waiting', attempts = 0 where it should be tried again."
    return [
        Check("read models", f"behind: {'; '.join(slow)}" if slow else "up to date", WORKER if slow else None),
        Check("effects due", f"{due['rows']}, the oldest for {due['age']:.0f} s" if due and late else "in time", WORKER if late else None),
        Check("effects given up", ", ".join(parked) or "none", mend if parked else None),
    ]


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

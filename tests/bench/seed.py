"""The bulk loader: a year of one workspace, in the real event format, as fast as the machine allows. For seeding only.

Workers tell, seal and fold whole conversations in parallel; one process then chains the events of all in the order of
their times and sends them to PostgreSQL, while another sends the read models. What results is what Plixa itself would
have written.
"""

import asyncio
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from multiprocessing import get_context
from multiprocessing.pool import Pool
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import asyncpg
from msgspec import Struct

from plixa.kernel.auth import hashed, mint
from plixa.kernel.event_store import GENESIS, link
from tests.bench.binary import big, octets, whole
from tests.bench.pages import BY_TIME, EVENT, FORMATS, Task, as_written, in_order, write_chunk
from tests.bench.plan import Chunk, Size, plan
from tests.bench.story import INSTANCES, LABELS, MEMBERS, gateway_name, member, moment

BIG = ("event", "stream_key", "inbox_conversation", "inbox_message")
"""Tables whose indexes are built once their rows are there."""
BUCKET_MESSAGES = 60_000
CHUNK = 2_000
CONSTRAINTS = """SELECT conname AS name, pg_get_constraintdef(oid) AS definition FROM pg_constraint
WHERE conrelid = $1::regclass AND contype IN ('p', 'u') ORDER BY contype"""
INDEXES = """SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS definition FROM pg_index
WHERE indrelid = $1::regclass AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)"""
SEQUENCES = {
    "tenant_number": "SELECT max(tenant_id) FROM tenant",
    "member_number": "SELECT max(id) FROM member",
    "access_token_number": "SELECT max(id) FROM access_token",
    "phone_instance_number": "SELECT max(id) FROM phone_instance",
    "contact_number": "SELECT max(id) FROM contact",
    "label_number": "SELECT max(id) FROM label",
    "conversation_number": "SELECT max(id) FROM inbox_conversation",
    "message_number": "SELECT max(id) FROM inbox_message",
}


class Order(Struct, frozen=True, kw_only=True):
    """What to seed, and where. ``until``: the moment up to which things have happened, in microseconds since 1970."""

    database_url: str
    secret_keys: tuple[bytes, ...]
    size: Size
    until: int
    seed: int = 1
    tenant: int = 1
    workers: int = max(2, os.cpu_count() or 2)


class Seeded(Struct, frozen=True):
    """What came of it. ``token`` is the owner's, ``secret`` comes with the webhooks of every WhatsApp number."""

    conversations: int
    messages: int
    events: int
    token: str
    secret: str
    seconds: dict[str, float]


class Full(Exception):
    """There are events in this database: the loader only fills empty ones."""


def now() -> int:
    """Microseconds since 1970."""
    return time.time_ns() // 1000


class Watch:
    """How long each step took."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.monotonic()

    def lap(self, step: str) -> None:
        """``step`` is done."""
        moment = time.monotonic()
        self.seconds[step] = round(moment - self._last, 2)
        self._last = moment
        print(f"  {step:<12} {self.seconds[step]:8.1f} s", file=sys.stderr, flush=True)


def seed(order: Order) -> Seeded:
    """Fill an empty, migrated database with one workspace."""
    watch = Watch()
    token, secret = asyncio.run(_furnish(order))
    chunks = plan(order.size, order.seed, order.until, min(CHUNK, -(-order.size.conversations // order.workers)))
    watch.lap("plan")
    with TemporaryDirectory(prefix="plixa-seed-") as folder, get_context("spawn").Pool(order.workers) as pool:
        buckets = max(1, order.size.messages // BUCKET_MESSAGES)
        task = Task(folder, order.secret_keys, order.tenant, order.seed, order.until, buckets)
        events, counters = _write(pool, task, chunks)
        watch.lap("write")
        indexes = asyncio.run(_without_indexes(order.database_url))
        _send(pool, order, task)
        watch.lap("copy")
    asyncio.run(_finish(order, indexes, counters))
    watch.lap("index")
    return Seeded(order.size.conversations, order.size.messages, events, token, secret, watch.seconds)


def _write(pool: Pool, task: Task, chunks: list[Chunk]) -> tuple[int, Counter[tuple[str, str]]]:
    events, counters = 0, Counter[tuple[str, str]]()
    for count, share in pool.starmap(write_chunk, [(task, chunk) for chunk in chunks], chunksize=1):
        events += count
        counters.update(share)
    return events, counters


def _send(pool: Pool, order: Order, task: Task) -> None:
    """Events in one process, everything else in another."""
    running = [pool.apply_async(_sending, (step, order, task)) for step in (_send_events, _send_rows)]
    for one in running:
        one.get()


def _sending(step: Callable[[Any, Order, Task], Any], order: Order, task: Task) -> None:
    async def run() -> None:
        connection = await _connect(order.database_url)
        try:
            async with connection.transaction():
                await step(connection, order, task)
        finally:
            await connection.close()

    asyncio.run(run())


async def _send_events(connection: "asyncpg.Connection[Any]", order: Order, task: Task) -> None:
    chain = Chain()
    parts: Iterator[bytes] = map(chain.extend, in_order(Path(task.folder), "event", task.buckets))
    await _copy(connection, "event", EVENT.names, parts)
    await connection.execute("UPDATE log_head SET position = $2, hash = $3 WHERE tenant_id = $1", order.tenant, chain.position, chain.hash)


class Chain:
    """Positions and hashes, handed out by one."""

    def __init__(self) -> None:
        self.position, self.hash = 0, GENESIS

    def extend(self, events: list[tuple[Any, ...]]) -> bytes:
        """The rows of the next events, complete."""
        position, head, parts = self.position, self.hash, list[bytes]()
        for _, _, _, proof, row in events:
            position += 1
            head = link(head, position, proof)
            parts += (row, big(position), octets(head))
        self.position, self.hash = position, head
        return b"".join(parts)


async def _send_rows(connection: "asyncpg.Connection[Any]", _order: Order, task: Task) -> None:
    folder = Path(task.folder)
    for table in BY_TIME:
        slices = in_order(folder, table, task.buckets)
        await _copy(connection, table, FORMATS[table].names, (b"".join(row for _, row in one) for one in slices))
    for table in FORMATS.keys() - {*BY_TIME, "contact", "contact_alias"}:
        await _copy(connection, table, FORMATS[table].names, as_written(folder, table))
    for table in ("contact", "contact_alias"):
        await _copy(connection, table, FORMATS[table].names, as_written(folder, table), fresh=False)


async def _copy(connection: "asyncpg.Connection[Any]", table: str, names: list[str], parts: Iterator[bytes], *, fresh: bool = True) -> None:
    """COPY; rows of a table emptied in the same transaction are frozen at once: no vacuum will disturb the run."""
    if fresh:
        await connection.execute(f"TRUNCATE {table}")
    await connection.copy_to_table(table, source=whole(parts), columns=names, format="binary", freeze=fresh, timeout=None)


async def _connect(database_url: str) -> "asyncpg.Connection[Any]":
    settings = {"synchronous_commit": "off", "maintenance_work_mem": "256MB", "timezone": "UTC"}
    return await asyncpg.connect(database_url, server_settings=settings)


async def _without_indexes(database_url: str) -> dict[str, list[str]]:
    """Drop them; answers the statements that build each table's again."""
    connection = await _connect(database_url)
    again: dict[str, list[str]] = {}
    try:
        for table in BIG:
            constraints = await connection.fetch(CONSTRAINTS, table)
            indexes = await connection.fetch(INDEXES, table)
            again[table] = [f"ALTER TABLE {table} ADD CONSTRAINT {row['name']} {row['definition']}" for row in constraints]
            again[table] += [row["definition"] for row in indexes]
            for row in constraints:
                await connection.execute(f"ALTER TABLE {table} DROP CONSTRAINT {row['name']}")
            for row in indexes:
                await connection.execute(f"DROP INDEX {row['name']}")
    finally:
        await connection.close()
    return again


async def _finish(order: Order, indexes: dict[str, list[str]], counters: Counter[tuple[str, str]]) -> None:
    """Indexes, kept counters, sequences, statistics, and everything on disk."""
    await asyncio.gather(*(_run(order.database_url, indexes[table]) for table in BIG))
    connection = await _connect(order.database_url)
    try:
        rows = [(order.tenant, projection, key, value) for (projection, key), value in sorted(counters.items())]
        await connection.copy_records_to_table("counter", records=rows, columns=["tenant_id", "projection", "key", "value"])
        for sequence, highest in SEQUENCES.items():
            await connection.execute(f"SELECT setval('{sequence}', coalesce(({highest}), 1))")
        await connection.execute("VACUUM (ANALYZE)")
        await connection.execute("CHECKPOINT")
    finally:
        await connection.close()


async def _run(database_url: str, statements: list[str]) -> None:
    connection = await _connect(database_url)
    try:
        for statement in statements:
            await connection.execute(statement, timeout=None)
    finally:
        await connection.close()


async def _furnish(order: Order) -> tuple[str, str]:
    """The workspace, its people, numbers and labels; answers the owner's token and the numbers' webhook secret."""
    secret, webhook_secret = mint("panel"), mint("api")
    tenant, at = order.tenant, moment(order.until) - timedelta(days=366)
    connection = await _connect(order.database_url)
    try:
        if await connection.fetchval("SELECT EXISTS (SELECT FROM event)"):
            raise Full
        async with connection.transaction():
            await connection.execute(TENANT, tenant, "Lúcia Studios", f"bench-{tenant}", at)
            await connection.execute("INSERT INTO log_head (tenant_id) VALUES ($1)", tenant)
            people = [member(number) for number in range(1, MEMBERS + 1)]
            await connection.executemany(MEMBER, [_person(tenant, one.id or 0, one.name or "", at) for one in people])
            await connection.execute(TOKEN, tenant, hashed(secret), at, moment(order.until) + timedelta(days=30))
            numbers = range(1, INSTANCES + 1)
            phones = [(tenant, n, gateway_name(n), hashed(webhook_secret), f"55119300000{n:02}", at) for n in numbers]
            await connection.executemany(INSTANCE, phones)
            await connection.executemany(LABEL, [(tenant, n, f"Etiqueta {n}", "#22c55e", at) for n in range(1, LABELS + 1)])
    finally:
        await connection.close()
    return f"1|{secret}", webhook_secret


def _person(tenant: int, number: int, name: str, at: datetime) -> tuple[Any, ...]:
    role = "owner" if number == 1 else "agent"
    return tenant, number, name, f"member{number}@bench.example", role, at


TENANT = """INSERT INTO tenant (tenant_id, name, slug, country_code, timezone, locale, plan, created_at)
VALUES ($1, $2, $3, 'BR', 'America/Sao_Paulo', 'pt-BR', 'business', $4)"""
MEMBER = """INSERT INTO member (tenant_id, id, name, email, password_hash, role, created_at)
VALUES ($1, $2, $3, $4, '!', $5, $6)"""
TOKEN = """INSERT INTO access_token (tenant_id, id, member_id, kind, name, hash, created_at, expires_at)
VALUES ($1, 1, 1, 'panel', 'bench', $2, $3, $4)"""
INSTANCE = """INSERT INTO phone_instance
(tenant_id, id, gateway_name, webhook_secret, number, status, connected_at, created_at)
VALUES ($1, $2, $3, $4, $5, 'connected', $6, $6)"""
LABEL = "INSERT INTO label (tenant_id, id, name, color, created_at) VALUES ($1, $2, $3, $4, $5)"

"""Rebuilding: what comes out of the log is what was there, byte for byte, whatever goes on meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import asyncpg
import pytest
from msgspec.structs import replace

from plixa.kernel import rebuild as rebuilding
from plixa.kernel.assembly import assemble, running
from plixa.kernel.embedded import Endpoints
from plixa.kernel.migrations import migrate
from plixa.kernel.rebuild import Busy, Pace, RebuildRunning, rebuild
from plixa.kernel.settings import Settings
from plixa.kernel.uow import Kernel
from projections.registry import BY_NAME, INLINE
from tests.support.histories import History, fingerprints
from tests.support.servers import on_database, present_run, worker_number

TENANTS = (11, 12, 13)
DAMAGE = (
    "UPDATE inbox_message SET body = 'damaged' WHERE tenant_id = $1 AND id % 3 = 0",
    "DELETE FROM inbox_message WHERE tenant_id = $1 AND id % 3 = 1",
    "UPDATE inbox_conversation SET unread_count = 99, custom_name = 'damaged' WHERE tenant_id = $1 AND id % 2 = 0",
    "INSERT INTO counter (tenant_id, projection, key, value) VALUES ($1, 'inbox_conversation', 'invented', 5)",
    "UPDATE counter SET value = value + 1 WHERE tenant_id = $1 AND projection = 'inbox_conversation'",
)
SHAPE = """SELECT c.relname, c.reloptions, c.relrowsecurity, c.relforcerowsecurity, c.relacl::text, pg_get_userbyid(c.relowner) AS owner,
    ARRAY(SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = c.oid ORDER BY 1) AS indexes,
    ARRAY(SELECT conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = c.oid ORDER BY 1) AS constraints,
    ARRAY(SELECT concat_ws(' ', polname, polroles::regrole[]::text, pg_get_expr(polqual, polrelid)) FROM pg_policy
          WHERE polrelid = c.oid ORDER BY 1) AS policies,
    ARRAY(SELECT concat_ws(' ', attname, atttypid::regtype, attnotnull, pg_get_expr(adbin, adrelid)) FROM pg_attribute
          LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
          WHERE attrelid = c.oid AND attnum > 0 ORDER BY attnum) AS columns
FROM pg_class c WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace ORDER BY 1"""


class Island:
    """A database of one test's own, with what it takes to write and to look into it."""

    def __init__(self, settings: Settings, kernel: Kernel) -> None:
        self.settings, self.kernel = settings, kernel
        self.url = str(settings.database_url)

    async def execute(self, statement: str, *arguments: Any) -> None:
        """As the owner of everything."""
        connection = await asyncpg.connect(self.url)
        try:
            await connection.execute(statement, *arguments)
        finally:
            await connection.close()

    async def fetch(self, query: str, *arguments: Any) -> list[dict[str, Any]]:
        """As the owner of everything."""
        connection = await asyncpg.connect(self.url)
        try:
            return [dict(row) for row in await connection.fetch(query, *arguments)]
        finally:
            await connection.close()

    async def live_through(self, seed: int, commands: int = 120) -> None:
        """Give every tenant a history."""
        for tenant in TENANTS:
            history = await History(self.kernel, tenant, seed + tenant).begin()
            await history.go_on(commands)

    async def damage(self, tenant: int) -> None:
        """Make the read models wrong."""
        for statement in DAMAGE:
            await self.execute(statement, tenant)


@pytest.fixture
async def island(settings: Settings, fresh_databases: Callable[[], Awaitable[str]]) -> AsyncIterator[Island]:
    own = replace(settings, database_url=await fresh_databases())
    machinery = assemble(own, INLINE)
    async with running(machinery):
        yield Island(own, machinery.kernel)


@pytest.mark.parametrize("pace", [Pace(1, 3), Pace(7, 20), Pace(1000), Pace()], ids=["1", "7", "1000", "4000"])
async def test_a_rebuild_yields_what_the_commands_wrote(island: Island, pace: Pace) -> None:
    await island.live_through(seed=pace.batch)
    before = await fingerprints(island.url)
    for tenant in TENANTS:
        await island.damage(tenant)
    assert await fingerprints(island.url) != before
    assert await rebuild(island.settings, BY_NAME["inbox"], pace=pace) > 300
    assert await fingerprints(island.url) == before


async def test_a_rebuilt_table_is_like_the_one_it_replaces_and_leaves_nothing(island: Island) -> None:
    await island.live_through(seed=1, commands=20)
    before = await island.fetch(SHAPE)
    await rebuild(island.settings, INLINE)
    assert await island.fetch(SHAPE) == before
    await rebuild(island.settings, INLINE)
    assert await island.fetch(SHAPE) == before


async def test_one_workspace_is_put_right_without_touching_another(island: Island) -> None:
    await island.live_through(seed=2)
    before = await fingerprints(island.url)
    await island.damage(TENANTS[0])
    await rebuild(island.settings, INLINE, TENANTS[0], pace=Pace(50, 40))
    assert await fingerprints(island.url) == before
    await island.damage(TENANTS[1])
    damaged = await fingerprints(island.url)
    await rebuild(island.settings, INLINE, TENANTS[0])
    assert await fingerprints(island.url) == damaged
    await rebuild(island.settings, INLINE)
    assert await fingerprints(island.url) == before


@pytest.mark.parametrize("tenant", [None, TENANTS[0]], ids=["all", "one"])
async def test_writers_and_readers_go_on_during_rebuilds(island: Island, tenant: int | None) -> None:
    histories = [await History(island.kernel, TENANTS[place % 2], place).begin() for place in range(4)]
    for history in histories:
        await history.go_on(60)
    over = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        work = [tasks.create_task(read_until(over, island)), *(tasks.create_task(write_until(over, each)) for each in histories)]
        for _ in range(3):
            await rebuild(island.settings, INLINE, tenant, pace=Pace(100, 50))
        over.set()
    assert min(each.result() for each in work) > 10
    after = await fingerprints(island.url)
    await rebuild(island.settings, INLINE)
    assert await fingerprints(island.url) == after


async def write_until(over: asyncio.Event, history: History) -> int:
    """How many commands there was time for; a failed one ends the test."""
    done = 0
    while not over.is_set():
        await history.go_on(1)
        done += 1
    return done


async def read_until(over: asyncio.Event, island: Island) -> int:
    """How many reads there was time for; every message has its conversation, whatever is exchanged in between."""
    done = 0
    query = """SELECT count(*) AS orphans FROM inbox_message m WHERE NOT EXISTS
    (SELECT FROM inbox_conversation c WHERE c.tenant_id = m.tenant_id AND c.id = m.conversation_id)"""
    while not over.is_set():
        async with island.kernel.system.connection() as connection:
            assert await connection.fetchval(query) == 0
        done += 1
    return done


async def test_a_killed_rebuild_leaves_everything_as_it_was(island: Island) -> None:
    await island.live_through(seed=3)
    before, shape = await fingerprints(island.url), await island.fetch(SHAPE)
    running = asyncio.Event()
    attempt = asyncio.create_task(rebuild(island.settings, INLINE, progress=lambda _done, _total: running.set(), pace=Pace(1, 5)))
    await running.wait()
    query = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'plixa rebuild' AND datname = current_database()"
    )
    await island.execute(query)
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, ConnectionError)):
        await attempt
    assert await fingerprints(island.url) == before
    await island.execute(
        "CREATE TABLE inbox_message__rebuild (); CREATE TABLE inbox_conversation__replaced (); CREATE TABLE counter__rebuild ()"
    )
    await rebuild(island.settings, INLINE)
    assert await fingerprints(island.url) == before
    assert await island.fetch(SHAPE) == shape


async def test_tables_that_cannot_be_locked_stay_in_use(island: Island, monkeypatch: pytest.MonkeyPatch) -> None:
    await island.live_through(seed=4, commands=30)
    before, shape = await fingerprints(island.url), await island.fetch(SHAPE)
    monkeypatch.setattr(rebuilding, "PATIENCE", (10, 10))
    async with island.kernel.system.transaction() as connection:
        await connection.fetch("SELECT FROM inbox_message LIMIT 1")
        with pytest.raises(Busy):
            await rebuild(island.settings, INLINE)
    assert await fingerprints(island.url) == before
    assert await island.fetch(SHAPE) == shape


async def test_rebuilds_do_not_meet(island: Island) -> None:
    await island.live_through(seed=5, commands=20)
    results = await asyncio.gather(*(rebuild(island.settings, INLINE, pace=Pace(1)) for _ in range(2)), return_exceptions=True)
    assert [type(result) for result in results if isinstance(result, BaseException)] == [RebuildRunning]


async def test_events_of_an_unreadable_log_stop_a_rebuild_before_anything_is_exchanged(island: Island) -> None:
    await island.live_through(seed=6, commands=20)
    before, shape = await fingerprints(island.url), await island.fetch(SHAPE)
    await island.execute("UPDATE event SET payload = '\\x00' WHERE position = 10")
    with pytest.raises(Exception, match=r"."):
        await rebuild(island.settings, INLINE)
    assert await fingerprints(island.url) == before
    assert await island.fetch(SHAPE) == shape


async def test_an_owner_that_is_no_superuser_can_rebuild(settings: Settings, endpoints: Endpoints) -> None:
    name = f"{present_run().name}_owner_{worker_number()}"
    connection = await asyncpg.connect(endpoints.database_url)
    try:
        await connection.execute(f"CREATE ROLE {name} LOGIN CREATEROLE PASSWORD 'owner'; GRANT plixa_app, plixa_system TO {name}")
        await connection.execute(f"CREATE DATABASE {name} OWNER {name}")
        own = replace(settings, database_url=on_database(endpoints.database_url, name, f"{name}:owner"))
        await asyncio.to_thread(migrate, str(own.database_url))
        machinery = assemble(own, INLINE)
        async with running(machinery):
            island = Island(own, machinery.kernel)
            await island.live_through(seed=8, commands=30)
            before = await fingerprints(island.url)
            await rebuild(own, INLINE, pace=Pace(20, 10))
            await rebuild(own, INLINE, TENANTS[0])
            assert await fingerprints(island.url) == before
        await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await connection.execute(f"DROP ROLE {name}")
    finally:
        await connection.close()

"""Building read models anew from the log, while requests go on, and putting them in the place of those in use.

Each is folded into a second table beside the one in use. When that has nearly caught up, one short transaction locks the table in use,
folds what came since, corrects the counters and exchanges the names. A command writes its rows in the transaction that appends its events,
so that once the lock is had nothing is on its way. One tenant alone is put right in place instead, with its log held still.

A rebuild that is killed leaves every table either as it was or rebuilt; what else it made is dropped by the next one.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import asyncpg
from msgspec import Struct

from plixa.kernel.crypto import Vault
from plixa.kernel.database import SYSTEM_ROLE
from plixa.kernel.projection import Projection
from plixa.kernel.scan import Scan, together, uncollected
from plixa.kernel.settings import Settings
from plixa.kernel.shadow import BUILDING, Shadow, drop_leftovers

REBUILDING: Final = 7_402_913
"""The advisory lock under which one rebuild runs."""
NEAR: Final = 500
"""Events that may be left to fold while the tables are locked."""
PATIENCE: Final = (200, 200, 200, 200, 400, 400, 400, 400, *(1500,) * 40)
"""Milliseconds to wait for the lock at each attempt: commands queue behind us meanwhile, and a long vacuum yields after a second."""
PASSES: Final = 5
HEADS: Final = "SELECT tenant_id, position FROM log_head WHERE position > 0 AND ($1::bigint IS NULL OR tenant_id = $1) ORDER BY tenant_id"
COUNTED: Final = f"counter{BUILDING}"
RECOUNT: Final = (
    # Whatever differs goes, and comes as it should be; a counter of 0 is none.
    f"""DELETE FROM counter c WHERE projection = ANY($1) AND ($2::bigint IS NULL OR tenant_id = $2) AND NOT EXISTS (SELECT FROM {COUNTED} r
    WHERE (r.tenant_id, r.projection, r.key, r.value) = (c.tenant_id, c.projection, c.key, c.value))""",  # noqa: S608 - a constant
    f"""INSERT INTO counter (tenant_id, projection, key, value) SELECT tenant_id, projection, key, value FROM {COUNTED} r
    WHERE projection = ANY($1) AND ($2::bigint IS NULL OR tenant_id = $2) AND NOT EXISTS (SELECT FROM counter c
    WHERE (r.tenant_id, r.projection, r.key) = (c.tenant_id, c.projection, c.key))""",  # noqa: S608 - a constant
)
CHECKPOINTS: Final = """INSERT INTO checkpoint (tenant_id, projection, position)
SELECT tenant_id, projection, position FROM unnest($1::bigint[], $2::bigint[]) AS h(tenant_id, position)
CROSS JOIN (SELECT DISTINCT projection FROM checkpoint WHERE projection = ANY($3)) p
ON CONFLICT (tenant_id, projection) DO UPDATE SET position = excluded.position"""
"""Only of projections that follow the log by themselves: the others have none."""

Progress = Callable[[int, int], None]
"""Told how many positions of how many are folded."""


class RebuildRunning(Exception):
    """Another rebuild is at work in this database."""


class Busy(Exception):
    """The tables in use could not be locked for long enough to be exchanged; they are as they were."""


class Pace(Struct, frozen=True):
    """Events read at once; rows of each read model held in memory before they are written."""

    batch: int = 4_000
    held: int = 50_000


async def rebuild(
    settings: Settings,
    projections: Sequence[Projection[Any]],
    tenant: int | None = None,
    progress: Progress | None = None,
    pace: Pace = Pace(),  # noqa: B008 - frozen
) -> int:
    """Rebuild read models together, of all tenants or in place of one; answers how many events were folded."""
    url = str(settings.database_url)
    try:
        async with connected(url) as owner, connected(url, SYSTEM_ROLE) as reader:
            await take_turn(owner)
            await drop_leftovers(owner)
            work = Rebuild(owner, Source(url, reader, Vault(settings.secret_keys), pace, progress), projections)
            with uncollected():
                await work.fill(tenant)
            if tenant is None:
                await work.replace()
            else:
                async with connected(url) as mender:
                    await work.mend(tenant, mender)
            return work.folded
    finally:
        await clear_away(url)


async def take_turn(connection: "asyncpg.Connection[Any]") -> None:
    """For as long as the connection lives; raises RebuildRunning."""
    if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", REBUILDING):
        raise RebuildRunning("A rebuild is running already.")


async def clear_away(url: str) -> None:
    """Drop what is left over; where the database is away, or the next rebuild has begun, that one does it."""
    with suppress(RebuildRunning, asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
        async with connected(url) as connection:
            await take_turn(connection)
            await drop_leftovers(connection)


@asynccontextmanager
async def connected(url: str, role: str | None = None) -> AsyncIterator["asyncpg.Connection[Any]"]:
    """A connection that may take its time."""
    settings = {"application_name": "plixa rebuild", "timezone": "UTC", "jit": "off"} | ({"role": role} if role else {})
    connection = await asyncpg.connect(url, server_settings=settings)
    try:
        yield connection
    finally:
        await connection.close(timeout=10)


class Source(Struct, frozen=True):
    """Where events come from, and how fast."""

    url: str
    reader: "asyncpg.Connection[Any]"
    vault: Vault
    pace: Pace
    progress: Progress | None


class Rebuild:
    """One rebuild: its shadows, and how far each tenant's log is folded into them."""

    def __init__(self, owner: "asyncpg.Connection[Any]", source: Source, projections: Sequence[Projection[Any]]) -> None:
        self._owner, self._source = owner, source
        self._shadows = [Shadow(projection, owner) for projection in projections]
        self._topics = sorted({topic for projection in projections for topic in projection.topics})
        self._names = [projection.name for projection in projections]
        self._positions: dict[int, int] = {}
        self._uncounted: set[int] = set()
        self.folded = 0

    async def fill(self, tenant: int | None) -> None:
        """Make the shadows and fold everything there is."""
        await self._owner.execute(f"CREATE TABLE {COUNTED} (LIKE counter INCLUDING INDEXES)")
        for shadow in self._shadows:
            await shadow.create()
        await self._catch_up(tenant)

    async def replace(self) -> None:
        """Index the shadows, all at a time, and exchange each with the table in use; raises Busy.

        These one after the other: whoever holds one lock and waits for another ends up in a deadlock with somebody.
        """
        await together(*map(self._index, self._shadows))
        while self._shadows:
            for patience in PATIENCE:
                while await self._catch_up() > NEAR:
                    """Commands go on while we fold; each round is shorter than the last."""
                await self._save_counts()
                if await self._exchange(self._shadows[0], patience):
                    break
                await asyncio.sleep(random.uniform(0.5, 1.5) * patience / 1000)  # noqa: S311
            else:
                raise Busy(f"{self._shadows[0].live.name} could not be locked.")
            del self._shadows[0]

    async def mend(self, tenant: int, mender: "asyncpg.Connection[Any]") -> None:
        """Put right the rows of one tenant that differ. Again until none does: a command that read before may write after."""
        for _ in range(PASSES):
            try:
                changed = await self._mend_once(tenant, mender)
            except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
                continue
            if not changed:
                return
        raise Busy(f"Workspace {tenant} does not stand still.")

    async def _mend_once(self, tenant: int, mender: "asyncpg.Connection[Any]") -> bool:
        """While the tenant's log stands still; were there differences?"""
        async with mender.transaction():
            await mender.execute("SET LOCAL lock_timeout = '10s'")
            await mender.execute("SELECT FROM checkpoint WHERE tenant_id = $1 AND projection = ANY($2) FOR UPDATE", tenant, self._names)
            await mender.execute("SELECT FROM log_head WHERE tenant_id = $1 FOR UPDATE", tenant)
            await self._catch_up(tenant)
            await self._save_counts()
            changed = [await shadow.mend(mender, tenant) for shadow in self._shadows]
            await self._finish(mender, self._names, tenant)
        return any(changed)

    async def _index(self, shadow: Shadow) -> None:
        """On a connection of its own."""
        async with connected(self._source.url) as connection:
            await shadow.index(connection)

    async def _exchange(self, shadow: Shadow, patience: int) -> bool:
        """False where the table is in use for longer than we may wait."""
        async with self._owner.transaction():
            if not await self._locked(shadow.live.name, patience):
                return False
            await self._catch_up()
            await self._save_counts()
            await self._finish(self._owner, [shadow.live.name], None)
            await shadow.take_over()
        return True

    async def _locked(self, name: str, patience: int) -> bool:
        """The table in use is ours alone, and no projector is at work on it."""
        try:
            async with self._owner.transaction():
                await self._owner.execute(f"SET LOCAL lock_timeout = {patience}")
                await self._owner.execute("SELECT FROM checkpoint WHERE projection = $1 FOR UPDATE", name)
                await self._owner.execute(f"LOCK TABLE {name} IN ACCESS EXCLUSIVE MODE")
                await self._owner.execute("SET LOCAL lock_timeout = 0")
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
            return False
        return True

    async def _catch_up(self, tenant: int | None = None) -> int:
        """Fold what the logs have beyond what is folded; answers how many positions that was."""
        heads = dict(await self._source.reader.fetch(HEADS, tenant))
        behind = {tenant: head for tenant, head in heads.items() if head > self._positions.get(tenant, 0)}
        total = sum(heads.values())
        before = sum(self._positions.values())
        for each, head in behind.items():
            await self._follow(each, head, total)
        return sum(self._positions.values()) - before

    async def _follow(self, tenant: int, head: int, total: int) -> None:
        """One tenant's log up to its head."""
        source, batch = self._source, self._source.pace.batch
        scan = Scan(source.reader, source.vault, tenant, self._topics)
        through = self._positions.get(tenant, 0)
        while through < head:
            facts, through = await scan.read(through, head, batch)
            for shadow in self._shadows:
                await shadow.fold(tenant, facts)
                if len(shadow.rows.now) >= source.pace.held:
                    await shadow.flush()
            self.folded += len(facts)
            self._positions[tenant] = through
            if source.progress is not None:
                source.progress(sum(self._positions.values()), total)
        for shadow in self._shadows:
            await shadow.flush()
        self._uncounted.add(tenant)

    async def _save_counts(self) -> None:
        """Counters of tenants that moved, where the final statements find them."""
        tenants = list(self._uncounted)
        self._uncounted.clear()
        await self._owner.execute(f"DELETE FROM {COUNTED} WHERE tenant_id = ANY($1)", tenants)  # noqa: S608
        counted = [
            (tenant, shadow.live.name, key, value)
            for shadow in self._shadows
            for tenant in tenants
            for key, value in shadow.counts[tenant].items()
            if value
        ]
        await self._owner.copy_records_to_table(COUNTED, records=counted, columns=["tenant_id", "projection", "key", "value"])

    async def _finish(self, connection: "asyncpg.Connection[Any]", names: list[str], tenant: int | None) -> None:
        """Counters that differ, and how far each log is folded."""
        for statement in RECOUNT:
            await connection.execute(statement, names, tenant)
        await connection.execute(CHECKPOINTS, list(self._positions), list(self._positions.values()), names)

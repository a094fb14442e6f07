"""A stream that has grown is loaded from its newest snapshot, and two writers that make the same snapshot do not hurt each other."""

import asyncio
import re
import secrets

from plixa.kernel.event_store import SNAPSHOT_EVERY, stream_id
from plixa.kernel.loading import load_many_statement, load_statement
from plixa.kernel.uow import UnitOfWork, perform, working
from tests.kernel.diary import Begun, Diary, Written
from tests.support.world import Workspace


async def write(workspace: Workspace, number: int, pages: int, wait: bool = True) -> None:
    """Add pages to a diary, in one transaction."""
    async with working(workspace.kernel, workspace.tenant) as uow:

        async def command() -> None:
            async with uow.edit(Diary, number, wait=wait) as diary:
                diary.record([Written(f"page {diary.state.pages + each}") for each in range(pages)])

        await perform(uow, command)


async def begin(workspace: Workspace, pages: int) -> int:
    """A new diary of some pages."""
    number = secrets.randbelow(1 << 40)
    async with working(workspace.kernel, workspace.tenant) as uow:

        async def command() -> None:
            async with uow.create(Diary(number)) as diary:
                diary.record([Begun(), *(Written("page") for _ in range(pages))])

        await perform(uow, command)
    return number


async def pages_of(uow: UnitOfWork, number: int) -> int:
    """How many pages a diary has, as a command would see it."""
    async with uow.edit(Diary, number) as diary:
        pages = diary.state.pages
    await uow.rollback()
    return pages


async def test_a_long_stream_is_loaded_from_its_newest_snapshot(lucia_studios: Workspace) -> None:
    number = await begin(lucia_studios, 3 * SNAPSHOT_EVERY + 10)
    await write(lucia_studios, number, 5)
    async with working(lucia_studios.kernel, lucia_studios.tenant) as uow:
        assert await pages_of(uow, number) == 3 * SNAPSHOT_EVERY + 15
    await write(lucia_studios, number, SNAPSHOT_EVERY)
    snapshots = await lucia_studios.rows(
        "SELECT version, topic FROM snapshot WHERE tenant_id = $1 AND stream_id = $2 ORDER BY version", stream_id("diary", number)
    )
    assert [row["topic"] for row in snapshots] == ["diary/1"] * 2
    async with working(lucia_studios.kernel, lucia_studios.tenant) as uow:
        assert await pages_of(uow, number) == 4 * SNAPSHOT_EVERY + 15


async def test_writers_that_pass_a_snapshot_together_both_succeed(lucia_studios: Workspace) -> None:
    for _ in range(5):
        number = await begin(lucia_studios, SNAPSHOT_EVERY - 2)
        await asyncio.gather(*(write(lucia_studios, number, 3, wait=False) for _ in range(4)))
        async with working(lucia_studios.kernel, lucia_studios.tenant) as uow:
            assert await pages_of(uow, number) == SNAPSHOT_EVERY - 2 + 12


async def test_events_before_the_snapshot_are_not_even_looked_at(lucia_studios: Workspace) -> None:
    number = await begin(lucia_studios, SNAPSHOT_EVERY)
    stream = stream_id("diary", number)
    async with lucia_studios.kernel.database.connection() as connection, connection.transaction():
        await connection.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off")
        for statement, wanted in ((load_statement(Diary, None), (stream,)), (load_many_statement(Diary, None), ([stream], [number]))):
            plan = [row[0] for row in await connection.fetch(f"EXPLAIN {statement}", lucia_studios.tenant, *wanted)]
            scan = next(place for place, line in enumerate(plan) if "event_pkey" in line)
            assert re.search("Index Cond: .*version >", plan[scan + 1]), plan

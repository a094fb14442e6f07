"""Projections that follow the log: the same rows as if written with the command, each event once, and none skipped."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from copy import copy
from itertools import count
from typing import Any, ClassVar

import asyncpg
import pytest
from msgspec import Struct
from msgspec.structs import replace

from plixa.kernel import metrics
from plixa.kernel.assembly import Machinery, assemble, running
from plixa.kernel.event_store import Aggregate, Event, Recorded
from plixa.kernel.projection import Projection
from plixa.kernel.projector import Poisoned, catch_up, run_projectors
from plixa.kernel.settings import Settings
from plixa.kernel.table import Table
from plixa.kernel.uow import Kernel, perform, working
from plixa.kernel.wake import Listener
from projections.registry import INLINE
from tests.support.apps import cancelled_after
from tests.support.histories import OPEN_LOG, History, fingerprint

PLANTS = """CREATE TABLE test_plant (tenant_id bigint, id bigint, drops bigint NOT NULL, notes jsonb NOT NULL, PRIMARY KEY (tenant_id, id));
SELECT protect('test_plant')"""
DROPS = "SELECT tenant_id, drops FROM test_plant ORDER BY tenant_id"
CHECKPOINTS = "SELECT tenant_id, position FROM checkpoint WHERE projection = 'test_plant' ORDER BY tenant_id"
COUNTED = "SELECT value FROM counter WHERE tenant_id = $1 AND projection = 'test_plant' AND key = 'wet'"
_plants = count(1)


class Planted(Event, frozen=True):
    TOPIC: ClassVar[str] = "test_plant.planted"


class Watered(Event, frozen=True):
    """``drops`` 13 is what the projection below cannot bear."""

    TOPIC: ClassVar[str] = "test_plant.watered"
    drops: int


class Plant(Aggregate, frozen=True):
    KIND: ClassVar[str] = "test_plant"


class PlantRow(Struct, frozen=True):
    id: int
    drops: int = 0
    notes: list[str] = []


class Unlucky(Exception):
    """A fault of the projector."""


def tally(row: PlantRow) -> Iterator[str]:
    if row.drops:
        yield "wet"


plants = Projection(Table("test_plant", PlantRow), counts=tally)


@plants.creates(Planted)
def planted(_row: None, _event: Planted, fact: Recorded) -> PlantRow:
    return PlantRow(id=fact.number)


@plants.on(Watered)
def watered(row: PlantRow, event: Watered, _fact: Recorded) -> PlantRow:
    if event.drops == 13:
        raise Unlucky
    return replace(row, drops=row.drops + event.drops, notes=[*row.notes, f"{event.drops}"][-3:])


class Garden:
    """A database of one test's own, whose plants a projection follows."""

    def __init__(self, settings: Settings, machinery: Machinery) -> None:
        self.url = str(settings.database_url)
        self.kernel: Kernel = machinery.kernel
        self.listener: Listener = machinery.listener

    async def fetch(self, query: str, *arguments: Any) -> list[tuple[Any, ...]]:
        """With the system's eyes."""
        async with self.kernel.system.connection() as connection:
            return [tuple(row) for row in await connection.fetch(query, *arguments)]

    async def plant(self, tenant: int, *drops: int) -> None:
        """A new plant, watered so many times, every time in a transaction of its own."""
        await self.fetch(OPEN_LOG, tenant)
        number = next(_plants)
        async with working(self.kernel, tenant) as uow:

            async def begin() -> None:
                async with uow.create(Plant(number=number)) as editor:
                    editor.record(Planted())

            await perform(uow, begin)
            for some in drops:

                async def water(some: int = some) -> None:
                    async with uow.edit(Plant, number) as editor:
                        editor.record(Watered(some))

                await perform(uow, water)

    async def until(self, query: str, expected: list[tuple[Any, ...]]) -> None:
        """Wait for a query's answer."""
        async with asyncio.timeout(20):
            while await self.fetch(query) != expected:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)


@pytest.fixture
async def garden(settings: Settings, fresh_databases: Callable[[], Awaitable[str]]) -> AsyncIterator[Garden]:
    own = replace(settings, database_url=await fresh_databases())
    connection = await asyncpg.connect(str(own.database_url))
    await connection.execute(PLANTS)
    for projection in INLINE:
        await connection.execute(f"CREATE TABLE twin_{projection.name} (LIKE {projection.name} INCLUDING ALL)")
        await connection.execute("SELECT protect($1::text::regclass)", f"twin_{projection.name}")
    await connection.close()
    machinery = assemble(own, INLINE)
    async with running(machinery):
        yield Garden(own, machinery)


def twin(projection: Projection[Any]) -> Projection[Any]:
    """The same projection, asynchronous, into a table of its own."""
    other = copy(projection)
    other.name = f"twin_{projection.name}"
    other.table = projection.table.named(other.name)
    return other


@pytest.mark.parametrize("batch", [1, 7, 1000])
async def test_following_yields_what_the_commands_wrote(garden: Garden, batch: int) -> None:
    history = await History(garden.kernel, 21, batch).begin()
    twins = [twin(projection) for projection in INLINE]
    for commands in (30, 1, 70):
        await history.go_on(commands)
        for projection in twins:
            await catch_up(garden.kernel, projection, 21, batch)
    async with garden.kernel.system.connection() as connection:
        for projection in INLINE:
            for query in (f"SELECT * FROM {{}}{projection.name} ORDER BY id", counters(projection.name)):
                assert await fingerprint(connection, query.format("twin_")) == await fingerprint(connection, query.format(""))


def counters(name: str) -> str:
    return f"SELECT key, value FROM counter WHERE projection = '{{}}{name}' AND value <> 0 ORDER BY key"


async def test_every_event_is_folded_once_however_many_projectors_there_are(garden: Garden) -> None:
    await garden.plant(31, *range(1, 12))
    folded = await asyncio.gather(*(catch_up(garden.kernel, plants, 31, 2) for _ in range(4)))
    assert sum(folded) + await catch_up(garden.kernel, plants, 31) == 12
    assert await garden.fetch(DROPS) == [(31, 66)]
    assert await garden.fetch(COUNTED, 31) == [(1,)]
    assert await catch_up(garden.kernel, plants, 31) == 0


@pytest.mark.parametrize("batch", [1, 3, 100])
async def test_an_event_that_cannot_be_folded_stops_its_projection_with_everything_before_it_saved(garden: Garden, batch: int) -> None:
    await garden.plant(41, 1, 2, 13, 4)
    for _ in range(2):
        with pytest.raises(Poisoned) as caught:
            await catch_up(garden.kernel, plants, 41, batch)
        assert isinstance(caught.value.__cause__, Unlucky)
        assert await garden.fetch(DROPS) == [(41, 3)]
        assert await garden.fetch(CHECKPOINTS) == [(41, 3)]


@pytest.mark.parametrize("batch", [8, 100], ids=["while others are saved", "at once"])
async def test_an_event_that_cannot_be_read_stops_its_projection(garden: Garden, batch: int) -> None:
    await garden.plant(42, 1, 2, 3)
    connection = await asyncpg.connect(garden.url)
    await connection.execute("UPDATE event SET payload = '\\x00' WHERE tenant_id = 42 AND position = 3")
    await connection.close()
    with pytest.raises(Poisoned):
        await catch_up(garden.kernel, plants, 42, batch)
    assert await garden.fetch(DROPS) == [(42, 1)]
    assert await garden.fetch(CHECKPOINTS) == [(42, 2)]


async def test_a_stopped_projection_raises_an_alarm_and_other_workspaces_go_on(garden: Garden, caplog: pytest.LogCaptureFixture) -> None:
    await garden.plant(51, 1, 13)
    await garden.plant(52, 2)
    with caplog.at_level(logging.ERROR, "plixa.kernel.projector"):
        async with following(garden):
            await garden.until(DROPS, [(51, 1), (52, 2)])
            await garden.plant(52, 3)
            await garden.until("SELECT sum(drops)::bigint FROM test_plant WHERE tenant_id = 52", [(5,)])
    assert [record.message for record in caplog.records] == ["Projection test_plant is stopped in the log of workspace 51: Unlucky()"]
    assert metrics.REGISTRY.get_sample_value("plixa_projection_stopped", {"projection": "test_plant"}) == 1


async def test_projectors_hear_of_news(garden: Garden) -> None:
    async with following(garden):
        for tenant in (61, 62, 63):
            await garden.plant(tenant, 5)
        await garden.until(DROPS, [(61, 5), (62, 5), (63, 5)])


@asynccontextmanager
async def following(garden: Garden) -> AsyncIterator[None]:
    """Projectors at work for a block."""
    async with cancelled_after(run_projectors(garden.kernel, garden.listener, [plants])):
        yield

"""Read models out of the log: a projection that catches up from nothing, a rebuild, and COPY of the same rows beside them.

In a database of its own, small enough to be filled again and again.
"""

import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import uvloop
from msgspec import Struct

from plixa.kernel.assembly import assemble
from plixa.kernel.migrations import migrate
from plixa.kernel.projection import Projection
from plixa.kernel.projector import catch_up
from plixa.kernel.rebuild import rebuild
from plixa.kernel.settings import Settings, load_settings
from projections.messages import messages
from projections.registry import BY_NAME
from tests.bench.plan import Size
from tests.bench.report import Figure, Line, Target
from tests.bench.seed import Order, now, seed
from tests.bench.servers import Place

SIZE = Size(2_500, 50_000)
NAME = "plixa_following"
SHARE = 0.3
"""Of the speed of COPY, or the absolute figure below, whichever is reached."""
CATCH_UP, REBUILD = 60_000, 100_000
"""Events a second on one core."""
TENANT = 1


class Filled(Struct, frozen=True):
    """The database, and how many events concern what."""

    settings: Settings
    rebuilt: int
    followed: int

    @property
    def url(self) -> str:
        return str(self.settings.database_url)


def followed(where: Place, slices: int) -> list[Line]:
    """Catch-up and rebuild against COPY, in alternating slices."""
    filled = prepare(where)
    return [
        compare("catch-up", filled.followed, CATCH_UP, (slices, (messages,), filled, caught_up)),
        compare("rebuild", filled.rebuilt, REBUILD, (slices, BY_NAME["inbox"], filled, rebuilt)),
    ]


def prepare(where: Place) -> Filled:
    """Create, migrate and seed the database where it is not there yet."""
    parts = urlsplit(where.endpoints.database_url)
    url = parts._replace(path=f"/{NAME}").geturl()
    settings = load_settings(where.environ | {"PLIXA_DATABASE_URL": url})
    created = uvloop.run(_create(where.endpoints.database_url))
    migrate(url)
    if created:
        seed(Order(database_url=url, secret_keys=settings.secret_keys, size=SIZE, until=now()))
    topics = {name: sorted({topic for one in BY_NAME[name] for topic in one.topics}) for name in BY_NAME}
    return Filled(settings, uvloop.run(_count(url, topics["inbox"])), uvloop.run(_count(url, messages.topics)))


Way = tuple[int, tuple[Projection[Any], ...], Filled, Callable[[Filled], Awaitable[float]]]


def compare(path: str, events: int, wanted: float, way: Way) -> Line:
    """How far each slice reaches the target: by share of COPY or by events a second."""
    slices, models, filled, ours = way
    mine, theirs = [], []
    for _ in range(slices):
        theirs.append(events / uvloop.run(copied(filled, models)))
        mine.append(events / uvloop.run(_timed(filled, ours)))
    reached = [max(rate / reference / SHARE, rate / wanted) for rate, reference in zip(mine, theirs, strict=True)]
    return Line(path, "of target", Figure(reached), Target("at least", 1), Figure(mine, "/s"), Figure(theirs, "/s"))


async def _timed(filled: Filled, ours: Callable[[Filled], Awaitable[float]]) -> float:
    return await ours(filled)


async def copied(filled: Filled, models: tuple[Projection[Any], ...]) -> float:
    """Seconds for COPY of the read models' rows into empty tables with the same indexes."""
    connection = await asyncpg.connect(filled.url)
    seconds = 0.0
    try:
        for model in models:
            rows = BytesIO()
            await connection.copy_from_table(model.name, output=rows, format="binary")
            rows.seek(0)
            await connection.execute(f"DROP TABLE IF EXISTS copied; CREATE TABLE copied (LIKE {model.name} INCLUDING ALL)")
            began = time.perf_counter()
            await connection.copy_to_table("copied", source=rows, format="binary")
            seconds += time.perf_counter() - began
        await connection.execute("DROP TABLE IF EXISTS copied")
    finally:
        await connection.close()
    return seconds


async def caught_up(filled: Filled) -> float:
    """Seconds for the messages' read model to follow the whole log as an asynchronous one would."""
    machinery = assemble(filled.settings, ())
    try:
        async with machinery.kernel.system.connection() as connection:
            await connection.execute("DELETE FROM checkpoint")
            await connection.execute("DELETE FROM inbox_message")
        await execute(filled.url, "VACUUM inbox_message")
        began = time.perf_counter()
        await catch_up(machinery.kernel, messages, TENANT)
        return time.perf_counter() - began
    finally:
        await machinery.kernel.database.close()
        await machinery.kernel.system.close()
        await machinery.redis.aclose()


async def rebuilt(filled: Filled) -> float:
    """Seconds for a rebuild of the inbox, with its exchange of tables."""
    began = time.perf_counter()
    await rebuild(filled.settings, BY_NAME["inbox"])
    return time.perf_counter() - began


async def execute(url: str, statement: str) -> None:
    """One statement by the owner."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def _create(url: str) -> bool:
    """False where it was there before."""
    with suppress(asyncpg.DuplicateDatabaseError):
        await execute(url, f"CREATE DATABASE {NAME}")
        return True
    return False


async def _count(url: str, topics: list[str]) -> int:
    connection = await asyncpg.connect(url)
    try:
        return int(await connection.fetchval("SELECT count(*) FROM event WHERE topic = ANY($1)", topics))
    finally:
        await connection.close()

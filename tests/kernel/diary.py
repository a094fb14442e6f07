"""A small event-sourced diary, for tests of what stands on the log."""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, ClassVar, Self

import asyncpg

from plixa.kernel.crypto import Vault
from plixa.kernel.database import APP_ROLE, SYSTEM_ROLE, Database
from plixa.kernel.embedded import EmbeddedServers
from plixa.kernel.event_store import SYSTEM, Actor, Aggregate, Event
from plixa.kernel.media import MediaStore
from plixa.kernel.migrations import migrate
from plixa.kernel.numbers import Numbers
from plixa.kernel.uow import Kernel, UnitOfWork, perform
from plixa.kernel.wake import Waker

ANA = Actor("member", 7, "Ana")
UNUSED_REDIS = "redis://127.0.0.1:1/0"


class Begun(Event, frozen=True):
    TOPIC: ClassVar[str] = "diary.begun"


class Written(Event, frozen=True):
    TOPIC: ClassVar[str] = "diary.written"
    text: str


class Burnt(Event, frozen=True):
    """Gone with its content."""

    TOPIC: ClassVar[str] = "diary.burnt"
    ERASES: ClassVar[bool] = True


class Diary(Aggregate, frozen=True):
    KIND: ClassVar[str] = "diary"
    pages: int = 0


@Diary.when(Written)
def written(state: Diary, _event: Written) -> Diary:
    return Diary(state.number, state.pages + 1)


class Library:
    """One tenant's diaries."""

    def __init__(self, kernel: Kernel, url: str) -> None:
        self.kernel, self.url = kernel, url
        self.tenant = secrets.randbelow(1 << 50) + 1

    async def found(self) -> Self:
        """Give the tenant its log."""
        await self.tamper("INSERT INTO log_head (tenant_id) VALUES ($1)")
        return self

    async def begin(self, number: int, texts: Iterable[str] = (), actor: Actor = ANA) -> None:
        """A new diary: one event more than it has texts."""

        async def command(uow: UnitOfWork) -> None:
            async with uow.create(Diary(number)) as diary:
                diary.record([Begun(), *(Written(text) for text in texts)])

        await self._perform(command, actor)

    async def write(self, number: int, *texts: str, actor: Actor = ANA) -> None:
        """One event a text."""

        async def command(uow: UnitOfWork) -> None:
            async with uow.edit(Diary, number) as diary:
                diary.record(Written(text) for text in texts)

        await self._perform(command, actor)

    async def burn(self, number: int) -> None:
        """One last event, and its content is unreadable."""

        async def command(uow: UnitOfWork) -> None:
            async with uow.edit(Diary, number) as diary:
                diary.record(Burnt())
                uow.erase(diary.stream)

        await self._perform(command, SYSTEM)

    async def tamper(self, statement: str, *arguments: Any) -> None:
        """What only a superuser can do; ``$1`` is the tenant."""
        connection = await asyncpg.connect(self.url)
        try:
            await connection.execute(statement, self.tenant, *arguments)
        finally:
            await connection.close()

    async def _perform(self, command: Any, actor: Actor) -> None:
        uow = self.kernel.unit(self.tenant, actor, "diary")
        try:
            await perform(uow, lambda: command(uow))
        finally:
            uow.close()


@contextmanager
def database(home: Path) -> Iterator[str]:
    """A migrated database, of which the user is a superuser."""
    given = os.environ.get("PLIXA_TEST_DATABASE_URL")
    servers = EmbeddedServers()
    url = given or servers.start(home, redis_url=UNUSED_REDIS).database_url
    try:
        migrate(url)
        yield url
    finally:
        servers.stop()


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Kernel]:
    """A kernel without Redis."""
    application = Database(url, role=APP_ROLE, pool_size=4)
    system = Database(url, role=SYSTEM_ROLE, pool_size=2)
    try:
        yield Kernel(
            database=application,
            system=system,
            vault=Vault((secrets.token_bytes(32),)),
            numbers=Numbers(system),
            waker=Waker(None),
            media=MediaStore("memory:"),
        )
    finally:
        await asyncio.gather(application.close(), system.close())

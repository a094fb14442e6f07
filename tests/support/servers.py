"""One PostgreSQL and one Valkey for the whole run, one migrated template database, and copies of it.

The process that runs pytest (xdist's controller, or the only one there is) makes the run's folder and clears it away
in the end. Of those who run tests the first starts the servers and migrates the template, the others find both, and the
last stops the servers. ``PLIXA_TEST_DATABASE_URL`` (of a role that may create databases and roles) and
``PLIXA_TEST_REDIS_URL`` name servers to be used instead.
"""

import asyncio
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import asyncpg
from msgspec import Struct
from sqlalchemy import make_url

from plixa.kernel.embedded import EmbeddedServers, Endpoints
from plixa.kernel.embedded.postgres import Postgres
from plixa.kernel.embedded.valkey import Valkey
from plixa.kernel.migrations import migrate

FOLDER = "PLIXA_TEST_FOLDER"
DATABASE = "PLIXA_TEST_DATABASE_URL"
REDIS = "PLIXA_TEST_REDIS_URL"
DISTANCE = 1_000_000_000
"""Between the first ids of two sequences: a conversation's id is never a message's, nor another worker's tenant's."""
SEQUENCES = "SELECT sequencename FROM pg_sequences WHERE sequencename LIKE '%_number' ORDER BY sequencename"


class Run(Struct, frozen=True):
    """One run of the suite: its folder, whose name also begins the names of its databases."""

    folder: Path

    @property
    def name(self) -> str:
        """Fit for the name of a database."""
        return self.folder.name.replace("-", "_")

    @contextmanager
    def locked(self, what: str) -> Iterator[None]:
        """One process at a time."""
        with (self.folder / f"{what}.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    @contextmanager
    def servers(self) -> Iterator[Endpoints]:
        """Start the servers, or find them started; the last to leave stops them."""
        servers = EmbeddedServers()
        try:
            yield servers.start(self.folder / "home", os.environ.get(DATABASE), os.environ.get(REDIS))
        finally:
            servers.stop()

    async def create_database(self, endpoints: Endpoints, worker: int) -> str:
        """The URL of a fresh, migrated database."""
        template, name = f"{self.name}_template", f"{self.name}_{worker}"
        with self.locked("template"):
            connection = await asyncpg.connect(endpoints.database_url)
            try:
                if not await connection.fetchval("SELECT count(*) FROM pg_database WHERE datname = $1", template):
                    await connection.execute(f"CREATE DATABASE {template}")
                    await asyncio.to_thread(migrate, on_database(endpoints.database_url, template))
                await connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
            finally:
                await connection.close()
        url = on_database(endpoints.database_url, name)
        await spread_numbers(url, worker)
        return url

    async def drop_databases(self, url: str) -> None:
        """Leave a server that is not ours as it was found, but for the roles."""
        connection = await asyncpg.connect(url)
        try:
            query = "SELECT datname FROM pg_database WHERE starts_with(datname, $1)"
            for row in await connection.fetch(query, f"{self.name}_"):
                await connection.execute(f"DROP DATABASE {row['datname']} WITH (FORCE)")
        finally:
            await connection.close()


@contextmanager
def running() -> Iterator[None]:
    """Around the whole run, in the one process that outlives all others."""
    with TemporaryDirectory(prefix="plixa-test-", ignore_cleanup_errors=True) as folder:
        os.environ[FOLDER] = folder
        try:
            yield
        finally:
            stop(Path(folder))
            del os.environ[FOLDER]


def stop(folder: Path) -> None:
    """Stop what a killed worker left running, or clear away the run's databases where the server is not ours."""
    home = folder / "home"
    given = os.environ.get(DATABASE)
    if given is not None:
        asyncio.run(Run(folder).drop_databases(given))
    elif home.exists():
        Postgres(home).stop()
    if home.exists() and os.environ.get(REDIS) is None:
        Valkey(home).stop()


def present_run() -> Run:
    """The run this process takes part in."""
    return Run(Path(os.environ[FOLDER]))


def worker_number() -> int:
    """0 without xdist, else from 1."""
    return int(os.environ.get("PYTEST_XDIST_WORKER", "gw-1").removeprefix("gw")) + 1


def on_database(url: str, name: str, user: str | None = None) -> str:
    """The same server, another database, and as another ``user:password``."""
    parts = make_url(url).set(database=name)
    if user is not None:
        login, _, password = user.partition(":")
        parts = parts.set(username=login, password=password)
    return parts.render_as_string(hide_password=False)


def on_redis_database(url: str, number: int) -> str:
    """The same server, another numbered database."""
    return f"{url}?db={number}" if url.startswith("unix:") else f"{url.rstrip('/')}/{number}"


async def spread_numbers(url: str, worker: int) -> None:
    """Let every sequence begin elsewhere, so that mistaken ids find nothing."""
    connection = await asyncpg.connect(url)
    try:
        for place, row in enumerate(await connection.fetch(SEQUENCES), 1):
            start = place * DISTANCE + worker * (DISTANCE // 100) + 1
            await connection.execute(f"ALTER SEQUENCE {row['sequencename']} RESTART WITH {start}")
    finally:
        await connection.close()

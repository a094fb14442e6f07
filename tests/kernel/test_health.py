"""Checks find what would lose data, and say what to do."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import asyncpg
import pytest
from redis.asyncio import Redis

from plixa.kernel.embedded import EmbeddedServers, Endpoints
from plixa.kernel.health import clock_check, database_checks, disk_check, gateway_check, migration_check, redis_checks


@pytest.fixture(scope="module")
def endpoints() -> Iterator[Endpoints]:
    servers = EmbeddedServers()
    with TemporaryDirectory(prefix="plixa-test-") as home:
        yield servers.start(Path(home))
        servers.stop()


@pytest.fixture
async def connection(endpoints: Endpoints) -> "AsyncIterator[asyncpg.Connection[Any]]":
    connection = await asyncpg.connect(endpoints.database_url)
    yield connection
    await connection.close()


async def test_the_embedded_database_is_well(connection: "asyncpg.Connection[Any]") -> None:
    checks = [*await database_checks(connection), await clock_check(connection)]
    assert [check for check in checks if not check.well] == []


async def test_commits_that_do_not_wait_for_the_disk_are_found(connection: "asyncpg.Connection[Any]") -> None:
    await connection.execute("SET synchronous_commit = off")
    [ill] = [check for check in await database_checks(connection) if not check.well]
    assert (ill.name, ill.found, ill.advice) == ("synchronous_commit", "off", "Set synchronous_commit = on.")


async def test_a_database_without_our_schema_needs_migrating(connection: "asyncpg.Connection[Any]") -> None:
    check = await migration_check(connection)
    assert check.found == "none"
    assert str(check.advice).startswith("Run plixa migrate")


async def test_the_embedded_valkey_is_well(endpoints: Endpoints) -> None:
    assert [check for check in await redis_checks(endpoints.redis_url) if not check.well] == []


async def test_a_redis_that_forgets_is_found(endpoints: Endpoints) -> None:
    async with Redis.from_url(endpoints.redis_url) as redis:
        await redis.config_set("maxmemory-policy", "allkeys-lru", "appendonly", "no")
    ill = {check.name for check in await redis_checks(endpoints.redis_url) if not check.well}
    assert ill == {"redis persistence", "redis eviction"}


async def test_a_redis_that_is_not_there_is_found(tmp_path: Path) -> None:
    [check] = await redis_checks(f"unix://{tmp_path}/absent.sock")
    assert not check.well


async def test_a_gateway_that_is_not_there_is_found() -> None:
    assert not (await gateway_check("http://127.0.0.1:9")).well


def test_the_disk_has_room(tmp_path: Path) -> None:
    assert "GiB free" in disk_check(tmp_path).found

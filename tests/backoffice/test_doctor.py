"""``plixa doctor`` tells what workers have left undone, or given up."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from click.testing import CliRunner
from msgspec.structs import replace

from plixa.cli import main
from plixa.kernel.assembly import assemble, running
from plixa.kernel.database import SYSTEM_ROLE
from plixa.kernel.health import WORKER, Check, work_checks
from plixa.kernel.projector import catch_up
from plixa.kernel.settings import Settings
from projections.registry import ASYNC, INLINE
from projections.usage import last
from tests.support.histories import History

LATE = "UPDATE event SET recorded_at = now() - interval '5 minutes'"
"""With the rights of whoever owns the database: the application's roles may not."""
EFFECT = "INSERT INTO outbox (tenant_id, kind, key, payload, state, due_at) VALUES (7, $1, $2, '{}', $3, now() - make_interval(secs => $4))"


@pytest.fixture
async def connection(fresh_database: str) -> "AsyncIterator[asyncpg.Connection[Any]]":
    """As the command has it."""
    connection = await asyncpg.connect(fresh_database)
    await connection.execute(f"SET ROLE {SYSTEM_ROLE}")
    yield connection
    await connection.close()


async def looked_at(connection: "asyncpg.Connection[Any]") -> dict[str, Check]:
    """What it finds, by name."""
    return {check.name: check for check in await work_checks(connection, [projection.name for projection in ASYNC])}


async def test_the_command_tells_it(command_line: CliRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    result = await asyncio.to_thread(command_line.invoke, main, ["doctor"])
    assert all(name in result.output for name in ("read models", "effects due", "effects given up")), result.output


async def test_where_nothing_waits_all_is_well(connection: "asyncpg.Connection[Any]") -> None:
    found = await looked_at(connection)
    assert {name: check.found for name, check in found.items()} == {
        "read models": "up to date",
        "effects due": "in time",
        "effects given up": "none",
    }
    assert all(check.well for check in found.values())


async def test_a_read_model_that_nobody_brings_up_to_date_is_named(
    settings: Settings, fresh_database: str, connection: "asyncpg.Connection[Any]"
) -> None:
    machinery = assemble(replace(settings, database_url=fresh_database), INLINE)
    async with running(machinery):
        history = await History(machinery.kernel, 7, 1).begin()
        await history.go_on(10)
        assert (await looked_at(connection))["read models"].well
        await connection.execute("RESET ROLE")
        await connection.execute(LATE)
        await connection.execute(f"SET ROLE {SYSTEM_ROLE}")
        for projection in ASYNC:
            if projection is not last:
                await catch_up(machinery.kernel, projection, 7)
        behind = (await looked_at(connection))["read models"]
        events = await connection.fetchval("SELECT position FROM log_head WHERE tenant_id = 7")
        assert behind.found.startswith(f"behind: last_activity {events} events, 30")
        assert (behind.advice, behind.found.count("events")) == (WORKER, 1)
        await catch_up(machinery.kernel, last, 7)
        assert (await looked_at(connection))["read models"].well


async def test_what_was_given_up_and_what_waits_too_long_are_told(connection: "asyncpg.Connection[Any]") -> None:
    await connection.execute(EFFECT, "inbox.send", "1", "waiting", 30.0)
    assert (await looked_at(connection))["effects due"].well
    await connection.execute(EFFECT, "inbox.send", "2", "running", 90.0)
    for key in ("1", "2", "3"):
        await connection.execute(EFFECT, "mail.send", key, "parked" if key != "3" else "done", 5000.0)
    found = await looked_at(connection)
    assert (found["effects due"].found[:20], found["effects due"].advice) == ("2, the oldest for 90", WORKER)
    assert found["effects given up"].found == "2 mail.send"
    assert "outbox" in (found["effects given up"].advice or "")

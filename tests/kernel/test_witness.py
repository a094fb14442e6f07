"""A log that was rewritten or cut together with its head is sound, and still not the one that was witnessed."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from httpx import AsyncClient
from msgspec.structs import replace

from plixa.kernel.jobs import keep_house
from plixa.kernel.media import MediaStore
from plixa.kernel.settings import Settings
from plixa.kernel.uow import Kernel
from plixa.kernel.verify import REWRITTEN, Fault, verify_chain
from plixa.kernel.witness import FOLDER, bear_witness, find_witness
from tests.support.apps import cancelled_after
from tests.support.world import Workspace

OLD = f"{FOLDER}/20200101T000000000000.json"
CUT = (
    "DELETE FROM event WHERE tenant_id = $1 AND position > $2",
    "UPDATE log_head SET position = $2, hash = (SELECT hash FROM event WHERE tenant_id = $1 AND position = $2) WHERE tenant_id = $1",
)


@pytest.fixture
def watched(kernel: Kernel) -> Kernel:
    """The tests' kernel, with a store of its own."""
    return replace(kernel, media=MediaStore("memory:"))


@pytest.fixture
async def intruder(settings: Settings) -> AsyncIterator["asyncpg.Connection[Any]"]:
    """Somebody who may do anything in the database, and nothing outside of it."""
    connection = await asyncpg.connect(str(settings.database_url))
    yield connection
    await connection.close()


async def talk(client: AsyncClient, workspace: Workspace) -> None:
    """Four more events."""
    for name in ("a", "b", "c", "d"):
        await client.post("/v1/sectors", json={"name": name}, headers=workspace.owner.headers)


async def fault(watched: Kernel, settings: Settings, tenant: int) -> Fault | None:
    """What ``plixa verify`` says of a log."""
    witness = await find_witness(watched.media, settings.secret_keys)
    assert witness is not None
    return (await verify_chain(watched.system, tenant, witnessed=witness.heads.get(tenant))).fault


async def test_a_tail_that_was_cut_with_its_head_is_missed(
    watched: Kernel, settings: Settings, client: AsyncClient, lucia_studios: Workspace, intruder: "asyncpg.Connection[Any]"
) -> None:
    await talk(client, lucia_studios)
    await bear_witness(watched, settings)
    assert await fault(watched, settings, lucia_studios.tenant) is None
    for statement in CUT:
        await intruder.execute(statement, lucia_studios.tenant, 3)
    assert (await verify_chain(watched.system, lucia_studios.tenant)).fault is None
    assert await fault(watched, settings, lucia_studios.tenant) == Fault(4, REWRITTEN)


async def test_a_log_that_was_written_anew_is_not_the_one_that_was_witnessed(
    watched: Kernel, settings: Settings, client: AsyncClient, lucia_studios: Workspace, intruder: "asyncpg.Connection[Any]"
) -> None:
    await talk(client, lucia_studios)
    await bear_witness(watched, settings)
    for statement in CUT:
        await intruder.execute(statement, lucia_studios.tenant, 2)
    for name in ("other", "words", "than", "there", "were"):
        await client.post("/v1/labels", json={"name": name}, headers=lucia_studios.owner.headers)
    assert (await verify_chain(watched.system, lucia_studios.tenant)).fault is None
    assert await fault(watched, settings, lucia_studios.tenant) == Fault(5, REWRITTEN)


async def test_what_goes_on_after_it_was_witnessed_is_sound(
    watched: Kernel, settings: Settings, client: AsyncClient, lucia_studios: Workspace
) -> None:
    await bear_witness(watched, settings)
    await talk(client, lucia_studios)
    assert await fault(watched, settings, lucia_studios.tenant) is None


async def test_a_forged_statement_counts_for_nothing_and_an_old_key_still_does(watched: Kernel, settings: Settings) -> None:
    genuine = await bear_witness(watched, settings)
    await watched.media.write(f"{FOLDER}/29990101T000000000000.json", b'{"statement": "{}", "signature": "00"}')
    await watched.media.write(f"{FOLDER}/29990102T000000000000.json", b"no JSON")
    assert await find_witness(watched.media, settings.secret_keys) == genuine
    rotated = (b"n" * 32, *settings.secret_keys)
    assert await find_witness(watched.media, rotated) == genuine
    assert await find_witness(watched.media, (b"n" * 32,)) is None


async def test_old_statements_go_and_the_scheduler_makes_new_ones(watched: Kernel, settings: Settings) -> None:
    await watched.media.write(OLD, b"{}")
    async with cancelled_after(keep_house(watched, settings)), asyncio.timeout(20):
        while OLD in (names := await watched.media.names(FOLDER)):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.05)
    assert len(names) == 1

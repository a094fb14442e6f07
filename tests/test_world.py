"""The world that other tests begin in."""

import asyncio

import asyncpg
import pytest
from httpx import AsyncClient

from tests.support.world import Member, Workspace


async def test_members_are_signed_in_to_their_own_workspace(
    client: AsyncClient, lucia_studios: Workspace, ana: Member, other_tenant: Workspace
) -> None:
    answers = await asyncio.gather(*(client.get("/v1/me", headers=one.headers) for one in (lucia_studios.owner, ana, other_tenant.owner)))
    seen = [(answer.json()["data"]["user"]["role"], answer.json()["data"]["tenant"]["id"]) for answer in answers]
    assert seen == [("owner", lucia_studios.tenant), ("agent", lucia_studios.tenant), ("owner", other_tenant.tenant)]


async def test_nobody_is_signed_in_unasked(client: AsyncClient) -> None:
    assert (await client.get("/v1/me")).status_code == 401


@pytest.mark.parametrize("time", ["first", "second"])
async def test_a_fresh_database_is_migrated_and_empty(fresh_database: str, time: str) -> None:
    connection = await asyncpg.connect(fresh_database)
    try:
        await connection.execute("INSERT INTO log_head (tenant_id) VALUES (1)")
        assert await connection.fetchval("SELECT count(*) FROM log_head WHERE tenant_id > 0") == 1, time
    finally:
        await connection.close()

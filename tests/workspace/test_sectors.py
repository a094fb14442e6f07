"""Departments: who works in them, what waits there, and that nobody else's are reached."""

import asyncio
from typing import Any

from httpx import AsyncClient

from tests.support.trail import read_trail
from tests.support.world import Member, Workspace

PATH = "/v1/sectors"
WAITING = """SELECT count(*) AS number FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE NOT l.granted AND a.datname = current_database() AND $1::bigint > 0"""


async def create(client: AsyncClient, owner: Member, **body: Any) -> dict[str, Any]:
    answer = await client.post(PATH, json={"name": "Vendas"} | body, headers=owner.headers)
    assert answer.status_code == 201, answer.text
    view: dict[str, Any] = answer.json()["data"]
    return view


async def test_a_sector_is_made_changed_and_given_up(client: AsyncClient, lucia: Member, ana: Member, lucia_studios: Workspace) -> None:
    sector = await create(client, lucia, color="#aa3300", user_ids=[ana.id, lucia.id])
    assert [user["name"] for user in sector["users"]] == ["Ana", "Lucia"]
    assert (await client.get(PATH, headers=ana.headers)).json()["data"] == [sector]
    place = f"{PATH}/{sector['id']}"
    renamed = await client.put(place, json={"name": "Pós-venda"}, headers=lucia.headers)
    assert renamed.json()["data"] == sector | {"name": "Pós-venda"}
    staffed = await client.put(place, json={"user_ids": [ana.id]}, headers=lucia.headers)
    assert [user["id"] for user in staffed.json()["data"]["users"]] == [ana.id]
    same = await client.put(place, json={"user_ids": [ana.id]}, headers=lucia.headers)
    assert same.status_code == 200
    assert (await client.delete(place, headers=lucia.headers)).status_code == 204
    assert (await client.get(place, headers=lucia.headers)).status_code == 404
    trail = await read_trail(client, lucia_studios, subject="sector", subject_id=sector["id"])
    assert [one["action"] for one in trail] == ["sector.deleted", "sector.updated", "sector.updated", "sector.created"]
    assert (trail[2]["before"], trail[2]["after"]) == ({"name": "Vendas"}, {"name": "Pós-venda"})


async def test_a_name_is_had_once_and_strangers_work_nowhere(client: AsyncClient, lucia: Member, other_tenant: Workspace) -> None:
    await create(client, lucia)
    twice = await client.post(PATH, json={"name": "Vendas"}, headers=lucia.headers)
    assert (twice.status_code, list(twice.json()["errors"][0]["details"])) == (422, ["name"])
    stranger = await client.post(PATH, json={"name": "Outros", "user_ids": [other_tenant.owner.id]}, headers=lucia.headers)
    assert (stranger.status_code, list(stranger.json()["errors"][0]["details"])) == (422, ["user_ids"])
    assert len((await client.get(PATH, headers=lucia.headers)).json()["data"]) == 1


async def test_agents_and_other_owners_change_nothing(client: AsyncClient, lucia: Member, ana: Member, other_tenant: Workspace) -> None:
    sector = await create(client, lucia)
    for method in ("PUT", "DELETE"):
        assert (await client.request(method, f"{PATH}/{sector['id']}", json={"name": "x"}, headers=ana.headers)).status_code == 403
        foreign = await client.request(method, f"{PATH}/{sector['id']}", json={"name": "x"}, headers=other_tenant.owner.headers)
        assert foreign.status_code == 404
    assert (await client.get(f"{PATH}/{sector['id']}", headers=lucia.headers)).json()["data"] == sector


async def test_who_is_removed_at_the_same_moment_works_nowhere(
    client: AsyncClient, lucia: Member, ana: Member, lucia_studios: Workspace
) -> None:
    sector = await create(client, lucia, user_ids=[ana.id])
    async with lucia_studios.kernel.system.transaction() as removing:
        await removing.execute("DELETE FROM member WHERE tenant_id = $1 AND id = $2", lucia_studios.tenant, ana.id)
        renaming = asyncio.create_task(client.put(f"{PATH}/{sector['id']}", json={"name": "Pós-venda"}, headers=lucia.headers))
        creating = asyncio.create_task(client.post(PATH, json={"name": "Outros", "user_ids": [ana.id]}, headers=lucia.headers))
        while (await lucia_studios.rows(WAITING))[0]["number"] < 2:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
    renamed, created = await asyncio.gather(renaming, creating)
    assert [(answer.status_code, answer.json()["data"]["users"]) for answer in (renamed, created)] == [(200, []), (201, [])]

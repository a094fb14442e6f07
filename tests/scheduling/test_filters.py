"""Calendar filters: everybody's own, one of them the default."""

from typing import Any

import pytest
from httpx import AsyncClient

from tests.scheduling.catalog import Catalog
from tests.support.trail import read_trail
from tests.support.world import Member, Workspace

PATH = "/calendar-filters"


@pytest.fixture
def catalog(client: AsyncClient, lucia: Member) -> Catalog:
    return Catalog(client, lucia)


async def test_everybody_keeps_their_own(catalog: Catalog, client: AsyncClient, ana: Member, lucia_studios: Workspace) -> None:
    agent = Catalog(client, ana)
    service = await catalog.do("POST", "/services", name="Corte", duration_minutes=30)
    body = {"name": "Meus", "provider_ids": [ana.id], "service_ids": [service["id"]], "statuses": ["pending", "confirmed"]}
    mine = await agent.do("POST", PATH, **body)
    assert mine == body | {"id": mine["id"], "is_default": False}
    assert (await catalog.do("POST", PATH, name="Meus"))["id"] != mine["id"]
    place = f"{PATH}/{mine['id']}"
    for method in ("PUT", "DELETE"):
        assert (await catalog.call(method, place, json={"name": "Seus"})).status_code == 404
    await catalog.do("DELETE", f"/services/{service['id']}")
    renamed = await agent.do("PUT", place, name="Só os meus")
    assert renamed == mine | {"name": "Só os meus"}
    assert await agent.do("GET", PATH) == [renamed]
    await agent.do("DELETE", place)
    assert await agent.do("GET", PATH) == []
    trail = await read_trail(client, lucia_studios, subject="calendar_filter", subject_id=mine["id"])
    assert [one["action"].partition(".")[2] for one in trail] == ["deleted", "updated", "created"]


async def test_one_of_them_is_the_default(catalog: Catalog, client: AsyncClient, ana: Member) -> None:
    await Catalog(client, ana).do("POST", PATH, name="Dela", is_default=True)
    first, second = [await catalog.do("POST", PATH, name=name, is_default=True) for name in ("A", "B")]
    assert [(one["name"], one["is_default"]) for one in await catalog.do("GET", PATH)] == [("A", False), ("B", True)]
    await catalog.do("PUT", f"{PATH}/{first['id']}", is_default=True)
    assert [(one["name"], one["is_default"]) for one in await catalog.do("GET", PATH)] == [("A", True), ("B", False)]
    await catalog.do("PUT", f"{PATH}/{second['id']}", is_default=False)
    assert [one["is_default"] for one in await catalog.do("GET", PATH)] == [True, False]
    assert [one["is_default"] for one in await Catalog(client, ana).do("GET", PATH)] == [True]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"name": "x" * 61}, "name"),
        ({"name": "todos"}, "name"),
        ({"statuses": ["lost"]}, "statuses.0"),
        ({"provider_ids": [1]}, "provider_ids"),
        ({"service_ids": [1]}, "service_ids"),
    ],
)
async def test_a_filter_that_makes_no_sense_is_refused(catalog: Catalog, wrong: dict[str, Any], field: str) -> None:
    await catalog.do("POST", PATH, name="Todos")
    mine = await catalog.do("POST", PATH, name="Meus")
    assert await catalog.fields("POST", PATH, {"name": "Outros"} | wrong) == [field]
    assert await catalog.fields("PUT", f"{PATH}/{mine['id']}", wrong) == [field]


async def test_fifty_are_enough(catalog: Catalog) -> None:
    for number in range(50):
        await catalog.do("POST", PATH, name=f"Filtro {number}")
    assert (await catalog.call("POST", PATH, json={"name": "Mais um"})).status_code == 409

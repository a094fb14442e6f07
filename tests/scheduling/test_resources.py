"""Rooms and equipment: how many there are, and what takes them."""

from typing import Any

import pytest
from httpx import AsyncClient

from tests.scheduling.catalog import Catalog
from tests.support.trail import read_trail
from tests.support.world import Member, Workspace

PATH = "/resources"


@pytest.fixture
def catalog(client: AsyncClient, lucia: Member) -> Catalog:
    return Catalog(client, lucia)


async def test_a_resource_is_made_changed_and_taken_out(
    catalog: Catalog, client: AsyncClient, ana: Member, lucia_studios: Workspace
) -> None:
    service = await catalog.do("POST", "/services", name="Corte", duration_minutes=30)
    room = await catalog.do("POST", PATH, name="Sala 1", service_ids=[service["id"]])
    assert (room["capacity"], room["is_active"], room["service_ids"]) == (1, True, [service["id"]])
    place = f"{PATH}/{room['id']}"
    assert await Catalog(client, ana).do("GET", place) == room
    larger = await catalog.do("PUT", place, capacity=3)
    assert larger == room | {"capacity": 3}
    assert await catalog.do("PUT", place, capacity=2, service_ids=[]) == room | {"capacity": 2, "service_ids": []}
    assert (await catalog.do("GET", f"/services/{service['id']}"))["resource_ids"] == []
    await catalog.do("PUT", place, service_ids=[service["id"]])
    assert (await catalog.do("GET", f"/services/{service['id']}"))["resource_ids"] == [room["id"]]
    await catalog.do("DELETE", place)
    assert (await catalog.do("GET", f"/services/{service['id']}"))["resource_ids"] == []
    assert (await catalog.call("PUT", place, json={})).status_code == 404
    trail = await read_trail(client, lucia_studios, subject="resource")
    assert [one["action"].partition(".")[2] for one in trail] == ["deleted", "updated", "updated", "updated", "created"]
    assert (trail[3]["before"], trail[3]["after"]) == ({"capacity": 1}, {"capacity": 3})


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"name": ""}, "name"),
        ({"capacity": 0}, "capacity"),
        ({"capacity": 1001}, "capacity"),
        ({"service_ids": [1]}, "service_ids"),
        ({"service_ids": list(range(1, 202))}, "service_ids"),
        ({"name": "sala 2"}, "name"),
    ],
)
async def test_a_resource_that_makes_no_sense_is_refused(catalog: Catalog, wrong: dict[str, Any], field: str) -> None:
    await catalog.do("POST", PATH, name="Sala 2")
    room = await catalog.do("POST", PATH, name="Sala 1")
    assert await catalog.fields("POST", PATH, {"name": "Sala 3"} | wrong) == [field]
    assert await catalog.fields("PUT", f"{PATH}/{room['id']}", wrong) == [field]


async def test_the_list_goes_by_name_page_by_page(catalog: Catalog) -> None:
    for name in ("sala 2", "Sala 1", "Maca", "Laser", "sala 3"):
        await catalog.do("POST", PATH, name=name)
    assert await catalog.names(PATH) == ["Laser", "Maca", "Sala 1", "sala 2", "sala 3"]

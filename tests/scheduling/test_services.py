"""What customers can book: made with defaults, changed in part, and only with one's own people and things."""

from typing import Any

import pytest
from httpx import AsyncClient

from tests.scheduling.catalog import Catalog
from tests.support.trail import read_trail
from tests.support.world import Member, Workspace

PATH = "/services"
SHORTEST = {"name": "Corte", "duration_minutes": 30}


@pytest.fixture
def catalog(client: AsyncClient, lucia: Member) -> Catalog:
    return Catalog(client, lucia)


async def test_a_service_is_made_with_defaults_in_the_workspaces_currency(catalog: Catalog, client: AsyncClient, ana: Member) -> None:
    service = await catalog.do("POST", PATH, **SHORTEST)
    defaults: dict[str, Any] = {
        **dict.fromkeys(("buffer_before_minutes", "buffer_after_minutes", "min_notice_minutes"), 0),
        **dict.fromkeys(("description", "color", "slot_interval_minutes", "price", "deposit_amount", "reminder_offsets")),
        **dict.fromkeys(("prepayment", "requires_approval"), False),
        **dict.fromkeys(("is_active", "bookable_by_ai"), True),
        "provider_ids": [],
        "resource_ids": [],
    }
    expected = SHORTEST | defaults | {"max_advance_days": 90, "currency": "BRL"}
    assert {name: service[name] for name in expected} == expected
    agent = Catalog(client, ana)
    assert await agent.do("GET", PATH) == [service]
    assert await agent.do("GET", f"{PATH}/{service['id']}") == service
    assert (await agent.call("POST", PATH, json=SHORTEST)).status_code == 403


async def test_what_is_given_changes_the_rest_stays_and_null_clears(
    catalog: Catalog, client: AsyncClient, ana: Member, lucia_studios: Workspace
) -> None:
    room = await catalog.do("POST", "/resources", name="Sala")
    money = {"price": 8000, "deposit_amount": 2000, "currency": "eur"}
    people = {"provider_ids": [catalog.member.id, ana.id, ana.id], "resource_ids": [room["id"]]}
    service = await catalog.do("POST", PATH, **SHORTEST, **money, **people, color="#aa3300", reminder_offsets=[60, 1440])
    assert (service["currency"], service["provider_ids"]) == ("EUR", sorted([ana.id, catalog.member.id]))
    place = f"{PATH}/{service['id']}"
    renamed = await catalog.do("PUT", place, name=" Corte e barba ", color=None, provider_ids=[ana.id], deposit_amount=None)
    assert renamed == service | {"name": "Corte e barba", "color": None, "provider_ids": [ana.id], "deposit_amount": None}
    assert (await catalog.do("GET", "/resources"))[0]["service_ids"] == [service["id"]]
    assert await catalog.do("PUT", place, name="Corte e barba") == renamed
    await catalog.do("DELETE", place)
    assert (await catalog.call("GET", place)).status_code == 404
    assert (await catalog.do("GET", "/resources"))[0]["service_ids"] == []
    trail = await read_trail(client, lucia_studios, subject="service")
    assert [one["action"] for one in trail] == ["service.deleted", "service.updated", "service.created"]
    assert trail[1]["after"] == {"name": "Corte e barba", "color": None, "provider_ids": [ana.id], "deposit_amount": None}


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"name": " "}, "name"),
        ({"name": "x" * 121}, "name"),
        ({"duration_minutes": 4}, "duration_minutes"),
        ({"duration_minutes": 1441}, "duration_minutes"),
        ({"buffer_before_minutes": -1}, "buffer_before_minutes"),
        ({"color": "red"}, "color"),
        ({"currency": "XYZ"}, "currency"),
        ({"price": 100, "deposit_amount": 101}, "deposit_amount"),
        ({"prepayment": True}, "prepayment"),
        ({"price": 100, "deposit_amount": 50, "prepayment": True}, "prepayment"),
        ({"reminder_offsets": [60, 60]}, "reminder_offsets"),
        ({"reminder_offsets": [4]}, "reminder_offsets.0"),
        ({"reminder_offsets": [5, 6, 7, 8, 9, 10]}, "reminder_offsets"),
        ({"max_advance_days": 731}, "max_advance_days"),
        ({"provider_ids": [1]}, "provider_ids"),
        ({"resource_ids": [1]}, "resource_ids"),
    ],
)
async def test_a_service_that_makes_no_sense_is_refused_new_and_changed(catalog: Catalog, wrong: dict[str, Any], field: str) -> None:
    assert await catalog.fields("POST", PATH, SHORTEST | wrong) == [field]
    service = await catalog.do("POST", PATH, **SHORTEST)
    assert await catalog.fields("PUT", f"{PATH}/{service['id']}", wrong) == [field]
    assert await catalog.do("GET", PATH) == [service]


async def test_a_name_is_had_once_and_other_workspaces_people_give_nothing(
    catalog: Catalog, client: AsyncClient, other_tenant: Workspace
) -> None:
    service, other = await catalog.do("POST", PATH, **SHORTEST), Catalog(client, other_tenant.owner)
    assert await catalog.fields("POST", PATH, SHORTEST | {"name": "CORTE"}) == ["name"]
    assert await catalog.fields("POST", PATH, SHORTEST | {"name": "Barba", "provider_ids": [other_tenant.owner.id]}) == ["provider_ids"]
    await other.do("POST", PATH, **SHORTEST)
    assert await other.fields("POST", "/resources", {"name": "Sala", "service_ids": [service["id"]]}) == ["service_ids"]
    for method in ("GET", "PUT", "DELETE"):
        assert (await other.call(method, f"{PATH}/{service['id']}", json={})).status_code == 404


async def test_the_list_goes_by_name_page_by_page(catalog: Catalog) -> None:
    for name in ("barba", "Corte", "Ângulo", "Zen", "aparar"):
        await catalog.do("POST", PATH, name=name, duration_minutes=30)
    found = await catalog.names(PATH)
    assert sorted(found) == sorted(["barba", "Corte", "Ângulo", "Zen", "aparar"])
    assert [name for name in found if name.isascii()] == ["aparar", "barba", "Corte", "Zen"]


async def test_members_who_leave_give_nothing_any_more(catalog: Catalog, client: AsyncClient, ana: Member) -> None:
    service = await catalog.do("POST", PATH, **SHORTEST, provider_ids=[ana.id])
    assert (await client.delete(f"/v1/team/members/{ana.id}", headers=catalog.member.headers)).status_code == 204
    assert (await catalog.do("GET", f"{PATH}/{service['id']}"))["provider_ids"] == []

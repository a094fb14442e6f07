"""Providers' hours, and the template they are taken from."""

from typing import Any

import pytest
from httpx import AsyncClient

from tests.scheduling.catalog import Catalog
from tests.support.trail import read_trail
from tests.support.world import Member, Workspace

RULES: list[dict[str, Any]] = [
    {"kind": "open", "weekday": 1, "date": None, "start_time": "09:00", "end_time": "12:00"},
    {"kind": "open", "weekday": 1, "date": None, "start_time": "12:00", "end_time": "24:00"},
    {"kind": "blocked", "weekday": None, "date": "2026-12-24", "start_time": "00:00", "end_time": "23:59"},
]
WEEKLY = {"weekday": 1, "start_time": "09:00", "end_time": "12:00"}
BASE = "/default-schedule"


@pytest.fixture
def catalog(client: AsyncClient, lucia: Member) -> Catalog:
    return Catalog(client, lucia)


async def test_hours_are_replaced_as_a_whole_and_seen_by_everybody(
    catalog: Catalog, client: AsyncClient, ana: Member, lucia_studios: Workspace
) -> None:
    place, agent = f"/providers/{ana.id}/schedule", Catalog(client, ana)
    assert await agent.do("GET", place) == {"timezone": "America/Sao_Paulo", "rules": []}
    kept = {"timezone": "Europe/Lisbon", "rules": RULES}
    assert await catalog.do("PUT", place, **kept) == kept
    assert await agent.do("GET", place) == kept
    assert (await agent.call("PUT", place, json=kept)).status_code == 403
    await catalog.do("PUT", place, **kept)
    assert await catalog.do("PUT", place, timezone="Europe/Lisbon") == {"timezone": "Europe/Lisbon", "rules": []}
    trail = await read_trail(client, lucia_studios, action="provider_schedule.updated")
    assert [(one["subject"]["id"], len(one["after"].get("rules", ()))) for one in trail] == [(ana.id, 0), (ana.id, 3)]


async def test_every_member_is_a_provider_with_what_they_give(catalog: Catalog, client: AsyncClient, ana: Member) -> None:
    service = await catalog.do("POST", "/services", name="Corte", duration_minutes=30, provider_ids=[ana.id])
    await catalog.do("PUT", f"/providers/{ana.id}/schedule", timezone="Europe/Lisbon", rules=RULES)
    shared = {"google_connected": False}
    assert await Catalog(client, ana).do("GET", "/providers") == [
        shared
        | {"user_id": ana.id, "name": "Ana", "timezone": "Europe/Lisbon", "has_schedule": True}
        | {"services": [{"id": service["id"], "name": "Corte"}]},
        shared | {"user_id": catalog.member.id, "name": "Lucia", "timezone": "America/Sao_Paulo", "has_schedule": False} | {"services": []},
    ]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"timezone": "Mars/Base"}, "timezone"),
        ({"rules": [RULES[0] | {"weekday": None}]}, "rules.0.weekday"),
        ({"rules": [RULES[0] | {"date": "2026-12-24"}]}, "rules.0.weekday"),
        ({"rules": [RULES[0], RULES[0] | {"end_time": "09:00"}]}, "rules.1.end_time"),
        ({"rules": [RULES[0] | {"weekday": 7}]}, "rules.0.weekday"),
        ({"rules": [RULES[0] | {"start_time": "9:00"}]}, "rules.0.start_time"),
        ({"rules": [RULES[0] | {"kind": "free"}]}, "rules.0.kind"),
        ({"rules": RULES[:1] * 201}, "rules"),
    ],
)
async def test_hours_that_make_no_sense_are_refused(catalog: Catalog, wrong: dict[str, Any], field: str) -> None:
    place = f"/providers/{catalog.member.id}/schedule"
    assert await catalog.fields("PUT", place, {"timezone": "Europe/Lisbon", "rules": RULES} | wrong) == [field]


async def test_strangers_have_no_hours_here(catalog: Catalog, other_tenant: Workspace) -> None:
    for method, body in (("GET", {}), ("PUT", {"timezone": "Europe/Lisbon"})):
        answer = await catalog.call(method, f"/providers/{other_tenant.owner.id}/schedule", json=body)
        assert answer.status_code == 404


async def test_the_template_is_the_owners_and_opens_nothing(catalog: Catalog, client: AsyncClient, ana: Member) -> None:
    assert await catalog.do("GET", BASE) == {"timezone": "America/Sao_Paulo", "rules": []}
    kept = {"timezone": "Europe/Lisbon", "rules": [WEEKLY]}
    assert await catalog.do("PUT", BASE, **kept) == kept
    assert await catalog.do("GET", BASE) == kept
    assert (await Catalog(client, ana).call("GET", BASE)).status_code == 403
    assert [one["has_schedule"] for one in await catalog.do("GET", "/providers")] == [False, False]
    assert await catalog.fields("PUT", BASE, {"timezone": "Europe/Lisbon"}) == ["rules"]
    assert await catalog.fields("PUT", BASE, kept | {"rules": [WEEKLY | {"end_time": "08:00"}]}) == ["rules.0.end_time"]
    assert await catalog.fields("PUT", BASE, kept | {"timezone": "+03:00"}) == ["timezone"]

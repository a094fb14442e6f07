"""Public holidays as closures: imported, kept up to date every day, and let go of."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from httpx import AsyncClient

from plixa.identity.domain import COUNTRIES
from plixa.scheduling.actors import handlers
from plixa.scheduling.commands.holidays import SYNC
from plixa.scheduling.domain.holidays import list_public_holidays
from tests.scheduling.catalog import Catalog
from tests.support.effects import do_effects
from tests.support.trail import read_trail
from tests.support.world import Member, Workspace

PATH, CLOSURES = "/holiday-config", "/closures"
PAST = """INSERT INTO closure (tenant_id, date, reason, source, created_at) VALUES ($1, current_date - 30, 'Finados', 'holiday', now())
RETURNING id"""
IDLE = {"BV", "HM", "IO", "UA"}
"""Nobody lives there; or nobody has days off in a war."""
WAITING = "SELECT due_at FROM outbox WHERE tenant_id = $1 AND kind = $2 AND state = 'waiting'"


@pytest.fixture
def catalog(client: AsyncClient, lucia: Member) -> Catalog:
    return Catalog(client, lucia)


def christmas() -> str:
    """The next one but one: in the future whatever day it is."""
    return f"{datetime.now(UTC).year + 1}-12-25"


async def closed(catalog: Catalog) -> dict[str, dict[str, Any]]:
    """What is closed, by date."""
    return {one["date"]: one for one in (await catalog.call("GET", CLOSURES, params={"limit": 200})).json()["data"]}


async def settle(catalog: Catalog, **settings: Any) -> None:
    """Another country or language."""
    body = {"timezone": "America/Sao_Paulo", "locale": "pt-BR", "currency": "BRL"} | settings
    assert (await catalog.client.put("/v1/workspace-config", json=body, headers=catalog.member.headers)).status_code == 200


async def test_they_are_imported_at_once_two_years_ahead_in_the_workspaces_language(
    catalog: Catalog, client: AsyncClient, ana: Member, lucia_studios: Workspace
) -> None:
    before = await Catalog(client, ana).do("GET", PATH)
    assert (before["block_holidays"], before["country_code"], before["synced"], before["last_synced_at"]) == (False, "BR", True, None)
    assert (len(before["upcoming"]), await closed(catalog)) == (10, {})
    await settle(catalog)
    saved = await catalog.do("PUT", PATH, block_holidays=True)
    assert (saved["block_holidays"], saved["synced"], saved["last_synced_at"] is not None) == (True, True, True)
    found = await closed(catalog)
    assert (found[christmas()]["reason"], found[christmas()]["source"]) == ("Natal", "holiday")
    assert [one["date"] for one in saved["upcoming"]] == sorted(found)[:10]
    assert 15 < len(found) < 40
    assert min(found) >= (datetime.now(UTC) - timedelta(days=1)).date().isoformat()
    assert (await Catalog(client, ana).call("PUT", PATH, json={"block_holidays": False})).status_code == 403
    assert await catalog.fields("PUT", PATH, {"block_holidays": "yes"}) == ["block_holidays"]
    await settle(catalog, locale="en")
    await catalog.do("PUT", PATH, block_holidays=True)
    again = await closed(catalog)
    assert (again[christmas()]["reason"], again[christmas()]["id"]) == ("Christmas Day", found[christmas()]["id"])
    trail = await read_trail(client, lucia_studios)
    told = [(one["action"], one["after"]) for one in trail if one["action"].startswith("holiday")]
    assert told[1] == ("holiday_config.updated", {"block_holidays": True, "imported": len(found), "dropped": 0})
    assert (told[0][0], told[0][1]["imported"] > 0) == ("holidays.synced", True)


async def test_switched_off_only_holidays_to_come_go(catalog: Catalog, lucia_studios: Workspace) -> None:
    by_hand = await catalog.do("POST", CLOSURES, date=christmas(), reason="Férias")
    (past,) = await lucia_studios.rows(PAST)
    await catalog.do("PUT", PATH, block_holidays=True)
    assert (await closed(catalog))[christmas()] == by_hand
    assert (await catalog.do("PUT", PATH, block_holidays=False))["block_holidays"] is False
    left, tomorrow = await closed(catalog), (datetime.now(UTC) + timedelta(days=1)).date().isoformat()
    assert [one for when, one in left.items() if when > tomorrow] == [by_hand]
    assert past["id"] in {one["id"] for one in left.values()}


async def test_a_day_that_was_reopened_stays_open(catalog: Catalog, lucia_studios: Workspace) -> None:
    await catalog.do("PUT", PATH, block_holidays=True)
    first, *others = [one for when, one in (await closed(catalog)).items() if when > christmas()]
    for closure in (first, others[0]):
        await catalog.do("DELETE", f"{CLOSURES}/{closure['id']}")
    by_hand = await catalog.do("POST", CLOSURES, date=first["date"])
    assert by_hand["source"] == "manual"
    await catalog.do("DELETE", f"{CLOSURES}/{by_hand['id']}")
    await catalog.do("PUT", PATH, block_holidays=True)
    assert await do_effects(lucia_studios, SYNC, handlers=handlers()) == 1
    assert not {first["date"], others[0]["date"]} & (await closed(catalog)).keys()


async def test_every_day_they_are_brought_up_to_date_until_nobody_wants_that(
    catalog: Catalog, client: AsyncClient, lucia_studios: Workspace
) -> None:
    await catalog.do("PUT", PATH, block_holidays=True)
    brazil = await closed(catalog)
    await settle(catalog, country_code="PT")
    assert await closed(catalog) == brazil
    assert await do_effects(lucia_studios, SYNC, handlers=handlers()) == 1
    portugal = await closed(catalog)
    assert (christmas() in portugal, portugal[christmas()]["id"]) == (True, brazil[christmas()]["id"])
    assert [one["reason"] for when, one in portugal.items() if when.endswith("-06-10")] == [
        "Dia de Portugal, de Camões e das Comunidades Portuguesas"
    ] * 2
    assert not {when for when in portugal if when.endswith("-09-07")}
    assert await do_effects(lucia_studios, "inbox.retime") == 2
    assert (await read_trail(client, lucia_studios))[0]["action"] == "holidays.synced"
    assert len(await lucia_studios.rows(WAITING, SYNC)) == 1
    assert await do_effects(lucia_studios, SYNC, handlers=handlers()) == 1
    assert (await closed(catalog), await do_effects(lucia_studios, "inbox.retime")) == (portugal, 0)
    await catalog.do("PUT", PATH, block_holidays=False)
    assert await do_effects(lucia_studios, SYNC, handlers=handlers()) == 1
    assert await lucia_studios.rows(WAITING, SYNC) == []


def test_every_country_has_holidays_with_names() -> None:
    first, last = date(2026, 1, 1), date(2027, 12, 31)
    known = {country: list_public_holidays(country, "pt-BR", first, last) for country in COUNTRIES}
    assert all(first <= day <= last and 0 < len(name) <= 255 for days in known.values() for day, name in days)
    assert {country for country, days in known.items() if not days} <= IDLE
    assert dict(list_public_holidays("PT", "pt-BR", first, last))[date(2026, 12, 25)] == "Dia de Natal"
    assert dict(list_public_holidays("DE", "es", first, last))[date(2026, 12, 25)] == "Erster Weihnachtstag"
    assert dict(list_public_holidays("US", "en", first, last))[date(2026, 7, 3)] == "Independence Day (observed)"

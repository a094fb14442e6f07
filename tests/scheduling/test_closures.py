"""Dates on which it is closed: for whoever would book, for customers who write, and for the clocks of their answers."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from httpx import AsyncClient

from plixa.kernel.uow import working
from plixa.workspace.domain import due_after
from plixa.workspace.queries.settings import list_weeks
from tests.inbox.desk import Desk, stamp
from tests.scheduling.catalog import Catalog
from tests.support.effects import do_effects
from tests.support.trail import read_trail
from tests.support.world import Member, Workspace
from tests.whatsapp import webhooks

PATH = "/closures"
HOURS = "/v1/business-hours-config"
SAO_PAULO = ZoneInfo("America/Sao_Paulo")
HOURS_AGO = "UPDATE business_hours SET since = since - interval '2 hours' WHERE tenant_id = $1 RETURNING since"
ALWAYS = [{"weekday": day, "open": "00:00", "close": "24:00", "enabled": True} for day in range(7)]


@pytest.fixture
def catalog(client: AsyncClient, lucia: Member) -> Catalog:
    return Catalog(client, lucia)


def day(offset: int) -> date:
    """So many days from today in São Paulo."""
    return datetime.now(SAO_PAULO).date() + timedelta(days=offset)


def begin(at: date) -> datetime:
    """When a date begins there."""
    return datetime(at.year, at.month, at.day, tzinfo=SAO_PAULO).astimezone(UTC)


async def close(catalog: Catalog, *offsets: int) -> list[int]:
    return [(await catalog.do("POST", PATH, date=day(offset).isoformat()))["id"] for offset in offsets]


async def open_always(desk: Desk) -> None:
    body = {"enabled": True, "hours": ALWAYS, "pause_sla": True, "message": "Fechado!"}
    assert (await desk.client.put(HOURS, json=body, headers=desk.workspace.owner.headers)).status_code == 200
    targets = {"first_response_seconds": 900, "resolution_seconds": None}
    assert (await desk.client.put("/v1/sla-config", json=targets, headers=desk.workspace.owner.headers)).status_code == 200


async def state(desk: Desk) -> tuple[bool, datetime | None]:
    """Is it open, and until when is that so?"""
    shown: dict[str, Any] = (await desk.client.get(HOURS, headers=desk.workspace.owner.headers)).json()["data"]
    return shown["open_now"], datetime.fromisoformat(shown["next_change_at"]) if shown["next_change_at"] else None


async def due(desk: Desk, number: int) -> datetime:
    return datetime.fromisoformat((await desk.show(number))["sla"]["first_response_due_at"])


async def test_a_date_is_closed_once_and_opened_again(
    catalog: Catalog, client: AsyncClient, ana: Member, lucia_studios: Workspace, other_tenant: Workspace
) -> None:
    closure = await catalog.do("POST", PATH, date="2026-06-10", reason="Inventário")
    assert closure == {"id": closure["id"], "date": "2026-06-10", "reason": "Inventário", "source": "manual"}
    assert await catalog.do("POST", PATH, date="2026-06-10", reason="Outra coisa") == closure
    agent, stranger = Catalog(client, ana), Catalog(client, other_tenant.owner)
    assert await agent.do("GET", PATH) == [closure]
    assert (await agent.call("POST", PATH, json={"date": "2026-06-11"})).status_code == 403
    assert (await stranger.do("GET", PATH), (await stranger.call("DELETE", f"{PATH}/{closure['id']}")).status_code) == ([], 404)
    await catalog.do("DELETE", f"{PATH}/{closure['id']}")
    assert (await catalog.do("GET", PATH), (await catalog.call("DELETE", f"{PATH}/{closure['id']}")).status_code) == ([], 404)
    trail = await read_trail(client, lucia_studios, subject="closure")
    told = [(one["action"], one["subject"]["id"]) for one in trail]
    assert told == [("closure.deleted", closure["id"]), ("closure.created", closure["id"])]


async def test_the_list_goes_by_date_between_dates_and_page_by_page(catalog: Catalog) -> None:
    await close(catalog, 30, 10, 50, 20, 40)
    shown = await catalog.do("GET", PATH, **{"from": day(20).isoformat(), "to": day(40).isoformat()})
    assert [one["date"] for one in shown] == [day(offset).isoformat() for offset in (20, 30, 40)]
    page = (await catalog.call("GET", PATH, params={"limit": 3})).json()
    rest = (await catalog.call("GET", PATH, params={"limit": 3, "cursor": page["meta"]["next_cursor"]})).json()
    dates = [one["date"] for one in page["data"] + rest["data"]]
    assert (dates, rest["meta"]["next_cursor"]) == ([day(offset).isoformat() for offset in (10, 20, 30, 40, 50)], None)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"date": "10.06.2026"}, "date"),
        ({"date": "2226-06-10"}, "date"),
        ({"date": "2026-06-10", "reason": "x" * 256}, "reason"),
        ({}, "date"),
    ],
)
async def test_what_is_no_date_is_refused(catalog: Catalog, wrong: dict[str, Any], field: str) -> None:
    assert await catalog.fields("POST", PATH, wrong) == [field]


async def test_customers_are_told_that_it_is_closed_and_not_once_it_is_open_again(desk: Desk, catalog: Catalog) -> None:
    await open_always(desk)
    assert await state(desk) == (True, None)
    closures = await close(catalog, 0, 1)
    assert await state(desk) == (False, begin(day(2)))
    number = (await desk.open())["id"]
    assert [message["body"] for message in await desk.thread(number) if message["author"]["type"] == "bot"] == ["Fechado!"]
    for closure in closures:
        await catalog.do("DELETE", f"{PATH}/{closure}")
    assert await state(desk) == (True, None)
    await desk.hear(webhooks.text(desk.chat("5511987650002"), stamp()))
    (other,) = await desk.all(q="5511987650002")
    assert [message["author"]["type"] for message in await desk.thread(other["id"])] == ["customer"]


async def test_it_is_closed_before_hours_were_ever_set(desk: Desk, catalog: Catalog) -> None:
    before = await state(desk)
    await close(catalog, *range(9))
    is_open, opens = await state(desk)
    assert (is_open, opens is not None and opens > begin(day(9))) == (False, True), before


async def test_a_clock_stands_still_on_closed_dates(desk: Desk, catalog: Catalog) -> None:
    await open_always(desk)
    await close(catalog, 0, 1)
    assert await due(desk, (await desk.open())["id"]) == begin(day(2)) + timedelta(minutes=15)


async def test_a_clock_that_runs_is_set_when_a_date_is_closed_and_opened_again(desk: Desk, catalog: Catalog) -> None:
    await open_always(desk)
    number = (await desk.open())["id"]
    running = await due(desk, number)
    await do_effects(desk.workspace, "inbox.retime")
    closures = await close(catalog, 0, 1)
    assert await do_effects(desk.workspace, "inbox.retime") == 2
    until = await due(desk, number)
    assert timedelta() < begin(day(2)) + timedelta(minutes=15) - until < timedelta(minutes=1)
    for closure in closures:
        await catalog.do("DELETE", f"{PATH}/{closure}")
    assert await do_effects(desk.workspace, "inbox.retime") == 2
    assert timedelta() < await due(desk, number) - running < timedelta(minutes=1)


async def test_what_was_closed_stays_so_in_the_past_when_it_is_opened_again(desk: Desk, catalog: Catalog) -> None:
    """Whoever opens on a holiday after all has kept nobody waiting that morning."""
    await open_always(desk)
    closures = await close(catalog, -1, 0)
    await desk.workspace.rows(HOURS_AGO)
    for closure in closures:
        await catalog.do("DELETE", f"{PATH}/{closure}")
    async with working(desk.workspace.kernel, desk.workspace.tenant) as uow:
        start = uow.now - timedelta(minutes=40)
        due_at = due_after(start, 900, await list_weeks(uow, start))
    assert due_at is not None
    assert due_at > uow.now + timedelta(minutes=14)

"""The week: what is open when, across changes of the clocks, and every version of it kept."""

from datetime import UTC, date, datetime, timedelta
from functools import partial
from zoneinfo import ZoneInfo

import pytest
from httpx import AsyncClient
from hypothesis import given
from hypothesis import strategies as st

from plixa.kernel.clock import first_instant, last_instant
from plixa.workspace.domain import Day, Hours, closed_since, spans, state_at
from tests.support.trail import read_trail
from tests.support.world import Member, Workspace

WEEK = [{"weekday": day, "open": "09:00", "close": "17:00", "enabled": 1 <= day <= 5} for day in range(7)]
PATH = "/v1/business-hours-config"
ALL_DAY = ("00:00", "24:00")


def week(zone: str, hours: tuple[str, str], *days: int, closed: frozenset[date] = frozenset()) -> Hours:
    open_days = [Day(day, *hours, day in days) for day in range(7)]
    return Hours(datetime(2016, 1, 1, tzinfo=UTC), zone, True, None, open_days, True, closed)


def instants(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "day", "hours", "opening", "closing"),
    [
        ("America/New_York", "2026-03-08", ("13:00", "18:00"), "2026-03-08T17:00", "2026-03-08T22:00"),
        ("America/New_York", "2026-03-08", ("00:00", "06:00"), "2026-03-08T05:00", "2026-03-08T10:00"),
        ("America/New_York", "2026-11-01", ("00:00", "04:00"), "2026-11-01T04:00", "2026-11-01T09:00"),
        ("America/Santiago", "2026-09-06", ("00:00", "09:00"), "2026-09-06T04:00", "2026-09-06T12:00"),
        ("America/Sao_Paulo", "2018-11-04", ("09:00", "24:00"), "2018-11-04T11:00", "2018-11-05T02:00"),
        ("America/Sao_Paulo", "2026-11-04", ("09:00", "23:59"), "2026-11-04T12:00", "2026-11-05T03:00"),
        ("Asia/Kolkata", "2026-06-10", ("09:00", "10:00"), "2026-06-10T03:30", "2026-06-10T04:30"),
        ("Europe/Lisbon", "2026-03-29", ("09:00", "10:00"), "2026-03-29T08:00", "2026-03-29T09:00"),
    ],
)
def test_the_table_of_the_semantics(zone: str, day: str, hours: tuple[str, str], opening: str, closing: str) -> None:
    weekday = datetime.fromisoformat(day).isoweekday() % 7
    now, shown = instants(opening) + timedelta(minutes=1), week(zone, hours, weekday)
    assert (instants(opening), instants(closing)) in list(spans(shown, now))
    assert state_at(shown, now) == (True, instants(closing))


def test_a_wall_time_in_a_gap_moves_behind_it_and_one_that_comes_twice_begins_early_and_ends_late() -> None:
    gap, fold = datetime.fromisoformat("2026-03-08T02:30"), datetime.fromisoformat("2026-11-01T01:30")
    assert first_instant(gap, "America/New_York") == last_instant(gap, "America/New_York") == instants("2026-03-08T07:00")
    assert first_instant(fold, "America/New_York") == instants("2026-11-01T05:30")
    assert last_instant(fold, "America/New_York") == instants("2026-11-01T06:30")


def test_days_that_touch_are_one_span_and_always_open_never_changes() -> None:
    assert state_at(week("America/Sao_Paulo", ALL_DAY, *range(7)), instants("2026-06-10T12:00")) == (True, None)
    assert state_at(week("America/Sao_Paulo", ALL_DAY), instants("2026-06-10T12:00")) == (False, None)


def test_it_does_not_open_on_a_closed_date_however_many_follow_each_other() -> None:
    always = partial(week, "America/Sao_Paulo", ALL_DAY, *range(7))
    christmas = frozenset({date(2026, 12, 25)})
    assert state_at(always(closed=christmas), instants("2026-12-24T12:00")) == (True, instants("2026-12-25T03:00"))
    assert state_at(always(closed=christmas), instants("2026-12-25T12:00")) == (False, instants("2026-12-26T03:00"))
    vacation = frozenset(date(2026, 12, 20) + timedelta(days=day) for day in range(40))
    mondays = week("America/Sao_Paulo", ("09:00", "10:00"), 1, closed=vacation)
    assert state_at(mondays, instants("2026-12-20T12:00")) == (False, instants("2027-02-01T12:00"))
    assert closed_since(mondays, instants("2027-01-31T12:00")) == instants("2026-12-14T13:00")
    assert closed_since(always(closed=vacation), instants("2027-01-28T12:00")) == instants("2026-12-20T03:00")


@given(
    st.sampled_from(["America/New_York", "America/Santiago", "Australia/Lord_Howe", "Europe/Lisbon", "Asia/Kolkata", "Pacific/Apia"]),
    st.datetimes(datetime.fromisoformat("2024-01-01"), datetime.fromisoformat("2032-01-01")),
)
def test_first_and_last_enclose_every_instant_that_reads_so(zone: str, local: datetime) -> None:
    info, minute = ZoneInfo(zone), local.replace(second=0, microsecond=0)
    first, last = first_instant(minute, zone), last_instant(minute, zone)
    around = [first + timedelta(minutes=offset) for offset in range(-180, 181)]
    readings = [moment for moment in around if moment.astimezone(info).replace(tzinfo=None) == minute]
    if readings:
        assert (first, last) == (readings[0], readings[-1])
    else:
        assert first == last
        assert (first - timedelta(seconds=1)).astimezone(info).replace(tzinfo=None) < minute < first.astimezone(info).replace(tzinfo=None)


async def test_the_week_is_kept_shown_and_told_of(client: AsyncClient, lucia: Member, ana: Member, lucia_studios: Workspace) -> None:
    proposed = (await client.get(PATH, headers=ana.headers)).json()["data"]
    assert (proposed["enabled"], len(proposed["hours"]), proposed["timezone"]) == (False, 7, "America/Sao_Paulo")
    body = {"enabled": True, "message": "Voltamos amanhã", "hours": WEEK[::-1], "pause_sla": True}
    saved = await client.put(PATH, json=body, headers=lucia.headers)
    assert saved.status_code == 200
    assert saved.json()["data"]["hours"] == WEEK
    assert (await client.get(PATH, headers=ana.headers)).json()["data"] == saved.json()["data"]
    again = await client.put(PATH, json=body, headers=lucia.headers)
    assert again.status_code == 200
    zone = {"timezone": "Europe/Lisbon", "locale": "pt-BR", "currency": "BRL"}
    await client.put("/v1/workspace-config", json=zone, headers=lucia.headers)
    assert (await client.get(PATH, headers=ana.headers)).json()["data"]["timezone"] == "Europe/Lisbon"
    versions = await lucia_studios.rows("SELECT timezone FROM business_hours WHERE tenant_id = $1 ORDER BY since")
    assert [row["timezone"] for row in versions] == ["America/Sao_Paulo", "Europe/Lisbon"]
    trail = await read_trail(client, lucia_studios)
    assert [one["action"] for one in trail[:2]] == ["workspace.updated", "business_hours.updated"]
    assert trail[0]["before"] == {"timezone": "America/Sao_Paulo", "locale": "en"}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"hours": WEEK[:6]}, "hours"),
        ({"hours": [*WEEK[:6], WEEK[0]]}, "hours"),
        ({"hours": [*WEEK[:6], WEEK[6] | {"open": "18:00"}]}, "hours.6.close"),
        ({"hours": [*WEEK[:6], WEEK[6] | {"close": "25:00"}]}, "hours.6.close"),
        ({"message": "x" * 501}, "message"),
        ({"enabled": "yes"}, "enabled"),
    ],
)
async def test_a_week_that_makes_no_sense_is_refused(client: AsyncClient, lucia: Member, change: dict[str, object], field: str) -> None:
    answer = await client.put(PATH, json={"enabled": True, "hours": WEEK} | change, headers=lucia.headers)
    assert answer.status_code == 422
    assert field in answer.json()["errors"][0]["details"]

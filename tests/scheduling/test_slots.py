"""What is offered, over HTTP: every slot can be booked, and every time that is none has one reason."""

from datetime import date, timedelta
from typing import Any

import pytest
from httpx import AsyncClient

from plixa.scheduling.domain.slots import fairest
from tests.scheduling.salon import ZONE, Salon
from tests.support.world import Member, Workspace

BUSY = "INSERT INTO external_busy (tenant_id, provider_id, event_id, starts_at, ends_at) VALUES ($1, $2, 'lunch', $3, $4) RETURNING 1"
OVER = "UPDATE {} SET expires_at = now() WHERE tenant_id = $1 AND expires_at IS NOT NULL RETURNING 1"


async def explained(salon: Salon, service: int, provider: Member, first: date, last: date) -> dict[str, tuple[str, str | None]]:
    """Why each time is none, by its wall time."""
    wanted = {"service_id": service, "provider_id": provider.id, "from": first.isoformat(), "to": last.isoformat(), "explain": 1}
    answer = await salon.call("GET", "/availability", params=wanted)
    assert answer.status_code == 200, answer.text
    found = answer.json()["meta"]["explained"]
    assert {one["provider_id"] for one in found} <= {provider.id}
    assert len({one["start"] for one in found}) == len(found)
    return {one["start"][:16]: (one["rule"], one["detail"]) for one in found}


async def keep_hours(salon: Salon, member: Member, *more: dict[str, Any]) -> None:
    """Every day from nine to twelve."""
    rules = [{"kind": "open", "weekday": day, "start_time": "09:00", "end_time": "12:00"} for day in range(7)]
    await salon.ask("PUT", f"/providers/{member.id}/schedule", json={"timezone": str(ZONE), "rules": [*rules, *more]})


async def test_slots_of_all_who_are_free_come_together_by_the_providers_clocks(salon: Salon, lucia: Member, ana: Member) -> None:
    cut = await salon.offer(lucia, ana, duration_minutes=45, slot_interval_minutes=30)
    await salon.booked(cut, salon.at(9), provider_id=ana.id)
    slots = await salon.ask("GET", "/availability", params={"service_id": cut, "from": str(salon.day), "to": str(salon.day)})
    assert slots[0] == {"start": f"{salon.day}T08:00:00-03:00", "end": f"{salon.day}T08:45:00-03:00", "provider_ids": [lucia.id, ana.id]}
    alone = [slot["start"][11:16] for slot in slots if slot["provider_ids"] == [lucia.id]]
    assert alone == ["08:30", "09:00", "09:30"]
    assert [slot["start"] for slot in slots] == sorted(slot["start"] for slot in slots)
    assert slots[-1]["end"] == f"{salon.day}T19:45:00-03:00"


async def test_whatever_is_offered_can_be_booked_until_nothing_is(salon: Salon, ana: Member) -> None:
    buffers = {"duration_minutes": 50, "buffer_before_minutes": 10, "buffer_after_minutes": 20, "slot_interval_minutes": 25}
    cut = await salon.offer(ana, **buffers)
    booked = 0
    while offered := await salon.starts(cut):
        await salon.booked(cut, offered[booked * 7 % len(offered)], provider_id=ana.id)
        booked += 1
    assert booked >= 5
    reasons = await explained(salon, cut, ana, salon.day, salon.day)
    assert {rule for rule, _ in reasons.values()} == {"appointment"}
    assert f"{salon.day}T08:00" in reasons


async def test_every_time_that_is_no_slot_has_one_reason(salon: Salon, lucia: Member, ana: Member, lucia_studios: Workspace) -> None:
    days = [salon.day + timedelta(days=more) for more in range(7)]
    room = (await salon.ask("POST", "/resources", json={"name": "Room", "capacity": 1}))["id"]
    cut = await salon.offer(ana, resource_ids=[room], max_advance_days=8, buffer_before_minutes=15)
    await keep_hours(salon, ana, {"kind": "blocked", "date": str(days[1]), "start_time": "10:10", "end_time": "10:20"})
    await salon.ask("POST", "/closures", json={"date": str(days[2]), "reason": "Inventory"})
    await salon.ask("POST", "/holds", json={"service_id": cut, "start": salon.at(9, 30).isoformat(), "provider_id": ana.id})
    await lucia_studios.rows(BUSY, ana.id, salon.at(10, days=3), salon.at(10, 40, days=3))
    other = await salon.offer(lucia, resource_ids=[room])
    await salon.booked(other, salon.at(11, days=4), provider_id=lucia.id)
    expected = {
        (0, "09:00"): ("hold", None),
        (0, "09:30"): ("hold", None),
        (0, "10:00"): ("hold", None),
        (1, "10:00"): ("blocked", None),
        **{(2, f"{hour:02}:{minute:02}"): ("closure", "Inventory") for hour in (9, 10, 11) for minute in (0, 30)},
        (3, "10:00"): ("external", None),
        (3, "10:30"): ("external", None),
        (4, "11:00"): ("resource", "Room"),
        (4, "11:30"): ("resource", "Room"),
    }
    assert await explained(salon, cut, ana, days[0], days[4]) == {f"{days[day]}T{wall}": why for (day, wall), why in expected.items()}
    assert set((await explained(salon, cut, ana, days[6], days[6])).values()) == {("horizon", None)}
    assert [len(await lucia_studios.rows(OVER.format(table))) for table in ("provider_time", "resource_time")] == [1, 1]
    assert {salon.at(9), salon.at(9, 30), salon.at(10)} <= set(await salon.starts(cut))


async def test_what_is_over_too_soon_or_off_the_grid_is_no_slot(salon: Salon, ana: Member, lucia_studios: Workspace) -> None:
    await keep_hours(salon, ana)
    soon = await salon.offer(ana, min_notice_minutes=14_400)
    yesterday = salon.day - timedelta(days=4)
    reasons = await explained(salon, soon, ana, yesterday, salon.day)
    assert {rule for rule, _ in reasons.values()} == {"past", "notice"}
    assert {rule for at, (rule, _) in reasons.items() if at < str(yesterday + timedelta(days=1))} == {"past"}
    shifted = await salon.offer(ana, slot_interval_minutes=45)
    await lucia_studios.rows(BUSY, ana.id, salon.at(9), salon.at(9, 20))
    assert await salon.starts(shifted) == [salon.at(9, 30), salon.at(10, 15), salon.at(11)]
    on_the_day = {at[11:]: rule for at, (rule, _) in (await explained(salon, shifted, ana, salon.day, salon.day)).items()}
    assert on_the_day == {"09:00": "external", "09:45": "grid", "10:30": "grid", "11:15": "grid"}


async def test_a_date_is_the_providers_own_and_an_instant_everybodys(salon: Salon, lucia: Member, ana: Member) -> None:
    rules = [{"kind": "open", "weekday": day, "start_time": "00:00", "end_time": "02:00"} for day in range(7)]
    for member, zone in ((lucia, "America/Sao_Paulo"), (ana, "Pacific/Kiritimati")):
        await salon.ask("PUT", f"/providers/{member.id}/schedule", json={"timezone": zone, "rules": rules})
    cut = await salon.offer(lucia, ana, duration_minutes=60)
    slots = await salon.ask("GET", "/availability", params={"service_id": cut, "from": str(salon.day), "to": str(salon.day)})
    assert [(slot["start"], slot["provider_ids"]) for slot in slots] == [
        *((f"{salon.day}T0{hour}:00:00+14:00", [ana.id]) for hour in (0, 1)),
        *((f"{salon.day}T0{hour}:00:00-03:00", [lucia.id]) for hour in (0, 1)),
    ]
    between = {"service_id": cut, "from": salon.at(0).isoformat(), "to": salon.at(1).isoformat(), "provider_id": lucia.id}
    assert [slot["start"] for slot in await salon.ask("GET", "/availability", params=between)] == [f"{salon.day}T00:00:00-03:00"]


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"to": "2026-06-10T25:00"}, "to"),
        ({"from": "someday", "to": "2026-06-10"}, "from"),
        ({"from": "9999-12-31", "to": "9999-12-31"}, "from"),
        ({"days": 31}, "to"),
        ({"days": -1}, "to"),
        ({"days": 7, "explain": 1, "provider_id": None}, "to"),
        ({"provider_id": "stranger"}, "provider_id"),
        ({"service_id": None}, "service_id"),
        ({"from": None}, "from"),
    ],
)
async def test_what_makes_no_sense_is_refused(salon: Salon, lucia: Member, ana: Member, asked: dict[str, Any], field: str) -> None:
    cut, last = await salon.offer(ana), salon.day + timedelta(days=asked.pop("days", 0))
    wanted = {"service_id": cut, "provider_id": ana.id, "from": str(salon.day), "to": str(last)} | asked
    given = {name: lucia.id if value == "stranger" else value for name, value in wanted.items() if value is not None}
    answer = await salon.call("GET", "/availability", params=given)
    assert answer.status_code == 422, answer.text
    assert list(answer.json()["errors"][0]["details"]) == [field]


async def test_another_workspaces_service_is_none_and_one_that_rests_is_not_offered(
    salon: Salon, ana: Member, client: AsyncClient, other_tenant: Workspace
) -> None:
    cut = await salon.offer(ana)
    asked: dict[str, Any] = {"service_id": cut, "from": str(salon.day), "to": str(salon.day)}
    theirs = await client.get("/v1/scheduling/availability", params=asked, headers=other_tenant.owner.headers)
    assert theirs.status_code == 404
    assert await salon.starts(cut)
    await salon.ask("PUT", f"/services/{cut}", json={"is_active": False})
    assert await salon.starts(cut) == []


def test_whose_turn_it_is_depends_on_the_day_then_on_the_days_around_it() -> None:
    day, near, far = date(2026, 6, 10), date(2026, 6, 17), date(2026, 6, 18)
    days = dict.fromkeys((1, 2, 3), day)
    assert fairest({}, {7: day}) == (7, "only")
    assert fairest({}, days) == (1, "first")
    assert fairest({1: {day: 2}, 2: {day: 1, near: 9}, 3: {day: 2}}, days) == (2, "fewest_that_day")
    assert fairest({1: {near: 2}, 2: {near: 1, far: 5}, 3: {day: 1}}, days) == (2, "fewest_around")
    assert fairest({1: {day: 1, near: 1}, 2: {near: 1}, 3: {near: 1, far: 1}}, days) == (2, "first")


async def test_who_has_least_to_do_is_chosen(salon: Salon, lucia: Member, ana: Member) -> None:
    cut = await salon.offer(lucia, ana)
    await salon.booked(cut, salon.at(9), provider_id=lucia.id)
    assert (await salon.booked(cut, salon.at(15)))["provider"]["id"] == ana.id
    assert (await salon.booked(cut, salon.at(16)))["provider"]["id"] == min(lucia.id, ana.id)
    await salon.booked(cut, salon.at(9, days=2), provider_id=min(lucia.id, ana.id))
    assert (await salon.booked(cut, salon.at(9, days=1)))["provider"]["id"] == max(lucia.id, ana.id)

"""What takes time and what is written down as taken are the same, whatever happened and whoever met whom."""

import asyncio
import random
from datetime import datetime, timedelta
from typing import Any

import pytest
from litestar import Litestar

from plixa.identity.commands.sessions import Entrance
from plixa.kernel.uow import perform, working
from plixa.scheduling.commands.booking import BookAppointment, BookedView, book_appointment
from plixa.scheduling.commands.holds import MOST
from tests.scheduling.salon import Salon, code, reason
from tests.support.world import Member, Workspace, add_agent

UNITS = "SELECT holder, unit FROM resource_time WHERE tenant_id = $1 ORDER BY holder"
MEANT = """SELECT a.id, a.provider_id, start_at, end_at, resource_ids::text AS resources FROM appointment a
WHERE a.tenant_id = $1 AND status IN ('pending', 'confirmed', 'arrived', 'completed')
UNION ALL SELECT h.id, h.provider_id, h.starts_at, h.ends_at, (SELECT json_agg(resource_id)::text FROM service_resource r
    WHERE r.tenant_id = h.tenant_id AND r.service_id = h.service_id) FROM hold h WHERE h.tenant_id = $1 ORDER BY id"""
TAKEN = """SELECT p.holder AS id, p.provider_id, starts_at + interval '10 minutes' AS start_at, ends_at - interval '20 minutes' AS end_at,
    (SELECT json_agg(r.resource_id)::text FROM resource_time r
     WHERE r.tenant_id = p.tenant_id AND r.holder = p.holder AND r.starts_at = p.starts_at AND r.ends_at = p.ends_at) AS resources
FROM provider_time p WHERE p.tenant_id = $1 ORDER BY p.holder"""
STRAYS = """SELECT FROM resource_time r WHERE tenant_id = $1 AND NOT EXISTS (
    SELECT FROM provider_time p WHERE p.tenant_id = r.tenant_id AND p.holder = r.holder)"""
DEEP = """SELECT max(unit) AS unit FROM resource_time WHERE tenant_id = $1"""
OFFERED = "SELECT FROM outbox WHERE tenant_id = $1 AND kind = 'automation.offer_time'"
CAPACITY = 2
BUFFERS = {"buffer_before_minutes": 10, "buffer_after_minutes": 20}


async def test_who_cancels_while_their_unit_is_changed_has_none_left(salon: Salon, entrance: Entrance, lucia_studios: Workspace) -> None:
    crowd = [await add_agent(entrance, lucia_studios, f"Rui {number}") for number in range(3)]
    await salon.employ(*crowd)
    room = await open_room(salon, 2)
    short, long = [
        await salon.offer(*crowd, resource_ids=[room], duration_minutes=minutes, slot_interval_minutes=60) for minutes in (60, 180)
    ]
    one, gone, other = [
        (await salon.booked(short, salon.at(hour), provider_id=crowd[place].id))["id"] for hour, place in ((9, 0), (10, 0), (10, 1))
    ]
    await salon.do(gone, "cancel")
    assert [(row["holder"], row["unit"]) for row in await lucia_studios.rows(UNITS)] == [(one, 1), (other, 2)]
    async with working(salon.workspace.kernel, salon.workspace.tenant) as uow:
        booked = await book_appointment(uow, BookAppointment(long, salon.at(9), crowd[2].id))
        for number in (one, other):
            assert (await salon.do(number, "cancel")).is_success
        await uow.commit()
    assert [row["holder"] for row in await lucia_studios.rows(UNITS)] == [booked.id]


async def test_a_room_that_is_torn_down_in_the_middle_of_a_booking_is_not_missed(salon: Salon, ana: Member) -> None:
    room = await open_room(salon, 1)
    cut = await salon.offer(ana, resource_ids=[room])
    async with working(salon.workspace.kernel, salon.workspace.tenant) as uow:

        async def book() -> BookedView:
            booked = await book_appointment(uow, BookAppointment(cut, salon.at(9), ana.id))
            if uow.attempt == 0:
                await salon.ask("DELETE", f"/resources/{room}")
            return booked

        assert (await perform(uow, book)).resources == []


async def test_after_any_history_exactly_what_takes_time_is_taken(salon: Salon, entrance: Entrance, lucia_studios: Workspace) -> None:
    crowd = [await add_agent(entrance, lucia_studios, f"Rui {number}") for number in range(4)]
    await salon.employ(*crowd)
    rooms = [await open_room(salon, CAPACITY, f"Room {number}") for number in range(2)]
    more = BUFFERS | {"slot_interval_minutes": 15}
    plans: list[dict[str, Any]] = [
        {"duration_minutes": 60, "resource_ids": rooms},
        {"duration_minutes": 150, "resource_ids": rooms[:1]},
        {"duration_minutes": 60, "resource_ids": rooms[::-1], "requires_approval": True},
    ]
    cuts = [await salon.offer(*crowd, **plan, **more) for plan in plans]
    dice = random.Random(5)
    numbers: list[int] = []
    holds: list[int] = []
    for _ in range(8):
        answers = await asyncio.gather(*(deed(salon, dice, cuts, numbers, holds) for _ in range(24)))
        assert {status for status, _ in answers} <= {200, 201, 204, 404, 409}, answers
        fresh = [data for status, data in answers if status == 201]
        numbers += [one["id"] for data in fresh if "series_id" in data for one in data["occurrences"] or [data]]
        holds += [data["id"] for data in fresh if "series_id" not in data]
        meant, taken = await lucia_studios.rows(MEANT), await lucia_studios.rows(TAKEN)
        assert [plain(row) for row in meant] == [plain(row) for row in taken]
        assert await lucia_studios.rows(STRAYS) == []
        assert (await lucia_studios.rows(DEEP))[0]["unit"] <= CAPACITY
    assert len(numbers) > 20


async def deed(salon: Salon, dice: random.Random, cuts: list[int], numbers: list[int], holds: list[int]) -> tuple[int, dict[str, Any]]:
    """Anything that anybody may do; its status, and what was answered."""
    start = salon.at(8, days=dice.randrange(3)) + timedelta(minutes=15 * dice.randrange(48))
    wish: dict[str, Any] = {"service_id": dice.choice(cuts), "start": start.isoformat()}
    known = dice.choice(numbers) if numbers else 0
    does: list[tuple[str, str, dict[str, Any] | None]] = [
        ("POST", "/appointments", wish),
        ("POST", "/appointments", wish | {"force": True}),
        ("POST", "/appointments", wish | {"repeat": "daily", "occurrences": 3, "skip_conflicts": True}),
        ("POST", "/appointments", wish | {"hold_id": dice.choice(holds)} if holds else wish),
        ("POST", "/holds", wish),
        ("POST", f"/appointments/{known}/reschedule", {"start": wish["start"], "force": dice.random() < 0.5}),
        ("POST", f"/appointments/{known}/cancel", {"scope": "this"}),
        *[("POST", f"/appointments/{known}/{what}", None) for what in ("approve", "decline")],
        ("DELETE", f"/holds/{dice.choice(holds) if holds else 0}", None),
    ]
    method, path, body = dice.choice(does)
    answer = await salon.call(method, path, json=body)
    return answer.status_code, (answer.json()["data"] or {}) if answer.content else {}


def plain(row: dict[str, Any]) -> tuple[Any, ...]:
    """A row, with its resources in order."""
    *values, resources = row.values()
    return (*values, sorted(int(one) for one in (resources or "[]").strip("[]").split(",") if one))


async def test_a_request_keeps_the_room_it_was_made_with(salon: Salon, ana: Member, lucia: Member) -> None:
    room, other = await open_room(salon, 1), await open_room(salon, 1, "Other")
    cut = await salon.offer(ana, requires_approval=True, resource_ids=[room])
    asked = (await salon.booked(cut, salon.at(10)))["id"]
    await salon.ask("PUT", f"/services/{cut}", json={"resource_ids": [other]})
    dye = await salon.offer(lucia, resource_ids=[room, other])
    assert reason(await salon.book(dye, salon.at(10))) == "resource"
    perm = await salon.offer(lucia, resource_ids=[other])
    await salon.booked(perm, salon.at(10))
    approved = await salon.do(asked, "approve")
    assert (approved.status_code, [one["id"] for one in approved.json()["data"]["resources"]]) == (200, [room])


async def test_kept_time_is_offered_to_others_where_another_is_booked_instead(salon: Salon, ana: Member, lucia_studios: Workspace) -> None:
    cut = await salon.offer(ana)
    kept = [(await hold(salon, cut, salon.at(hour))).json()["data"]["id"] for hour in (10, 14)]
    await salon.booked(cut, salon.at(14), hold_id=kept[1])
    assert await lucia_studios.rows(OFFERED) == []
    await salon.booked(cut, salon.at(11), hold_id=kept[0])
    assert len(await lucia_studios.rows(OFFERED)) == 1
    assert salon.at(10) in await salon.starts(cut)


async def test_nobody_keeps_everything(salon: Salon, ana: Member, lucia: Member) -> None:
    cut = await salon.offer(ana, duration_minutes=5)
    starts = (await salon.starts(cut))[: MOST + 2]
    kept = await asyncio.gather(*(hold(salon, cut, start) for start in starts))
    assert sorted(answer.status_code for answer in kept) == [201] * MOST + [409] * 2
    assert {code(answer) for answer in kept if answer.status_code == 409} == {"TOO_MANY_HOLDS"}
    (late,) = (await salon.starts(cut))[-1:]
    assert (await hold(salon, cut, late)).status_code == 409
    assert (await hold(salon, cut, late, ana)).status_code == 201


async def hold(salon: Salon, cut: int, start: datetime, by: Member | None = None) -> Any:
    """An attempt to keep a time."""
    return await salon.call("POST", "/holds", by, json={"service_id": cut, "start": start.isoformat()})


async def open_room(salon: Salon, capacity: int, name: str = "Room") -> int:
    """A resource."""
    return int((await salon.ask("POST", "/resources", json={"name": name, "capacity": capacity}))["id"])


async def test_a_fraction_of_a_second_is_nobodys(salon: Salon, ana: Member) -> None:
    cut = await salon.offer(ana)
    await salon.booked(cut, salon.at(11))
    fraction = timedelta(microseconds=500_000)
    assert datetime.fromisoformat((await salon.booked(cut, salon.at(10, 30) + fraction))["start"]) == salon.at(10, 30)
    assert reason(await salon.book(cut, salon.at(10, 30) + fraction, force=True)) == "appointment"
    assert reason(await salon.book(cut, salon.at(14) + timedelta(seconds=1))) == "grid"


@pytest.mark.parametrize("start", ["0001-01-01T00:00:00", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59", "9990-06-10T10:00:00"])
async def test_times_far_away_are_refused_and_leave_nothing_open(salon: Salon, app: Litestar, ana: Member, start: str) -> None:
    cut = await salon.offer(ana)
    known = (await salon.booked(cut, salon.at(15)))["id"]
    used = app.state.kernel.database.usage()[0]
    for path, body in (
        ("/appointments", {"service_id": cut, "force": True, "repeat": "monthly", "occurrences": 52}),
        ("/holds", {"service_id": cut}),
        (f"/appointments/{known}/reschedule", {"force": True}),
    ):
        assert (await salon.call("POST", path, json=body | {"start": start})).status_code == 422
    span = {"from": start, "to": "2026-01-01T10:00:00" if start > "2" else start}
    for path in ("/appointments", "/calendar/google/busy", "/availability"):
        assert (await salon.call("GET", path, params=span | {"service_id": cut})).status_code == 422
    assert app.state.kernel.database.usage()[0] == used

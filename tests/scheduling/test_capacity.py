"""Rooms and devices are filled to the last unit, and never beyond; who has which unit is nobody's concern but ours."""

import asyncio
import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plixa.identity.commands.sessions import Entrance
from plixa.scheduling.domain.units import Use, placed
from tests.scheduling.salon import Salon
from tests.support.world import Workspace, add_agent

DAY = datetime(2026, 6, 10, tzinfo=UTC)
CROWD = 12
TAKEN = """SELECT r.unit, r.starts_at, r.ends_at FROM resource_time r JOIN appointment a ON a.tenant_id = r.tenant_id AND a.id = r.holder
WHERE r.tenant_id = $1 AND a.status = 'confirmed' AND a.start_at = r.starts_at AND a.end_at = r.ends_at"""


@pytest.mark.parametrize("capacity", [1, 2, 3, 10])
async def test_a_crowd_fills_it_exactly(salon: Salon, entrance: Entrance, lucia_studios: Workspace, capacity: int) -> None:
    crowd = [await add_agent(entrance, lucia_studios, f"Rui {number}") for number in range(CROWD)]
    await salon.employ(*crowd)
    room = (await salon.ask("POST", "/resources", json={"name": "Room", "capacity": capacity}))["id"]
    cut = await salon.offer(*crowd, resource_ids=[room])
    dice = random.Random(capacity)
    for _ in range(3):
        answers = await asyncio.gather(*(salon.book(cut, salon.at(10), provider_id=one.id) for one in crowd))
        assert sum(answer.status_code == 201 for answer in answers) == capacity
        assert {answer.json()["errors"][0]["details"]["reason"] for answer in answers if answer.status_code == 409} <= {"resource"}
        numbers = [answer.json()["data"]["id"] for answer in answers if answer.status_code == 201]
        assert len(await lucia_studios.rows(TAKEN)) == capacity
        await asyncio.gather(*(salon.do(number, "cancel") for number in dice.sample(numbers, len(numbers))))


async def test_scattered_units_are_no_reason_to_refuse(salon: Salon, entrance: Entrance, lucia_studios: Workspace) -> None:
    crowd = [await add_agent(entrance, lucia_studios, f"Rui {number}") for number in range(3)]
    await salon.employ(*crowd)
    room = (await salon.ask("POST", "/resources", json={"name": "Room", "capacity": 2}))["id"]
    short, long = [
        await salon.offer(*crowd, resource_ids=[room], duration_minutes=minutes, slot_interval_minutes=60) for minutes in (60, 180)
    ]
    first = await salon.booked(short, salon.at(9), provider_id=crowd[0].id)
    blocker = await salon.booked(short, salon.at(9), provider_id=crowd[1].id)
    await salon.booked(short, salon.at(10), provider_id=crowd[1].id)
    second = await salon.booked(short, salon.at(11), provider_id=crowd[1].id)
    await salon.do(blocker["id"], "cancel")
    third = await salon.booked(long, salon.at(9), provider_id=crowd[2].id)
    assert {first["status"], second["status"], third["status"]} == {"confirmed"}
    assert len(await lucia_studios.rows(TAKEN)) == 4


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(1, 12)), min_size=1, max_size=30),
    st.sampled_from([1, 2, 3, 10]),
    st.randoms(use_true_random=False),
)
def test_there_is_a_unit_whenever_fewer_than_all_are_in_use(asked: list[tuple[int, int]], capacity: int, dice: random.Random) -> None:
    uses: dict[int, Use] = {}
    for holder, (start, length) in enumerate(asked):
        fresh = Use(holder, DAY + timedelta(hours=start), DAY + timedelta(hours=start + length))
        hours = [fresh.start + timedelta(hours=hour) for hour in range(length)]
        deepest = max(sum(use.start <= hour < use.end for use in uses.values()) for hour in hours)
        if deepest < capacity:
            uses |= {use.holder: use for use in placed(uses.values(), fresh, capacity)}
        if uses and dice.random() < 0.3:
            del uses[dice.choice(list(uses))]
        everybody = list(uses.values())
        assert all(1 <= use.unit <= capacity for use in everybody)
        clashes = [
            (one, other)
            for index, one in enumerate(everybody)
            for other in everybody[index + 1 :]
            if one.unit == other.unit and one.start < other.end and other.start < one.end
        ]
        assert clashes == []


def test_what_began_long_ago_keeps_its_unit() -> None:
    def use(holder: int, start: float, end: float, unit: int = 0) -> Use:
        return Use(holder, DAY + timedelta(days=start), DAY + timedelta(days=end), unit=unit)

    known = [use(1, -1.5, 1.4, 2), use(2, 1.0, 2.5, 1), use(3, 2.3, 3.5, 2), use(4, 3.5, 4.5, 1)]
    changed = {one.holder: one.unit for one in placed(known, use(5, 3.0, 4.0), 2, DAY)}
    assert changed == {5: 1, 4: 2}

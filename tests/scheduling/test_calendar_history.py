"""The calendar as it was: what it showed at any instant is shown when asked for that instant later, and a rebuild tells the same."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from plixa.kernel.rebuild import rebuild
from plixa.kernel.settings import Settings
from projections.registry import BY_NAME
from tests.scheduling.salon import Salon
from tests.support.world import Member, Workspace

ROWS = "SELECT * FROM appointment WHERE tenant_id = $1 ORDER BY id"
COUNTED = "SELECT key, value FROM counter WHERE tenant_id = $1 AND projection = 'appointment' AND value <> 0 ORDER BY key"


class Diary:
    """What the calendar and one appointment showed, and when."""

    def __init__(self, salon: Salon) -> None:
        self.salon = salon
        self.span = {"from": salon.at(0, days=-1).isoformat(), "to": salon.at(0, days=40).isoformat(), "limit": 200}
        self.pages: list[tuple[str, Any, dict[int, Any]]] = []

    async def write(self) -> None:
        """Note what is shown now."""
        listed = await self.salon.ask("GET", "/appointments", params=self.span)
        alone = {one["id"]: await self.salon.ask("GET", f"/appointments/{one['id']}") for one in listed[:2]}
        self.pages.append((datetime.now(UTC).isoformat(), listed, alone))

    async def compare(self) -> None:
        """Ask for every instant again."""
        for moment, listed, alone in self.pages:
            assert await self.salon.ask("GET", "/appointments", params=self.span | {"as_of": moment}) == listed
            for number, shown in alone.items():
                assert await self.salon.ask("GET", f"/appointments/{number}", params={"as_of": moment}) == shown


async def live(salon: Salon, dice: random.Random, services: list[int], known: list[int]) -> None:
    """One thing that happens; refusals are part of life."""
    start = salon.at(dice.randrange(8, 20), dice.choice((0, 30)), dice.randrange(30))
    what = dice.choice(("book", "book", "series", "cancel", "reschedule", "approve", "decline", "note"))
    if what in {"book", "series"} or not known:
        more: dict[str, Any] = {"repeat": "weekly", "occurrences": 3, "skip_conflicts": True} if what == "series" else {}
        answer = await salon.book(dice.choice(services), start, **more)
        booked = answer.json()["data"] if answer.is_success else {}
        known += [one["id"] for one in booked.get("occurrences", [])] or [booked[key] for key in ("id",) if booked]
    elif what == "note":
        await salon.ask("PATCH", f"/appointments/{dice.choice(known)}", json={"notes": str(dice.random())})
    else:
        body: Any = {"cancel": {"scope": "this"}, "reschedule": {"start": start.isoformat()}}.get(what)
        answer = await salon.do(dice.choice(known), what, json=body)
        assert answer.status_code in {200, 409}, answer.text


@pytest.mark.parametrize("seed", range(2))
async def test_every_instant_of_a_random_history(
    salon: Salon, ana: Member, lucia: Member, lucia_studios: Workspace, settings: Settings, seed: int
) -> None:
    room = await salon.ask("POST", "/resources", json={"name": "Room", "capacity": 1})
    services = [
        await salon.offer(ana, lucia),
        await salon.offer(ana, resource_ids=[room["id"]], duration_minutes=60),
        await salon.offer(lucia, requires_approval=True, buffer_after_minutes=30),
    ]
    dice, known, diary = random.Random(seed), list[int](), Diary(salon)
    for step in range(60):
        await live(salon, dice, services, known)
        if step % 3 == 0:
            await diary.write()
    await diary.compare()
    before = await lucia_studios.rows(ROWS), await lucia_studios.rows(COUNTED)
    assert len(before[0]) > 20
    await rebuild(settings, BY_NAME["calendar"], lucia_studios.tenant)
    assert (await lucia_studios.rows(ROWS), await lucia_studios.rows(COUNTED)) == before


async def test_an_appointment_was_not_there_before_it_was_booked(salon: Salon, ana: Member) -> None:
    before = datetime.now(UTC)
    seen = await salon.booked(await salon.offer(ana), salon.at(10))
    answer = await salon.call("GET", f"/appointments/{seen['id']}", params={"as_of": before.isoformat()})
    assert answer.status_code == 404
    span = {"from": salon.at(0).isoformat(), "to": salon.at(23).isoformat()}
    assert await salon.ask("GET", "/appointments", params=span | {"as_of": before.isoformat()}) == []
    after = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
    assert len(await salon.ask("GET", "/appointments", params=span | {"as_of": after})) == 1


async def test_the_past_calendar_shows_what_was_moved_away_since(salon: Salon, ana: Member) -> None:
    seen = await salon.booked(await salon.offer(ana), salon.at(10))
    then = datetime.now(UTC).isoformat()
    await salon.do(seen["id"], "reschedule", json={"start": salon.at(10, days=20).isoformat()})
    span = {"from": salon.at(9).isoformat(), "to": salon.at(11).isoformat()}
    assert await salon.ask("GET", "/appointments", params=span) == []
    assert [one["id"] for one in await salon.ask("GET", "/appointments", params=span | {"as_of": then})] == [seen["id"]]


async def test_its_history_tells_who_did_what_and_its_reminders_when(salon: Salon, ana: Member) -> None:
    seen = await salon.booked(await salon.offer(ana, reminder_offsets=[60, 1440]), salon.at(10), ana)
    detail = await salon.ask("GET", f"/appointments/{seen['id']}")
    assert [(step["what"], step["by"]["name"]) for step in detail["history"]] == [("appointment.booked", "Ana")]
    due = [datetime.fromisoformat(one["at"]) for one in detail["reminders"]]
    assert due == [salon.at(10) - timedelta(minutes=offset) for offset in (1440, 60)]
    assert (detail["payment_link"], {one["sent_at"] for one in detail["reminders"]}) == (None, {None})


async def test_who_turned_out_to_be_somebody_else_is_them_in_the_past_too(salon: Salon, ana: Member) -> None:
    gone, kept = [await contact(salon, phone) for phone in ("+5511987650001", "+5511987650002")]
    seen = await salon.booked(await salon.offer(ana), salon.at(10), contact_id=gone)
    await salon.booked(await salon.offer(ana), salon.at(11))
    merged = await salon.client.post(f"/v1/contacts/{gone}/merge", headers=salon.owner.headers, json={"into": kept})
    assert merged.status_code == 200, merged.text
    about = {"from": salon.at(9).isoformat(), "to": salon.at(12).isoformat(), "contact_id": kept}
    for moment in ({}, {"as_of": datetime.now(UTC).isoformat()}):
        assert [one["id"] for one in await salon.ask("GET", "/appointments", params=about | moment)] == [seen["id"]]


async def contact(salon: Salon, phone: str) -> int:
    """Somebody new."""
    answer = await salon.client.post("/v1/contacts", headers=salon.owner.headers, json={"contact_phone": phone, "contact_name": "Rui"})
    assert answer.status_code == 201, answer.text
    return int(answer.json()["data"]["id"])

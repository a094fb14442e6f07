"""Who waits is offered what becomes free, in turn, for half an hour each; whoever says yes in time has it, and nobody else."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from plixa.kernel.auth import Principal
from plixa.kernel.settings import Settings
from plixa.kernel.uow import UnitOfWork, perform, working
from plixa.scheduling.commands.claims import take
from plixa.scheduling.commands.judging import taking
from plixa.scheduling.domain.appointment import Appointment
from plixa.scheduling.domain.events import Booked
from plixa.scheduling.queries.realtime import render
from tests.inbox.desk import Desk, stamp
from tests.scheduling.chair import Chair
from tests.scheduling.salon import Salon, code
from tests.support.trail import read_trail
from tests.support.world import Member, Workspace
from tests.whatsapp import webhooks

OFFER, ANSWER, KEEP = "automation.offer_time", "automation.answer_offer", "scheduling.keep_calendar"
ERASE, FOLLOW = "scheduling.erase_contacts", "scheduling.follow_zones"
KEYS = """SELECT FROM stream_key k JOIN event e ON e.tenant_id = k.tenant_id AND e.stream_id = k.stream_id
WHERE k.tenant_id = $1 AND e.topic = 'appointment.booked'"""
FIRST, SECOND, THIRD = "5511987650001", "5511987650002", "5511987650003"


@pytest.fixture
async def chair(salon: Salon, desk: Desk, settings: Settings) -> Chair:
    """Lúcia's salon, connected, whose customers read Portuguese."""
    await desk.workspace.rows("UPDATE tenant SET locale = 'pt-BR' WHERE tenant_id = $1 RETURNING tenant_id")
    return Chair(salon, desk, settings)


async def full(chair: Chair, cut: int, hours: tuple[int, ...] = (10,)) -> list[int]:
    """Appointments of nobody in particular."""
    return [(await chair.salon.booked(cut, chair.salon.at(hour)))["id"] for hour in hours]


async def freed(chair: Chair, number: int) -> None:
    """Cancelled, and offered to who waits."""
    await chair.salon.do(number, "cancel")
    assert await chair.do(OFFER) == 1


async def test_freed_time_goes_from_one_to_the_next_until_somebody_takes_it(chair: Chair, ana: Member) -> None:
    cut = await chair.salon.offer(ana, name="Corte")
    (number,) = await full(chair, cut)
    first, second = [await chair.wait(cut, await chair.customer(phone)) for phone in (FIRST, SECOND)]
    await freed(chair, number)
    assert await chair.standing() == {first: "offered", second: "waiting"}
    (offered,) = await chair.said(FIRST)
    assert "Corte com Ana" in offered
    assert "10:00" in offered
    assert chair.salon.at(10) not in await chair.salon.starts(cut)
    await chair.hear("2", FIRST)
    assert (await chair.told(FIRST))["answer"] == "lets the offered time pass"
    assert await chair.do(ANSWER) == 1
    assert await chair.do(OFFER) == 1
    assert await chair.standing() == {first: "waiting", second: "offered"}
    await chair.hear("SIM", SECOND)
    assert await chair.do(ANSWER) == 1
    assert await chair.standing() == {first: "waiting", second: "booked"}
    assert "está marcado" in (await chair.said(SECOND))[-1]
    (entry,) = await chair.salon.ask("GET", "/waitlist", params={"status": "booked"})
    booked = await chair.salon.ask("GET", f"/appointments/{entry['appointment_id']}")
    assert (booked["source"], booked["status"], booked["contact"]["phone"]) == ("customer", "confirmed", SECOND)
    assert datetime.fromisoformat(booked["start"]) == chair.salon.at(10)
    assert await chair.wear_off() == 2
    assert await chair.do(OFFER) == 0
    trail = [one["action"] for one in await read_trail(chair.desk.client, chair.desk.workspace, limit=200)]
    told = Counter(action for action in trail if action.startswith("waitlist_entry"))
    assert told == {"waitlist_entry.created": 2, "waitlist_entry.offered": 2, "waitlist_entry.offer_ended": 1}


async def test_who_does_not_answer_keeps_their_place_once_and_then_goes_to_the_end(chair: Chair, ana: Member) -> None:
    cut = await chair.salon.offer(ana)
    numbers = await full(chair, cut, (10, 11, 12))
    first, second = [await chair.wait(cut, await chair.customer(phone)) for phone in (FIRST, SECOND)]
    offered = []
    for number in numbers:
        await freed(chair, number)
        offered.append(next(one for one, status in (await chair.standing()).items() if status == "offered"))
        assert await chair.wear_off() == 1
        assert await chair.do(OFFER) == 1  # to the other
        assert await chair.wear_off() == 1
        assert await chair.do(OFFER) == 1  # to nobody: both have let it pass
        assert set((await chair.standing()).values()) == {"waiting"}
    assert offered == [first, first, first]
    assert len(await chair.said(FIRST)) == 3
    await chair.hear("1", FIRST)
    assert (await chair.told(FIRST))["answer"] == "the offer was over"
    assert "não está mais livre" in (await chair.said(FIRST))[-1]
    assert second in await chair.standing()


async def test_a_yes_that_comes_when_the_time_is_over_is_refused_politely(chair: Chair, ana: Member) -> None:
    cut = await chair.salon.offer(ana)
    (number,) = await full(chair, cut)
    entry = await chair.wait(cut, await chair.customer())
    await freed(chair, number)
    await chair.hear("1")
    assert await chair.wear_off() == 1  # before the yes is looked at
    assert await chair.do(ANSWER) == 1
    assert "não está mais livre" in (await chair.said())[-1]
    assert await chair.standing() == {entry: "waiting"}
    assert await chair.salon.ask("GET", "/appointments", params={"status": ["confirmed"]}) == []


async def test_time_for_several_is_offered_to_several_and_days_and_providers_are_kept_to(chair: Chair, ana: Member, lucia: Member) -> None:
    long = await chair.salon.offer(ana, duration_minutes=120)
    cut = await chair.salon.offer(ana, lucia)
    number = (await chair.salon.booked(long, chair.salon.at(10)))["id"]
    tomorrow = (chair.salon.day + timedelta(days=1)).isoformat()
    later = await chair.wait(cut, await chair.customer(FIRST), preferred_from=tomorrow)
    hers = await chair.wait(cut, await chair.customer(SECOND), provider_id=lucia.id)
    either = await chair.wait(cut, await chair.customer(THIRD), preferred_to=chair.salon.day.isoformat())
    anas = await chair.wait(cut, await chair.customer("5511987650004"), provider_id=ana.id)
    await freed(chair, number)
    assert await chair.standing() == {later: "waiting", hers: "waiting", either: "offered", anas: "offered"}
    entries = {entry["id"]: entry for entry in await chair.salon.ask("GET", "/waitlist", params={"status": "offered", "service_id": cut})}
    assert {*entries} == {either, anas}
    assert "10:00" in (await chair.said(THIRD))[0]
    assert "10:30" in (await chair.said("5511987650004"))[0]
    booked = await chair.salon.booked(cut, chair.salon.at(10), ana, hold_id=entries[either]["hold_id"])
    assert (await chair.standing())[either] == "booked"
    assert booked["source"] == "staff"
    await chair.salon.ask("DELETE", f"/waitlist/{anas}")
    assert (await chair.standing())[anas] == "removed"
    assert chair.salon.at(10, 30) in await chair.salon.starts(cut)


async def test_members_see_every_turn_of_the_list_as_it_happens(chair: Chair, ana: Member) -> None:
    cut = await chair.salon.offer(ana)
    numbers = await full(chair, cut, (10, 11))
    entry = await chair.wait(cut, await chair.customer())
    await freed(chair, numbers[0])
    (offered,) = await chair.salon.ask("GET", "/waitlist", params={"status": "offered"})
    await chair.salon.ask("DELETE", f"/holds/{offered['hold_id']}")
    assert await chair.do(OFFER) == 1
    assert await chair.standing() == {entry: "waiting"}
    await freed(chair, numbers[1])
    await chair.hear("1")
    await chair.do(ANSWER)
    workspace = chair.desk.workspace
    viewer = Principal(kind="panel", token_id=1, tenant=workspace.tenant, user_id=ana.id, name="Ana", role="agent")
    seen = [(change.event, change.data) for change in await render(workspace.kernel, viewer, await chair.desk.log())]
    turns = [data for name, data in seen if name == "WaitlistUpdated"]
    assert turns == [b'{"id":%d}' % entry] * 5  # joined, offered, let go by a member, offered, booked


async def test_who_cannot_be_told_is_passed_over_with_a_reason(chair: Chair, ana: Member) -> None:
    cut = await chair.salon.offer(ana)
    (number,) = await full(chair, cut)
    blocked = await chair.customer(FIRST)
    first, second = await chair.wait(cut, blocked), await chair.wait(cut, await chair.customer(SECOND))
    await chair.desk.client.post(f"/v1/contacts/{blocked}/block", headers=chair.desk.workspace.owner.headers)
    await freed(chair, number)
    assert await chair.standing() == {first: "waiting", second: "offered"}
    (passed,) = await read_trail(chair.desk.client, chair.desk.workspace, action="waitlist_entry.passed_over")
    assert passed["after"]["reason"] == "blocked"


async def crowd(chair: Chair, cut: int, start: datetime, kind: str) -> tuple[int, list[int]]:
    """What waits is done while twenty book one time: how many it was, and what they booked."""
    doing = asyncio.create_task(chair.do(kind))
    answers = await asyncio.gather(*(chair.salon.book(cut, start) for _ in range(20)))
    done = await doing
    assert {answer.status_code for answer in answers} <= {201, 409}
    return done, [answer.json()["data"]["id"] for answer in answers if answer.status_code == 201]


async def test_an_offer_and_twenty_bookings_at_once_have_one_winner(chair: Chair, ana: Member) -> None:
    cut = await chair.salon.offer(ana)
    entry, hour = await chair.wait(cut, await chair.customer()), 9
    while (await chair.standing())[entry] == "waiting":
        hour += 1
        (number,) = await full(chair, cut, (hour,))
        await chair.salon.do(number, "cancel")
        if hour < 13:
            done, won = await crowd(chair, cut, chair.salon.at(hour), OFFER)
            assert (done, len(won)) == (1, (await chair.standing())[entry] == "waiting")
        else:  # they never were the first
            assert await chair.do(OFFER) == 1
    await chair.hear("1")
    assert await crowd(chair, cut, chair.salon.at(hour), ANSWER) == (1, [])
    assert (await chair.standing())[entry] == "booked"


async def test_what_is_asked_of_the_list_is_checked(chair: Chair, ana: Member, lucia: Member, other_tenant: Workspace) -> None:
    cut, contact = await chair.salon.offer(ana), await chair.customer()
    wanted = {"service_id": cut, "contact_id": contact}
    for wrong, status in (
        ({"preferred_from": "2030-01-02", "preferred_to": "2030-01-01"}, 422),
        ({"preferred_to": "2020-01-01"}, 422),
        ({"notes": "x" * 2001}, 422),
        ({"provider_id": lucia.id}, 404),
        ({"contact_id": contact + 1}, 404),
        ({"service_id": cut + 1}, 404),
    ):
        assert (await chair.salon.call("POST", "/waitlist", json=wanted | wrong)).status_code == status, wrong
    entry = await chair.wait(cut, contact, notes="Só de manhã")
    assert code(await chair.salon.call("POST", "/waitlist", json=wanted)) == "ALREADY_WAITING"
    (shown,) = await chair.salon.ask("GET", "/waitlist", ana)
    assert (shown["contact"]["id"], shown["service"]["id"], shown["provider"], shown["notes"]) == (contact, cut, None, "Só de manhã")
    assert (await chair.salon.call("DELETE", f"/waitlist/{entry}", other_tenant.owner)).status_code == 404
    for _ in range(2):
        assert (await chair.salon.call("DELETE", f"/waitlist/{entry}")).status_code == 204
    other = await chair.wait(cut, contact)
    first = await chair.salon.call("GET", "/waitlist", params={"limit": 1})
    cursor = first.json()["meta"]["next_cursor"]
    assert [one["id"] for one in await chair.salon.ask("GET", "/waitlist", params={"limit": 1, "cursor": cursor})] == [other]


async def test_who_waits_for_days_that_are_over_waits_no_longer(chair: Chair, ana: Member) -> None:
    cut, contact = await chair.salon.offer(ana), await chair.customer()
    entry = await chair.wait(cut, contact, preferred_to=chair.salon.day.isoformat())
    assert await chair.do(KEEP) == 1
    assert await chair.standing() == {entry: "waiting"}
    await chair.desk.workspace.rows("UPDATE waitlist_entry SET preferred_to = current_date - 3 WHERE tenant_id = $1 RETURNING id")
    assert await chair.do(KEEP) == 1
    assert await chair.standing() == {entry: "expired"}
    assert await chair.do(KEEP) == 0


async def test_by_newer_rules_of_a_zone_an_appointment_keeps_its_wall_time(chair: Chair, ana: Member) -> None:
    cut, contact = await chair.salon.offer(ana, reminder_offsets=[120]), await chair.customer()
    known = (await chair.salon.booked(cut, chair.salon.at(16), contact_id=contact))["id"]
    workspace = chair.desk.workspace

    async def book_by_old_rules(uow: UnitOfWork, hour: int) -> int:
        """An hour off, as if São Paulo still had summer time."""
        number, right = await uow.number("appointment_number"), chair.salon.at(hour)
        start = right - timedelta(hours=1)
        place = (cut, "Cut", ana.id, "Ana", start, start + timedelta(minutes=60), "America/Sao_Paulo")
        wall = f"{chair.salon.day}T{hour:02}:00:00"
        async with uow.create(Appointment(number=number), contact) as editor:
            editor.record(Booked(*place, wall, "2018.1", contact_id=contact))
            await take(uow, [taking(editor.state, [])])
        return number

    numbers = []
    for hour in (10, 11, 12, 16):
        async with working(workspace.kernel, workspace.tenant) as uow:
            numbers.append(await perform(uow, lambda hour=hour: book_by_old_rules(uow, hour)))  # type: ignore[misc]
    assert await chair.do(KEEP) == 1
    assert await chair.do(FOLLOW) == 1
    *free, taken = [await chair.salon.ask("GET", f"/appointments/{number}") for number in numbers]
    assert [datetime.fromisoformat(one["start"]) for one in free] == [chair.salon.at(hour) for hour in (10, 11, 12)]
    assert (datetime.fromisoformat(taken["start"]), taken["conflict"]) == (chair.salon.at(15), "moved")
    assert chair.salon.at(10) not in await chair.salon.starts(cut)
    assert chair.salon.at(8) in await chair.due("automation.remind")
    assert [event["type"] for event in await chair.happened(numbers[0])] == ["appointment.booked", "appointment.shifted"]
    assert await chair.do(KEEP) == 1
    assert await chair.do(FOLLOW) == 0
    assert [event["type"] for event in await chair.happened(known)] == ["appointment.booked"]


async def test_of_an_erased_customer_nothing_is_left_in_the_calendar(chair: Chair, ana: Member) -> None:
    cut, contact = await chair.salon.offer(ana), await chair.customer()
    number = (await chair.salon.booked(cut, chair.salon.at(10), contact_id=contact, notes="canary-notes"))["id"]
    await chair.salon.ask("POST", "/holds", json={"service_id": cut, "start": chair.salon.at(11).isoformat(), "contact_id": contact})
    await chair.wait(cut, contact, notes="canary-notes")
    await chair.hear("oi", SECOND)
    owner = chair.desk.workspace.owner.headers
    answer = await chair.desk.client.post(f"/v1/contacts/{contact}/erase", headers=owner)
    assert answer.status_code == 200, answer.text
    assert await chair.do(ERASE) == 1
    for path in ("", "/events"):
        assert (await chair.salon.call("GET", f"/appointments/{number}{path}")).status_code in (404, 410)
    assert await chair.standing() == {}
    assert {chair.salon.at(10), chair.salon.at(11)} <= {*await chair.salon.starts(cut)}
    for table in ("appointment", "hold", "waitlist_entry", "provider_time"):
        assert await chair.desk.workspace.rows(f"SELECT 1 FROM {table} WHERE tenant_id = $1") == []
    span = {"from": chair.salon.at(0).isoformat(), "to": chair.salon.at(23).isoformat()}
    assert await chair.salon.ask("GET", "/appointments", params=span | {"as_of": datetime.now(UTC).isoformat()}) == []
    keys = await chair.desk.workspace.rows(KEYS)
    assert keys == []
    assert await chair.do("automation.remind") == 2
    assert await chair.desk.is_sound()


async def test_offers_answers_and_timers_all_at_once_give_every_time_to_one(chair: Chair, ana: Member) -> None:
    cut, phones = await chair.salon.offer(ana), [f"55119876500{number}" for number in range(10, 16)]
    numbers = await full(chair, cut, (10, 11, 12, 13, 14, 15))
    for phone in phones:
        await chair.wait(cut, await chair.customer(phone))
    await asyncio.gather(*(chair.salon.do(number, "cancel") for number in numbers))
    await chair.do_at_once(OFFER)
    assert Counter((await chair.standing()).values()) == {"offered": 6}
    await chair.desk.hear_at_once(webhooks.text(chair.desk.chat(phone), stamp(), "1") for phone in phones)
    await chair.do_at_once(ANSWER, "scheduling.expire_hold")
    after = Counter((await chair.standing()).values())
    assert set(after) <= {"booked", "waiting"}
    booked = await chair.salon.ask("GET", "/appointments", params={"status": ["confirmed"]})
    assert len({one["start"] for one in booked}) == len(booked) == after["booked"]
    said = [(await chair.said(phone))[-1] for phone in phones]
    assert sum("está marcado" in text for text in said) == after["booked"]
    assert sum("não está mais livre" in text for text in said) == after["waiting"]
    assert await chair.parked() == []

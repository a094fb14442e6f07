"""Customers are reminded once for each time that is wanted, by the clocks of the provider, and what they answer counts."""

import asyncio
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from plixa.automation.commands.reminding import Reminder, remind
from plixa.kernel.delivery import deliver
from plixa.kernel.settings import Settings
from plixa.kernel.uow import perform, working
from tests.inbox.desk import Desk
from tests.scheduling.chair import Chair, soon
from tests.scheduling.salon import Salon
from tests.support.world import Member

REMIND = "automation.remind"
ANEW = "scheduling.remind_anew"
DUE = "SELECT id FROM outbox WHERE tenant_id = $1 AND kind = 'automation.remind' AND state = 'waiting' ORDER BY id"
READY = "UPDATE outbox SET due_at = now() WHERE tenant_id = $1 AND kind = 'automation.remind' RETURNING id"


@pytest.fixture
async def chair(salon: Salon, desk: Desk, settings: Settings) -> Chair:
    """Lúcia's salon, connected."""
    return Chair(salon, desk, settings)


async def reminders(chair: Chair, number: int) -> list[dict[str, Any]]:
    """As the panel shows them."""
    shown = await chair.salon.ask("GET", f"/appointments/{number}")
    return [one for one in shown["reminders"] if one["sent_at"] or one["skipped"]]


async def test_a_customer_is_reminded_once_for_each_offset_whoever_asks_how_often(chair: Chair, ana: Member) -> None:
    contact, cut = await chair.customer(), await chair.salon.offer(ana, name="Corte")
    start = chair.salon.at(10)
    number = (await chair.salon.booked(cut, start, contact_id=contact))["id"]
    assert await chair.due(REMIND) == [start - timedelta(days=1), start - timedelta(hours=2)]
    workspace = chair.desk.workspace
    await workspace.rows(READY)
    rows = [row["id"] for row in await workspace.rows(DUE)]
    done = await asyncio.gather(*(deliver(workspace.kernel, chair.handlers, workspace.tenant, row) for row in rows * 3))
    assert sum(done) == len(rows) == 2
    for offset in (1440, 120):  # an attempt that died after it was done, told again
        async with working(workspace.kernel, workspace.tenant) as uow:
            await perform(uow, partial(remind, uow, Reminder(number, start, offset)))
    first, second = await chair.said()
    assert first == second
    assert "Corte" in first
    assert "10:00" in first
    assert "Reply 1" in first
    told = [event["data"]["offset"] for event in await chair.happened(number) if event["type"] == "appointment.reminded"]
    assert sorted(told) == [120, 1440]
    assert len(await reminders(chair, number)) == 2
    assert (await chair.desk.only())["unread_count"] == 1


async def test_across_a_change_of_the_clocks_a_reminder_keeps_its_elapsed_minutes(chair: Chair, ana: Member) -> None:
    rules = [{"kind": "open", "weekday": weekday, "start_time": "00:00", "end_time": "24:00"} for weekday in range(7)]
    await chair.salon.ask("PUT", f"/providers/{ana.id}/schedule", json={"timezone": "Europe/Lisbon", "rules": rules})
    cut = await chair.salon.offer(ana, max_advance_days=400, reminder_offsets=[1440, 60])
    year = datetime.now(UTC).year + (datetime.now(UTC).month >= 3)
    spring = max(datetime(year, 3, day, tzinfo=UTC) for day in range(25, 32) if datetime(year, 3, day, tzinfo=UTC).weekday() == 6)
    number = (await chair.salon.booked(cut, f"{spring:%Y-%m-%d}T09:00:00", provider_id=ana.id, contact_id=await chair.customer()))["id"]
    assert await chair.due(REMIND) == [spring - timedelta(hours=16), spring + timedelta(hours=7)]
    await chair.do(REMIND)
    assert all("9:00" in text for text in await chair.said())
    assert len(await reminders(chair, number)) == 2


@pytest.mark.parametrize(
    ("obstacle", "reason"), [("nobody", "no_contact"), ("blocked", "blocked"), ("away", "no_number"), ("late", "late")]
)
async def test_what_is_not_sent_says_why(chair: Chair, ana: Member, obstacle: str, reason: str) -> None:
    contact = await chair.customer()
    cut = await chair.salon.offer(ana, reminder_offsets=[120])
    start = soon(0.9) if obstacle == "late" else chair.salon.at(10)
    number = (await chair.salon.booked(cut, start, contact_id=None if obstacle == "nobody" else contact, force=True))["id"]
    desk = chair.desk
    if obstacle == "blocked":
        await desk.client.post(f"/v1/contacts/{contact}/block", headers=desk.workspace.owner.headers)
    if obstacle == "away":
        await desk.workspace.rows("UPDATE phone_instance SET status = 'disconnected' WHERE tenant_id = $1 RETURNING id")
    if obstacle == "late":
        async with working(desk.workspace.kernel, desk.workspace.tenant) as uow:
            await perform(uow, partial(remind, uow, Reminder(number, start, 120)))
    else:
        assert await chair.do(REMIND) == 1
    assert await chair.said() == []
    (told,) = await reminders(chair, number)
    assert (told["skipped"], told["sent_at"]) == (reason, None)


async def test_a_suspended_workspace_reminds_nobody(chair: Chair, ana: Member) -> None:
    cut = await chair.salon.offer(ana, reminder_offsets=[120])
    number = (await chair.salon.booked(cut, chair.salon.at(10), contact_id=await chair.customer()))["id"]
    workspace = chair.desk.workspace
    await workspace.rows("UPDATE tenant SET status = 'suspended' WHERE tenant_id = $1 RETURNING tenant_id")
    await chair.do(REMIND)
    await workspace.rows("UPDATE tenant SET status = 'active' WHERE tenant_id = $1 RETURNING tenant_id")
    chair.desk.forget()
    (told,) = await reminders(chair, number)
    assert told["skipped"] == "silent"


async def test_nothing_is_said_of_what_was_cancelled_moved_or_is_not_confirmed(chair: Chair, ana: Member) -> None:
    contact, cut = await chair.customer(), await chair.salon.offer(ana, reminder_offsets=[120])
    asked = await chair.salon.offer(ana, reminder_offsets=[120], requires_approval=True)
    cancelled = (await chair.salon.booked(cut, chair.salon.at(10), contact_id=contact))["id"]
    await chair.salon.do(cancelled, "cancel")
    moved = (await chair.salon.booked(cut, chair.salon.at(11), contact_id=contact))["id"]
    await chair.salon.do(moved, "reschedule", json={"start": chair.salon.at(12).isoformat()})
    pending = (await chair.salon.booked(asked, chair.salon.at(14), contact_id=contact))["id"]
    assert await chair.do(REMIND) == 3
    assert len(await chair.said()) == 1
    assert "12:00" in (await chair.said())[0]
    assert [await reminders(chair, number) for number in (cancelled, pending)] == [[], []]
    await chair.salon.do(pending, "approve")
    assert await chair.do(REMIND) == 1
    assert len(await reminders(chair, pending)) == 1


async def test_other_offsets_count_for_what_is_booked_already(chair: Chair, ana: Member) -> None:
    contact, cut = await chair.customer(), await chair.salon.offer(ana)
    start = chair.salon.at(10)
    number = (await chair.salon.booked(cut, start, contact_id=contact))["id"]
    await chair.salon.ask("PUT", "/reminder-config", json={"offsets": [60, 120]})
    assert await chair.do(ANEW) == 1
    assert await chair.due(REMIND) == [start - timedelta(minutes=minutes) for minutes in (1440, 120, 60)]
    service = await chair.salon.ask("GET", f"/services/{cut}")
    await chair.salon.ask("PUT", f"/services/{cut}", json={"reminder_offsets": [60, 30], "name": service["name"]})
    assert await chair.do(ANEW) == 1
    assert await chair.do(REMIND) == 4
    told = [event["data"]["offset"] for event in await chair.happened(number) if event["type"] == "appointment.reminded"]
    assert sorted(told) == [30, 60]
    await chair.salon.ask("PUT", f"/services/{cut}", json={"reminder_offsets": [60, 30]})
    assert await chair.do(ANEW) == 0


async def test_a_closed_conversation_stays_closed_and_a_stranger_gets_one_of_their_own(chair: Chair, ana: Member) -> None:
    contact, cut = await chair.customer(), await chair.salon.offer(ana, reminder_offsets=[120])
    known = await chair.desk.only()
    await chair.desk.do("POST", f"/{known['id']}/close")
    made = await chair.desk.client.post(
        "/v1/contacts", json={"contact_phone": "5511987650009", "contact_name": "Bia"}, headers=chair.desk.workspace.owner.headers
    )
    await chair.salon.booked(cut, chair.salon.at(10), contact_id=contact)
    await chair.salon.booked(cut, chair.salon.at(11), contact_id=made.json()["data"]["id"])
    assert await chair.do(REMIND) == 2
    assert len(await chair.said()) == len(await chair.said("5511987650009")) == 1
    assert {one["status"] for one in await chair.desk.all(status="all")} == {"closed"}


@pytest.mark.parametrize(
    ("locale", "word", "answer", "thanks"),
    [
        ("pt-BR", "Sim!", "confirmed", "confirmado"),
        ("es", "SÍ", "confirmed", "confirmada"),
        ("en", "ok.", "confirmed", "confirmed"),
        ("pt-BR", "não", "move", "outro horário"),
        ("es", "No", "move", "otro horario"),
        ("en", "2️⃣", "move", "another time"),
    ],
)
async def test_what_a_customer_answers_counts_once(chair: Chair, ana: Member, locale: str, word: str, answer: str, thanks: str) -> None:
    await chair.desk.workspace.rows("UPDATE tenant SET locale = $2 WHERE tenant_id = $1 RETURNING tenant_id", locale)
    contact, cut = await chair.customer(), await chair.salon.offer(ana, reminder_offsets=[120])
    number = (await chair.salon.booked(cut, chair.salon.at(10), contact_id=contact))["id"]
    await chair.hear(word)
    assert (await chair.told())["answer"] == "nothing was asked"
    await chair.do(REMIND)
    conversation = (await chair.desk.only())["id"]
    await chair.desk.do("POST", f"/{conversation}/close")
    await chair.hear(word)
    assert (await chair.salon.ask("GET", f"/appointments/{number}"))["answer"] == answer
    assert thanks in (await chair.said())[-1]
    assert "closed_hours" not in await chair.told()
    states = [(await chair.desk.only())[name] for name in ("status", "unread_count")]
    await chair.hear(word)
    assert (await chair.told())["answer"] == "nothing was asked"
    assert len(await chair.said()) == 2
    shown = await chair.desk.only()
    assert (shown["status"], shown["unread_count"] > 0) == ("open", True)
    assert states == (["closed", 0] if answer == "confirmed" else ["open", 3])
    (event,) = [event for event in await chair.happened(number) if event["type"] == "appointment.answered"]
    assert event["data"]["answer"] == answer


async def test_a_word_that_a_human_may_have_asked_for_is_theirs_and_a_digit_is_not(chair: Chair, ana: Member) -> None:
    contact, cut = await chair.customer(), await chair.salon.offer(ana, reminder_offsets=[120])
    number = (await chair.salon.booked(cut, chair.salon.at(10), contact_id=contact))["id"]
    await chair.do(REMIND)
    await chair.hear("2")
    conversation = (await chair.desk.only())["id"]
    await chair.desk.do("POST", f"/{conversation}/messages", json={"body": "Pode ser às 15h?"})
    await chair.hear("ok")
    assert (await chair.salon.ask("GET", f"/appointments/{number}"))["answer"] == "move"
    await chair.hear("1")
    assert (await chair.salon.ask("GET", f"/appointments/{number}"))["answer"] == "confirmed"

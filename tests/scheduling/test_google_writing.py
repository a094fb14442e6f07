"""Appointments in their provider's Google Calendar: there, right, once, and gone when they are."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from plixa.kernel.uow import perform, working
from plixa.scheduling.commands.appointments import erase_appointments
from plixa.scheduling.commands.google.linking import WRITE
from plixa.scheduling.domain.google import Shown, body_of
from tests.scheduling.fake_google import Refusal
from tests.scheduling.outside import CALENDAR, Outside
from tests.support.world import Member, Workspace

WRITES = "SELECT state, attempts, due_at - now() AS waits FROM outbox WHERE tenant_id = $1 AND kind = 'scheduling.write_event' ORDER BY id"
NEW_YORK = "America/New_York"


async def marta(outside: Outside) -> int:
    """A customer."""
    form = {"contact_phone": "5511987654321", "contact_name": "Marta Souza"}
    answer = await outside.salon.client.post("/v1/contacts", json=form, headers=outside.salon.owner.headers)
    assert answer.status_code == 201, answer.text
    return int(answer.json()["data"]["id"])


def times(event: dict[str, Any]) -> tuple[datetime, datetime]:
    start, end = (datetime.fromisoformat(event[edge]["dateTime"]) for edge in ("start", "end"))
    return start, end


async def test_an_appointment_is_written_followed_and_deleted(outside: Outside, ana: Member) -> None:
    salon, email = outside.salon, await outside.connect(ana)
    cut = await salon.offer(ana, requires_approval=True)
    booked = await salon.booked(cut, salon.at(10), contact_id=await marta(outside), notes="Allergic to lavender")
    assert await outside.write() == 1
    (event,) = outside.google.shown(email)
    assert (event["summary"], event["status"], event["visibility"], event["transparency"]) == (
        "Cut 0 – Marta",
        "tentative",
        "private",
        "opaque",
    )
    assert times(event) == (salon.at(10), salon.at(10, 30))
    assert event["start"]["timeZone"] == "America/Sao_Paulo"
    assert event["extendedProperties"]["private"] == {"plixa_tenant": str(outside.tenant), "plixa_appointment": str(booked["id"])}
    assert not [word for word in ("lavender", "Souza", "98765") if word in str(event)]
    await salon.do(booked["id"], "approve")
    await outside.write()
    assert outside.google.shown(email)[0]["status"] == "confirmed"
    await salon.do(booked["id"], "reschedule", json={"start": salon.at(15).isoformat()})
    await outside.write()
    (event,) = outside.google.shown(email)
    assert times(event) == (salon.at(15), salon.at(15, 30))
    await salon.do(booked["id"], "cancel")
    await outside.write()
    assert outside.google.shown(email) == []
    await outside.read()
    assert await outside.conflict(booked["id"]) is None


async def test_only_the_provider_who_connected_gets_events_and_with_all_that_lies_ahead(outside: Outside, ana: Member) -> None:
    salon = outside.salon
    cut, wash = await salon.offer(ana), await salon.offer(salon.owner)
    for hour in (9, 10):
        await salon.booked(cut, salon.at(hour))
        await salon.booked(wash, salon.at(hour))
    assert await outside.write() == 0
    email = await outside.connect(ana)
    await salon.booked(cut, salon.at(11))
    assert await outside.write() == 3
    assert sorted(times(event)[0] for event in outside.google.shown(email)) == [salon.at(hour) for hour in (9, 10, 11)]
    assert await outside.write() == 0


@pytest.mark.parametrize("reason", [(503, "backendError"), (403, "rateLimitExceeded"), (429, "rateLimitExceeded"), (500, "backendError")])
async def test_an_answer_that_was_lost_leaves_one_event(outside: Outside, ana: Member, reason: tuple[int, str]) -> None:
    salon, email = outside.salon, await outside.connect(ana)
    await salon.booked(await salon.offer(ana), salon.at(10))
    outside.google.after = [Refusal(*reason), Refusal(*reason)]
    await outside.write()
    (row,) = await salon.workspace.rows(WRITES)
    assert (row["state"], row["attempts"]) == ("waiting", 0)
    assert timedelta(0) < row["waits"] < timedelta(seconds=90)
    await outside.do(WRITE)
    await outside.do(WRITE)
    assert (await salon.workspace.rows(WRITES))[0]["state"] == "done"
    assert len(outside.google.shown(email)) == 1
    await outside.read()
    assert await outside.busy(ana) == []


async def test_google_may_say_how_long_to_wait(outside: Outside, ana: Member) -> None:
    await outside.connect(ana)
    await outside.salon.booked(await outside.salon.offer(ana), outside.salon.at(10))
    outside.google.failures = [Refusal(429, "rateLimitExceeded", {"Retry-After": "300"})]
    await outside.write()
    (row,) = await outside.salon.workspace.rows(WRITES)
    assert timedelta(seconds=290) < row["waits"] < timedelta(seconds=400)


async def test_what_its_owner_changed_of_an_event_stays_theirs(outside: Outside, ana: Member) -> None:
    salon, email = outside.salon, await outside.connect(ana)
    booked = await salon.booked(await salon.offer(ana), salon.at(10))
    await outside.write()
    (event,) = outside.google.shown(email)
    outside.google.put(email, salon.at(10), salon.at(10, 30), id=event["id"], summary="VIP!", location="Room 2")
    await salon.do(booked["id"], "reschedule", json={"start": salon.at(12).isoformat()})
    await outside.write()
    (event,) = outside.google.shown(email)
    assert (event["summary"], event["location"], times(event)[0]) == ("VIP!", "Room 2", salon.at(12))
    assert outside.google.bodies[-1].keys() == {"start", "end"}


async def test_an_event_that_is_gone_already_is_deleted_well(outside: Outside, ana: Member) -> None:
    salon, email = outside.salon, await outside.connect(ana)
    booked = await salon.booked(await salon.offer(ana), salon.at(10))
    await outside.write()
    outside.google.remove(email, outside.google.shown(email)[0]["id"])
    await salon.do(booked["id"], "cancel")
    await outside.write()
    assert {row["state"] for row in await salon.workspace.rows(WRITES)} == {"done"}


async def test_an_event_deleted_by_its_owner_comes_back_with_the_next_change(outside: Outside, ana: Member) -> None:
    salon, email = outside.salon, await outside.connect(ana)
    booked = await salon.booked(await salon.offer(ana), salon.at(10))
    await outside.write()
    outside.google.remove(email, outside.google.shown(email)[0]["id"])
    await salon.do(booked["id"], "reschedule", json={"start": salon.at(12).isoformat()})
    await outside.write()
    assert [times(event)[0] for event in outside.google.shown(email)] == [salon.at(12)]


async def test_what_is_known_of_an_erased_customer_leaves_the_calendar(outside: Outside, ana: Member) -> None:
    salon, email = outside.salon, await outside.connect(ana)
    customer = await marta(outside)
    await salon.booked(await salon.offer(ana), salon.at(10), contact_id=customer)
    await outside.write()
    async with working(outside.kernel, outside.tenant) as uow:
        await perform(uow, lambda: erase_appointments(uow, [customer]))
    await outside.write()
    assert (outside.google.shown(email), "Marta" in str(outside.google.account(email).events)) == ([], False)


async def test_an_access_token_that_ended_is_renewed_once_for_all(outside: Outside, ana: Member) -> None:
    salon, email = outside.salon, await outside.connect(ana)
    cut = await salon.offer(ana)
    for hour in (9, 10, 11):
        await salon.booked(cut, salon.at(hour))
    outside.google.expire_access()
    await outside.write()
    assert (len(outside.google.shown(email)), outside.google.refreshes) == (3, 1)
    await salon.workspace.rows("UPDATE google_link SET access_expires_at = now() + interval '59 seconds' WHERE tenant_id = $1 RETURNING id")
    await outside.read()
    assert outside.google.refreshes == 2


async def test_permission_lost_while_writing_is_told(outside: Outside, ana: Member) -> None:
    email = await outside.connect(ana)
    outside.google.withdraw(email)
    await outside.salon.booked(await outside.salon.offer(ana), outside.salon.at(10))
    await outside.write()
    assert (await outside.status(ana))["error"] == "needs_reauth"
    await outside.connect(ana, email)
    await outside.write()
    assert len(outside.google.shown(email)) == 1


async def test_nothing_is_written_or_read_for_a_workspace_that_is_suspended(
    outside: Outside, ana: Member, lucia_studios: Workspace
) -> None:
    email = await outside.connect(ana)
    await outside.salon.booked(await outside.salon.offer(ana), outside.salon.at(10))
    await lucia_studios.rows("UPDATE tenant SET status = 'suspended' WHERE tenant_id = $1 RETURNING tenant_id")
    outside.google.calls.clear()
    await outside.write()
    await outside.read()
    assert outside.google.calls == []
    await lucia_studios.rows("UPDATE tenant SET status = 'active' WHERE tenant_id = $1 RETURNING tenant_id")
    await outside.do(WRITE)
    assert len(outside.google.shown(email)) == 1


async def test_after_disconnecting_nothing_is_written(outside: Outside, ana: Member) -> None:
    email = await outside.connect(ana)
    await outside.salon.ask("POST", f"{CALENDAR}/disconnect", ana)
    await outside.salon.booked(await outside.salon.offer(ana), outside.salon.at(10))
    await outside.write()
    assert outside.google.shown(email) == []


@pytest.mark.parametrize(
    ("start", "told"),
    [
        (datetime(2026, 11, 1, 5, 30, tzinfo=UTC), "2026-11-01T01:30:00-04:00"),
        (datetime(2026, 11, 1, 6, 30, tzinfo=UTC), "2026-11-01T01:30:00-05:00"),
        (datetime(2026, 3, 8, 7, 30, tzinfo=UTC), "2026-03-08T03:30:00-04:00"),
        (datetime(2026, 3, 8, 6, 30, tzinfo=UTC), "2026-03-08T01:30:00-05:00"),
    ],
)
def test_on_the_day_the_clocks_change_it_is_the_same_instant(start: datetime, told: str) -> None:
    body = body_of(Shown(1, "Cut", start, start + timedelta(hours=1), NEW_YORK, "confirmed", None), 7, "https://x.example/calendar/1")
    assert body is not None
    assert (body["summary"], body["start"]) == ("Cut", {"dateTime": told, "timeZone": NEW_YORK})
    assert times(body) == (start, start + timedelta(hours=1))

"""From working hours to a kept appointment."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from httpx import AsyncClient
from litestar import Litestar

from plixa.kernel.auth import Principal
from plixa.kernel.log import read_log
from plixa.kernel.realtime import seen_by
from tests.scheduling.salon import Salon, code, reason
from tests.support.world import Member, Workspace


async def test_a_booking_takes_its_time_and_shows_in_the_calendar(salon: Salon, ana: Member) -> None:
    cut = await salon.offer(ana, color="#aa3300")
    seen = await salon.booked(cut, salon.at(10), ana, notes="First visit")
    assert (seen["status"], seen["provider"]["name"], seen["notes"], seen["source"]) == ("confirmed", "Ana", "First visit", "staff")
    assert seen["service"] == {"id": cut, "name": "Cut 0", "color": "#aa3300", "duration": 30}
    assert datetime.fromisoformat(seen["start"]) == salon.at(10)
    assert (seen["contact"], seen["series_id"], seen["payment"]["status"]) == (None, None, "none")
    assert salon.at(10) not in await salon.starts(cut)
    assert salon.at(10, 30) in await salon.starts(cut)
    listed = await salon.ask("GET", "/appointments", params={"from": salon.at(9).isoformat(), "to": salon.at(11).isoformat()})
    assert [one["id"] for one in listed] == [seen["id"]]
    assert {key: seen[key] for key in listed[0]} == listed[0]


async def test_what_is_offered_can_be_booked_and_what_is_not_is_refused_with_its_reason(salon: Salon, ana: Member) -> None:
    cut = await salon.offer(ana, min_notice_minutes=60, max_advance_days=30)
    await salon.booked(cut, salon.at(10))
    for start, why in (
        (salon.at(10), "appointment"),
        (salon.at(10, 5), "appointment"),
        (salon.at(11, 7), "grid"),
        (salon.at(7), "outside"),
        (salon.at(10, days=60), "horizon"),
        (datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(days=1), "past"),
    ):
        assert reason(await salon.book(cut, start)) in ({why} if why != "past" else {"past", "outside"})


async def test_staff_may_pass_over_hours_but_never_over_what_is_taken(salon: Salon, ana: Member) -> None:
    cut = await salon.offer(ana)
    assert (await salon.booked(cut, salon.at(6, 13), force=True))["status"] == "confirmed"
    assert reason(await salon.book(cut, salon.at(6, 20), force=True)) == "appointment"
    events = await salon.ask("GET", f"/appointments/{(await salon.booked(cut, salon.at(21), force=True))['id']}/events")
    assert events[0]["data"]["forced"] == ["outside"]


async def test_a_wall_time_is_the_providers(salon: Salon, ana: Member) -> None:
    cut = await salon.offer(ana)
    seen = await salon.booked(cut, f"{salon.day}T10:00:00", provider_id=ana.id)
    assert datetime.fromisoformat(seen["start"]) == salon.at(10)


async def test_a_wall_time_that_is_skipped_is_refused_and_of_one_that_comes_twice_the_earlier_is_meant(salon: Salon, ana: Member) -> None:
    rules = [{"kind": "open", "weekday": weekday, "start_time": "00:00", "end_time": "24:00"} for weekday in range(7)]
    await salon.ask("PUT", f"/providers/{ana.id}/schedule", json={"timezone": "Europe/Lisbon", "rules": rules})
    cut = await salon.offer(ana, max_advance_days=400)
    year = datetime.now(UTC).year + (datetime.now(UTC).month >= 3)
    spring = max(datetime(year, 3, day, tzinfo=UTC) for day in range(25, 32) if datetime(year, 3, day, tzinfo=UTC).weekday() == 6)
    skipped = await salon.book(cut, f"{spring:%Y-%m-%d}T01:30:00", provider_id=ana.id)
    assert (skipped.status_code, code(skipped)) == (422, "NONEXISTENT_LOCAL_TIME")
    autumn = max(datetime(year, 10, day, tzinfo=UTC) for day in range(25, 32) if datetime(year, 10, day, tzinfo=UTC).weekday() == 6)
    twice = await salon.booked(cut, f"{autumn:%Y-%m-%d}T01:30:00", provider_id=ana.id)
    assert datetime.fromisoformat(twice["start"]) == autumn.replace(hour=0, minute=30)


async def test_without_a_provider_the_fairest_is_chosen_and_events_say_why(salon: Salon, ana: Member, lucia: Member) -> None:
    cut = await salon.offer(ana, lucia)
    first = await salon.booked(cut, salon.at(10))
    second = await salon.booked(cut, salon.at(11))
    assert {first["provider"]["id"], second["provider"]["id"]} == {ana.id, lucia.id}
    (booked,) = await salon.ask("GET", f"/appointments/{second['id']}/events")
    assert booked["data"]["chosen"] == "fewest_that_day"
    third = [await salon.booked(cut, salon.at(12)) for _ in range(2)]
    assert {one["provider"]["id"] for one in third} == {ana.id, lucia.id}
    assert reason(await salon.book(cut, salon.at(12))) == "appointment"


async def test_a_series_keeps_its_wall_time_and_is_all_or_nothing(salon: Salon, ana: Member) -> None:
    cut = await salon.offer(ana)
    await salon.booked(cut, salon.at(10, days=14))
    refused = await salon.book(cut, salon.at(10), repeat="weekly", occurrences=4)
    assert reason(refused) == "appointment"
    (lost,) = refused.json()["errors"][0]["details"]["occurrences"]
    assert datetime.fromisoformat(lost["start"]) == salon.at(10, days=14)
    assert salon.at(10) in await salon.starts(cut)
    seen = await salon.booked(cut, salon.at(10), repeat="weekly", occurrences=4, skip_conflicts=True)
    assert [datetime.fromisoformat(one["start"]) for one in seen["occurrences"]] == [salon.at(10, days=days) for days in (0, 7, 21)]
    assert [one["reason"] for one in seen["skipped"]] == ["appointment"]
    assert seen["series_id"] == seen["id"]
    assert code(await salon.book(cut, salon.at(12), repeat="weekly")) == "VALIDATION_FAILED"


@pytest.mark.parametrize(("scope", "left"), [("this", [0, 2, 3]), ("following", [0]), ("series", [])])
async def test_of_a_series_one_or_the_following_or_all_are_cancelled(salon: Salon, ana: Member, scope: str, left: list[int]) -> None:
    cut = await salon.offer(ana)
    seen = await salon.booked(cut, salon.at(10), repeat="daily", occurrences=4)
    numbers = [one["id"] for one in seen["occurrences"]]
    cancelled = await salon.do(numbers[1], "cancel", json={"reason": "Ill", "scope": scope})
    assert (cancelled.json()["data"]["status"], cancelled.json()["data"]["cancelled_reason"]) == ("cancelled", "Ill")
    listed = await salon.ask("GET", "/appointments", params={"status": ["confirmed"]})
    assert [one["id"] for one in listed] == [numbers[index] for index in left]
    free = [index for index in range(4) if salon.at(10, days=index) in await salon.starts(cut, salon.day + timedelta(days=index))]
    assert free == [index for index in range(4) if index not in left]


async def test_only_a_series_can_be_cancelled_as_one(salon: Salon, ana: Member) -> None:
    seen = await salon.booked(await salon.offer(ana), salon.at(10))
    assert code(await salon.do(seen["id"], "cancel", json={"scope": "series"})) == "VALIDATION_FAILED"


async def test_moving_frees_the_old_time_and_takes_the_new_as_a_booking_would(salon: Salon, ana: Member) -> None:
    cut = await salon.offer(ana, buffer_after_minutes=30)
    seen, other = await salon.booked(cut, salon.at(10)), await salon.booked(cut, salon.at(14))
    assert reason(await salon.do(seen["id"], "reschedule", json={"start": salon.at(14).isoformat()})) == "appointment"
    moved = (await salon.do(seen["id"], "reschedule", json={"start": salon.at(10, 30).isoformat()})).json()["data"]
    assert (moved["id"], moved["status"], datetime.fromisoformat(moved["start"])) == (seen["id"], "confirmed", salon.at(10, 30))
    starts = await salon.starts(cut)
    assert salon.at(9, 30) in starts
    assert salon.at(10) not in starts
    again = await salon.do(seen["id"], "reschedule", json={"start": salon.at(10, 30).isoformat()})
    assert again.json()["data"]["updated_at"] == moved["updated_at"]
    assert other["status"] == "confirmed"


async def test_a_request_waits_for_the_owner_and_takes_its_time_meanwhile(salon: Salon, ana: Member) -> None:
    cut = await salon.offer(ana, requires_approval=True)
    first, second = await salon.booked(cut, salon.at(10), ana), await salon.booked(cut, salon.at(11), ana)
    assert first["status"] == "pending"
    assert reason(await salon.book(cut, salon.at(10))) == "appointment"
    assert [one["id"] for one in await salon.ask("GET", "/appointments/pending")] == [first["id"], second["id"]]
    assert (await salon.do(first["id"], "approve", ana)).status_code == 403
    for _ in range(2):
        assert (await salon.do(first["id"], "approve")).json()["data"]["status"] == "confirmed"
    for _ in range(2):
        declined = (await salon.do(second["id"], "decline")).json()["data"]
        assert (declined["status"], declined["cancelled_reason"]) == ("cancelled", "declined")
    assert code(await salon.do(second["id"], "approve")) == "INVALID_TRANSITION"
    assert salon.at(11) in await salon.starts(cut)
    types = [event["type"] for event in await salon.ask("GET", f"/appointments/{first['id']}/events")]
    assert types == ["appointment.approved", "appointment.booked"]


async def test_a_day_of_work_goes_by(salon: Salon, ana: Member) -> None:
    cut = await salon.offer(ana)
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    come = await salon.booked(cut, now - timedelta(minutes=40), force=True)
    missed = await salon.booked(cut, now - timedelta(minutes=5), force=True)
    soon = await salon.booked(cut, now + timedelta(minutes=90), force=True)
    later = await salon.booked(cut, now + timedelta(hours=5), force=True)
    arrived = (await salon.do(come["id"], "arrive", ana)).json()["data"]
    assert (arrived["status"], arrived["arrived_at"] is not None) == ("arrived", True)
    assert code(await salon.do(come["id"], "no-show")) == "INVALID_TRANSITION"
    assert (await salon.do(come["id"], "complete")).json()["data"]["status"] == "completed"
    assert (await salon.do(come["id"], "complete")).status_code == 200
    assert (await salon.do(missed["id"], "no-show")).json()["data"]["status"] == "no_show"
    assert (await salon.do(missed["id"], "correct")).json()["data"]["status"] == "confirmed"
    assert (await salon.do(come["id"], "correct")).json()["data"]["status"] == "arrived"
    assert (await salon.do(soon["id"], "arrive")).json()["data"]["status"] == "arrived"
    assert code(await salon.do(later["id"], "arrive")) == "INVALID_TRANSITION"
    assert code(await salon.do(later["id"], "complete")) == "INVALID_TRANSITION"
    assert code(await salon.do(later["id"], "no-show")) == "INVALID_TRANSITION"


async def test_a_missed_appointment_can_only_be_corrected_while_its_time_is_free(salon: Salon, ana: Member) -> None:
    cut = await salon.offer(ana)
    start = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=5)
    missed = await salon.booked(cut, start, force=True)
    await salon.do(missed["id"], "no-show")
    await salon.booked(cut, start, force=True)
    assert reason(await salon.do(missed["id"], "correct")) == "appointment"


async def test_resources_are_filled_to_their_capacity_and_not_beyond(salon: Salon, ana: Member, lucia: Member) -> None:
    room = await salon.ask("POST", "/resources", json={"name": "Room", "capacity": 1})
    cut = await salon.offer(ana, lucia, resource_ids=[room["id"]])
    seen = await salon.booked(cut, salon.at(10), provider_id=ana.id)
    assert seen["resources"] == [{"id": room["id"], "name": "Room"}]
    assert reason(await salon.book(cut, salon.at(10), provider_id=lucia.id, force=True)) == "resource"
    assert salon.at(10) not in await salon.starts(cut)
    await salon.do(seen["id"], "cancel")
    assert (await salon.booked(cut, salon.at(10), provider_id=lucia.id))["provider"]["id"] == lucia.id


async def test_only_what_is_sent_of_an_appointment_is_touched(salon: Salon, ana: Member, client: AsyncClient) -> None:
    seen = await salon.booked(await salon.offer(ana), salon.at(10), notes="Old")
    contact = (await client.post("/v1/contacts", headers=ana.headers, json={"contact_phone": "5511987654321"})).json()["data"]["id"]
    changed = await salon.ask("PATCH", f"/appointments/{seen['id']}", ana, json={"contact_id": contact})
    assert (changed["contact"]["id"], changed["notes"]) == (contact, "Old")
    changed = await salon.ask("PATCH", f"/appointments/{seen['id']}", ana, json={"notes": None})
    assert (changed["contact"]["id"], changed["notes"]) == (contact, None)
    assert (await salon.call("PATCH", f"/appointments/{seen['id']}", json={"contact_id": 10**9})).status_code == 404
    theirs = await salon.ask("GET", "/appointments", params={"contact_id": contact})
    assert [one["id"] for one in theirs] == [seen["id"]]


async def test_what_is_owed_is_told_and_cannot_be_collected_yet(salon: Salon, ana: Member) -> None:
    free, paid = await salon.offer(ana), await salon.offer(ana, price=5000, deposit_amount=1500, currency="BRL")
    first, second = await salon.booked(free, salon.at(10)), await salon.booked(paid, salon.at(11))
    assert second["payment"] == {"required": True, "amount": 1500, "currency": "BRL", "status": "due"}
    nothing, unconnected = [await salon.do(one["id"], "payment-link", ana) for one in (first, second)]
    assert (nothing.status_code, code(nothing)) == (422, "NOTHING_OWED")
    assert (unconnected.status_code, code(unconnected)) == (409, "STRIPE_NOT_CONNECTED")


async def test_kept_time_is_nobody_elses_until_it_is_booked_or_let_go(salon: Salon, ana: Member) -> None:
    cut = await salon.offer(ana)
    hold = await salon.ask("POST", "/holds", ana, json={"service_id": cut, "start": salon.at(10).isoformat()})
    assert reason(await salon.book(cut, salon.at(10))) == "hold"
    assert salon.at(10) not in await salon.starts(cut)
    assert (await salon.booked(cut, salon.at(10), hold_id=hold["id"]))["provider"]["id"] == ana.id
    assert (await salon.book(cut, salon.at(11), hold_id=hold["id"])).status_code == 404
    other = await salon.ask("POST", "/holds", ana, json={"service_id": cut, "start": salon.at(12).isoformat()})
    await salon.ask("DELETE", f"/holds/{other['id']}")
    assert salon.at(12) in await salon.starts(cut)


async def test_time_kept_for_too_long_can_be_booked(salon: Salon, ana: Member, lucia_studios: Workspace) -> None:
    cut = await salon.offer(ana)
    hold = await salon.ask("POST", "/holds", json={"service_id": cut, "start": salon.at(10).isoformat()})
    for table in ("hold", "provider_time"):
        await lucia_studios.rows(
            f"UPDATE {table} SET expires_at = now() - interval '1 second' WHERE tenant_id = $1 AND expires_at IS NOT NULL"
        )
    assert (await salon.book(cut, salon.at(11), hold_id=hold["id"])).status_code == 404
    assert (await salon.booked(cut, salon.at(10)))["status"] == "confirmed"


async def test_another_workspace_knows_nothing_of_it(salon: Salon, ana: Member, other_tenant: Workspace, client: AsyncClient) -> None:
    seen = await salon.booked(await salon.offer(ana), salon.at(10))
    for method, path in (("GET", ""), ("GET", "/events"), ("POST", "/cancel"), ("PATCH", "")):
        answer = await client.request(
            method,
            f"/v1/scheduling/appointments/{seen['id']}{path}",
            headers=other_tenant.owner.headers,
            json={} if method != "GET" else None,
        )
        assert answer.status_code == 404, (method, path)


async def test_the_calendar_is_followed_live(salon: Salon, ana: Member, lucia_studios: Workspace, app: Litestar) -> None:
    cut = await salon.offer(ana)
    head = (await lucia_studios.rows("SELECT position FROM log_head WHERE tenant_id = $1"))[0]["position"]
    seen = await salon.booked(cut, salon.at(10))
    await salon.do(seen["id"], "cancel")
    await salon.ask("POST", "/closures", json={"date": salon.day.isoformat()})
    facts = await read_log(lucia_studios.kernel, lucia_studios.tenant, head)
    member = Principal(kind="panel", token_id=1, tenant=lucia_studios.tenant, user_id=ana.id, name=ana.name, role="agent")
    changes = await seen_by(member, lucia_studios.kernel, app.state.renderers)(facts)
    assert [change.event for change in changes] == ["AppointmentCreated", "AppointmentUpdated", "WorkspaceUpdated"]
    assert json.loads(changes[1].data)["status"] == "cancelled"


async def test_what_was_booked_outlives_its_service(salon: Salon, ana: Member) -> None:
    cut = await salon.offer(ana, requires_approval=True)
    request = await salon.booked(cut, salon.at(10))
    past = await salon.booked(cut, datetime.now(UTC) - timedelta(hours=2), force=True)
    await salon.do(past["id"], "approve")
    await salon.do(past["id"], "no-show")
    await salon.ask("DELETE", f"/services/{cut}")
    assert (await salon.do(request["id"], "approve")).json()["data"]["status"] == "confirmed"
    assert (await salon.do(past["id"], "correct")).json()["data"]["status"] == "confirmed"
    assert code(await salon.do(request["id"], "reschedule", json={"start": salon.at(12).isoformat()})) == "SERVICE_GONE"
    assert (await salon.do(request["id"], "cancel")).json()["data"]["status"] == "cancelled"

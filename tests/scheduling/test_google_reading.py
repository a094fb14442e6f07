"""What a Google Calendar says: when somebody is busy elsewhere, and what became of our events there."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from msgspec import convert
from msgspec.structs import replace

from plixa.kernel.settings import Settings
from plixa.kernel.uow import perform, working
from plixa.scheduling.commands.google.linking import Access, token_of
from plixa.scheduling.commands.google.reading import Reading, read, take
from plixa.scheduling.domain.google import GoogleEvent
from plixa.scheduling.queries.google import Link, find_link
from tests.scheduling.fake_google import Refusal
from tests.scheduling.outside import Outside
from tests.scheduling.salon import reason
from tests.support.world import Member, Workspace

HEARD = "SELECT key, due_at FROM outbox WHERE tenant_id = $1 AND kind = 'scheduling.read_calendar' AND key LIKE '%/told/%'"
RESTING = "SELECT state, attempts, due_at - now() AS waits FROM outbox WHERE tenant_id = $1 AND kind = 'scheduling.read_calendar'"
ZONE = "America/New_York"


async def link_of(outside: Outside) -> tuple[Access, Link]:
    """The only link there is, and the way to it."""
    (row,) = await outside.salon.workspace.rows("SELECT id FROM google_link WHERE tenant_id = $1")
    async with working(outside.kernel, outside.tenant) as uow:
        link = await find_link(uow, row["id"])
    assert link is not None
    return Access(outside.client, outside.kernel, outside.tenant, link.id), link


async def apply(outside: Outside, link: Link, reading: Reading) -> None:
    """What comes of a reading."""
    async with working(outside.kernel, outside.tenant) as uow:
        await perform(uow, partial(take, uow, link, reading))


async def test_what_somebody_does_elsewhere_blocks_their_slots_and_nothing_of_it_is_known(outside: Outside, ana: Member) -> None:
    salon, google, email = outside.salon, outside.google, await outside.connect(ana)
    cut = await salon.offer(ana)
    number = google.put(email, salon.at(10), salon.at(11), summary="Dentist", location="Rua Augusta")
    await outside.read()
    assert await outside.busy(ana) == [(salon.at(10), salon.at(11))]
    assert await outside.busy(salon.owner) == []
    offered = await salon.starts(cut)
    assert (salon.at(9, 30) in offered, salon.at(10) in offered, salon.at(10, 30) in offered) == (True, False, False)
    assert salon.at(11) in offered
    assert reason(await salon.book(cut, salon.at(10))) == "external"
    stored = await salon.workspace.rows("SELECT * FROM external_busy WHERE tenant_id = $1")
    assert stored[0].keys() == {"tenant_id", "provider_id", "event_id", "starts_at", "ends_at"}
    google.put(email, salon.at(14), salon.at(15), id=number)
    later = google.put(email, salon.at(16), salon.at(17))
    await outside.read()
    assert await outside.busy(ana) == [(salon.at(14), salon.at(15)), (salon.at(16), salon.at(17))]
    google.remove(email, later)
    google.put(email, salon.at(14), salon.at(15), id=number, transparency="transparent")
    await outside.read()
    assert await outside.busy(ana) == []
    assert salon.at(14) in await salon.starts(cut)


async def test_only_what_changed_is_read_and_all_pages_of_it(outside: Outside, ana: Member) -> None:
    salon, google, email = outside.salon, outside.google, await outside.connect(ana)
    google.page_size = 3
    for hour in range(8, 18):
        google.put(email, salon.at(hour), salon.at(hour, 30))
    google.put(email, salon.at(8, days=500), salon.at(9, days=500))
    google.put(email, salon.at(8, days=-30), salon.at(9, days=-30))
    await outside.read()
    assert len(await outside.busy(ana)) == 10
    assert len(await salon.workspace.rows("SELECT FROM external_busy WHERE tenant_id = $1")) == 10
    google.calls.clear()
    google.put(email, salon.at(19), salon.at(20))
    await outside.read()
    assert (len(google.calls), len(await outside.busy(ana))) == (1, 11)
    google.account(email).oldest = 10_000
    google.remove(email, google.shown(email)[0]["id"])
    await outside.read()
    assert len(await outside.busy(ana)) == 10
    google.account(email).oldest = 0
    google.calls.clear()
    await outside.read()
    assert len(google.calls) == 1


async def test_a_series_loses_one_occurrence_and_then_all(outside: Outside, ana: Member) -> None:
    salon, google, email = outside.salon, outside.google, await outside.connect(ana)
    numbers = [f"_6series_{salon.at(9, days=days):%Y%m%dT%H%M%SZ}" for days in range(3)]
    for days, number in enumerate(numbers):
        google.put(email, salon.at(9, days=days), salon.at(10, days=days), id=number, recurringEventId="_6series")
    google.put(email, salon.at(18), salon.at(19), id="_6seriesx")
    await outside.read()
    edges = (salon.at(0), salon.at(0, days=5))
    assert len(await outside.busy(ana, *edges)) == 4
    google.put(email, salon.at(11), salon.at(12), id=numbers[0], originalStartTime={"dateTime": salon.at(9).isoformat()})
    google.remove(email, numbers[1])
    await outside.read()
    free = [(salon.at(11), salon.at(12)), (salon.at(18), salon.at(19)), (salon.at(9, days=2), salon.at(10, days=2))]
    assert await outside.busy(ana, *edges) == free
    google.remove(email, "_6series")
    await outside.read()
    assert await outside.busy(ana, *edges) == [(salon.at(18), salon.at(19))]


async def test_our_own_events_take_no_time_twice_and_copies_of_them_do(outside: Outside, ana: Member) -> None:
    salon, google, email = outside.salon, outside.google, await outside.connect(ana)
    booked = await salon.booked(await salon.offer(ana), salon.at(10))
    await outside.write()
    await outside.read()
    assert await outside.busy(ana) == []
    (event,) = google.shown(email)
    google.put(email, salon.at(12), salon.at(13), extendedProperties=event["extendedProperties"])
    await outside.connect(ana, email)
    await outside.read()
    assert await outside.busy(ana) == [(salon.at(12), salon.at(13))]
    await outside.write()
    assert (len(google.shown(email)), await outside.conflict(booked["id"])) == (2, None)


async def test_a_move_in_the_calendar_is_shown_and_does_nothing_until_somebody_decides(outside: Outside, ana: Member) -> None:
    salon, google, email = outside.salon, outside.google, await outside.connect(ana)
    booked = await salon.booked(await salon.offer(ana), salon.at(10))
    await outside.write()
    number = google.shown(email)[0]["id"]
    google.put(email, salon.at(16), salon.at(16, 30), id=number)
    await outside.read()
    assert await outside.conflict(booked["id"]) == "moved"
    shown = await salon.ask("GET", f"/appointments/{booked['id']}")
    assert (shown["status"], shown["conflict"], datetime.fromisoformat(shown["start"])) == ("confirmed", "moved", salon.at(10))
    google.put(email, salon.at(16), salon.at(16, 30), id=number, summary="Mine")
    await outside.read()
    history = await salon.ask("GET", f"/appointments/{booked['id']}/events")
    changes = [entry for entry in history if "externally" in str(entry)]
    assert len(changes) == 1
    assert "Google Calendar" in str(changes)
    google.put(email, salon.at(10), salon.at(10, 30), id=number)
    await outside.read()
    assert await outside.conflict(booked["id"]) is None
    google.put(email, salon.at(17), salon.at(17, 30), id=number)
    await outside.read()
    await salon.do(booked["id"], "reschedule", json={"start": salon.at(17).isoformat()})
    google.bodies.clear()
    await outside.write()
    assert (google.bodies, await outside.conflict(booked["id"])) == ([], None)


@pytest.mark.parametrize("is_read_whole", [False, True])
async def test_an_event_deleted_in_the_calendar_is_shown_and_the_appointment_stays(
    outside: Outside, ana: Member, is_read_whole: bool
) -> None:
    salon, google, email = outside.salon, outside.google, await outside.connect(ana)
    booked = await salon.booked(await salon.offer(ana, requires_approval=True), salon.at(10))
    await outside.write()
    await outside.read()
    google.remove(email, google.shown(email)[0]["id"])
    if is_read_whole:
        google.account(email).oldest = 10_000
        await salon.workspace.rows("UPDATE google_event SET written_at = now() - interval '1 hour' WHERE tenant_id = $1 RETURNING event_id")
    await outside.read()
    assert await outside.conflict(booked["id"]) == "deleted"
    assert (await salon.ask("GET", f"/appointments/{booked['id']}"))["status"] == "pending"
    await salon.do(booked["id"], "approve")
    await outside.write()
    assert (len(google.shown(email)), await outside.conflict(booked["id"])) == (1, None)


async def test_what_we_are_about_to_write_is_nobodys_move(outside: Outside, ana: Member) -> None:
    salon, google, email = outside.salon, outside.google, await outside.connect(ana)
    booked = await salon.booked(await salon.offer(ana), salon.at(10))
    await outside.write()
    await salon.do(booked["id"], "reschedule", json={"start": salon.at(12).isoformat()})
    google.put(email, salon.at(10), salon.at(10, 30), id=google.shown(email)[0]["id"], description="Bring the scissors")
    await outside.read()
    assert await outside.conflict(booked["id"]) is None
    await outside.write()
    await outside.read()
    assert await outside.conflict(booked["id"]) is None


async def test_what_was_read_before_we_wrote_is_nobodys_move(outside: Outside, ana: Member) -> None:
    salon, google, email = outside.salon, outside.google, await outside.connect(ana)
    booked = await salon.booked(await salon.offer(ana), salon.at(10))
    await outside.write()
    await outside.read()
    google.put(email, salon.at(10), salon.at(10, 30), id=google.shown(email)[0]["id"], description="Bring the scissors")
    access, link = await link_of(outside)
    old = await read(access, link)
    await salon.do(booked["id"], "reschedule", json={"start": salon.at(12).isoformat()})
    await outside.write()
    await apply(outside, link, old)
    assert await outside.conflict(booked["id"]) is None


async def test_news_are_taken_from_our_own_channels_and_read_once(outside: Outside, ana: Member, https: Settings) -> None:
    salon, google, email = outside.salon, outside.google, await outside.connect(ana)
    await outside.read(https)
    ((channel, known),) = google.channels.items()
    assert (known["email"], len(known["token"])) == (email, 43)

    async def tell(headers: dict[str, Any]) -> int:
        return (await salon.client.post("/v1/webhooks/google-calendar", headers=headers)).status_code

    assert await tell(google.push(channel, "sync")) == 200
    assert await salon.workspace.rows(HEARD) == []
    wrong = (
        {"X-Goog-Channel-Token": "x" * 43},
        {"X-Goog-Channel-ID": "x"},
        {"X-Goog-Channel-Token": ""},
        {"X-Goog-Channel-Token": b"\xe4"},
    )
    for headers in wrong:
        assert await tell(google.push(channel) | headers) == 404
    assert await tell({}) == 404
    assert await salon.workspace.rows(HEARD) == []
    google.put(email, salon.at(10), salon.at(11))
    assert [await tell(google.push(channel)) for _ in range(5)] == [200] * 5
    assert 1 <= len(await salon.workspace.rows(HEARD)) <= 2
    await outside.read()
    assert len(await outside.busy(ana)) == 1
    assert {row["state"] for row in await salon.workspace.rows(RESTING)} == {"done", "waiting"}


async def test_a_channel_is_renewed_before_it_ends(outside: Outside, ana: Member, https: Settings) -> None:
    google = outside.google
    await outside.connect(ana)
    await outside.read(https)
    (first,) = google.channels
    (link,) = await outside.salon.workspace.rows("SELECT watch_at - now() AS left FROM google_link WHERE tenant_id = $1")
    assert timedelta(days=5.9) < link["left"] < timedelta(days=6.1)
    await outside.read(https)
    assert list(google.channels) == [first]
    await outside.salon.workspace.rows("UPDATE google_link SET watch_at = now() WHERE tenant_id = $1 RETURNING id")
    await outside.read(https)
    (second,) = google.channels
    assert second != first


async def test_without_https_nobody_is_asked_to_tell_us(outside: Outside, ana: Member) -> None:
    await outside.connect(ana)
    await outside.read()
    assert outside.google.channels == {}
    assert not [path for _, path in outside.google.calls if path.endswith("/watch")]


async def test_every_ten_minutes_it_is_read_again_whatever_happens(outside: Outside, ana: Member) -> None:
    await outside.connect(ana)
    for failures in ([], [Refusal(503, "backendError")], [Refusal(403, "quotaExceeded")], [Refusal(400, "invalid")], []):
        outside.google.failures = failures
        await outside.read()
        (row,) = await outside.salon.workspace.rows(RESTING)
        assert (row["state"], row["attempts"]) == ("waiting", 0)
        assert timedelta(minutes=9) < row["waits"] <= timedelta(minutes=10)
    shown = await outside.status(ana)
    assert (shown["connected"], shown["error"]) == (True, None)


async def test_while_google_is_away_it_is_said_and_what_is_known_grows_stale(outside: Outside, ana: Member, googled: Settings) -> None:
    await outside.connect(ana)
    await outside.read()
    await outside.read(replace(googled, google_api_base="http://127.0.0.1:9"))
    shown = await outside.status(ana)
    assert (shown["connected"], shown["error"]) == (True, "unavailable")
    await outside.salon.workspace.rows(
        "UPDATE google_link SET last_synced_at = now() - interval '2 hours' WHERE tenant_id = $1 RETURNING id"
    )
    assert (await outside.salon.ask("GET", "/calendar/google/busy", ana))["stale"]
    await outside.read()
    assert not (await outside.salon.ask("GET", "/calendar/google/busy", ana))["stale"]


async def test_of_many_who_need_a_token_one_gets_it(outside: Outside, ana: Member, lucia_studios: Workspace) -> None:
    await outside.connect(ana)
    (link,) = await lucia_studios.rows("UPDATE google_link SET access_expires_at = now() WHERE tenant_id = $1 RETURNING id")
    access = Access(outside.client, outside.kernel, outside.tenant, link["id"])
    tokens = await asyncio.gather(*(token_of(access) for _ in range(5)))
    assert (len(set(tokens)), outside.google.refreshes) == (1, 1)


async def test_what_was_read_first_and_comes_last_changes_nothing(outside: Outside, ana: Member) -> None:
    salon, google, email = outside.salon, outside.google, await outside.connect(ana)
    await outside.read()
    access, link = await link_of(outside)
    number = google.put(email, salon.at(10), salon.at(11))
    old = await read(access, link)
    google.remove(email, number)
    for reading in (await read(access, link), old):
        await apply(outside, link, reading)
    assert await outside.busy(ana) == []


@pytest.mark.parametrize("edges", [{"to": "2026-01-01T00:00:00Z"}, {"from": "2026-01-01T00:00:00Z", "to": "2026-12-01T00:00:00Z"}])
async def test_spans_that_make_no_sense_are_refused(outside: Outside, ana: Member, edges: dict[str, str]) -> None:
    answer = await outside.salon.call("GET", "/calendar/google/busy", ana, params=edges)
    assert (answer.status_code, list(answer.json()["errors"][0]["details"])) == (422, ["to"])


def google_event(**more: Any) -> GoogleEvent:
    """As Google tells one."""
    times = {"start": {"dateTime": "2026-03-02T14:00:00-03:00"}, "end": {"dateTime": "2026-03-02T17:45:00Z"}}
    return convert({"id": "x", **times, **more}, GoogleEvent)


DECLINED = [{"self": True, "responseStatus": "declined"}, {"responseStatus": "accepted"}]


@pytest.mark.parametrize(
    ("more", "is_busy"),
    [
        ({}, True),
        ({"status": "tentative"}, True),
        ({"eventType": "focusTime"}, True),
        ({"eventType": "outOfOffice"}, True),
        ({"eventType": "fromGmail"}, True),
        ({"attendees": [{"self": True, "responseStatus": "needsAction"}, {"responseStatus": "declined"}]}, True),
        ({"attendees": DECLINED}, False),
        ({"transparency": "transparent"}, False),
        ({"eventType": "workingLocation"}, False),
        ({"eventType": "birthday"}, False),
        ({"status": "cancelled"}, False),
        ({"end": {"dateTime": "2026-03-02T17:00:00Z"}}, False),
        ({"start": None, "end": None}, False),
    ],
)
def test_what_takes_somebodys_time(more: dict[str, Any], is_busy: bool) -> None:
    expected = (datetime(2026, 3, 2, 17, tzinfo=UTC), datetime(2026, 3, 2, 17, 45, tzinfo=UTC))
    assert google_event(**more).busy("UTC") == (expected if is_busy else None)


@pytest.mark.parametrize(
    ("day", "hours", "begins"),
    [(date(2026, 3, 8), 23, 5), (date(2026, 11, 1), 25, 4), (date(2026, 6, 1), 24, 4)],
)
def test_whole_days_are_the_calendars_own(day: date, hours: int, begins: int) -> None:
    away = google_event(eventType="outOfOffice", start={"date": day.isoformat()}, end={"date": (day + timedelta(days=1)).isoformat()})
    start = datetime(day.year, day.month, day.day, begins, tzinfo=UTC)
    assert away.busy(ZONE) == (start, start + timedelta(hours=hours))


def test_a_time_without_offset_is_of_the_zone_that_is_told_with_it() -> None:
    start = {"dateTime": "2026-03-02T14:00:00", "timeZone": "Europe/Lisbon"}
    end = {"dateTime": "2026-03-02T15:00:00", "timeZone": "Nowhere/At_All"}
    assert google_event(start=start, end=end).span("UTC") == (
        datetime(2026, 3, 2, 14, tzinfo=UTC),
        datetime(2026, 3, 2, 15, tzinfo=UTC),
    )

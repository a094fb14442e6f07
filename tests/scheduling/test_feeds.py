"""iCalendar feeds: what any calendar may subscribe to, by an address that nobody can guess."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from httpx import AsyncClient, Response
from icalendar import Calendar
from msgspec.structs import replace

from plixa.app import create_app
from plixa.kernel.settings import Settings, Throttle
from plixa.scheduling.domain.feed import Entry, draw_feed
from tests.scheduling.salon import Salon
from tests.support.apps import calling, started
from tests.support.trail import read_trail
from tests.support.world import Member, Workspace

FEEDS = "/v1/scheduling/feeds"
MOMENT = datetime(2026, 3, 2, 13, tzinfo=UTC)


async def feed_of(salon: Salon, member: Member, **body: Any) -> str:
    """A new address, without our own name in it."""
    made = await salon.ask("POST", "/feeds", member, json=body or None)
    assert made["url"].endswith(".ics")
    return str(made["url"]).partition("/v1/")[2]


async def fetch(client: AsyncClient, path: str, **headers: str) -> Response:
    """As a calendar does, with nothing but the address."""
    return await client.get(f"/v1/{path}", headers=headers)


def events(answer: Response) -> list[dict[str, Any]]:
    """What a calendar reads, by the order in time."""
    assert answer.status_code == 200, answer.text
    parsed = Calendar.from_ical(answer.content)
    return [dict(event) for event in parsed.walk("VEVENT")]


async def test_a_provider_s_appointments_are_told_to_whoever_has_the_address(salon: Salon, client: AsyncClient, ana: Member) -> None:
    cut = await salon.offer(ana, requires_approval=True)
    form = {"contact_phone": "5511987654321", "contact_name": "Marta Souza"}
    customer = (await client.post("/v1/contacts", json=form, headers=salon.owner.headers)).json()["data"]["id"]
    booked = await salon.booked(cut, salon.at(10), contact_id=customer, notes="Allergic to lavender")
    await salon.booked(await salon.offer(salon.owner), salon.at(10))
    path = await feed_of(salon, ana)
    answer = await fetch(client, path)
    assert answer.headers["content-type"] == "text/calendar; charset=utf-8"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.content.endswith(b"END:VCALENDAR\r\n")
    assert b"X-PUBLISHED-TTL:PT15M\r\n" in answer.content
    (first,) = events(answer)
    assert (str(first["SUMMARY"]), str(first["STATUS"]), int(first["SEQUENCE"])) == ("Cut 0 – Marta", "TENTATIVE", 0)
    assert (first["DTSTART"].dt, first["DTEND"].dt) == (salon.at(10), salon.at(10, 30))
    assert f"DTSTART:{salon.at(10):%Y%m%dT%H%M%SZ}".encode() in answer.content
    assert not [word for word in (b"lavender", b"Souza", b"98765") if word in answer.content]
    await salon.do(booked["id"], "approve")
    await salon.do(booked["id"], "reschedule", json={"start": salon.at(15).isoformat()})
    (second,) = events(await fetch(client, path))
    assert (str(second["STATUS"]), second["DTSTART"].dt, second["UID"]) == ("CONFIRMED", salon.at(15), first["UID"])
    assert int(second["SEQUENCE"]) > 0
    await salon.do(booked["id"], "cancel", json={"reason": "Ill"})
    (third,) = events(await fetch(client, path))
    assert (str(third["STATUS"]), str(third["TRANSP"]), third["UID"]) == ("CANCELLED", "TRANSPARENT", first["UID"])


async def test_what_did_not_change_is_not_sent_again(salon: Salon, client: AsyncClient, ana: Member) -> None:
    cut, path = await salon.offer(ana), await feed_of(salon, ana)
    await salon.booked(cut, salon.at(10))
    first = await fetch(client, path)
    again = await fetch(client, path, **{"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
    await salon.booked(cut, salon.at(11))
    after = await fetch(client, path, **{"If-None-Match": first.headers["etag"]})
    assert len(events(after)) == 2


async def test_an_address_is_shown_once_replaced_and_revoked(salon: Salon, client: AsyncClient, ana: Member) -> None:
    first = await feed_of(salon, ana)
    token = first.rpartition("/")[2].removesuffix(".ics")
    assert len(token) == 43
    stored = await salon.workspace.rows("SELECT to_jsonb(f)::text AS row FROM calendar_feed f WHERE tenant_id = $1")
    assert token not in str(stored)
    assert token not in str(await salon.ask("GET", "/feeds", ana))
    second = await feed_of(salon, ana)
    assert [(await fetch(client, path)).status_code for path in (first, second)] == [404, 200]
    for _ in range(2):
        assert (await salon.call("DELETE", "/feeds", ana)).status_code == 204
    assert (await fetch(client, second)).status_code == 404
    trail = await read_trail(client, salon.workspace, subject="calendar_feed")
    assert [entry["action"] for entry in trail] == ["calendar_feed.revoked", "calendar_feed.created", "calendar_feed.created"]
    assert token not in str(trail)


async def test_the_owner_makes_them_for_others_and_nobody_else_does(
    salon: Salon, client: AsyncClient, ana: Member, other_tenant: Workspace
) -> None:
    path = await feed_of(salon, salon.owner, provider_id=ana.id)
    assert (await fetch(client, path)).status_code == 200
    assert [one["provider_id"] for one in await salon.ask("GET", "/feeds")] == [ana.id]
    await feed_of(salon, salon.owner)
    assert [one["provider_id"] for one in await salon.ask("GET", "/feeds", ana)] == [ana.id]
    for method, request in (("POST", {"json": {"provider_id": salon.owner.id}}), ("DELETE", {"params": {"provider_id": salon.owner.id}})):
        assert (await salon.call(method, "/feeds", ana, **request)).status_code == 403
    for stranger in (other_tenant.owner.id, 1):
        assert (await salon.call("POST", "/feeds", json={"provider_id": stranger})).status_code == 404
        assert (await salon.call("DELETE", "/feeds", params={"provider_id": stranger})).status_code == 404
    assert (await salon.call("POST", "/feeds", json={"provider_id": 0})).status_code == 422


async def test_who_is_gone_or_suspended_shows_nothing(salon: Salon, client: AsyncClient, ana: Member) -> None:
    mine, hers = await feed_of(salon, salon.owner), await feed_of(salon, ana)
    await client.delete(f"/v1/team/members/{ana.id}", headers=salon.owner.headers)
    assert [(await fetch(client, path)).status_code for path in (mine, hers)] == [200, 404]
    await salon.workspace.rows("UPDATE tenant SET status = 'suspended' WHERE tenant_id = $1 RETURNING tenant_id")
    assert (await fetch(client, mine)).status_code == 404


@pytest.mark.parametrize("name", ["x.ics", "x", ".ics", "A" * 43 + ".ics", "A" * 5000 + ".ics", "%2e%2e.ics", "ä.ics"])
async def test_no_other_address_leads_anywhere(client: AsyncClient, name: str) -> None:
    assert (await client.get(f"{FEEDS}/{name}")).status_code == 404


async def test_guessing_is_slowed_down(settings: Settings, client: AsyncClient) -> None:
    slow = {"calendar_feed": Throttle(limits="3/minute", per="ip")}
    async with started(create_app(replace(settings, throttles=settings.throttles | slow))) as app, calling(app) as guesser:
        answers = await asyncio.gather(*(guesser.get(f"{FEEDS}/{number}.ics") for number in range(5)))
    assert sorted(answer.status_code for answer in answers) == [404, 404, 404, 429, 429]


def test_every_change_raises_the_sequence_and_long_names_are_folded() -> None:
    name = "Corte & barba; “especial”, " + "ã" * 120
    changes = [timedelta(0), timedelta(milliseconds=1), timedelta(seconds=1, milliseconds=1), timedelta(days=300)]
    numbers = []
    for change in changes:
        entry = Entry(7, name, MOMENT, MOMENT + timedelta(hours=1), "completed", "Zé  da Silva", MOMENT, MOMENT + change)
        content = draw_feed("Ana", "1.x.example", [entry])
        assert max(len(line) for line in content.split(b"\r\n")) <= 75
        (event,) = Calendar.from_ical(content).walk("VEVENT")
        assert (str(event["SUMMARY"]), str(event["STATUS"])) == (f"{name} – Zé", "CONFIRMED")
        numbers.append(int(str(event["SEQUENCE"])))
    assert numbers == [0, 1, 2, 25_920_000]

"""One time is taken once, by whichever way people come: two hundred at once, through two web processes, a hundred times over."""

import asyncio
import json
import time
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from msgspec import Struct

from plixa.kernel.uow import Kernel, perform, working
from plixa.scheduling.commands.waitlist import NotTheirTurn, offer
from plixa.scheduling.domain.appointment import SlotUnavailable
from plixa.scheduling.queries.waitlist import Freed, find_turn
from tests.chaos.calling import Answer, Caller
from tests.chaos.world import Place, Shop, open_shop, stopping, wait_ready

ROUNDS = 100
AT_ONCE = 200
MOVERS = 10
OFFERS, WAITING = 3, 150
APPROVALS = 8
WORST = 2.0
"""Seconds."""
OVERLAPS = """SELECT count(*) FROM appointment a JOIN appointment b ON b.tenant_id = a.tenant_id AND b.provider_id = a.provider_id
AND b.id > a.id AND b.start_at < a.end_at AND a.start_at < b.end_at
WHERE a.tenant_id = $1 AND a.status IN ('pending', 'confirmed', 'arrived') AND b.status IN ('pending', 'confirmed', 'arrived')"""
APPROVED = "SELECT count(*) FROM event WHERE tenant_id = $1 AND topic = 'appointment.approved'"
TAKEN = """SELECT count(*) FROM appointment a WHERE a.tenant_id = $1 AND a.status IN ('pending', 'confirmed', 'arrived')
AND NOT EXISTS (SELECT FROM provider_time t
    WHERE t.tenant_id = a.tenant_id AND t.holder = a.id AND t.starts_at = a.start_at AND t.ends_at = a.end_at)"""


Attempt = tuple[str, str, dict[str, Any] | None]
"""Method, path and body."""


class Salon(Struct, frozen=True):
    """A shop whose owner gives two services around the clock, one of which has to be approved."""

    shop: Shop
    provider: int
    cut: int
    colour: int
    movers: list[int]
    day: datetime

    def slot(self, number: int) -> str:
        """One of many half hours."""
        return (self.day + timedelta(minutes=30 * number)).isoformat()

    def attempts(self, number: int, pending: int) -> list[Attempt]:
        """Everything that is tried at once in one round; the last are clicks on one approval."""
        start = self.slot(number)
        moves: list[Attempt] = [("POST", f"/appointments/{mover}/reschedule", {"start": start}) for mover in self.movers]
        holds: list[Attempt] = [("POST", "/holds", {"service_id": self.cut, "start": start})] * MOVERS
        books: list[Attempt] = [("POST", "/appointments", {"service_id": service, "start": start}) for service in (self.cut, self.colour)]
        others = AT_ONCE - MOVERS * 2 - APPROVALS
        mixed = [*(books * others)[:others], *holds, *moves]
        return [*mixed[::3], *mixed[1::3], *mixed[2::3], *[("POST", f"/appointments/{pending}/approve", None)] * APPROVALS]


async def test_one_winner_a_round(chaos_place: Place, chaos_kernel: Kernel, caller: httpx.AsyncClient) -> None:
    with stopping(chaos_place.web(), chaos_place.web()):
        await wait_ready(chaos_place)
        shop = await open_shop(chaos_place, chaos_kernel, caller)
        salon = await open_salon(shop, caller)
        async with AsyncExitStack() as stack:
            callers = [await stack.enter_async_context(Caller(chaos_place.url)) for _ in range(AT_ONCE)]
            worst = max([await race(salon, caller, callers, number) for number in range(ROUNDS)])
        for query, expected in ((OVERLAPS, 0), (APPROVED, ROUNDS), (TAKEN, 0)):
            ((found,),) = [tuple(row.values()) for row in await shop.rows(query)]
            assert found == expected, query
    assert worst < WORST


async def race(salon: Salon, client: httpx.AsyncClient, callers: list[Caller], number: int) -> float:
    """One round; the seconds it took."""
    pending = await book(salon.shop, client, salon.colour, salon.slot(1000 + number))
    began = time.monotonic()
    attempts = salon.attempts(100 + number, pending)
    offers = [asyncio.create_task(offer_time(salon, salon.slot(100 + number))) for _ in range(OFFERS)]
    answers = await asyncio.gather(*(ask(one, salon.shop, *attempt) for one, attempt in zip(callers, attempts, strict=True)))
    offered = sum(await asyncio.gather(*offers))
    seconds = time.monotonic() - began
    judge(answers, offered)
    return seconds


async def offer_time(salon: Salon, start: str) -> bool:
    """Offer the time to whose turn it is on the waitlist, as a worker does; was it free?"""
    begins = datetime.fromisoformat(start)
    freed = Freed(salon.provider, begins, begins + timedelta(minutes=30))
    async with working(salon.shop.kernel, salon.shop.tenant) as uow:

        async def hold() -> bool:
            turn = await find_turn(uow, freed, ())
            if turn is not None:
                await offer(uow, turn, salon.provider, turn.waiter.contact_id)
            return turn is not None

        try:
            return await perform(uow, hold)
        except (SlotUnavailable, NotTheirTurn):
            return False


def judge(answers: list[Answer], offered: int) -> None:
    """One of the attempts or offers took the time, all others are told why not; every click on the approval is answered alike."""
    takers, clicks = answers[:-APPROVALS], answers[-APPROVALS:]
    assert {click.status for click in clicks} <= {200, 409}
    assert any(click.status == 200 for click in clicks)
    assert len([answer for answer in takers if answer.status in (200, 201)]) + offered == 1
    refusals = [json.loads(answer.body)["errors"][0] for answer in takers if answer.status >= 300]
    assert {answer.status for answer in takers if answer.status >= 300} == {409}
    assert {refusal["code"] for refusal in refusals} == {"SLOT_UNAVAILABLE"}
    assert {refusal["details"]["reason"] for refusal in refusals} <= {"appointment", "hold"}


async def open_salon(shop: Shop, client: httpx.AsyncClient) -> Salon:
    """Set it up as its owner does."""
    me = (await client.get(f"{shop.place.url}/v1/me", headers=shop.headers)).json()["data"]["user"]["id"]
    rules = [{"kind": "open", "weekday": weekday, "start_time": "00:00", "end_time": "24:00"} for weekday in range(7)]
    await put(shop, client, f"/providers/{me}/schedule", {"timezone": "UTC", "rules": rules})
    given = {"duration_minutes": 30, "provider_ids": [me]}
    cut = await post(shop, client, "/services", given | {"name": "Cut"})
    colour = await post(shop, client, "/services", given | {"name": "Colour", "requires_approval": True})
    day = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=2)
    await asyncio.gather(*(wait_for(shop, client, cut, number) for number in range(WAITING)))
    salon = Salon(shop, me, cut, colour, [], day)
    return Salon(shop, me, cut, colour, [await book(shop, client, cut, salon.slot(number)) for number in range(MOVERS)], day)


async def wait_for(shop: Shop, client: httpx.AsyncClient, service: int, number: int) -> None:
    """Somebody joins the waitlist."""
    form = {"contact_phone": f"55119{80_000_000 + number}"}
    contact = await client.post(f"{shop.place.url}/v1/contacts", headers=shop.headers, json=form)
    await post(shop, client, "/waitlist", {"contact_id": contact.json()["data"]["id"], "service_id": service})


async def book(shop: Shop, client: httpx.AsyncClient, service: int, start: str) -> int:
    """An appointment nobody else wants."""
    return await post(shop, client, "/appointments", {"service_id": service, "start": start})


async def post(shop: Shop, client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> int:
    """Something made; its id."""
    answer = await client.post(f"{shop.place.url}/v1/scheduling{path}", headers=shop.headers, json=body)
    assert answer.status_code == 201, answer.text
    return int(answer.json()["data"]["id"])


async def put(shop: Shop, client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> None:
    """Something replaced."""
    answer = await client.put(f"{shop.place.url}/v1/scheduling{path}", headers=shop.headers, json=body)
    assert answer.status_code == 200, answer.text


async def ask(one: Caller, shop: Shop, method: str, path: str, body: dict[str, Any] | None) -> Answer:
    """A request on a connection of its own."""
    return await one.call(method, f"/v1/scheduling{path}", shop.headers, b"" if body is None else json.dumps(body).encode())

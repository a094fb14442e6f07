"""Answers reach the customer while workers are killed and Redis forgets everything."""

import asyncio
import json
from collections import Counter, defaultdict
from itertools import cycle, groupby
from typing import Any

import httpx
import pytest

from plixa.kernel.uow import Kernel
from plixa.whatsapp.sandbox import Retry, Timing
from projections.messages import RANKS
from tests.chaos.calling import Caller
from tests.chaos.world import Place, Shop, open_shop, pair, sandbox_for, stopping, struck, until, wait_ready
from tests.whatsapp.loopback import Sandbox

pytestmark = pytest.mark.chaos

CUSTOMERS = 20
ANSWERS = 10
LIVES = 2.0
WORK = 18.0
"""Seconds over which the answers are spread."""
DRAIN = 90.0
TIMING = Timing(pair_after=0.0, acks=(0.2, 0.6, 1.0), retry=Retry(first=0.3, longest=10.0, timeout=15.0))
ROWS = """SELECT id, conversation_id, body, status, gateway_id, in_doubt FROM inbox_message
WHERE tenant_id = $1 AND direction = 'out' ORDER BY id"""
PENDING = "SELECT kind, key, state, error FROM outbox WHERE tenant_id = $1 AND kind = 'inbox.send' AND state <> 'done'"


class Watch:
    """Follows every status and keeps what went backwards."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.backwards: list[tuple[int, str, str]] = []
        self.seen: dict[int, str] = {}
        self.looks = 0

    async def look(self) -> list[dict[str, Any]]:
        """The outgoing messages as they are now."""
        rows = await self.shop.rows(ROWS)
        self.looks += 1
        for row in rows:
            before = self.seen.get(row["id"], "queued")
            if RANKS[row["status"]] < RANKS[before]:
                self.backwards.append((row["id"], before, row["status"]))
            self.seen[row["id"]] = row["status"]
        return rows

    async def all_read(self) -> bool:
        """Every answer has its blue ticks."""
        rows = await self.look()
        return len(rows) == CUSTOMERS * ANSWERS and {row["status"] for row in rows} == {"read"}

    async def all_done(self) -> bool:
        """The outbox has done with every send."""
        return not await self.shop.rows(PENDING)


async def test_200_answers_arrive_in_order_while_workers_are_killed_and_redis_is_emptied(
    chaos_place: Place, chaos_kernel: Kernel, caller: httpx.AsyncClient
) -> None:
    with sandbox_for(chaos_place, TIMING) as (place, gateway), stopping(place.web(), *(workers := [place.worker(), place.worker()])):
        await wait_ready(place)
        shop = await open_shop(place, chaos_kernel, caller)
        await pair(shop)
        conversations = await greeted(shop, gateway)
        await asyncio.to_thread(gateway.control, "fault", path="/message/sendText", count=10_000, delay=0.25)
        watch = Watch(shop)
        first, second = (worker.restart for worker in workers)
        async with struck(LIVES, first, second) as kills, struck(3 * LIVES, place.empty_valkey):
            await answer_all(shop, conversations, watch)
        await until(watch.all_read, DRAIN, "everything is read")
        await until(watch.all_done, DRAIN, "no send is left to do")
        arrived = [one for one in gateway.messages() if one["instance"] == shop.gateway_name and one["source"] == "api"]
    await check(shop, watch, arrived, len(kills))


async def greeted(shop: Shop, gateway: Sandbox) -> list[int]:
    """Twenty customers write; the conversations they open."""
    for number in range(CUSTOMERS):
        said = {"phone": f"55119{81_000_000 + number}", "name": f"Cliente {number}", "text": "Oi"}
        await asyncio.to_thread(gateway.control, "say", instance=shop.gateway_name, **said)
    query = "SELECT id FROM inbox_conversation WHERE tenant_id = $1 ORDER BY id"

    async def opened() -> bool:
        return len(await shop.rows(query)) == CUSTOMERS

    await until(opened, 20, "every customer has a conversation")
    return [row["id"] for row in await shop.rows(query)]


async def answer_all(shop: Shop, conversations: list[int], watch: Watch) -> None:
    """Ten answers in each, in turn, spread over the time of the kills."""
    async with Caller(shop.place.url) as caller:
        for number, conversation in zip(range(CUSTOMERS * ANSWERS), cycle(conversations), strict=False):
            body = json.dumps({"body": f"{conversation}/{number // CUSTOMERS}"}).encode()
            answer = await caller.call("POST", f"/v1/conversations/{conversation}/messages", shop.headers, body)
            assert answer.status == 201, answer
            await watch.look()
            await asyncio.sleep(WORK / (CUSTOMERS * ANSWERS))


async def check(shop: Shop, watch: Watch, arrived: list[Any], kills: int) -> None:
    """Everything at least once, at most one more for every kill, in order; nothing is left to do."""
    rows = await shop.rows(ROWS)
    times = Counter(one["text"] for one in arrived)
    assert set(times) == {row["body"] for row in rows}
    assert times.total() - len(rows) <= kills
    threads: dict[str, list[int]] = defaultdict(list)
    for one in sorted(arrived, key=lambda one: int(one["seq"])):
        threads[one["jid"]].append(int(one["text"].partition("/")[2]))
    orders = {jid: [number for number, _ in groupby(numbers)] for jid, numbers in threads.items()}
    assert [order for order in orders.values() if order != list(range(ANSWERS))] == []
    sent = {one["id"]: one["text"] for one in arrived}
    assert [row for row in rows if sent.get(row["gateway_id"]) != row["body"] or row["in_doubt"]] == []
    assert watch.backwards == []

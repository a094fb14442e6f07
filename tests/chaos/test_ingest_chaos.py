"""Webhooks that come repeatedly, in any order, while web processes are killed, end in the state of one clean run."""

import asyncio
import os
import random
from collections import Counter, deque

import httpx
import msgspec
import pytest

from plixa.kernel.uow import Kernel
from plixa.kernel.verify import verify_chain
from tests.chaos.calling import UNKNOWN, Caller
from tests.chaos.state import state_of
from tests.chaos.world import Place, Shop, open_shop, stopping, struck, wait_ready
from tests.whatsapp.webhooks import Webhook, conversation_history

pytestmark = pytest.mark.chaos

SIZE = int(os.environ.get("PLIXA_TEST_CHAOS", "5000"))
CLIENTS = 8
SEED = 20260105
LIVES = 2.0
"""Seconds between two kills."""
PAUSE = 0.1


class Gateway:
    """Eight connections that hand on webhooks, each again until it is taken."""

    def __init__(self, shop: Shop, deliveries: list[Webhook]) -> None:
        self.shop, self.statuses = shop, Counter[int]()
        url, self._headers = shop.hook
        self._path = url.removeprefix(shop.place.url)
        encode = {id(one): msgspec.json.encode(one | {"instance": shop.gateway_name}) for one in deliveries}
        self._waiting = deque(encode[id(one)] for one in deliveries)

    async def deliver_all(self, clients: int) -> None:
        """Until everything is taken."""
        await asyncio.gather(*(self._deliver() for _ in range(clients)))

    async def _deliver(self) -> None:
        async with Caller(self.shop.place.url) as caller:
            while self._waiting:
                await self._insist(caller, self._waiting.popleft())

    async def _insist(self, caller: Caller, body: bytes) -> None:
        """As the gateway does: again on everything but 2xx."""
        while True:
            status = (await caller.call("POST", self._path, self._headers, body)).status
            self.statuses[status] += 1
            if status // 100 == 2:
                return
            await asyncio.sleep(PAUSE)


async def test_5000_webhooks_repeated_and_shuffled_under_kills_end_as_one_clean_run(
    chaos_place: Place, chaos_kernel: Kernel, caller: httpx.AsyncClient
) -> None:
    history = conversation_history(SEED, customers=SIZE // 25, messages=SIZE)
    dice = random.Random(SEED)
    repeated = [one for one in history for _ in range(dice.randint(1, 5))]
    dice.shuffle(repeated)
    webs = [chaos_place.web(), chaos_place.web()]
    with stopping(*webs):
        await wait_ready(chaos_place)
        clean, chaotic = [await open_shop(chaos_place, chaos_kernel, caller) for _ in range(2)]
        ordered = Gateway(clean, history)
        await ordered.deliver_all(1)
        gateway = Gateway(chaotic, repeated)
        async with struck(LIVES, *(web.restart for web in webs)) as kills:
            await gateway.deliver_all(CLIENTS)
    assert ordered.statuses == {200: len(history)}
    assert set(gateway.statuses) <= {200, 503, UNKNOWN}
    assert gateway.statuses[200] == len(repeated)
    assert len(kills) >= 3 or SIZE < 5000
    expected, found = await state_of(clean), await state_of(chaotic)
    assert found.differences(expected) == {}
    assert not found.parked
    for shop in (clean, chaotic):
        assert (await verify_chain(chaos_kernel.system, shop.tenant)).fault is None

"""Sends of which nobody knows what became are shown as doubtful, looked for, and never made twice."""

import asyncio
from typing import Any

import httpx
import pytest

from plixa.inbox.actors import Actors
from plixa.kernel.delivery import deliver
from plixa.kernel.uow import Kernel
from plixa.whatsapp.client import Deadlines, EvolutionGateway
from plixa.whatsapp.sandbox import Retry, Timing
from tests.chaos.world import GATEWAY, Place, Shop, open_shop, pair, sandbox_for, stopping, until, wait_ready
from tests.whatsapp.loopback import Sandbox

pytestmark = pytest.mark.chaos

TIMING = Timing(pair_after=0.0, acks=(0.1, 0.2, 0.3), retry=Retry(first=0.1, longest=5.0, timeout=15.0))
PATIENCE = Deadlines(send=0.5)
FAULTS: dict[str, dict[str, Any]] = {
    "the answer is cut off": {"drop_response": True},
    "the answer takes too long": {"delay": 1.0},
    "it was sent, then the gateway failed": {"status": 500, "handled": True},
    "it was not sent, the gateway failed": {"status": 500, "handled": False},
}
DUE = "SELECT id FROM outbox WHERE tenant_id = $1 AND kind = 'inbox.send' AND state IN ('waiting', 'running') AND due_at <= now()"
LEFT = "SELECT id FROM outbox WHERE tenant_id = $1 AND kind = 'inbox.send' AND state <> 'done'"
MESSAGES = "SELECT body, in_doubt, gateway_id, status FROM inbox_message WHERE tenant_id = $1 AND direction = 'out'"


class Desk:
    """Sends in this process, with a client that waits half a second."""

    def __init__(self, shop: Shop, gateway: Sandbox, client: EvolutionGateway) -> None:
        self.shop, self.gateway = shop, gateway
        self._handlers = Actors(client).handlers()

    async def work(self) -> bool:
        """Do what is due; is nothing left?"""
        for row in await self.shop.rows(DUE):
            await deliver(self.shop.kernel, self._handlers, self.shop.tenant, row["id"])
        return not await self.shop.rows(LEFT)

    async def shown(self) -> dict[str, dict[str, Any]]:
        """The outgoing messages by their text."""
        return {row["body"]: row for row in await self.shop.rows(MESSAGES)}

    async def say(self, number: int) -> int:
        """A customer writes; the conversation."""
        phone = f"55119{82_000_000 + number}"
        await asyncio.to_thread(self.gateway.control, "say", instance=self.shop.gateway_name, phone=phone, text="Oi")
        query = "SELECT id FROM inbox_conversation WHERE tenant_id = $1 AND phone = $2"

        async def opened() -> bool:
            return bool(await self.shop.rows(query, phone))

        await until(opened, 10, "the conversation is there")
        return int((await self.shop.rows(query, phone))[0]["id"])

    async def silence(self) -> None:
        """The gateway tells nothing any more, so that only looking helps."""
        webhook = {"enabled": False, "url": self.shop.place.url}
        path = f"/webhook/set/{self.shop.gateway_name}"
        answer = await asyncio.to_thread(self.gateway.call, "POST", path, {"webhook": webhook})
        assert answer.status_code == 201, answer.text


@pytest.mark.parametrize("told", [True, False], ids=["with echoes", "without echoes"])
async def test_a_doubtful_send_is_marked_looked_for_and_made_once(
    chaos_place: Place, chaos_kernel: Kernel, caller: httpx.AsyncClient, told: bool
) -> None:
    with sandbox_for(chaos_place, TIMING) as (place, gateway), stopping(place.web()):
        await wait_ready(place)
        shop = await open_shop(place, chaos_kernel, caller)
        with stopping(place.worker()):
            await pair(shop)
        async with EvolutionGateway(gateway.url, GATEWAY, PATIENCE) as client:
            desk = Desk(shop, gateway, client)
            conversations = [await desk.say(number) for number in range(len(FAULTS))]
            if not told:
                await desk.silence()
            for conversation, (name, fault) in zip(conversations, FAULTS.items(), strict=True):
                await asyncio.to_thread(gateway.control, "fault", path="/message/sendText", **fault)
                answer = await caller.post(
                    f"{place.url}/v1/conversations/{conversation}/messages", json={"body": name}, headers=shop.headers
                )
                assert answer.status_code == 201, answer.text
                assert not await desk.work()
                assert told or (await desk.shown())[name]["in_doubt"]
            await until(desk.work, 20, "every message is accepted")
            arrived = [one["text"] for one in gateway.messages() if one["source"] == "api"]
            assert sorted(arrived) == sorted(FAULTS)
            shown = await desk.shown()
            assert [name for name, row in shown.items() if row["in_doubt"] or row["gateway_id"] is None] == []

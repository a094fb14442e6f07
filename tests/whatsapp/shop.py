"""A workspace with a sandbox gateway of its own, whose webhooks a test hands on one by one."""

import asyncio
from collections.abc import Callable
from typing import Any

from httpx import AsyncClient, Response
from litestar import Litestar
from msgspec import Struct

from plixa.kernel.delivery import Handler, deliver
from plixa.kernel.log import read_log
from plixa.kernel.settings import Settings
from plixa.whatsapp.client import TOKEN_HEADER
from plixa.whatsapp.commands.instances import webhook_secret
from plixa.whatsapp.queries import Instances
from tests.support.world import Member, Workspace
from tests.whatsapp.loopback import Sandbox
from tests.whatsapp.webhooks import Webhook

HOOKS = "/v1/webhooks/evolution"
DUE = """SELECT id FROM outbox WHERE tenant_id = $1 AND state = 'waiting' AND due_at <= now()
AND kind LIKE 'whatsapp.%' ORDER BY id"""


class Shop(Struct, frozen=True):
    """What a test of numbers needs at hand."""

    workspace: Workspace
    settings: Settings
    app: Litestar
    client: AsyncClient
    gateway: Sandbox
    handlers: dict[str, Handler]

    async def call(self, method: str, path: str = "", member: Member | None = None, **more: Any) -> Response:
        """An operation on numbers, by the owner unless told otherwise; ``headers`` are added."""
        headers = (member or self.workspace.owner).headers | more.pop("headers", {})
        return await self.client.request(method, f"/v1/phone-instances{path}", headers=headers, **more)

    async def add(self, label: str | None = None) -> dict[str, Any]:
        """A new number as the answer shows it; the gateway does not know it yet."""
        response = await self.call("POST", json={"label": label})
        assert response.status_code == 201, response.text
        added: dict[str, Any] = response.json()["data"]
        return added

    async def pairing(self) -> dict[str, Any]:
        """A number that the gateway waits to pair, with what the gateway calls it."""
        added = await self.add()
        await self.work()
        return added | {"gateway_name": await self.name_of(added["id"])}

    async def connected(self) -> dict[str, Any]:
        """A number that is open."""
        added = await self.pairing()
        self.gateway.control("pair", instance=added["gateway_name"])
        await self.relay("connection.update", lambda data: data["state"] == "open")
        return added

    async def show(self, number: int) -> dict[str, Any]:
        """A number as members see it."""
        shown: dict[str, Any] = (await self.call("GET", f"/{number}")).json()["data"]
        return shown

    async def work(self) -> None:
        """Do the effects that are due, once."""
        for row in await self.workspace.rows(DUE):
            await deliver(self.workspace.kernel, self.handlers, self.workspace.tenant, row["id"])

    async def relay(self, event: str, fits: Callable[[Any], bool] = lambda _: True) -> None:
        """Hand on the newest of the gateway's webhooks of a kind, as soon as there is one."""
        await asyncio.to_thread(self.gateway.receiver.wait, event, fits)
        caught = self.gateway.receiver.events(event, fits)[-1]
        token = caught.headers[TOKEN_HEADER.lower()]
        response = await self.client.post(caught.path, json=caught.body, headers={TOKEN_HEADER: token})
        assert response.status_code == 200, response.text

    async def tell(self, webhook: Webhook | bytes, name: str | None = None) -> Response:
        """A well-signed webhook, about the number it names unless told otherwise."""
        if isinstance(webhook, bytes):
            name, sent = name or "", {"content": webhook}
        else:
            name, sent = name or webhook["instance"], {"json": webhook}  # type: ignore[dict-item]
        headers = {TOKEN_HEADER: webhook_secret(self.settings, name)}
        return await self.client.post(f"{HOOKS}/{name}", headers=headers, **sent)  # type: ignore[arg-type]

    async def name_of(self, number: int) -> str:
        """What the gateway calls a number."""
        rows = await self.workspace.rows("SELECT gateway_name FROM phone_instance WHERE tenant_id = $1 AND id = $2", number)
        return str(rows[0]["gateway_name"])

    def forget(self) -> None:
        """Let the application read every number anew."""
        self.app.state.instances = Instances(self.workspace.kernel.system)

    async def topics(self, number: int) -> list[str]:
        """What the log says of a number, audit aside."""
        facts = await read_log(self.workspace.kernel, self.workspace.tenant, 0)
        told = [fact.event.TOPIC for fact in facts if fact.number == number]
        return [topic.removeprefix("phone_instance.") for topic in told if topic.startswith("phone_instance.")]

    async def trail(self) -> list[str]:
        """What members did to numbers."""
        facts = await read_log(self.workspace.kernel, self.workspace.tenant, 0)
        actions = [getattr(fact.event, "action", "") for fact in facts]
        return [action for action in actions if action.startswith("phone_instance.")]

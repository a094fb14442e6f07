"""A workspace's inbox in a test's hands: what customers and gateway say goes in by webhook, what members do by the API."""

import asyncio
from collections.abc import Iterable
from itertools import count
from typing import Any

from httpx import AsyncClient, Response
from litestar import Litestar
from msgspec import Struct

from plixa.kernel.log import read_log
from plixa.kernel.verify import verify_chain
from tests.support.numbers import Number
from tests.support.world import Member, Workspace
from tests.whatsapp import webhooks
from tests.whatsapp.webhooks import TEN_O_CLOCK, Chat, Stamp, Webhook

CONVERSATIONS = "/v1/conversations"
LABEL = "INSERT INTO label (tenant_id, name, color, created_at) VALUES ($1, $2, '#aa3300', now()) RETURNING id"
_places = count(1)


class Desk(Struct, frozen=True):
    """One workspace, one of its numbers, and a client of the application."""

    workspace: Workspace
    number: Number
    client: AsyncClient
    app: Litestar

    def chat(self, phone: str | None = "5511987654321", **more: Any) -> Chat:
        """A customer writing to the number."""
        return Chat(phone=phone, instance=self.number.name, **more)

    async def post(self, webhook: Webhook) -> Response:
        """One webhook as the gateway delivers it."""
        return await self.client.post(self.number.path, json=webhook, headers=self.number.headers)

    async def hear(self, *told: Webhook) -> None:
        """Webhooks, one after the other, all of them taken."""
        for webhook in told:
            answer = await self.post(webhook)
            assert answer.status_code == 200, answer.text

    async def hear_at_once(self, told: Iterable[Webhook]) -> None:
        """Webhooks side by side; the gateway brings again what was too much."""
        waiting = list(told)
        for _ in range(50):
            answers = await asyncio.gather(*map(self.post, waiting))
            assert {answer.status_code for answer in answers} <= {200, 503}
            waiting = [webhook for webhook, answer in zip(waiting, answers, strict=True) if answer.status_code == 503]
            if not waiting:
                return
        raise AssertionError(f"{len(waiting)} webhooks were never taken")

    async def call(self, method: str, path: str = "", member: Member | None = None, **more: Any) -> Response:
        """An operation on conversations, by the owner unless told otherwise."""
        headers = (member or self.workspace.owner).headers | more.pop("headers", {})
        return await self.client.request(method, f"{CONVERSATIONS}{path}", headers=headers, **more)

    async def do(self, method: str, path: str = "", member: Member | None = None, **more: Any) -> Any:
        """The same, done well: what was answered."""
        answer = await self.call(method, path, member, **more)
        assert answer.status_code in (200, 201, 204), answer.text
        return answer.json()["data"] if answer.content else None

    async def all(self, member: Member | None = None, **query: Any) -> list[dict[str, Any]]:
        """Every conversation a list shows, page by page."""
        found: list[dict[str, Any]] = []
        query = {"limit": 200, **query}
        while True:
            answer = await self.call("GET", "", member, params=query)
            assert answer.status_code == 200, answer.text
            found += answer.json()["data"]
            query["cursor"] = answer.json()["meta"]["next_cursor"]
            if query["cursor"] is None:
                return found

    async def only(self) -> dict[str, Any]:
        """The one conversation there is."""
        (found,) = await self.all(status="all")
        return found

    async def show(self, number: int) -> dict[str, Any]:
        """A conversation."""
        shown: dict[str, Any] = await self.do("GET", f"/{number}")
        return shown

    async def thread(self, number: int) -> list[dict[str, Any]]:
        """Its messages, oldest first."""
        shown: list[dict[str, Any]] = await self.do("GET", f"/{number}/messages?limit=200")
        return shown[::-1]

    async def events(self, number: int) -> list[str]:
        """What happened in it, oldest first."""
        return [event["type"] for event in await self.do("GET", f"/{number}/events?limit=200")][::-1]

    async def open(self, phone: str = "5511987654321", **more: Any) -> dict[str, Any]:
        """A conversation that a customer began with one message."""
        before = {one["id"] for one in await self.all(status="all")}
        await self.hear(webhooks.text(self.chat(phone, **more), stamp()))
        (fresh,) = [one for one in await self.all(status="all") if one["id"] not in before]
        return fresh

    async def label(self, name: str) -> int:
        """A new label."""
        async with self.workspace.kernel.system.connection() as connection:
            return int(await connection.fetchval(LABEL, self.workspace.tenant, name))

    async def log(self) -> list[Any]:
        """The tenant's whole log."""
        return await read_log(self.workspace.kernel, self.workspace.tenant, 0)

    def forget(self) -> None:
        """Let the application look at every token anew."""
        self.app.state.gatekeeper.forget()

    async def is_sound(self) -> bool:
        """Does the chain verify?"""
        return (await verify_chain(self.workspace.kernel.system, self.workspace.tenant)).fault is None


def stamp(at: int | None = None, *, from_me: bool = False) -> Stamp:
    """The identity of a new message, each a second later than the last."""
    place = next(_places)
    return Stamp(id=f"3A{place:018X}", at=TEN_O_CLOCK + place if at is None else at, from_me=from_me)

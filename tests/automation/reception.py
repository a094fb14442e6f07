"""A workspace whose conversations are given away: customers arrive in it as the pipeline lets them in."""

from typing import Any

from httpx import AsyncClient, Response
from litestar import Litestar
from msgspec import Struct

from plixa.automation.actors import Actors
from plixa.automation.commands.assigning import assign_arrival
from plixa.inbox.domain.conversation import Conversation
from plixa.inbox.domain.events import Assigned, Content, Opened, Received
from plixa.kernel.event_store import Actor, Recorded
from plixa.kernel.log import read_log
from plixa.kernel.settings import Settings
from plixa.kernel.uow import Kernel, UnitOfWork, perform, working
from tests.identity.people import change
from tests.support.effects import do_effects
from tests.support.world import Member, Workspace

RULES = "/v1/auto-assignment-rules"
ALWAYS = {"priority": 10, "condition_type": "always", "action_type": "round_robin"}
AWAY = """UPDATE member SET last_heartbeat_at = now() - interval '121 seconds', available_set_at = now() - interval '481 minutes'
WHERE tenant_id = $1 AND id = $2"""
THERE = "UPDATE member SET is_available = true, available_set_at = now() WHERE tenant_id = $1 AND id = ANY($2)"
WAITING = "SELECT conversation_id FROM assignment_wait WHERE tenant_id = $1 ORDER BY since, conversation_id"
DRAIN = "automation.drain"


class Reception(Struct, frozen=True):
    """One workspace with a plan that includes auto-assignment."""

    workspace: Workspace
    settings: Settings
    client: AsyncClient
    app: Litestar

    async def call(self, method: str, path: str = "", member: Member | None = None, **more: Any) -> Response:
        """An operation on rules, by the owner unless told otherwise."""
        headers = (member or self.workspace.owner).headers
        return await self.client.request(method, f"{RULES}{path}", headers=headers, **more)

    async def rule(self, **changes: Any) -> dict[str, Any]:
        """A new rule."""
        answer = await self.call("POST", json=ALWAYS | changes)
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()["data"]
        return made

    async def preview(self, **asked: Any) -> dict[str, Any]:
        """What would become of a new conversation."""
        answer = await self.call("POST", "/preview", json=asked)
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()["data"]
        return told

    async def arrive(self, text: str = "oi", kernel: Kernel | None = None, **more: Any) -> tuple[int, str]:
        """A customer nobody knows; answers the conversation and why it went where it did."""
        async with working(kernel or self.workspace.kernel, self.workspace.tenant, Actor("customer")) as uow:
            return await perform(uow, lambda: begin(uow, text, **more))

    async def available(self, *members: Member) -> None:
        """They said so just now, without anybody being told."""
        await change(self.workspace.kernel, THERE, self.workspace.tenant, [member.id for member in members])

    async def away(self, member: Member) -> None:
        """Silent for longer than counts."""
        await change(self.workspace.kernel, AWAY, self.workspace.tenant, member.id)

    async def say(self, member: Member, *, is_available: bool) -> None:
        """A member's own word."""
        answer = await self.client.put("/v1/me/availability", json={"is_available": is_available}, headers=member.headers)
        assert answer.status_code == 200, answer.text

    async def beat(self, member: Member) -> None:
        """Their panel is open."""
        answer = await self.client.post("/v1/me/availability/heartbeat", headers=member.headers)
        assert answer.status_code == 204, answer.text

    async def drain(self) -> int:
        """What became due since; answers how often somebody became eligible."""
        return await do_effects(self.workspace, DRAIN, handlers=Actors(self.settings).handlers())

    async def assignee(self, number: int) -> int | None:
        """Whose it is."""
        answer = await self.client.get(f"/v1/conversations/{number}", headers=self.workspace.owner.headers)
        user = answer.json()["data"]["assigned_user"]
        return user["id"] if user else None

    async def assigned(self) -> list[Recorded]:
        """Every assignment, in the log's order."""
        return [fact for fact in await read_log(self.workspace.kernel, self.workspace.tenant, 0) if isinstance(fact.event, Assigned)]

    async def waiting(self) -> list[int]:
        """Conversations for which nobody was there, longest first."""
        return [row["conversation_id"] for row in await self.workspace.rows(WAITING)]


async def begin(uow: UnitOfWork, text: str, contact: int = 1, sector: int | None = None, label: int | None = None) -> tuple[int, str]:
    """A conversation begins."""
    number = await uow.number("conversation_number")
    await uow.begin()
    async with uow.create(Conversation(number=number), contact) as editor:
        editor.record(Opened(contact, 1, None, "Customer"))
        editor.record(Received(number, 1, f"3A{number}", Content("text", text), uow.now))
        editor.record(editor.state.move(sector))
        if label is not None:
            editor.record(editor.state.label(label))
        return number, await assign_arrival(uow, editor, text)

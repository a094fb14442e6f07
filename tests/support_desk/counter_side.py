"""Both sides of support in a test's hands: a customer with a ticket, and the staff who answer."""

from datetime import UTC, datetime, timedelta
from typing import Any

from httpx import AsyncClient, Response
from msgspec import Struct

from plixa.kernel.delivery import deliver
from plixa.kernel.event_store import Person
from plixa.kernel.outbox import Effect
from plixa.kernel.settings import Settings
from plixa.kernel.uow import perform, working
from plixa.support.actors import Actors
from plixa.support.commands.tickets import CLOSE_QUIET
from plixa.support.domain.events import Message, Opened, StatusChanged
from plixa.support.domain.ticket import QUIET, Ticket
from tests.support.world import Member, Workspace

TICKETS = "/v1/support/tickets"
DESK = "/v1/admin/support"


class Counter(Struct, frozen=True):
    """Where customers come to."""

    client: AsyncClient
    workspace: Workspace
    settings: Settings

    async def call(self, method: str, path: str = "", member: Member | None = None, **more: Any) -> Response:
        """An operation of the customer's side, by the owner unless told otherwise."""
        headers = (member or self.workspace.owner).headers | more.pop("headers", {})
        return await self.client.request(method, f"{TICKETS}{path}", headers=headers, **more)

    async def do(self, method: str, path: str = "", member: Member | None = None, **more: Any) -> Any:
        """The same, done well: what was answered."""
        answer = await self.call(method, path, member, **more)
        assert answer.is_success, answer.text
        return answer.json()["data"]

    async def open(self, subject: str = "It does not work", body: str = "Not at all.", **more: Any) -> int:
        """A new ticket's number."""
        made = await self.do("POST", json={"subject": subject, "body": body, **more})
        return int(made["id"])

    async def say(self, ticket: int, body: str = "Hello?") -> dict[str, Any]:
        """The customer writes."""
        told: dict[str, Any] = await self.do("POST", f"/{ticket}/messages", json={"body": body})
        return told

    async def old(self, status: str, days: float) -> int:
        """A ticket that was opened, and has had that status, for so long."""
        number = await self.workspace.kernel.numbers.next("ticket_number")
        owner, at = self.workspace.owner, datetime.now(UTC) - timedelta(days=days)
        async with working(self.workspace.kernel, self.workspace.tenant, owner.actor) as uow:

            async def open_it() -> None:
                message = Message(await uow.number("ticket_message_number"), "Long ago", Person(owner.id, owner.name), at)
                async with uow.create(Ticket(number)) as editor:
                    editor.record([Opened("Long ago", None, message), StatusChanged(status, "open", "staff", at)])

            await perform(uow, open_it)
        return number

    async def rated(self, ticket: int, days: float) -> None:
        """The customer has rated it so many days ago."""
        async with working(self.workspace.kernel, self.workspace.tenant, self.workspace.owner.actor) as uow:

            async def rate() -> None:
                async with uow.edit(Ticket, ticket) as editor:
                    editor.record(editor.state.rate(4, None, datetime.now(UTC) - timedelta(days=days)))

            await perform(uow, rate)

    async def ring(self, ticket: int, days: float) -> None:
        """The timer of a ticket that was solved so many days ago, if it is due by now."""
        at, kernel, tenant = datetime.now(UTC) - timedelta(days=days) + QUIET, self.workspace.kernel, self.workspace.tenant
        key = f"{ticket}/{days}"
        async with working(kernel, tenant) as uow:

            async def ask() -> None:
                uow.enqueue(Effect(CLOSE_QUIET, key, {"ticket_id": ticket, "at": min(at, datetime.now(UTC))}))

            await perform(uow, ask)
        (row,) = await self.workspace.rows("SELECT id FROM outbox WHERE tenant_id = $1 AND kind = $2 AND key = $3", CLOSE_QUIET, key)
        assert await deliver(kernel, Actors(self.settings).handlers(), tenant, row["id"])

    async def work(self, kind: str, *, platform: bool = False) -> int:
        """Do what waits in the outbox of a kind, due or not; answers how many there were."""
        tenant = 0 if platform else self.workspace.tenant
        async with self.workspace.kernel.system.connection() as connection:
            rows = await connection.fetch(
                "UPDATE outbox SET due_at = now() WHERE tenant_id = $1 AND kind = $2 AND state = 'waiting' RETURNING id", tenant, kind
            )
        for row in sorted(row["id"] for row in rows):
            assert await deliver(self.workspace.kernel, Actors(self.settings).handlers(), tenant, row)
        return len(rows)

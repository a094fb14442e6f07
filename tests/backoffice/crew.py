"""Plixa's staff in a test's hands."""

import asyncio
import secrets
import time
from typing import Any

import msgspec
from httpx import AsyncClient, Response
from msgspec import Struct

from plixa.backoffice.commands.staff import NewStaff, create_staff, deactivate_staff
from plixa.identity.commands.sessions import Entrance
from plixa.kernel.audit import PLATFORM
from plixa.kernel.mail import Mail, open_mail
from plixa.kernel.uow import Kernel, perform, working
from tests.support.world import Workspace

PASSWORD = "the coffee machine is broken"
MAILS = "SELECT key, payload FROM outbox WHERE tenant_id = $1 AND kind = 'mail.send' ORDER BY id"


class Staff(Struct, frozen=True):
    """Somebody of the staff who is signed in."""

    id: int
    name: str
    email: str
    token: str
    client: AsyncClient

    @property
    def headers(self) -> dict[str, str]:
        """What their requests carry."""
        return {"Authorization": f"Bearer {self.token}"}

    async def call(self, method: str, path: str, **more: Any) -> Response:
        """An operation below ``/v1/admin``."""
        return await self.client.request(method, f"/v1/admin{path}", headers=self.headers | more.pop("headers", {}), **more)

    async def do(self, method: str, path: str, **more: Any) -> Any:
        """The same, done well: what was answered."""
        answer = await self.call(method, path, **more)
        assert answer.status_code in (200, 201, 204), answer.text
        return answer.json()["data"] if answer.content else None

    async def impersonate(self, workspace: Workspace, **body: Any) -> dict[str, Any]:
        """A token of half an hour; by override unless the body says otherwise."""
        wanted = {"override": True, "reason": "Ticket 17"} | body
        found: dict[str, Any] = await self.do("POST", f"/tenants/{workspace.tenant}/impersonate", json=wanted)
        return found


def bearer(token: str) -> dict[str, str]:
    """What requests with a token carry."""
    return {"Authorization": f"Bearer {token}"}


async def hire(entrance: Entrance, client: AsyncClient, name: str) -> Staff:
    """Somebody new, signed in."""
    email = f"{name.lower()}-{secrets.token_hex(6)}@plixa.app"
    async with working(entrance.kernel, PLATFORM) as uow:
        await perform(uow, lambda: create_staff(uow, entrance.passwords, NewStaff(name, email, PASSWORD)))
    answer = await client.post("/v1/admin/auth/login", json={"email": email, "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    data = answer.json()["data"]
    return Staff(data["user"]["id"], name, email, data["token"], client)


async def dismiss(entrance: Entrance, staff: Staff) -> None:
    """They are of the staff no longer."""
    async with working(entrance.kernel, PLATFORM) as uow:
        await perform(uow, lambda: deactivate_staff(uow, staff.email))


async def mails(kernel: Kernel, tenant: int, template: str) -> list[Mail]:
    """What is to be mailed of a kind, oldest first."""
    async with kernel.system.connection() as connection:
        rows = await connection.fetch(MAILS, tenant)
    found = [open_mail(kernel.vault, tenant, row["key"], msgspec.json.decode(row["payload"])) for row in rows]
    return [mail for mail in found if mail.template == template]


async def refused_soon(client: AsyncClient, path: str, headers: dict[str, str]) -> tuple[int, str]:
    """Call until it is refused, for a second at most: status and code."""
    deadline = time.monotonic() + 1
    while (answer := await client.get(path, headers=headers)).status_code == 200:
        assert time.monotonic() < deadline, "it goes on and on"
        await asyncio.sleep(0.02)
    return codes(answer)


def codes(answer: Response) -> tuple[int, str]:
    """Status and code of a refusal."""
    return answer.status_code, answer.json()["errors"][0]["code"]

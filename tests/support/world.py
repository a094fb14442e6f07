"""A small world: workspaces with their owners and agents, each test its own."""

import secrets
from typing import Any

from msgspec import Struct

from plixa.identity.commands.registering import Register, register
from plixa.identity.commands.sessions import Entrance, open_session
from plixa.kernel.event_store import Actor
from plixa.kernel.uow import Kernel, UnitOfWork, perform, working

PASSWORD = "correct horse battery"
AGENT = """INSERT INTO member (tenant_id, id, name, email, password_hash, role, created_at)
VALUES ($1, $2, $3, $4, $5, 'agent', $6)"""


class Member(Struct, frozen=True):
    """Somebody who is signed in."""

    id: int
    name: str
    email: str
    role: str
    token: str

    @property
    def headers(self) -> dict[str, str]:
        """What their requests carry."""
        return {"Authorization": f"Bearer {self.token}"}

    @property
    def actor(self) -> Actor:
        """As events name them."""
        return Actor("member", self.id, self.name)


class Workspace(Struct, frozen=True):
    """A registered tenant."""

    kernel: Kernel
    tenant: int
    name: str
    owner: Member

    def unit(self, member: Member | None = None) -> UnitOfWork:
        """A unit of work of a member, of the owner unless told otherwise; to be closed."""
        return self.kernel.unit(self.tenant, (member or self.owner).actor, "test")

    async def rows(self, query: str, *arguments: Any) -> list[dict[str, Any]]:
        """What a query finds with the system's eyes; ``$1`` is the tenant."""
        async with self.kernel.system.connection() as connection:
            return [dict(row) for row in await connection.fetch(query, self.tenant, *arguments)]


async def register_workspace(entrance: Entrance, company: str, owner: str) -> Workspace:
    """A new tenant, with an address for its owner that nobody else has."""
    kernel = entrance.kernel
    email = f"{owner.lower()}-{secrets.token_hex(6)}@example.com"
    form = Register(owner, email, PASSWORD, PASSWORD, company, "BR", timezone="America/Sao_Paulo")
    async with working(kernel, await kernel.numbers.next("tenant_number")) as uow:
        signed_in = await perform(uow, lambda: register(uow, entrance, form))
    user = signed_in.user
    member = Member(user.id, user.name, user.email, user.role, signed_in.token)
    return Workspace(kernel, signed_in.tenant.id, company, member)


async def add_agent(entrance: Entrance, workspace: Workspace, name: str) -> Member:
    """A second member, signed in."""
    kernel = entrance.kernel
    number = await kernel.numbers.next("member_number")
    email = f"{name.lower()}-{secrets.token_hex(6)}@example.com"
    stored = await entrance.passwords.hash(PASSWORD)
    async with working(kernel, workspace.tenant, workspace.owner.actor) as uow:

        async def join() -> str:
            await uow.begin()
            await uow.execute(AGENT, number, name, email, stored, uow.now)
            return await open_session(uow, number, stored)

        token = await perform(uow, join)
    return Member(number, name, email, "agent", token)

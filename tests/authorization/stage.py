"""A workspace seen by one kind of caller, with whatever a request names."""

import base64
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

from httpx import AsyncClient
from litestar import Litestar
from msgspec import Struct

from plixa.identity.commands.sessions import Entrance
from plixa.kernel.audit import PLATFORM
from plixa.kernel.uow import Kernel
from tests.identity.people import bearer, change, value
from tests.identity.tokens import new_staff, new_token, set_plan
from tests.support.world import PASSWORD, Member, Workspace, add_agent, register_workspace

EXPIRE = "UPDATE access_token SET expires_at = now() - interval '1 second' WHERE tenant_id = $1 AND kind = 'api'"
REVOKE = "DELETE FROM access_token WHERE tenant_id = $1 AND kind = 'api'"
RESTRICT = "UPDATE tenant SET agent_restricted = true WHERE tenant_id = $1"
DEMAND = "UPDATE tenant SET require_two_factor = true WHERE tenant_id = $1"
SUSPEND = "UPDATE tenant SET status = 'suspended', suspended_at = now() WHERE tenant_id = $1"
SCHEDULE = "UPDATE tenant SET deletion_requested_at = now(), purge_at = now() + interval '30 days' WHERE tenant_id = $1"
NONE_ALGORITHM = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().strip("=")
CLAIMS = base64.urlsafe_b64encode(b'{"sub":"1","role":"owner"}').decode().strip("=")
GARBAGE: dict[str, bytes] = {
    "nothing": b"Bearer ",
    "null": b"Bearer null",
    "a JWT without a signature": f"Bearer {NONE_ALGORITHM}.{CLAIMS}.".encode(),
    "one megabyte": b"Bearer " + b"a" * 1_000_000,
    "no UTF-8": b"Bearer 1|plxp_\xff\xfe\xc3\x28",
    "a wrong checksum": b"Bearer 1|plxp_" + b"a" * 46,
    "another scheme": b"Basic MTpvd25lcg==",
}
OTHER_PLAN = "other"
"""As large as the others, without api_access."""
PLAIN_GARBAGE = "a wrong checksum"


class Scene(Struct, frozen=True):
    """The running application that all stages are set in."""

    app: Litestar
    client: AsyncClient
    entrance: Entrance

    @property
    def kernel(self) -> Kernel:
        """What makes stages."""
        return self.entrance.kernel


class Stage:
    """A workspace and who calls; its things are made when they are first named."""

    def __init__(self, scene: Scene, principal: str, workspace: Workspace, agent: Member) -> None:
        self.scene, self.principal, self.workspace, self.agent = scene, principal, workspace, agent
        self.tenant, self.kernel = workspace.tenant, scene.kernel
        self.canary = workspace.name
        self.caller = workspace.owner.id
        self.headers: dict[str, Any] = {}
        self.staff = 0
        self.made: dict[str, Any] = {}

    async def change(self, statement: str, *arguments: Any) -> None:
        """A statement about the workspace, with the system's rights."""
        await change(self.kernel, statement, self.tenant, *arguments)

    async def value(self, query: str, *arguments: Any) -> Any:
        """One value of the workspace."""
        return await value(self.kernel, query, self.tenant, *arguments)

    async def sign_in(self, member: Member) -> None:
        """Call as a member."""
        self.caller, self.headers = member.id, member.headers

    async def token(self, kind: str, *abilities: str) -> None:
        """Call with a new token of the owner's."""
        token = await new_token(self.kernel, kind, self.tenant, self.workspace.owner.id, *abilities, staff=self.staff or None)
        self.headers = bearer(token)


async def set_stage(scene: Scene, principal: str) -> Stage:
    """A new workspace, and somebody of that kind who calls."""
    workspace = await register_workspace(scene.entrance, f"canary{secrets.token_hex(6)}", "Lucia")
    agent = await add_agent(scene.entrance, workspace, f"Ana {workspace.name}")
    stage = Stage(scene, principal, workspace, agent)
    await set_plan(scene.kernel, workspace.tenant, "business")
    await ENTER[principal](stage)
    return stage


async def as_anon(stage: Stage) -> None:
    """Nobody."""


async def as_garbage(stage: Stage) -> None:
    stage.headers = {"Authorization": GARBAGE[PLAIN_GARBAGE]}


async def as_owner(stage: Stage) -> None:
    await stage.sign_in(stage.workspace.owner)


async def as_agent(stage: Stage) -> None:
    await stage.sign_in(stage.agent)


async def as_agent_restricted(stage: Stage) -> None:
    await stage.change(RESTRICT)
    await stage.sign_in(stage.agent)


async def as_removed_member(stage: Stage) -> None:
    gone = await add_agent(stage.scene.entrance, stage.workspace, "Rui")
    await stage.sign_in(gone)
    answer = await stage.scene.client.delete(f"/v1/team/members/{gone.id}", headers=stage.workspace.owner.headers)
    assert answer.status_code == 204, answer.text


async def as_token_read(stage: Stage) -> None:
    await stage.token("api", "read")


async def as_token_write(stage: Stage) -> None:
    await stage.token("api", "write")


async def as_token_expired(stage: Stage) -> None:
    await stage.token("api", "read", "write")
    await stage.change(EXPIRE)


async def as_token_revoked(stage: Stage) -> None:
    await stage.token("api", "read", "write")
    await stage.change(REVOKE)


async def as_other_plan(stage: Stage) -> None:
    await stage.token("api", "read", "write")
    await set_plan(stage.kernel, stage.tenant, OTHER_PLAN)


async def as_two_factor_pending(stage: Stage) -> None:
    await stage.token("challenge")


async def as_two_factor_unenrolled(stage: Stage) -> None:
    await stage.change(DEMAND)
    await stage.sign_in(stage.workspace.owner)


async def as_suspended(stage: Stage) -> None:
    await stage.change(SUSPEND)
    await stage.sign_in(stage.workspace.owner)


async def as_deletion_scheduled(stage: Stage) -> None:
    await stage.change(SCHEDULE)
    await stage.sign_in(stage.workspace.owner)


async def as_staff(stage: Stage) -> None:
    stage.staff = stage.caller = await hire(stage)
    stage.headers = bearer(await new_token(stage.kernel, "staff", PLATFORM, stage.staff))


async def as_impersonation(stage: Stage) -> None:
    stage.staff = await hire(stage)
    await stage.token("impersonation")


async def hire(stage: Stage) -> int:
    """One of Plixa's own people, with the password everybody has here."""
    stage.made["staff_email"] = email = f"sam-{secrets.token_hex(6)}@plixa.app"
    return await new_staff(stage.kernel, email, await stage.scene.entrance.passwords.hash(PASSWORD))


ENTER: dict[str, Callable[[Stage], Awaitable[None]]] = {
    "anon": as_anon,
    "owner": as_owner,
    "agent": as_agent,
    "agent_restricted": as_agent_restricted,
    "removed_member": as_removed_member,
    "token_read": as_token_read,
    "token_write": as_token_write,
    "token_expired": as_token_expired,
    "token_revoked": as_token_revoked,
    "other_plan": as_other_plan,
    "two_factor_pending": as_two_factor_pending,
    "two_factor_unenrolled": as_two_factor_unenrolled,
    "suspended": as_suspended,
    "deletion_scheduled": as_deletion_scheduled,
    "staff": as_staff,
    "impersonation": as_impersonation,
    "garbage": as_garbage,
}

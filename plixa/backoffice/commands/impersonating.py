"""Stepping into a workspace as one of its members: for half an hour, seen by its owner, and named in everything that is done."""

from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct

from plixa.backoffice.commands.lifecycle import UNSAID, Reason, tell_owner
from plixa.backoffice.queries.tenants import LockedTenant, lock_tenant
from plixa.kernel.audit import record
from plixa.kernel.auth import Principal, hashed, mint
from plixa.kernel.errors import Forbidden, Invalid, NotFound, Unauthenticated
from plixa.kernel.requests import current_request
from plixa.kernel.uow import UnitOfWork, perform

LASTS: Final = timedelta(minutes=30)
"""From the moment it begins; using it does not prolong it."""
MEMBER: Final = """SELECT id, name, email, role FROM member
WHERE tenant_id = scope.tenant AND CASE WHEN $2::bigint IS NULL THEN role = 'owner' ELSE id = $2 END"""
NEW_TOKEN: Final = """
INSERT INTO access_token (tenant_id, member_id, kind, name, hash, agent, created_at, expires_at, staff_id, created_by, is_override)
VALUES ($1, $2, 'impersonation', 'impersonation', $3, $4, $5, $6, $7, $7, $8) RETURNING id
"""
REVOKE: Final = "DELETE FROM access_token WHERE tenant_id = $1 AND id = $2"


class SupportAccessDenied(Forbidden):
    code = "SUPPORT_ACCESS_DENIED"
    is_told = True
    default = "This workspace does not allow support access. Override it with a reason if you must."


class Impersonate(Struct, frozen=True):
    """As whom, the owner unless told otherwise, and why; ``override`` enters even where the workspace does not allow it."""

    user_id: int | None = None
    reason: Reason | None = None
    override: bool = False


class ImpersonatedView(Struct, frozen=True):
    """The member somebody acts as."""

    id: int
    name: str
    email: str
    role: str


class ImpersonationView(Struct, frozen=True):
    """A token that acts as ``user`` until ``expires_at``; it is shown this once."""

    token: str
    expires_at: datetime
    is_override: bool
    tenant_id: int
    user: ImpersonatedView


async def impersonate(uow: UnitOfWork, data: Impersonate) -> ImpersonationView:
    """A token for half an hour as a member of ``uow``'s workspace; raises NotFound, SupportAccessDenied."""
    if data.override and data.reason is None:
        raise Invalid.field("reason", "Say why the workspace's decision is overridden.")
    tenant = await lock_tenant(uow)
    member = await find_member(uow, data.user_id)
    if not tenant.allow_support_access and not data.override:
        await refuse(uow, member)
    is_override = not tenant.allow_support_access
    token, expires_at = await open_impersonation(uow, member.id, is_override)
    announce(uow, tenant, token, data.reason)
    told = {"reason": data.reason, "is_override": is_override, "expires_at": expires_at.isoformat()}
    await record(uow, "tenant.impersonated", ("member", member.id), after=told)
    return ImpersonationView(token, expires_at, is_override, uow.tenant, member)


async def leave_impersonation(uow: UnitOfWork, caller: Principal) -> None:
    """End an impersonation before its time; raises Forbidden for a session of one's own."""
    if caller.kind != "impersonation":
        raise Forbidden("This is your own session. Sign out instead.")
    if await uow.execute(REVOKE, caller.token_id) != "DELETE 1":
        raise Unauthenticated
    await record(uow, "impersonation.left", ("member", caller.user_id))


async def find_member(uow: UnitOfWork, number: int | None) -> ImpersonatedView:
    """A member of the workspace, the owner unless told otherwise; raises NotFound for anybody else."""
    row = await uow.fetchrow(MEMBER, number)
    if row is None:
        raise NotFound("There is no such member in this workspace.")
    return ImpersonatedView(*row)


async def refuse(uow: UnitOfWork, member: ImpersonatedView) -> None:
    """Leave a trace of the try in the workspace's log; raises SupportAccessDenied."""
    await uow.rollback()
    await perform(uow, lambda: record(uow, "security.impersonation_denied", ("member", member.id)))
    raise SupportAccessDenied


async def open_impersonation(uow: UnitOfWork, member: int, is_override: bool) -> tuple[str, datetime]:
    """The token as it is shown, and when it ends."""
    secret, expires_at = mint("impersonation"), uow.now + LASTS
    request = current_request()
    agent = request.agent if request else None
    number = await uow.insert(NEW_TOKEN, member, hashed(secret), agent, uow.now, expires_at, uow.actor.id, is_override)
    return f"{number}|{secret}", expires_at


def announce(uow: UnitOfWork, tenant: LockedTenant, token: str, reason: str | None) -> None:
    """Tell the owner who of us is in."""
    values = {"staff": uow.actor.name or "", "reason": reason or UNSAID, "started_at": uow.now}
    tell_owner(uow, tenant, "support_access", f"support_access/{token.partition('|')[0]}", values)

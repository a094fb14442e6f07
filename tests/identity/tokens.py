"""Tokens of every kind, put where the application would put them."""

import secrets

from plixa.kernel.audit import PLATFORM
from plixa.kernel.auth import hashed, mint
from plixa.kernel.uow import Kernel
from tests.identity.people import change, value

NEW_STAFF = """INSERT INTO member (tenant_id, id, name, email, password_hash, role, created_at)
VALUES (0, nextval('member_number'), 'Sam', $1, $2, 'staff', now()) RETURNING id"""
NEW_TOKEN = """INSERT INTO access_token (tenant_id, member_id, kind, name, abilities, hash, staff_id, created_at, expires_at)
VALUES ($1, $2, $3, $3, $4, $5, $6, now(), now() + interval '10 minutes') RETURNING id"""


async def new_staff(kernel: Kernel, email: str | None = None, password_hash: str = "none") -> int:
    """One of Plixa's own people."""
    return int(await value(kernel, NEW_STAFF, email or f"sam-{secrets.token_hex(6)}@plixa.app", password_hash))


async def new_token(kernel: Kernel, kind: str, tenant: int, member: int, *abilities: str, staff: int | None = None) -> str:
    """A token of a member as it is shown."""
    secret = mint(kind)
    number = await value(kernel, NEW_TOKEN, tenant, member, kind, list(abilities), hashed(secret), staff)
    return f"{number}|{secret}"


async def impersonating(kernel: Kernel, tenant: int, member: int) -> str:
    """The token of staff who look at a workspace as one of its members."""
    return await new_token(kernel, "impersonation", tenant, member, staff=await new_staff(kernel))


async def staff_token(kernel: Kernel) -> str:
    """The token of one of Plixa's own people."""
    return await new_token(kernel, "staff", PLATFORM, await new_staff(kernel))


async def set_plan(kernel: Kernel, tenant: int, plan: str | None) -> None:
    """Grant a plan, or none."""
    await change(kernel, "UPDATE tenant SET plan = $2 WHERE tenant_id = $1", tenant, plan)

"""Second factors: what their owner is shown of them, and what is needed to judge them."""

from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct

from plixa.kernel.errors import Unauthenticated
from plixa.kernel.tenancy import lock_of
from plixa.kernel.uow import UnitOfWork

PENDING: Final = timedelta(minutes=10)
"""How long a secret that was set up waits for its first code."""


class TwoFactorView(Struct, frozen=True):
    """``pending_confirmation``: a secret was handed out and waits for its first code."""

    enabled: bool
    pending_confirmation: bool
    confirmed_at: datetime | None
    recovery_codes_remaining: int
    required_by_workspace: bool


class Held(Struct, frozen=True):
    """A member nobody else can change before this transaction ends; ``locale`` and ``zone`` are those of mails to them."""

    id: int
    name: str
    email: str
    password_hash: str
    failed_sign_ins: int
    two_factor_secret: bytes | None
    """Sealed."""
    two_factor_setup_at: datetime | None
    two_factor_confirmed_at: datetime | None
    two_factor_step: int
    role: str
    locale: str
    zone: str

    def is_pending(self, now: datetime) -> bool:
        """Was a secret set up that may still be confirmed?"""
        return self.two_factor_confirmed_at is None and self.two_factor_setup_at is not None and self.two_factor_setup_at > now - PENDING


STATUS: Final = """
SELECT m.two_factor_setup_at, m.two_factor_confirmed_at, t.require_two_factor,
       (SELECT count(*) FROM recovery_code c WHERE c.tenant_id = m.tenant_id AND c.member_id = m.id) AS remaining
FROM member m JOIN tenant t ON t.tenant_id = m.tenant_id WHERE m.tenant_id = scope.tenant AND m.id = $2
"""
HOLD: Final = """
SELECT m.id, m.name, m.email, m.password_hash, m.failed_sign_ins, m.two_factor_secret, m.two_factor_setup_at, m.two_factor_confirmed_at,
       m.two_factor_step, m.role, coalesce(m.locale, t.locale), t.timezone
FROM member m JOIN tenant t ON t.tenant_id = m.tenant_id WHERE m.tenant_id = $1 AND m.id = $2 FOR NO KEY UPDATE OF m
"""
DEMANDED: Final = "SELECT require_two_factor AS demanded FROM tenant WHERE tenant_id = scope.tenant"
REMAINING: Final = "SELECT count(*) AS remaining FROM recovery_code WHERE tenant_id = scope.tenant AND member_id = $2"


async def get_two_factor(uow: UnitOfWork, member: int) -> TwoFactorView:
    """Whether a member has a second factor; raises Unauthenticated when they were removed a moment ago."""
    row = await uow.fetchrow(STATUS, member)
    if row is None:
        raise Unauthenticated
    since, confirmed = row["two_factor_setup_at"], row["two_factor_confirmed_at"]
    pending = confirmed is None and since is not None and since > uow.now - PENDING
    return TwoFactorView(confirmed is not None, pending, confirmed, row["remaining"], row["require_two_factor"])


async def hold_member(uow: UnitOfWork, member: int) -> Held:
    """A member, held until this unit of work ends: sign-ins and changes of one member go one after the other.

    Raises Unauthenticated when they were removed a moment ago.
    """
    connection = await uow.begin()
    row = await connection.fetchrow(HOLD, uow.tenant, member)
    if row is None:
        raise Unauthenticated
    return Held(*row)


def settings_lock(tenant: int) -> int:
    """The lock under which a workspace's settings are changed, and what they presuppose: that its owner has a second factor."""
    return lock_of(f"{tenant}/settings")


async def is_demanded(uow: UnitOfWork) -> bool:
    """Does the workspace demand a second factor of everybody?"""
    row = await uow.fetchrow(DEMANDED)
    return row is not None and bool(row["demanded"])


async def count_recovery_codes(uow: UnitOfWork, member: int) -> int:
    """How many a member has left."""
    row = await uow.fetchrow(REMAINING, member)
    return int(row["remaining"]) if row else 0

"""What staff may do to a workspace: suspend and reactivate it, grant and revoke a licence."""

from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from plixa.backoffice.queries.tenants import LockedTenant, lock_tenant
from plixa.identity.domain import Licence
from plixa.kernel.audit import record
from plixa.kernel.errors import Invalid
from plixa.kernel.mail import Mail, send_mail
from plixa.kernel.settings import Settings
from plixa.kernel.uow import UnitOfWork

SUSPEND: Final = "UPDATE tenant SET status = 'suspended', suspended_at = $2, suspended_reason = $3 WHERE tenant_id = $1"
REACTIVATE: Final = "UPDATE tenant SET status = 'active', suspended_at = NULL, suspended_reason = NULL WHERE tenant_id = $1"
GRANT: Final = """UPDATE tenant SET plan = $2, license_granted_at = $3::timestamptz, license_granted_by = $4,
license_expires_at = $3::timestamptz + make_interval(months => $5::int) WHERE tenant_id = $1"""
"""Calendar months: what begins on the 31st ends on the last day of a shorter month."""
EXPIRY: Final = "SELECT license_expires_at FROM tenant WHERE tenant_id = scope.tenant"
REVOKE: Final = """UPDATE tenant SET plan = NULL, license_granted_at = NULL, license_granted_by = NULL, license_expires_at = NULL
WHERE tenant_id = $1"""

Reason = Annotated[str, Meta(min_length=1, max_length=500, pattern=r"\S")]
"""Why staff do something; the owner reads it."""
UNSAID: Final = "–"
"""Stands for a reason that was not given."""
ACTIVE: Final = {"status": "active", "reason": None}
"""A workspace that is not suspended, as the audit trail tells it."""


class Suspend(Struct, frozen=True):
    """Why a workspace is suspended."""

    reason: Reason | None = None


class GrantLicence(Struct, frozen=True):
    """A plan for some months, or for life."""

    plan_key: Annotated[str, Meta(max_length=64)]
    expires_in_months: Annotated[int, Meta(ge=1, le=120)] | None = None


async def suspend_tenant(uow: UnitOfWork, data: Suspend) -> None:
    """Shut a workspace: nobody gets in, nothing is sent, what arrives is kept. Once is enough; raises NotFound."""
    tenant = await lock_tenant(uow)
    if tenant.status == "suspended":
        return
    await uow.execute(SUSPEND, uow.now, data.reason)
    tell_owner(uow, tenant, "workspace_suspended", f"workspace_suspended/{uow.now.isoformat()}", {"reason": data.reason or UNSAID})
    await record(uow, "tenant.suspended", ("tenant", uow.tenant), ACTIVE, {"status": "suspended", "reason": data.reason})


async def reactivate_tenant(uow: UnitOfWork) -> None:
    """Open a suspended workspace again; raises NotFound."""
    tenant = await lock_tenant(uow)
    if tenant.status == "active":
        return
    await uow.execute(REACTIVATE)
    tell_owner(uow, tenant, "workspace_reactivated", f"workspace_reactivated/{uow.now.isoformat()}", {})
    await record(uow, "tenant.reactivated", ("tenant", uow.tenant), {"status": "suspended", "reason": tenant.suspended_reason}, ACTIVE)


async def grant_license(uow: UnitOfWork, settings: Settings, data: GrantLicence) -> None:
    """Grant a plan from now on, instead of an earlier grant; raises Invalid for a plan that is not offered, NotFound."""
    if data.plan_key not in settings.plans:
        raise Invalid.field("plan_key", f"Must be one of: {', '.join(settings.plans)}.")
    tenant = await lock_tenant(uow)
    await uow.execute(GRANT, data.plan_key, uow.now, uow.actor.id, data.expires_in_months)
    row = await uow.fetchrow(EXPIRY)
    granted = Licence(data.plan_key, row["license_expires_at"] if row else None)
    await record(uow, "license.granted", ("tenant", uow.tenant), told(tenant.licence), told(granted))


async def revoke_license(uow: UnitOfWork) -> None:
    """Take a grant back: the workspace falls back to what it pays for, or the default plan; raises NotFound."""
    tenant = await lock_tenant(uow)
    if tenant.licence.plan is None:
        return
    await uow.execute(REVOKE)
    await record(uow, "license.revoked", ("tenant", uow.tenant), told(tenant.licence), told(Licence()))


def told(licence: Licence) -> dict[str, Any]:
    """A licence as the audit trail tells it."""
    return {"plan_key": licence.plan, "expires_at": licence.expires_at.isoformat() if licence.expires_at else None}


def tell_owner(uow: UnitOfWork, tenant: LockedTenant, template: str, key: str, values: dict[str, Any]) -> None:
    """Write to the owner, in the workspace's language."""
    if tenant.owner is not None:
        values = {"name": tenant.owner.name, "workspace": tenant.name} | values
        send_mail(uow, key, Mail(template, tenant.owner.email, tenant.locale, values, tenant.timezone))

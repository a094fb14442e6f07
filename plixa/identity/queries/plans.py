"""The plan of a workspace: the one place everything asks what it may use, and how much of it."""

from typing import Final

from plixa.identity.domain import Licence, PlanInForce, plan_in_force
from plixa.kernel.settings import Settings
from plixa.kernel.uow import UnitOfWork

PLAN: Final = "SELECT plan, license_expires_at FROM tenant WHERE tenant_id = scope.tenant"


async def get_plan(uow: UnitOfWork, settings: Settings) -> PlanInForce:
    """The plan in force now."""
    row = await uow.fetchrow(PLAN)
    return plan_in_force(settings, Licence(*row) if row else Licence(), uow.now)

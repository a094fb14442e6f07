"""Plans on offer, and the one a workspace has."""

from datetime import datetime
from typing import Final

from msgspec import Struct

from plixa.identity.queries.plans import get_plan
from plixa.kernel.settings import Settings
from plixa.kernel.uow import UnitOfWork
from plixa.workspace.queries.team import count_seats

NUMBERS: Final = "SELECT value AS used FROM counter WHERE tenant_id = scope.tenant AND projection = 'phone_instance' AND key = 'rows'"
"""Kept by the trigger ``count_rows``."""


class OfferView(Struct, frozen=True):
    """A plan: what it includes, and up to how much."""

    key: str
    features: list[str]
    limits: dict[str, int]


class UsageView(Struct, frozen=True):
    """How much is used of what the plan limits."""

    seats: int
    whatsapp_numbers: int


class SubscriptionView(Struct, frozen=True):
    """The plan in force; ``source`` is ``license`` or ``default``, a license without end has no ``license_expires_at``."""

    plan_key: str
    source: str
    features: list[str]
    limits: dict[str, int]
    license_expires_at: datetime | None
    usage: UsageView


def list_plans(settings: Settings) -> list[OfferView]:
    """Every plan, as in the settings."""
    return [OfferView(key, sorted(plan.features), plan.limits) for key, plan in settings.plans.items()]


async def get_subscription(uow: UnitOfWork, settings: Settings) -> SubscriptionView:
    """What the workspace may use, and how much of it is used."""
    plan = await get_plan(uow, settings)
    numbers = await uow.fetchrow(NUMBERS)
    usage = UsageView(await count_seats(uow), numbers["used"] if numbers else 0)
    return SubscriptionView(plan.key, plan.source, plan.features, plan.limits, plan.expires_at, usage)

"""Routes: plans on offer, and the workspace's own."""

from litestar import Controller
from litestar.di import NamedDependency

from plixa.billing.queries import OfferView, SubscriptionView, get_subscription, list_plans
from plixa.kernel.auth import SUSPENDED, Access
from plixa.kernel.envelope import Data
from plixa.kernel.http import Uow, get
from plixa.kernel.settings import Settings


class BillingController(Controller):
    path = "/billing"
    tags = ("Billing",)

    @get("/plans", access=Access.MEMBER, even={SUSPENDED})
    async def plans(self, settings: NamedDependency[Settings]) -> Data[list[OfferView]]:
        """Plans to choose from: what each includes, and up to how much."""
        return Data(list_plans(settings))

    @get("/subscription", access=Access.OWNER, even={SUSPENDED}, own=True)
    async def subscription(self, uow: Uow, settings: NamedDependency[Settings]) -> Data[SubscriptionView]:
        """The plan in force, on what ground, and how much of its limits is used."""
        return Data(await get_subscription(uow, settings))

"""Browsers that want notifications: members' and staff's."""

from litestar import Controller
from litestar.di import NamedDependency
from litestar.params import JSONBody

from plixa.kernel.auth import Access
from plixa.kernel.envelope import Data
from plixa.kernel.http import Caller, Machinery, Uow, delete, get, post
from plixa.kernel.settings import Settings
from plixa.notifications.client.push import public_key
from plixa.notifications.commands.push import Subscribe, Unsubscribe, obtain_key, subscribe, unsubscribe
from plixa.notifications.queries.push import PushConfigView, SubscriptionView, list_subscriptions


class PushController(Controller):
    path = "/push"
    tags = ("Push notifications",)

    @get("/config", access=Access.MEMBER)
    async def config(self, kernel: Machinery) -> Data[PushConfigView]:
        """The key a browser knows us by."""
        return Data(PushConfigView(public_key(await obtain_key(kernel))))

    @get("/subscriptions", access=Access.MEMBER, own=True)
    async def index(self, uow: Uow, caller: Caller) -> Data[list[SubscriptionView]]:
        """List one's own browsers that get notifications."""
        return Data(await list_subscriptions(uow, caller.user_id))

    @post("/subscriptions", access=Access.MEMBER, own=True, summary="Register or refresh a push subscription")
    async def register(
        self, uow: Uow, caller: Caller, settings: NamedDependency[Settings], data: JSONBody[Subscribe]
    ) -> Data[SubscriptionView]:
        """Have this browser get notifications, for as long as the session lasts; again makes no second of it."""
        number = await subscribe(uow, settings, caller, data)
        return Data(next(one for one in await list_subscriptions(uow, caller.user_id) if one.id == number))

    @delete("/subscriptions", access=Access.MEMBER, own=True, summary="Remove a push subscription")
    async def remove(self, uow: Uow, caller: Caller, data: JSONBody[Unsubscribe]) -> None:
        """No more notifications to this browser."""
        await unsubscribe(uow, caller, data)


class StaffPushController(Controller):
    path = "/admin/push"
    tags = ("Push notifications",)

    @get("/config", access=Access.STAFF)
    async def config(self, kernel: Machinery) -> Data[PushConfigView]:
        """The key a browser knows us by."""
        return Data(PushConfigView(public_key(await obtain_key(kernel))))

    @get("/subscriptions", access=Access.STAFF)
    async def index(self, uow: Uow, caller: Caller) -> Data[list[SubscriptionView]]:
        """List one's own browsers that get notifications."""
        return Data(await list_subscriptions(uow, caller.user_id))

    @post("/subscriptions", access=Access.STAFF, summary="Register or refresh a push subscription")
    async def register(
        self, uow: Uow, caller: Caller, settings: NamedDependency[Settings], data: JSONBody[Subscribe]
    ) -> Data[SubscriptionView]:
        """Have this browser get notifications, for as long as the session lasts; again makes no second of it."""
        number = await subscribe(uow, settings, caller, data)
        return Data(next(one for one in await list_subscriptions(uow, caller.user_id) if one.id == number))

    @delete("/subscriptions", access=Access.STAFF, summary="Remove a push subscription")
    async def remove(self, uow: Uow, caller: Caller, data: JSONBody[Unsubscribe]) -> None:
        """No more notifications to this browser."""
        await unsubscribe(uow, caller, data)

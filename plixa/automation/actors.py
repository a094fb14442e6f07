"""The effects of automation: giving away what waited for somebody, and greetings that wait for a moment."""

from contextlib import suppress
from functools import partial

from msgspec import Struct

from plixa.automation.commands.assigning import drain
from plixa.automation.commands.welcome import send_welcome
from plixa.kernel.delivery import Delivery, Handler
from plixa.kernel.errors import NotFound
from plixa.kernel.settings import Settings
from plixa.kernel.uow import perform


class Actors(Struct, frozen=True):
    """The handlers of this module's effects."""

    settings: Settings

    def handlers(self) -> dict[str, Handler]:
        """By the effect's kind."""
        return {"automation.drain": self.drain, "automation.welcome": self.welcome}

    async def welcome(self, delivery: Delivery) -> None:
        """A greeting has waited for long enough."""
        async with delivery.unit() as uow:

            async def end() -> None:
                await delivery.done(uow)
                with suppress(NotFound):
                    await send_welcome(uow, delivery.payload["conversation_id"], delivery.payload["episode"])

            await perform(uow, end)

    async def drain(self, delivery: Delivery) -> None:
        """Somebody became eligible."""
        await drain(delivery.kernel, delivery.tenant, self.settings)
        async with delivery.unit() as uow:
            await perform(uow, partial(delivery.done, uow))

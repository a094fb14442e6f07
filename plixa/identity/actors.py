"""The effect behind a forgotten password: only here is it looked up whether somebody has the address."""

from functools import partial

from msgspec import Struct

from plixa.identity.commands.passwords import OFFER, offer_reset, open_asked
from plixa.identity.queries.members import NOBODY, find_account
from plixa.kernel.delivery import Delivery, Handler
from plixa.kernel.event_store import SYSTEM
from plixa.kernel.uow import perform, working


class Actors(Struct, frozen=True):
    """The handlers of this module's effects."""

    public_url: str

    def handlers(self) -> dict[str, Handler]:
        """By the effect's kind."""
        return {OFFER: self.offer}

    async def offer(self, delivery: Delivery) -> None:
        """Make the link in the log of the account's own tenant; an address nobody has leaves no trace."""
        asked = open_asked(delivery.kernel.vault, delivery.key, delivery.payload)
        account = await find_account(delivery.kernel.system, asked.email, asked.is_staff)
        if account is not NOBODY:
            async with working(delivery.kernel, account.tenant, SYSTEM, delivery.payload["request_id"]) as uow:
                await perform(uow, partial(offer_reset, uow, account, asked.token, self.public_url))
        async with delivery.unit() as uow:
            await perform(uow, partial(delivery.done, uow))

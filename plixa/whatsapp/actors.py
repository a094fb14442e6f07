"""Effects at the gateway: making a number, and forgetting it."""

from functools import partial

from msgspec import Struct

from plixa.kernel.delivery import Delivery, Handler, Retry
from plixa.kernel.settings import Settings
from plixa.kernel.uow import UnitOfWork, perform
from plixa.whatsapp.client import Gateway, GatewayError, NameTaken, Qr
from plixa.whatsapp.commands.instances import DELETE_EFFECT, Target, hear_answer, prepare_instance
from plixa.whatsapp.queries import CREATE_EFFECT


class Actors(Struct, frozen=True):
    """The handlers of this module's effects."""

    gateway: Gateway
    settings: Settings

    def handlers(self) -> dict[str, Handler]:
        """By the effect's kind."""
        return {CREATE_EFFECT: self.create_instance, DELETE_EFFECT: self.delete_instance}

    async def create_instance(self, delivery: Delivery) -> None:
        """Make a number at the gateway; one of that name is ours, made by an earlier try whose answer was lost."""
        number: int = delivery.payload["instance_id"]
        async with delivery.unit() as uow:
            target = await perform(uow, partial(prepare_instance, uow, self.settings, number))
        told = await self.pair(delivery, target) if target else None
        async with delivery.unit() as uow:
            await perform(uow, partial(finish, uow, delivery, told))

    async def delete_instance(self, delivery: Delivery) -> None:
        """Have the gateway forget a number; one it does not know is fine."""
        try:
            await self.gateway.delete(delivery.payload["gateway_name"])
        except GatewayError as error:
            raise later(delivery, error) from error
        async with delivery.unit() as uow:
            await perform(uow, partial(finish, uow, delivery, None))

    async def pair(self, delivery: Delivery, target: Target) -> Qr:
        """Begin the pairing of a new number."""
        url = f"{self.settings.public_url.rstrip('/')}/v1/webhooks/evolution/{target.gateway_name}"
        try:
            try:
                return (await self.gateway.create_instance(target.gateway_name, url, target.secret)).qr
            except NameTaken:
                await self.gateway.set_webhook(target.gateway_name, url, target.secret)
                return await self.gateway.connect(target.gateway_name)
        except GatewayError as error:
            raise later(delivery, error) from error


async def finish(uow: UnitOfWork, delivery: Delivery, told: Qr | None) -> None:
    """Note what the gateway answered, and that the effect is done."""
    if told is not None:
        await hear_answer(uow, delivery.payload["instance_id"], told)
    await delivery.done(uow)


def later(delivery: Delivery, error: GatewayError) -> Retry:
    """Another try after 5 s, 30 s, 3 and 18 minutes: the gateway may be restarting, or away for longer."""
    return Retry(5.0 * 6 ** (delivery.attempt - 1), error.message)
